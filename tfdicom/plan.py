"""What becomes which example, in which split, shard and place; from headers alone.

Everything about the plan is independent of the file system's order, of the number of
workers and of the machine.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfdicom import splits
from tfdicom.annotated_frames import AnnotatedFrame
from tfdicom.classes import SegmentationClass
from tfdicom.convert_options import ALL, NO
from tfdicom.deidentify import Pseudonyms
from tfdicom.frame_headers import FrameHeader
from tfdicom.input_stamps import InputStamps
from tfdicom.series import FramePlan, SeriesPlan, plan_series
from tfdicom.sharding import FrozenShards, fill_shards, virtual_bucket
from tfdicom.sources.candidates import IMAGE, LeftFile, loss_of
from tfdicom.split_choice import SplitChoice
from tfdicom.split_plan import assign_patients

_AUTO_SHARDS = 8  # so that even a small data set is read from several files


@dataclasses.dataclass(frozen=True)
class PatientPlan:
    """A patient's series that hold examples.

    Attributes:
      patient: Pseudonym of the patient.
      source_patient: The source's identifier.
      series: What is planned.
      estimated_bytes: Of the records.
      stamps: Of ``sources``, joined, when their headers were read; empty where that
        is not known.
    """

    patient: str
    source_patient: str
    series: tuple[SeriesPlan, ...]
    estimated_bytes: int
    stamps: bytes = b""

    @property
    def sources(self) -> list[str]:
        """The files that the examples are made of, sorted."""
        paths = set()
        for series in self.series:
            for frame in series.frames:
                paths.add(frame.path)
                paths.update(one.path for one in frame.annotations)
        return sorted(paths)

    @property
    def examples(self) -> int:
        """Number of frames that become examples."""
        return sum(frame.example for one in self.series for frame in one.frames)


@dataclasses.dataclass(frozen=True)
class ShardPlan:
    """One file, and the patients whose examples it holds, in order."""

    split: str
    file: str
    patients: tuple[PatientPlan, ...]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that a conversion will do.

    Attributes:
      shards: The files to write, in the manifest's order.
      split_names: The splits, in the order asked for; also those without a patient.
      split_table: Split by the patient's pseudonym.
      buckets: For each split, the shard of each virtual bucket in use.
      left: Files that become nothing.
      warnings: What the user should know before it begins.
      salt: Public text that patients were ranked with.
      split_options: How patients were split, for the manifest; names no patient.
    """

    shards: tuple[ShardPlan, ...]
    split_names: tuple[str, ...]
    split_table: Mapping[str, str]
    buckets: Mapping[str, Mapping[str, int]]
    left: tuple[LeftFile, ...]
    warnings: tuple[str, ...]
    salt: str = splits.DEFAULT_SALT
    split_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def frames(self) -> Iterator[tuple[ShardPlan, PatientPlan, FramePlan]]:
        """Every frame that is read, in order."""
        for shard in self.shards:
            for patient in shard.patients:
                for series in patient.series:
                    for frame in series.frames:
                        yield shard, patient, frame


