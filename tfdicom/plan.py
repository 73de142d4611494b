"""What becomes which example, in which split, shard and place; from headers alone.

Everything about the plan is independent of the file system's order, of the number of
workers and of the machine.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from tfdicom import splits
from tfdicom.classes import SegmentationClass
from tfdicom.deidentify import Pseudonyms
from tfdicom.dicom import FrameHeader
from tfdicom.scan import ScannedImage
from tfdicom.series import FramePlan, SeriesPlan, plan_series
from tfdicom.sharding import fill_shards, virtual_bucket
from tfdicom.sources.candidates import CONTOUR, IMAGE, LeftFile

_AUTO_SHARDS = 8  # so that even a small data set is read from several files
_FEW_PATIENTS = 20  # fewer make a figure of one split a matter of luck


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
    classes: Sequence[SegmentationClass],
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
      classes: The classes; an image becomes an example if one of them has all of its
        structures there.
      rule: How patients are split.
      salt: Public text that patients are ranked with.
      pseudonyms: Makes keys and pseudonyms.
      num_shards: Shards of each split; 0: from ``shard_bytes``.
      shard_bytes: Size aimed at for a shard.

    Raises:
      ValueError: Nothing is annotated, the split does not fit the patients, or patients
        of two splits share a study.
    """
    used, left = _with_used_contours(scanned, classes)
    by_patient = collections.defaultdict(list)
    for one, patient in zip(used, source_patients, strict=True):
        by_patient[patient].append(one)
    annotated = [
        patient
        for patient, images in by_patient.items()
        if any(one.file.contours for one in images)
    ]
    if not annotated:
        wanted = "; ".join(f"{one.name}={one.expression}" for one in classes)
        raise ValueError(
            "no image that can be used has contours of all the structures of a class; "
            f"the classes are {wanted}"
        )
    assigned = splits.assign(rule, annotated, salt=salt)
    patients, unused = _plan_patients(by_patient, assigned, pseudonyms)
    table = {one.patient: assigned[one.source_patient] for one in patients}
    _check_studies(patients, table)
    shards, buckets = _plan_shards(patients, table, rule.names, num_shards, shard_bytes)
    incomplete = {one.path for one in left}
    return Plan(
        shards=shards,
        split_names=rule.names,
        split_table=table,
        buckets=buckets,
        left=(*left, *(one for one in unused if one.path not in incomplete)),
        warnings=tuple(_warnings(rule, assigned, num_shards)),
    )


def _with_used_contours(
    scanned: Sequence[ScannedImage], classes: Sequence[SegmentationClass]
) -> tuple[list[ScannedImage], list[LeftFile]]:
    """The images with only those contours that become part of an example."""
    structures = {name for one in classes for name in one.structures}
    used, left = [], []
    for one in scanned:
        contours = [c for c in one.file.contours if c.structure in structures]
        left += [
            LeftFile(contour.path, CONTOUR, "structure_not_used")
            for contour in one.file.contours
            if contour not in contours
        ]
        drawn = {contour.structure for contour in contours}
        if contours and not any(each.annotated(drawn) for each in classes):
            left.append(LeftFile(one.file.path, IMAGE, "class_incomplete"))
            left += [LeftFile(c.path, CONTOUR, "class_incomplete") for c in contours]
            contours = []
        file = dataclasses.replace(one.file, contours=tuple(contours))
        used.append(dataclasses.replace(one, file=file))
    return used, left


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


def _warnings(
    rule: splits.SplitRule, assigned: Mapping[str, str], num_shards: int
) -> Iterator[str]:
    strangers = sorted(set(rule.patients) - set(assigned))
    if strangers:
        shown = ", ".join(strangers[:5]) + (", ..." if len(strangers) > 5 else "")
        yield (
            f"{len(strangers)} patients that the split names have no annotated image: "
            f"{shown}"
        )
    members = collections.Counter(assigned.values())
    for name in rule.names:
        if not members[name]:
            yield (
                f"split {name!r} gets no patient: {len(assigned)} annotated patients "
                f"for {len(rule.names)} splits"
            )
        elif members[name] < num_shards:
            yield (
                f"split {name!r} has {members[name]} patients for "
                f"num_shards={num_shards}: a patient is never parted, so there are no "
                "more shards than patients"
            )
    if rule.fractions and len(rule.names) > 1 and 3 <= len(assigned) < _FEW_PATIENTS:
        yield (
            f"{len(assigned)} patients are few for one fixed split; "
            f"--folds={min(len(assigned), 5)} uses them better"
        )
