"""A data set of very many tiny examples, written in seconds."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib

import numpy as np

from tfdicom import (
    dataset_index,
    deidentify,
    example_schema,
    manifest,
)
from tfdicom.example_schema import FrameExample
from tfdicom.tfrecord_file import TFRecordWriter

_SIZE = 16
_IN_A_SERIES = 20
_CLASSES = ("inner", "outer")


def write(folder: pathlib.Path, count: int) -> None:
    """Writes so many examples, in two splits, with a ledger."""
    folder.mkdir(parents=True)
    half = count // 2
    infos, entries, lines = {}, [], []
    for split, numbers in (("train", range(half)), ("test", range(half, count))):
        name = f"{split}-00000-of-00001.tfrecord"
        info, more = _write_shard(folder / name, numbers)
        infos[split] = _split(info, numbers)
        entries += more
        for number, entry in zip(numbers, more, strict=True):
            line = {"candidate": f"c{number}", "kind": "image", "status": "converted"}
            line |= {"key": entry.key, "split": split, "patient": _patient(number)}
            if number % 50 == 0:
                line["findings"] = ["mask_touches_border"]
            lines.append(json.dumps(line) + "\n")
    dataset_index.write_index(folder, entries)
    (folder / manifest.LEDGER).write_text("".join(lines))
    whole = manifest.Manifest(
        classes=tuple(manifest.ClassInfo(name, name) for name in _CLASSES),
        splits=infos,
        split_table={},
        salt="",
        buckets={},
        ledger={},
        options={},
        compression="none",
        versions={},
    )
    (folder / manifest.MANIFEST).write_text(whole.to_json())


def _patient(number: int) -> str:
    return f"p{number // (4 * _IN_A_SERIES)}"


def _write_shard(
    path: pathlib.Path, numbers: range
) -> tuple[manifest.ShardInfo, list[dataset_index.IndexEntry]]:
    entries = []
    with path.open("wb") as file:
        writer = TFRecordWriter(file)
        size = 0
        template = _example()
        for number in numbers:
            example = _varied(template, number)
            record = example_schema.encode(example)
            offset, size = writer.write(record), size + len(record)
            entries.append(
                dataset_index.entry_of(
                    example, shard=path.name, offset=offset, length=len(record)
                )
            )
        writer.finish()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    sizes = (len(entries), path.stat().st_size, size, digest)
    return manifest.ShardInfo(path.name, *sizes, {"11": len(entries)}), entries


def _example() -> FrameExample:
    pixels = np.arange(_SIZE * _SIZE, dtype=np.int16).reshape(_SIZE, _SIZE)
    masks = np.stack([pixels > 200, pixels > 100])
    return FrameExample(
        version=example_schema.SCHEMA_VERSION,
        kind=example_schema.KIND_FRAME,
        key="",
        key_hash=0,
        patient="",
        study="study",
        series="",
        instance="instance",
        frame_number=1,
        **example_schema.pack_pixels(pixels),
        rescale_slope=1.0,
        rescale_intercept=0.0,
        photometric_interpretation="MONOCHROME2",
        modality="MR",
        classes=_CLASSES,
        class_expressions=_CLASSES,
        annotated=(1, 1),
        **example_schema.describe_masks(masks),
    )


def _varied(example: FrameExample, number: int) -> FrameExample:
    key = hashlib.sha256(str(number).encode()).hexdigest()[:32]
    return dataclasses.replace(
        example,
        key=key,
        key_hash=deidentify.signed_64_bits(key),
        patient=_patient(number),
        series=f"s{number // _IN_A_SERIES}",
        slice_index=number % _IN_A_SERIES,
    )


def _split(info: manifest.ShardInfo, numbers: range) -> manifest.SplitInfo:
    count = len(numbers)
    frequency = manifest.ClassFrequency(count, count, count)
    return manifest.SplitInfo(
        examples=count,
        patients=tuple(dict.fromkeys(map(_patient, numbers))),
        shards=(info,),
        frames=(manifest.FrameKind((_SIZE, _SIZE, 1), "int16", "MR", None, count),),
        classes=dict.fromkeys(_CLASSES, frequency),
        intensities={"all": None, "foreground": None},
        pixel_spacing=None,
    )
