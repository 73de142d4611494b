"""What a report knows of each example, and of all pixels: one pass over the records."""

from __future__ import annotations

import collections
import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tfdicom import files, image_signature, processes
from tfdicom.dataset_reading import shard_examples
from tfdicom.example_schema import FrameExample
from tfdicom.manifest import LEDGER, Manifest, read_ledger
from tfdicom.progress import Progress
from tfdicom.value_counts import Rescale, Tally, ValueCounts, count_pixels

#: What grey values are of, beside the names of classes.
ALL_PIXELS = ""


@dataclasses.dataclass(frozen=True, slots=True)
class ExampleFacts:
    """What is kept of an example.

    Attributes:
      key: Its key.
      split: Its split.
      shard: File that holds the record.
      offset: Of the record, bytes before compression.
      patient: Pseudonym; so are ``study``, ``series`` and ``instance``.
      study: See ``patient``.
      series: See ``patient``.
      instance: See ``patient``.
      slice_index: Place along the normal; None where it is not known.
      phase_index: Place in time; None where it is not known.
      shape: Rows and columns.
      spacing: Between rows and between columns, mm; None where it is not known.
      annotated: Whether each class was annotated.
      pixels: Of each class.
      centres: (column, row) of each class's centroid, pixels; None where it is absent.
      words: Value of each label; empty where there is none.
      pixel_hash: SHA-256 of the pixels; None where all are equal.
      signature: Of the image, for near duplicates.
    """

    key: str
    split: str
    shard: str
    offset: int
    patient: str
    study: str
    series: str
    instance: str
    slice_index: int | None
    phase_index: int | None
    shape: tuple[int, int]
    spacing: tuple[float, float] | None
    annotated: tuple[bool, ...]
    pixels: tuple[int, ...]
    centres: tuple[tuple[float, float] | None, ...]
    words: tuple[str, ...]
    pixel_hash: str | None
    signature: bytes | None

    def area(self, place: int) -> float | None:
        """Area of a class in mm2; None where the spacing is not known."""
        if self.spacing is None:
            return None
        return self.pixels[place] * self.spacing[0] * self.spacing[1]


#: Whose grey values: split, kind of value (modality and units), class or ALL_PIXELS.
GreyOf = tuple[str, str, str]


@dataclasses.dataclass
class DatasetFacts:
    """What the records of a data set, or of one shard, hold.

    Attributes:
      examples: In the manifest's order.
      equipment: Examples by manufacturer, model and field strength.
      places: Examples by row spacing, column spacing and slice spacing in mm, as text.
      greys: Grey values, without padding.
    """

    examples: list[ExampleFacts] = dataclasses.field(default_factory=list)
    equipment: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )
    places: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )
    greys: dict[GreyOf, ValueCounts] = dataclasses.field(default_factory=dict)

    def merge(self, other: DatasetFacts) -> None:
        """Adds those of the next shard."""
        self.examples += other.examples
        self.equipment.update(other.equipment)
        self.places.update(other.places)
        for key, counts in other.greys.items():
            self.greys[key] = self.greys.get(key, ValueCounts.empty()).merge(counts)


def gather(
    folder: pathlib.Path, manifest: Manifest, *, num_workers: int = 0
) -> DatasetFacts:
    """Reads all records once, shards in parallel.

    Args:
      folder: Of the data set.
      manifest: Its manifest.
      num_workers: Processes; 0: one for each processor.

    Raises:
      ValueError: A record is damaged; names the shard and the record.
    """
    shards = [
        (split, shard.file)
        for split, info in manifest.splits.items()
        for shard in info.shards
    ]
    total = sum(info.examples for info in manifest.splits.values())
    read = functools.partial(shard_facts, folder, manifest.compression)
    whole = DatasetFacts()
    with Progress("records", total, "records") as progress:
        for found in processes.map_in_processes(
            read,
            shards,
            workers=num_workers or processes.default_workers(),
            progress=progress,
        ):
            whole.merge(found)
    return whole


def shard_facts(
    folder: pathlib.Path, compression: str, shard: tuple[str, str]
) -> DatasetFacts:
    """The facts of one shard, given as its split and its file."""
    split, file = shard
    found = DatasetFacts()
    tallies: dict[GreyOf, Tally] = collections.defaultdict(Tally)
    for offset, example in shard_examples(folder / file, compression):
        masks = example.masks
        found.examples.append(_facts(example, masks, split, file, offset))
        found.equipment[_equipment(example)] += 1
        found.places[_place(example)] += 1
        _count(tallies, split, example, masks)
        processes.count_done(1)
    found.greys = {key: tally.counts() for key, tally in tallies.items()}
    return found


def _facts(
    example: FrameExample, masks: np.ndarray, split: str, file: str, offset: int
) -> ExampleFacts:
    rows, columns, _ = example.shape
    spacing = example.pixel_spacing
    image = example.image
    return ExampleFacts(
        key=example.key,
        split=split,
        shard=file,
        offset=offset,
        patient=example.patient,
        study=example.study,
        series=example.series,
        instance=example.instance,
        slice_index=example.slice_index,
        phase_index=example.phase_index,
        shape=(rows, columns),
        spacing=(spacing[0], spacing[1]) if spacing else None,
        annotated=tuple(map(bool, example.annotated)),
        pixels=tuple(example.pixel_count),
        centres=tuple(_centres(masks, example.bounding_box)),
        words=tuple(example.label_values or ()),
        pixel_hash=image_signature.pixel_hash(image),
        signature=image_signature.signature(image),
    )


def _centres(
    masks: np.ndarray, boxes: Sequence[int]
) -> Iterator[tuple[float, float] | None]:
    for mask, box in zip(masks, np.reshape(boxes, (-1, 4)), strict=True):
        top, left, bottom, right = (int(edge) for edge in box)
        rows, columns = np.nonzero(mask[top:bottom, left:right])
        if len(rows):
            yield float(columns.mean()) + left, float(rows.mean()) + top
        else:
            yield None


def _equipment(example: FrameExample) -> str:
    strength = example.field_strength
    words = [example.manufacturer or "", example.model or ""]
    words += [f"{strength:g} T"] if strength else []
    return " ".join(filter(None, words)) or "not known"


def _place(example: FrameExample) -> str:
    if not example.pixel_spacing:
        return "not known"
    rows, columns = example.pixel_spacing
    across = example.slice_spacing
    slices = f"{across:.3g}" if across else "not known"
    return f"{rows:.3f} x {columns:.3f}, slices {slices}"


def _count(
    tallies: Mapping[GreyOf, Tally],
    split: str,
    example: FrameExample,
    masks: np.ndarray,
) -> None:
    kind = f"{example.modality or 'image'} ({example.units or 'no units'})"
    rescale = Rescale(
        example.rescale_slope,
        example.rescale_intercept,
        (example.padding[0], example.padding[1]) if example.padding else None,
    )
    image = example.image
    tallies[split, kind, ALL_PIXELS].add(count_pixels(image, rescale))
    for name, mask, pixels in zip(
        example.classes, masks, example.pixel_count, strict=True
    ):
        if pixels:
            tallies[split, kind, name].add(count_pixels(image[mask], rescale))


def findings_by_key(folder: pathlib.Path) -> dict[str, tuple[str, ...]]:
    """Codes of what was odd about each example, from the ledger; none without one."""
    if not files.exists(folder / LEDGER):
        return {}
    found: dict[str, dict[str, None]] = {}
    for line in read_ledger(folder):
        if line.get("key") and line.get("findings"):
            found.setdefault(line["key"], {}).update(dict.fromkeys(line["findings"]))
    return {key: tuple(codes) for key, codes in found.items()}
