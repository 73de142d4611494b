"""What becomes which example, in which split, shard and place; from headers alone.

Everything about the plan is independent of the file system's order, of the number of
workers and of the machine.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tfdicom import splits
from tfdicom.deidentify import Pseudonyms
from tfdicom.dicom import FrameHeader
from tfdicom.scan import ScannedImage
from tfdicom.series import FramePlan, SeriesPlan, plan_series
from tfdicom.sharding import fill_shards, virtual_bucket
from tfdicom.sources.candidates import CONTOUR, IMAGE, LeftFile

_AUTO_SHARDS = 8  # so that even a small data set is read from several files


@dataclasses.dataclass(frozen=True)
class PatientPlan:
    """A patient's series that hold examples."""

    patient: str
    source_patient: str
    series: tuple[SeriesPlan, ...]
    estimated_bytes: int

    @property
    def examples(self) -> int:
        """Number of images with contours."""
        frames = (frame for one in self.series for frame in one.frames)
        return sum(bool(frame.contours) for frame in frames)


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
    """

    shards: tuple[ShardPlan, ...]
    split_names: tuple[str, ...]
    split_table: Mapping[str, str]
    buckets: Mapping[str, Mapping[str, int]]
    left: tuple[LeftFile, ...]
    warnings: tuple[str, ...]

    @property
    def frames(self) -> Iterator[tuple[ShardPlan, PatientPlan, FramePlan]]:
        """Every frame that is read, in order."""
        for shard in self.shards:
            for patient in shard.patients:
                for series in patient.series:
                    for frame in series.frames:
                        yield shard, patient, frame


def make_plan(
    scanned: Sequence[ScannedImage],
    source_patients: Sequence[str],
    *,
    structures: Iterable[str],
    rule: splits.SplitRule,
    salt: str,
    pseudonyms: Pseudonyms,
    num_shards: int,
    shard_bytes: int,
) -> Plan:
    """Makes the plan.

    Args:
      scanned: Images with contours and headers.
      source_patients: The source patient identifier of each.
      structures: Structures that some class uses.
      rule: How patients are split.
      salt: Public text that patients are ranked with.
      pseudonyms: Makes keys and pseudonyms.
      num_shards: Shards of each split; 0: from ``shard_bytes``.
      shard_bytes: Size aimed at for a shard.

    Raises:
      ValueError: Nothing is annotated, or the split does not fit the patients.
    """
    used, left = _with_used_contours(scanned, set(structures))
    by_patient = collections.defaultdict(list)
    for one, patient in zip(used, source_patients, strict=True):
        by_patient[patient].append(one)
    annotated = [
        patient
        for patient, images in by_patient.items()
        if any(one.file.contours for one in images)
    ]
    if not annotated:
        raise ValueError("no image has a contour of a structure that a class uses")
    assigned = splits.assign(rule, annotated, salt=salt)
    patients, unused = _plan_patients(by_patient, assigned, pseudonyms)
    table = {one.patient: assigned[one.source_patient] for one in patients}
    shards, buckets = _plan_shards(patients, table, rule.names, num_shards, shard_bytes)
    return Plan(
        shards=shards,
        split_names=rule.names,
        split_table=table,
        buckets=buckets,
        left=tuple(left + unused),
        warnings=tuple(_warnings(rule, assigned)),
    )


def _with_used_contours(
    scanned: Sequence[ScannedImage], structures: set[str]
) -> tuple[list[ScannedImage], list[LeftFile]]:
    """The images with only those contours that some class uses."""
    used, left = [], []
    for one in scanned:
        contours = one.file.contours
        kept = tuple(c for c in contours if c.structure in structures)
        for contour in contours:
            if contour not in kept:
                left.append(LeftFile(contour.path, CONTOUR, "structure_not_used"))
        file = dataclasses.replace(one.file, contours=kept)
        used.append(dataclasses.replace(one, file=file))
    return used, left


def _plan_patients(
    by_patient: Mapping[str, list[ScannedImage]],
    assigned: Mapping[str, str],
    pseudonyms: Pseudonyms,
) -> tuple[list[PatientPlan], list[LeftFile]]:
    patients: list[PatientPlan] = []
    left: list[LeftFile] = []
    for source_patient, images in by_patient.items():
        if source_patient in assigned:
            patients.append(_plan_patient(source_patient, images, pseudonyms))
        elif any(one.file.contours for one in images):
            left += [
                LeftFile(path, kind, "patient_not_in_split")
                for one in images
                for path, kind in _files(one)
            ]
            continue
        left += [
            LeftFile(one.file.path, IMAGE, "no_annotation")
            for one in images
            if not one.file.contours
        ]
    patients.sort(key=lambda patient: patient.patient)
    return patients, left


def _files(one: ScannedImage) -> Iterator[tuple[str, str]]:
    """Path and kind of an image and of its contours."""
    yield one.file.path, IMAGE
    for contour in one.file.contours:
        yield contour.path, CONTOUR


def _plan_patient(
    source_patient: str, images: Sequence[ScannedImage], pseudonyms: Pseudonyms
) -> PatientPlan:
    patient = pseudonyms.of("patient", source_patient)
    by_series = collections.defaultdict(list)
    for one in images:
        by_series[one.header.study, one.header.series].append(one)
    series = [
        plan
        for members in by_series.values()
        for plan in plan_series(members, patient=patient, pseudonyms=pseudonyms)
    ]
    series.sort(key=lambda one: (one.study, one.series, one.group))
    examples = (one.header for one in images if one.file.contours)
    size = sum(_estimated_bytes(header) for header in examples)
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
) -> tuple[tuple[ShardPlan, ...], dict[str, dict[str, int]]]:
    shards: list[ShardPlan] = []
    buckets: dict[str, dict[str, int]] = {}
    for name in names:
        members = [one for one in patients if split_of[one.patient] == name]
        sizes = {one.patient: one.estimated_bytes for one in members}
        wanted = -(-sum(sizes.values()) // shard_bytes)
        automatic = max(wanted, min(len(members), _AUTO_SHARDS))
        table = fill_shards(sizes, num_shards or automatic)
        buckets[name] = {str(bucket): shard for bucket, shard in table.items()}
        shards += _split_shards(name, members, table)
    return tuple(shards), buckets


def _split_shards(
    name: str, members: Sequence[PatientPlan], table: Mapping[int, int]
) -> Iterator[ShardPlan]:
    count = len(set(table.values()))
    for index in range(count):
        inside = tuple(
            one for one in members if table[virtual_bucket(one.patient)] == index
        )
        yield ShardPlan(name, f"{name}-{index:05d}-of-{count:05d}.tfrecord", inside)


def _warnings(rule: splits.SplitRule, assigned: Mapping[str, str]) -> Iterator[str]:
    strangers = sorted(set(rule.patients) - set(assigned))
    if strangers:
        shown = ", ".join(strangers[:5]) + (", ..." if len(strangers) > 5 else "")
        yield (
            f"{len(strangers)} patients that the split names have no annotated image: "
            f"{shown}"
        )
    found = set(assigned.values())
    for name in rule.names:
        if name not in found:
            yield (
                f"split {name!r} gets no patient: {len(assigned)} annotated patients "
                f"for {len(rule.names)} splits"
            )
    if rule.fractions and len(rule.names) > 1 and len(assigned) < 20:
        yield (
            f"{len(assigned)} patients are few for one fixed split; --folds=5 uses "
            "them better"
        )
