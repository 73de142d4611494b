"""What a data set is: ``dataset.json`` (the manifest), and ``ledger.jsonl``.

The manifest is written last; a folder without one holds no data set. Nothing in these
files, nor in ``dataset.index``, names a person, a host, a time or an absolute path.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfdicom import files, label_kinds
from tfdicom.example_schema import SCHEMA_VERSION
from tfdicom.intensity_statistics import IntensityStatistics
from tfdicom.label_kinds import LabelFrequency, LabelInfo

MANIFEST, LEDGER = "dataset.json", "ledger.jsonl"


@dataclasses.dataclass(frozen=True)
class ClassInfo:
    """A class and the expression over annotated structures that it is."""

    name: str
    expression: str


@dataclasses.dataclass(frozen=True)
class ShardInfo:
    """One file of records.

    ``annotated`` counts examples by pattern (``label_kinds.known_pattern``): one
    character for each class, ``1`` where the class was annotated, then one for each
    label, ``1`` where it has a value. ``size`` is in bytes, ``data_size`` that of the
    records before compression. ``sha256`` is that of the whole file.
    """

    file: str
    examples: int
    size: int
    data_size: int
    sha256: str
    annotated: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class FrameKind:
    """Frames of one shape, dtype and modality, and how many there are."""

    shape: tuple[int, ...]
    dtype: str
    modality: str
    units: str | None
    examples: int


@dataclasses.dataclass(frozen=True)
class ClassFrequency:
    """On how many examples a class was annotated, present, and its pixels."""

    annotated: int
    positive: int
    pixels: int


@dataclasses.dataclass(frozen=True)
class SplitInfo:
    """One split.

    ``patients`` are pseudonyms, in the manifest's order. ``intensities`` holds the
    statistics of modality values over ``all`` pixels and over ``foreground`` pixels
    (those of any class), None where there are none. ``pixel_spacing`` is the smallest
    and largest row and column spacing in mm, None where no frame says. ``labels`` says
    how often the values of each label occur.
    """

    examples: int
    patients: tuple[str, ...]
    shards: tuple[ShardInfo, ...]
    frames: tuple[FrameKind, ...]
    classes: Mapping[str, ClassFrequency]
    intensities: Mapping[str, IntensityStatistics | None]
    pixel_spacing: tuple[float, ...] | None
    labels: Mapping[str, LabelFrequency] = dataclasses.field(default_factory=dict)

    def count_annotated(self, class_indices: Sequence[int]) -> int:
        """Examples on which all of these classes were annotated."""
        return sum(count_annotated(shard, class_indices) for shard in self.shards)


def count_annotated(shard: ShardInfo, class_indices: Sequence[int]) -> int:
    """Examples of a shard on which all of these classes were annotated.

    Places of labels, which come after those of the classes, may be among them.
    """
    return sum(
        count
        for pattern, count in shard.annotated.items()
        if all(pattern[index] == "1" for index in class_indices)
    )


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A data set.

    ``split_table`` maps patients' pseudonyms to splits and is what later conversions
    keep; ``buckets`` says which shard of its split each virtual bucket in use goes to.
    ``ledger`` counts candidates by status and reason. ``options`` are those that shape
    the records; no path and no identifier is among them. ``labels`` are those that the
    records hold beside masks, in their order.
    """

    classes: tuple[ClassInfo, ...]
    splits: Mapping[str, SplitInfo]
    split_table: Mapping[str, str]
    salt: str
    buckets: Mapping[str, Mapping[str, int]]
    ledger: Mapping[str, Mapping[str, int]]
    options: Mapping[str, Any]
    compression: str
    versions: Mapping[str, str]
    schema_version: int = SCHEMA_VERSION
    labels: tuple[LabelInfo, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the mask's planes."""
        return tuple(one.name for one in self.classes)

    def to_json(self) -> str:
        """As ``dataset.json``; equal manifests give equal bytes."""
        fields = {"format": "tfdicom", **dataclasses.asdict(self)}
        return json.dumps(fields, indent=1) + "\n"


class _OtherVersion(ValueError):
    """Nothing is damaged."""


def load_manifest(data_dir: str | pathlib.Path) -> Manifest:
    """Reads the manifest of a data set.

    Args:
      data_dir: Folder that ``tfdicom_convert`` wrote; local, or with a scheme.

    Returns:
      The manifest: classes, splits, shards, statistics.

    Raises:
      FileNotFoundError: The folder holds no whole data set.
      ValueError: It was written by another schema version, or is damaged.
    """
    path = files.path_of(data_dir) / MANIFEST
    if not files.exists(path):
        raise FileNotFoundError(
            f"{data_dir} holds no data set: there is no {MANIFEST}. Was the conversion "
            "interrupted? Run tfdicom_convert --output_dir=... again"
        )
    try:
        fields = json.loads(files.read_bytes(path))
        version = fields["schema_version"]
        if version != SCHEMA_VERSION:
            raise _OtherVersion(
                f"{path} is of schema version {version}; this tfdicom reads "
                f"{SCHEMA_VERSION}: convert again"
            )
        return _manifest(fields)
    except _OtherVersion:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error!r}") from error


