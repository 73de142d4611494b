"""What is measured in this process: tfdicom's reader, and plain tf.data beside it."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import dataset
import tensorflow as tf
from rounds import Speed

import tfdicom

AFFINE = "rotation=15,scale=0.1,shift=0.05"
INTENSITY = f"{AFFINE},brightness=0.1,contrast=0.1"
NOISE = f"{INTENSITY},noise=0.1"
ELASTIC = f"{NOISE},elastic=0.03"
#: Name of a row -> what it augments. A cache keeps what was read and parsed.
AUGMENTATIONS: Mapping[str, str] = {
    "no augmentation": "none",
    "affine": AFFINE,
    "affine + intensity": INTENSITY,
    "affine + intensity + noise": NOISE,
    "affine + intensity + noise + elastic": ELASTIC,
    "preset standard": "standard",
    "preset heavy": "heavy",
    "preset mr": "mr",
    "preset ct": "ct",
}
#: What the peers do too.
COMPARED = ("no augmentation", "affine", "affine + intensity + noise")
RAW = "raw TFRecordDataset, compact files"
ZLIB_MASKS = "plain tf.data, byte masks with ZLIB"
ZLIB_FILES = "plain tf.data, byte masks in ZLIB files"

_READERS = 16

Make = Callable[[], tf.data.Dataset]


def reader(
    folder: pathlib.Path, *, augment: str, batch_size: int, **options: Any
) -> tf.data.Dataset:
    """The training split as tfdicom reads it."""
    return tfdicom.input_fn(
        folder / dataset.COMPACT, augment=augment, batch_size=batch_size, **options
    )


def row(augmentation: str, cache: str) -> str:
    """Name of a row of tfdicom's."""
    return f"tfdicom, {augmentation}, {'read anew' if cache == 'none' else 'cached'}"


def endless(folder: pathlib.Path, *, size: int, batch_size: int) -> dict[str, Make]:
    """Makers of every pipeline that runs in this process, by the row's name."""

    def ours(augmentation: str, cache: str) -> Make:
        return lambda: reader(
            folder,
            augment=AUGMENTATIONS[augmentation],
            batch_size=batch_size,
            num_epochs=None,
            cache=cache,
        )

    made: dict[str, Make] = {
        RAW: lambda: raw(folder / dataset.COMPACT, batch_size),
        ZLIB_MASKS: lambda: plain(folder / dataset.ZLIB_MASKS, size, batch_size),
        ZLIB_FILES: lambda: plain(folder / dataset.ZLIB_FILES, size, batch_size),
    }
    made |= {row(name, "none"): ours(name, "none") for name in AUGMENTATIONS}
    return made | {row(name, "memory"): ours(name, "memory") for name in COMPARED}


def _records(folder: pathlib.Path, compression: str) -> tf.data.Dataset:
    paths = sorted(map(str, folder.glob("*.tfrecord")))
    return tf.data.Dataset.from_tensor_slices(paths).interleave(
        lambda path: tf.data.TFRecordDataset(path, compression),
        cycle_length=_READERS,
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def raw(folder: pathlib.Path, batch_size: int) -> tf.data.Dataset:
    """Bytes off the disk, many shards side by side: nothing can read faster."""
    return _records(folder, "").repeat().batch(batch_size).prefetch(tf.data.AUTOTUNE)


def plain(folder: pathlib.Path, size: int, batch_size: int) -> tf.data.Dataset:
    """The pipeline that people write by hand; no shuffle, no normalisation."""
    deflated = folder.name == dataset.ZLIB_MASKS
    text = tf.io.FixedLenFeature([], tf.string)

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = tf.io.parse_single_example(record, {"image": text, "mask": text})
        image = tf.reshape(tf.io.decode_raw(found["image"], tf.int16), [size, size, 1])
        mask = found["mask"]
        mask = tf.io.decode_compressed(mask, "ZLIB") if deflated else mask
        mask = tf.reshape(tf.io.decode_raw(mask, tf.uint8), [size, size, -1])
        return tf.cast(image, tf.float32), mask

    records = _records(folder, "" if deflated else "ZLIB").repeat()
    examples = records.map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    return examples.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def speed(endless_dataset: tf.data.Dataset, seconds: float, examples: int) -> Speed:
    """Speed of a running pipeline, after a pass that fills any cache."""
    batches = iter(endless_dataset)
    count_for(batches, min(1.0, seconds), at_least=examples)
    before = time.process_time()
    images, taken = count_for(batches, seconds)
    return Speed(images / taken, 1000 * (time.process_time() - before) / images)


def count_for(
    batches: Iterable, seconds: float, *, at_least: int = 1
) -> tuple[int, float]:
    """Images that came, and the seconds that they took."""
    images, start = 0, time.perf_counter()
    for element in batches:
        images += tf.nest.flatten(element)[0].shape[0]
        taken = time.perf_counter() - start
        if taken >= seconds and images >= at_least:
            break
    return images, taken
