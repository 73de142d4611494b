"""Writes little data sets: records and manifest, as a converter would."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from tfdicom import (
    dataset_index,
    example_schema,
    intensity_statistics,
    label_kinds,
    manifest,
    tfrecord_file,
)
from tfdicom.label_kinds import LabelInfo
from tfdicom.value_counts import ValueCounts

CLASSES = ("inner", "outer")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame to write; what is not given is drawn from its number."""

    shape: tuple[int, ...] = (12, 16, 1)
    dtype: str = "int16"
    modality: str = "MR"
    slope: float = 1.0
    intercept: float = 0.0
    padding: tuple[float, float] | None = None
    suv_factor: float | None = None
    spacing: tuple[float, float] | None = (1.5, 1.25)
    annotated: str = "11"
    pixels: np.ndarray | None = None
    masks: np.ndarray | None = None
    ignore: np.ndarray | None = None
    covered: np.ndarray | None = None
    series_statistics: bool = True
    slice_index: int | None = 0
    labels: tuple[str, ...] = ()


def draw_pixels(frame: Frame, number: int) -> np.ndarray:
    if frame.pixels is not None:
        return frame.pixels
    random = np.random.default_rng(number)
    if frame.dtype.startswith("float"):
        return random.normal(20, 7, frame.shape).astype(frame.dtype)
    limits = np.iinfo(frame.dtype)
    low, high = max(limits.min, -900), min(limits.max, 3000)
    return random.integers(low, high, frame.shape).astype(frame.dtype)


def draw_masks(frame: Frame, number: int) -> np.ndarray:
    """bool ``[classes, rows, columns]``; empty where not annotated."""
    random = np.random.default_rng(number + 1000)
    count = len(frame.annotated)
    masks = frame.masks
    if masks is None:
        masks = random.random((count, *frame.shape[:2])) < 0.4
    return masks & (np.array(list(frame.annotated), "U1") == "1")[:, None, None]


def make_example(
    frame: Frame,
    number: int,
    *,
    patient: str = "p0",
    classes: Sequence[str] = CLASSES,
    labels: Sequence[LabelInfo] = (),
) -> example_schema.FrameExample:
    """The record of one frame; its key is a hash of its number."""
    pixels, masks = draw_pixels(frame, number), draw_masks(frame, number)
    key = hashlib.sha256(str(number).encode()).hexdigest()[:32]
    counts = ValueCounts.of(
        pixels,
        slope=frame.slope,
        intercept=frame.intercept,
        padding=frame.padding,
    )
    statistics = counts.statistics()
    figures = statistics and statistics.to_floats()
    ignore = frame.ignore
    return example_schema.FrameExample(
        version=example_schema.SCHEMA_VERSION,
        kind=example_schema.KIND_FRAME,
        key=key,
        key_hash=int.from_bytes(bytes.fromhex(key[:16]), "big", signed=True),
        patient=patient,
        study=f"study-{patient}",
        series=f"series-{patient}",
        instance=f"instance-{number}",
        frame_number=1,
        **example_schema.pack_pixels(pixels),
        rescale_slope=frame.slope,
        rescale_intercept=frame.intercept,
        photometric_interpretation="MONOCHROME2",
        padding=frame.padding,
        modality=frame.modality,
        suv_factor=frame.suv_factor,
        image_statistics=figures,
        # Not the image's own, so that a test tells them apart.
        series_statistics=series_figures(figures) if frame.series_statistics else None,
        pixel_spacing=frame.spacing,
        slice_index=frame.slice_index,
        classes=tuple(classes),
        class_expressions=tuple(classes),
        annotated=tuple(int(one) for one in frame.annotated),
        **example_schema.describe_masks(masks),
        ignore=None if ignore is None else example_schema.pack_planes(ignore[None]),
        covered_fraction=None if frame.covered is None else frame.covered.tobytes(),
        label_names=tuple(one.name for one in labels) or None,
        label_values=frame.labels or None,
    )