def _manifest(fields: dict[str, Any]) -> Manifest:
    fields.pop("format")
    fields["classes"] = tuple(ClassInfo(**one) for one in fields["classes"])
    splits = fields["splits"].items()
    fields["splits"] = {name: _split(split) for name, split in splits}
    labels = map(label_kinds.label_from_json, fields.get("labels", ()))
    fields["labels"] = tuple(labels)
    return Manifest(**fields)


def _split(fields: dict[str, Any]) -> SplitInfo:
    frames = [FrameKind(**_tupled(kind, "shape")) for kind in fields["frames"]]
    frequencies = fields["classes"].items()
    intensities = fields["intensities"].items()
    labels = fields.get("labels", {}).items()
    return SplitInfo(
        examples=fields["examples"],
        patients=tuple(fields["patients"]),
        shards=tuple(ShardInfo(**shard) for shard in fields["shards"]),
        frames=tuple(frames),
        classes={name: ClassFrequency(**one) for name, one in frequencies},
        intensities={name: _statistics(one) for name, one in intensities},
        pixel_spacing=fields["pixel_spacing"] and tuple(fields["pixel_spacing"]),
        labels={name: label_kinds.frequency_from_json(one) for name, one in labels},
    )


def _statistics(fields: dict[str, Any] | None) -> IntensityStatistics | None:
    if fields is None:
        return None
    return IntensityStatistics(**_tupled(fields, "percentiles"))


def _tupled(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {**fields, name: tuple(fields[name])}


def split_names(manifest: Manifest, split: str) -> list[str]:
    """The splits that ``split='fold1+fold2'`` names.

    Raises:
      ValueError: A name is unknown or occurs twice; the known ones are listed.
    """
    names = [name.strip() for name in split.split("+")]
    known = ", ".join(manifest.splits)
    for name in names:
        if name not in manifest.splits:
            raise ValueError(f"no split {name!r}; this data set has {known}")
    if len(set(names)) < len(names):
        raise ValueError(f"split={split!r} names a split twice")
    return names


def class_indices(manifest: Manifest, names: Sequence[str]) -> list[int]:
    """Places of the classes asked for among the data set's.

    Raises:
      ValueError: A name is unknown or occurs twice; the known ones are listed.
    """
    known = manifest.class_names
    for name in names:
        if name not in known:
            raise ValueError(f"no class {name!r}; this data set has {', '.join(known)}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"classes={list(names)}: name each class once")
    return [known.index(name) for name in names]


CONVERTED, SKIPPED, LEFT_OUT = "converted", "skipped", "left_out"


@dataclasses.dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What became of one candidate.

    Attributes:
      candidate: Pseudonym of the file.
      kind: One of ``sources.candidates.KINDS``.
      status: ``converted``, ``skipped`` (something was wrong) or ``left_out`` (by a
        policy).
      reason: Reason code, None if converted.
      key: Key of the example it became or became part of.
      split: The example's split.
      findings: Codes of what was odd about it though it was converted.
      patient: Pseudonym of the patient, where it is known.
      image: Pseudonym of the image that it is on, of an annotation that became nothing,
        where it is known.
    """

    candidate: str
    kind: str
    status: str
    reason: str | None = None
    key: str | None = None
    split: str | None = None
    findings: tuple[str, ...] = ()
    patient: str | None = None
    image: str | None = None

    @property
    def told(self) -> dict[str, Any]:
        """What it says, by name of the attribute; nothing of what it does not."""
        values = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: value for name, value in values if value not in (None, ())}


def ledger_line(entry: LedgerEntry, *, sentence: str, hint: str) -> str:
    """One line of ``ledger.jsonl``: the entry with its reason in words."""
    fields = entry.told
    if entry.reason:
        fields |= {"sentence": sentence, "hint": hint}
    return json.dumps(fields, sort_keys=True) + "\n"


def read_ledger(data_dir: str | pathlib.Path) -> Iterator[dict[str, Any]]:
    """The lines of ``ledger.jsonl`` as dicts."""
    with (files.path_of(data_dir) / LEDGER).open() as file:
        for line in file:
            yield json.loads(line)


def ledger_of(data_dir: str | pathlib.Path, key: str) -> list[dict[str, Any]]:
    """The lines of ``ledger.jsonl`` on one example; no other line is parsed."""
    with (files.path_of(data_dir) / LEDGER).open() as file:
        found = [json.loads(line) for line in file if key in line]
    return [line for line in found if line.get("key") == key]
