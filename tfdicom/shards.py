"""Writes one shard: what a worker does."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import pathlib
from collections.abc import Iterator, Mapping

from tfdicom import dataset_index, example_schema, files, label_kinds, processes
from tfdicom.dataset_index import IndexEntry
from tfdicom.drawing import AnnotationRules
from tfdicom.example_schema import FrameExample
from tfdicom.examples import FrameOutcome, series_outcomes
from tfdicom.label_kinds import LabelCounts
from tfdicom.manifest import ShardInfo
from tfdicom.plan import PatientPlan, ShardPlan
from tfdicom.sources.candidates import IMAGE, OBJECT, TEXT, LeftFile
from tfdicom.tfrecord_file import TFRecordWriter
from tfdicom.value_counts import PixelCounts, Tally


@dataclasses.dataclass(frozen=True)
class ConvertedFile:
    """A candidate that became an example or a part of one."""

    path: str
    kind: str
    key: str
    findings: tuple[str, ...]


@dataclasses.dataclass
class ShardContent:
    """What the examples of a shard, or of a split, add up to."""

    frames: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    annotated: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    classes: dict[str, collections.Counter] = dataclasses.field(default_factory=dict)
    intensities: dict[str, Tally] = dataclasses.field(default_factory=dict)
    spacings: list[float] = dataclasses.field(default_factory=list)
    labels: LabelCounts = dataclasses.field(default_factory=dict)

    def add(self, example: FrameExample, counts: Mapping[str, PixelCounts]) -> None:
        """Adds one example."""
        kind = (example.shape, example.dtype, example.modality, example.units)
        self.frames[kind] += 1
        pattern = label_kinds.known_pattern(example.annotated, example.label_values)
        self.annotated[pattern] += 1
        label_kinds.count_labels(self.labels, example.label_names, example.label_values)
        for name, annotated, pixels in zip(
            example.classes, example.annotated, example.pixel_count, strict=True
        ):
            self._add_class(
                name, annotated=annotated, positive=int(pixels > 0), pixels=pixels
            )
        self._add_intensities(counts)
        self._add_spacings(list(example.pixel_spacing or ()))

    def merge(self, other: ShardContent) -> None:
        """Adds what another adds up to."""
        self.frames.update(other.frames)
        self.annotated.update(other.annotated)
        label_kinds.merge_counts(self.labels, other.labels)
        for name, figures in other.classes.items():
            self._add_class(name, **figures)
        self._add_intensities(
            {name: tally.counts() for name, tally in other.intensities.items()}
        )
        self._add_spacings(other.spacings)

    def _add_class(self, name: str, **figures: int) -> None:
        self.classes.setdefault(name, collections.Counter()).update(figures)

    def _add_intensities(self, counts: Mapping[str, PixelCounts]) -> None:
        for name, more in counts.items():
            self.intensities.setdefault(name, Tally()).add(more)

    def _add_spacings(self, spacings: list[float]) -> None:
        every = self.spacings + spacings
        self.spacings = [min(every), max(every)] if every else []


@dataclasses.dataclass(frozen=True)
class ShardResult:
    """A shard that was written.

    Its plan stays behind: it is far larger, and the process that asks has it.

    Attributes:
      split: Its split.
      patients: Pseudonyms of its patients.
      info: The file.
      index: Its examples.
      content: What they add up to.
      converted: What became an example, or part of one.
      left: What became nothing.
      pixel_hashes: Path of an image by the hash of its pixels.
    """

    split: str
    patients: tuple[str, ...]
    info: ShardInfo
    index: tuple[IndexEntry, ...]
    content: ShardContent
    converted: tuple[ConvertedFile, ...]
    left: tuple[LeftFile, ...]
    pixel_hashes: Mapping[str, str]


def write_shard(
    input_dir: pathlib.Path,
    output_dir: pathlib.Path,
    rules: AnnotationRules,
    compression: str,
    shard: ShardPlan,
) -> ShardResult:
    """Writes a shard under a temporary name and renames it into view."""
    index: list[IndexEntry] = []
    content = ShardContent()
    converted: dict[str, ConvertedFile] = {}
    findings: dict[str, dict[str, None]] = {}
    left: list[LeftFile] = []
    hashes: dict[str, str] = {}
    path = output_dir / shard.file
    with files.written_whole(path) as file:
        writer = TFRecordWriter(file, compression=compression)
        for outcome in shard_outcomes(input_dir, rules, shard):
            left += outcome.left
            for name, codes in outcome.findings.items():
                findings.setdefault(name, {}).update(dict.fromkeys(codes))
            if outcome.example is None:
                continue
            data = example_schema.encode(outcome.example)
            offset = writer.write(data)
            index.append(
                dataset_index.entry_of(
                    outcome.example, shard=shard.file, offset=offset, length=len(data)
                )
            )
            content.add(outcome.example, outcome.intensities)
            converted.update((one.path, one) for one in _converted(outcome))
            if outcome.pixel_hash:
                hashes[outcome.pixel_hash] = outcome.frame.name
        writer.finish()
    info = ShardInfo(
        file=shard.file,
        examples=len(index),
        size=path.stat().st_size,
        data_size=sum(entry.length for entry in index),
        sha256=_sha256(path),
        annotated=dict(sorted(content.annotated.items())),
    )
    return ShardResult(
        shard.split,
        tuple(patient.patient for patient in shard.patients),
        info,
        tuple(index),
        content,
        tuple(
            dataclasses.replace(one, findings=tuple(findings.get(name, ())))
            for name, one in converted.items()
        ),
        tuple(left),
        hashes,
    )


def shard_outcomes(
    input_dir: pathlib.Path, rules: AnnotationRules, shard: ShardPlan
) -> Iterator[FrameOutcome]:
    """The outcomes of a shard's frames, in order, each counted as done."""
    for patient in shard.patients:
        yield from patient_outcomes(input_dir, rules, patient)


def patient_outcomes(
    input_dir: pathlib.Path, rules: AnnotationRules, patient: PatientPlan
) -> Iterator[FrameOutcome]:
    """The outcomes of a patient's frames, in order, each counted as done."""
    for series in patient.series:
        yield from series_outcomes(input_dir, series, rules)
        processes.count_done(len(series.frames))


def _converted(outcome: FrameOutcome) -> Iterator[ConvertedFile]:
    """The frame, what is drawn on it, and the objects that hold that."""
    frame = outcome.frame
    skipped = {one.path for one in outcome.left}
    yield ConvertedFile(frame.name, IMAGE, frame.key, ())
    for one in frame.annotations:
        used = [name for name in one.candidates if name not in skipped]
        for name in used:
            yield ConvertedFile(name, one.candidate_kind, frame.key, ())
        if used and one.kind != TEXT:
            yield ConvertedFile(one.path, OBJECT, "", ())


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