def series_figures(figures: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """Statistics of the made-up series: mean + 3, deviation x 2, the rest as is."""
    return figures and (figures[0] + 3, figures[1] * 2, *figures[2:])


_EMPTY = {"buckets": {}, "ledger": {}, "options": {}, "versions": {}}
Patients = Mapping[str, Sequence[Frame]]


def write_dataset(
    folder: pathlib.Path,
    splits: Mapping[str, Patients],
    *,
    shards: int = 2,
    compression: str = "none",
    classes: Sequence[str] = CLASSES,
    first_number: int = 0,
    labels: Sequence[LabelInfo] = (),
    **fields: object,
) -> dict[str, list[example_schema.FrameExample]]:
    """Writes a data set and returns the examples of each split in its order.

    Patients go to the shards of their split in turn; a split without patients has no
    shard. ``fields`` are further ones of the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written, infos, index, number = {}, {}, [], first_number
    for split, patients in splits.items():
        examples: list[list[example_schema.FrameExample]] = [[] for _ in range(shards)]
        for place, (patient, frames) in enumerate(patients.items()):
            for frame in frames:
                one = make_example(
                    frame, number, patient=patient, classes=classes, labels=labels
                )
                examples[place % shards].append(one)
                number += 1
        infos[split], entries = _write_split(
            folder, split, examples, compression, classes, labels
        )
        index += entries
        written[split] = [one for shard in examples for one in shard]
    table = {p: split for split, patients in splits.items() for p in patients}
    whole = manifest.Manifest(
        classes=tuple(manifest.ClassInfo(name, name) for name in classes),
        splits=infos,
        compression=compression,
        labels=tuple(labels),
        **{"split_table": table, "salt": "salt", **_EMPTY, **fields},
    )
    dataset_index.write_index(folder, index)
    (folder / manifest.MANIFEST).write_text(whole.to_json())
    return written


def _write_split(
    folder, split, shards, compression, classes, labels
) -> tuple[manifest.SplitInfo, list[dataset_index.IndexEntry]]:
    infos, entries = [], []
    for index, examples in enumerate(shards):
        name = f"{split}-{index:05d}-of-{len(shards):05d}.tfrecord"
        info, more = _write_shard(folder / name, examples, compression)
        infos.append(info)
        entries += more
    examples = [one for shard in shards for one in shard]
    kinds: dict[tuple, int] = {}
    for one in examples:
        kind = (tuple(one.shape), one.dtype, one.modality, one.units)
        kinds[kind] = kinds.get(kind, 0) + 1
    counts: dict = {}
    for one in examples:
        label_kinds.count_labels(counts, one.label_names, one.label_values)
    spacings = [value for one in examples for value in one.pixel_spacing or ()]
    split = manifest.SplitInfo(
        examples=len(examples),
        patients=tuple(dict.fromkeys(one.patient for one in examples)),
        shards=tuple(infos),
        frames=tuple(manifest.FrameKind(*kind, n) for kind, n in kinds.items()),
        classes={
            name: _frequency(examples, place) for place, name in enumerate(classes)
        },
        intensities={
            "all": _intensities(examples, foreground=False),
            "foreground": _intensities(examples, foreground=True),
        },
        pixel_spacing=(min(spacings), max(spacings)) if spacings else None,
        labels=label_kinds.label_frequencies(labels, counts),
    )
    return split, entries


def _frequency(examples, place: int) -> manifest.ClassFrequency:
    counts = [one.pixel_count[place] for one in examples]
    return manifest.ClassFrequency(
        annotated=sum(one.annotated[place] for one in examples),
        positive=sum(count > 0 for count in counts),
        pixels=sum(counts),
    )


def _write_shard(
    path, examples, compression
) -> tuple[manifest.ShardInfo, list[dataset_index.IndexEntry]]:
    records = [example_schema.encode(one) for one in examples]
    with path.open("wb") as file:
        writer = tfrecord_file.TFRecordWriter(file, compression=compression)
        offsets = [writer.write(record) for record in records]
        writer.finish()
    entries = [
        dataset_index.entry_of(one, shard=path.name, offset=offset, length=len(record))
        for one, offset, record in zip(examples, offsets, records, strict=True)
    ]
    patterns = [entry.annotated for entry in entries]
    info = manifest.ShardInfo(
        file=path.name,
        examples=len(examples),
        size=path.stat().st_size,
        data_size=sum(map(len, records)),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        annotated={pattern: patterns.count(pattern) for pattern in patterns},
    )
    return info, entries


def _intensities(
    examples, *, foreground: bool
) -> intensity_statistics.IntensityStatistics | None:
    counts = ValueCounts.empty()
    for one in examples:
        stored = one.image[one.masks.any(axis=0)] if foreground else one.image
        counts = counts.merge(
            ValueCounts.of(
                stored,
                slope=one.rescale_slope,
                intercept=one.rescale_intercept,
                padding=one.padding,
            )
        )
    return counts.statistics()


def frames(count: int, **fields) -> list[Frame]:
    """So many equal frames (with different content), at slices 0, 1, ..."""
    return [Frame(**{"slice_index": index, **fields}) for index in range(count)]