def make_plan(
    frames: Sequence[AnnotatedFrame],
    source_patients: Sequence[str],
    *,
    classes: Sequence[SegmentationClass],
    rule: splits.SplitRule,
    salt: str,
    pseudonyms: Pseudonyms,
    num_shards: int,
    shard_bytes: int,
    include: str = NO,
    frozen: Mapping[str, str] | None = None,
    fixed: Sequence[str] = (),
    stratify: str = "",
    stratified: str | None = None,
    frozen_shards: Mapping[str, FrozenShards] | None = None,
    stamps: InputStamps | None = None,
) -> Plan:
    """Makes the plan.

    Args:
      frames: Frames with headers and annotations.
      source_patients: The source patient identifier of each.
      classes: The classes; a frame becomes an example if one of them has all of its
        structures there.
      rule: How patients are split.
      salt: Public text that patients are ranked with.
      pseudonyms: Makes keys and pseudonyms.
      num_shards: Shards of each split; 0: from ``shard_bytes``.
      shard_bytes: Size aimed at for a shard.
      include: Which frames without an annotation become examples too: ``no``,
        ``neighbours`` or ``all``.
      frozen: Splits that patients have already and keep, by pseudonym.
      fixed: Of the splits in ``frozen``, those that nobody enters any more.
      stratify: What every split is to get its share of, as ``--stratify``.
      stratified: What is known of how those in ``frozen`` got their splits.
      frozen_shards: Shards of splits as an earlier conversion made them; who is in
        one of their buckets stays there.
      stamps: Of the source files, which the plan keeps.

    Raises:
      ValueError: Nothing is annotated, the split does not fit the patients, or patients
        of two splits share a study.
    """
    used, left = _with_whole_classes(frames, classes)
    by_patient = collections.defaultdict(list)
    for one, patient in zip(used, source_patients, strict=True):
        by_patient[patient].append(one)
    wanted = [
        patient
        for patient, images in by_patient.items()
        if include == ALL or any(one.annotated for one in images)
    ]
    if not wanted:
        names = "; ".join(f"{one.name}={one.expression}" for one in classes)
        raise ValueError(
            "no image that can be used has annotations of all the structures of a "
            f"class; the classes are {names}"
        )
    choice = SplitChoice(rule, salt, frozen or {}, tuple(fixed), stratify, stratified)
    may_be_examples = {
        patient: [one for one in by_patient[patient] if include == ALL or one.annotated]
        for patient in wanted
    }
    assigned, warnings = assign_patients(may_be_examples, choice, classes, pseudonyms)
    patients, unused = _plan_patients(by_patient, assigned, pseudonyms, include)
    if stamps:
        patients = [
            dataclasses.replace(one, stamps=stamps.joined(one.sources))
            for one in patients
        ]
    table = {one.patient: assigned[one.source_patient] for one in patients}
    _check_studies(patients, table)
    shards, buckets = _plan_shards(
        patients, table, rule.names, num_shards, shard_bytes, frozen_shards or {}
    )
    incomplete = {one.path for one in left}
    return Plan(
        shards=shards,
        split_names=rule.names,
        split_table=table,
        buckets=buckets,
        left=(*left, *(one for one in unused if one.path not in incomplete)),
        warnings=(*warnings, *_warnings(rule, assigned, num_shards)),
        salt=salt,
        split_options=choice.recorded(table),
    )


def _with_whole_classes(
    frames: Sequence[AnnotatedFrame], classes: Sequence[SegmentationClass]
) -> tuple[list[AnnotatedFrame], list[LeftFile]]:
    """The frames, without annotations where no class has all that it needs."""
    incomplete = [
        bool(one.annotated)
        and not any(each.annotated(one.annotated) for each in classes)
        for one in frames
    ]
    # A frame that one rater left incomplete may be whole by another.
    whole = {
        one.name
        for one, lacks in zip(frames, incomplete, strict=True)
        if one.annotated and not lacks
    }
    used: list[AnnotatedFrame] = []
    left: list[LeftFile] = []
    for one, lacks in zip(frames, incomplete, strict=True):
        if lacks:
            if one.name not in whole:
                left.append(LeftFile(one.name, IMAGE, "class_incomplete"))
            left += _left(one, "class_incomplete")
            one = dataclasses.replace(one, annotations=(), absent=())
        used.append(one)
    return used, left


def _left(one: AnnotatedFrame, reason: str) -> Iterator[LeftFile]:
    """Everything that is drawn on a frame."""
    for annotation in one.annotations:
        loss = loss_of(annotation, one.name)
        for name in annotation.candidates:
            yield LeftFile(name, annotation.candidate_kind, reason, loss=loss)


def _check_studies(
    patients: Sequence[PatientPlan], split_of: Mapping[str, str]
) -> None:
    """Refuses one study in two splits: its patient has two names, or it two patients.

    A blank Study Instance UID is no study of its own: `plan_series` tells such apart.
    """
    first: dict[str, tuple[PatientPlan, str]] = {}
    for patient in patients:
        for series in patient.series:
            path = series.frames[0].path
            other, other_path = first.setdefault(series.study, (patient, path))
            splits_of_both = split_of[other.patient], split_of[patient.patient]
            if splits_of_both[0] != splits_of_both[1]:
                raise ValueError(
                    f"{other_path} of patient {other.source_patient!r} and {path} of "
                    f"patient {patient.source_patient!r} are in the splits "
                    f"{splits_of_both[0]!r} and {splits_of_both[1]!r}, but share one "
                    "(0020,000D) 'Study Instance UID': is it one patient under two "
                    "names? --patient_from=study, folder:REGEX or csv:FILE can make "
                    "them one"
                )


