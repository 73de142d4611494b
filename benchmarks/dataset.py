"""The images that every pipeline reads: real slices, repeated and varied.

The annotated slices of ``examples/sample`` are turned, mirrored and rolled until there
are enough, and written three times: as tfdicom writes them, as people write them by
hand, and as arrays for the peers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

import tfdicom
from tfdicom import (
    dataset_index,
    dataset_reading,
    deidentify,
    example_schema,
    files,
    manifest,
)
from tfdicom.example_schema import FrameExample
from tfdicom.tfrecord_file import TFRecordWriter

SAMPLE = pathlib.Path(__file__).resolve().parent.parent / "examples" / "sample"
COMPACT, ZLIB_MASKS, ZLIB_FILES = "compact", "zlib_masks", "zlib_files"
ARRAYS = "arrays.npz"


def write(
    folder: pathlib.Path, *, size: int, examples: int, shards: int, by_hand: bool = True
) -> None:
    """Writes the data set in every form.

    Args:
      folder: Made if absent.
      size: Rows and columns; other than 256 is resampled to the nearest pixel.
      examples: How many, over all shards.
      shards: Files of each form.
      by_hand: Also the forms that only the comparison reads.
    """
    with tempfile.TemporaryDirectory() as converted:
        tfdicom.convert(
            input_dir=str(SAMPLE),
            output_dir=converted,
            contour_origin="center1",
            edge_rule="half_covered",
            split="train",
            id_key_file="public",
        )
        real = list(dataset_reading.read_examples(converted))
        found = manifest.load_manifest(converted)
    infos, index = [], []
    for shard in range(shards):
        numbers = range(shard, examples, shards)
        varied = [_varied(real[n % len(real)], n, size) for n in numbers]
        name = f"train-{shard:05d}-of-{shards:05d}.tfrecord"
        info, entries = _write_compact(folder / COMPACT / name, varied)
        infos.append(info)
        index += entries
        if by_hand:
            _write_by_hand(folder, name, varied)
        if by_hand and shard == 0:
            _write_arrays(folder / ARRAYS, varied)
    dataset_index.write_index(folder / COMPACT, index)
    _write_manifest(folder / COMPACT, found, infos, size)


def _varied(example: FrameExample, number: int, size: int) -> FrameExample:
    """The slice turned, mirrored and rolled by the number's own draw."""
    random = np.random.default_rng(number)
    turns, mirrored = int(random.integers(4)), random.integers(2)
    offsets = random.integers(-size // 16, size // 16 + 1, 2)
    at = np.arange(size) * example.shape[0] // size

    def vary(array: np.ndarray) -> np.ndarray:
        array = np.rot90(array[..., at[:, None], at], turns, axes=(-2, -1))
        array = array[..., ::-1] if mirrored else array
        return np.roll(array, offsets, axis=(-2, -1))

    pixels = vary(example.image[..., 0])[..., np.newaxis]
    key = hashlib.sha256(str(number).encode()).hexdigest()[:32]
    return dataclasses.replace(
        example,
        key=key,
        key_hash=deidentify.signed_64_bits(key),
        annotated=(1,) * len(example.classes),
        **example_schema.pack_pixels(pixels),
        **example_schema.describe_masks(vary(example.masks)),
    )


def _write_compact(
    path: pathlib.Path, examples: Sequence[FrameExample]
) -> tuple[manifest.ShardInfo, list[dataset_index.IndexEntry]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [example_schema.encode(example) for example in examples]
    with path.open("wb") as file:
        writer = TFRecordWriter(file)
        offsets = [writer.write(record) for record in records]
        writer.finish()
    entries = [
        dataset_index.entry_of(
            example, shard=path.name, offset=offset, length=len(record)
        )
        for example, offset, record in zip(examples, offsets, records, strict=True)
    ]
    pattern = "".join(map(str, examples[0].annotated))
    info = manifest.ShardInfo(
        file=path.name,
        examples=len(records),
        size=path.stat().st_size,
        data_size=sum(map(len, records)),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        annotated={pattern: len(records)},
    )
    return info, entries


def _write_manifest(
    folder: pathlib.Path,
    found: manifest.Manifest,
    shards: Sequence[manifest.ShardInfo],
    size: int,
) -> None:
    (split,) = found.splits.values()
    examples = sum(shard.examples for shard in shards)
    frame = dataclasses.replace(
        split.frames[0], shape=(size, size, 1), examples=examples
    )
    split = dataclasses.replace(
        split, examples=examples, shards=tuple(shards), frames=(frame,)
    )
    whole = dataclasses.replace(found, splits={"train": split})
    files.write_text(folder / manifest.MANIFEST, whole.to_json())


def _bytes_mask(example: FrameExample) -> bytes:
    """One byte a pixel and class, ``[rows, columns, classes]``."""
    return np.moveaxis(example.masks, 0, -1).astype(np.uint8).tobytes()


def _write_by_hand(
    folder: pathlib.Path, name: str, examples: Sequence[FrameExample]
) -> None:
    """Byte masks: deflated one by one, or the whole file."""
    masks = [_bytes_mask(example) for example in examples]
    pixels = [example.pixels for example in examples]
    deflated = [zlib.compress(mask) for mask in masks]
    forms = {ZLIB_MASKS: ("", deflated), ZLIB_FILES: ("ZLIB", masks)}
    for form, (compression, stored) in forms.items():
        (folder / form).mkdir(parents=True, exist_ok=True)
        options = tf.io.TFRecordOptions(compression)
        with tf.io.TFRecordWriter(str(folder / form / name), options) as writer:
            for record in _plain_records(pixels, stored):
                writer.write(record)


def _plain_records(images: Iterable[bytes], masks: Iterable[bytes]) -> Iterator[bytes]:
    for image, mask in zip(images, masks, strict=True):
        feature = {
            name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
            for name, value in {"image": image, "mask": mask}.items()
        }
        features = tf.train.Features(feature=feature)
        yield tf.train.Example(features=features).SerializeToString()


def _write_arrays(path: pathlib.Path, examples: Sequence[FrameExample]) -> None:
    """Images as float32 from 0 to 1, masks as uint8: nothing left to decode."""
    images = np.stack([example.image[..., 0] for example in examples]).astype("float32")
    images -= images.min(axis=(1, 2), keepdims=True)
    images /= images.max(axis=(1, 2), keepdims=True)
    masks = np.stack([np.moveaxis(example.masks, 0, -1) for example in examples])
    np.savez(path, images=images, masks=masks.astype(np.uint8))