def _plan_patients(
    by_patient: Mapping[str, list[AnnotatedFrame]],
    assigned: Mapping[str, str],
    pseudonyms: Pseudonyms,
    include: str,
) -> tuple[list[PatientPlan], list[LeftFile]]:
    patients: list[PatientPlan] = []
    left: list[LeftFile] = []
    for source_patient, images in by_patient.items():
        if source_patient in assigned:
            plan = _plan_patient(source_patient, images, pseudonyms, include)
            patients.append(plan)
            planned = {
                frame.name
                for series in plan.series
                for frame in series.frames
                if frame.example
            }
        elif any(one.annotated for one in images):
            for one in images:
                left.append(LeftFile(one.name, IMAGE, "patient_not_in_split"))
                left += _left(one, "patient_not_in_split")
            continue
        else:
            planned = set()
        left += [
            LeftFile(one.name, IMAGE, "no_annotation")
            for one in images
            if one.name not in planned
        ]
    patients.sort(key=lambda patient: patient.patient)
    return patients, left


def _plan_patient(
    source_patient: str,
    images: Sequence[AnnotatedFrame],
    pseudonyms: Pseudonyms,
    include: str,
) -> PatientPlan:
    patient = pseudonyms.of("patient", source_patient)
    by_series = collections.defaultdict(list)
    for one in images:
        by_series[one.header.study, one.header.series].append(one)
    series = [
        plan
        for members in by_series.values()
        for plan in plan_series(
            members, patient=patient, pseudonyms=pseudonyms, include=include
        )
    ]
    series.sort(key=lambda one: (one.study, one.series, one.group))
    headers = (frame.header for one in series for frame in one.frames if frame.example)
    size = sum(_estimated_bytes(header) for header in headers)
    return PatientPlan(patient, source_patient, tuple(series), size)


def _estimated_bytes(header: FrameHeader) -> int:
    pixels = header.rows * header.columns
    return pixels * header.bytes_per_pixel + pixels // 4 + 1000


def _plan_shards(
    patients: Sequence[PatientPlan],
    split_of: Mapping[str, str],
    names: Sequence[str],
    num_shards: int,
    shard_bytes: int,
    frozen: Mapping[str, FrozenShards],
) -> tuple[tuple[ShardPlan, ...], dict[str, dict[str, int]]]:
    shards: list[ShardPlan] = []
    buckets: dict[str, dict[str, int]] = {}
    for name in names:
        members = [one for one in patients if split_of[one.patient] == name]
        sizes = {one.patient: one.estimated_bytes for one in members}
        wanted = -(-sum(sizes.values()) // shard_bytes)
        automatic = max(wanted, min(len(members), _AUTO_SHARDS))
        before = frozen.get(name)
        if before and before.count:
            count = before.count
            table = fill_shards(sizes, count, before.buckets)
        else:
            table = fill_shards(sizes, num_shards or automatic)
            count = len(set(table.values()))
        buckets[name] = {str(bucket): shard for bucket, shard in table.items()}
        shards += _split_shards(name, members, table, count)
    return tuple(shards), buckets


def _split_shards(
    name: str, members: Sequence[PatientPlan], table: Mapping[int, int], count: int
) -> Iterator[ShardPlan]:
    for index in range(count):
        inside = tuple(
            one for one in members if table[virtual_bucket(one.patient)] == index
        )
        yield ShardPlan(name, f"{name}-{index:05d}-of-{count:05d}.tfrecord", inside)


def _warnings(
    rule: splits.SplitRule, assigned: Mapping[str, str], num_shards: int
) -> Iterator[str]:
    members = collections.Counter(assigned.values())
    for name in rule.names:
        if 0 < members[name] < num_shards:
            yield (
                f"split {name!r} has {members[name]} patients for "
                f"num_shards={num_shards}: a patient is never parted, so there are no "
                "more shards than patients"
            )
