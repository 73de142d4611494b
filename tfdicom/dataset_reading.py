"""Reads records of a data set without TensorFlow, by place or all in order."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence

from tfdicom import example_schema, files, tfrecord_file
from tfdicom.example_schema import FrameExample
from tfdicom.manifest import Manifest, load_manifest, split_names


def read_examples(
    data_dir: str | pathlib.Path, splits: str | None = None
) -> Iterator[FrameExample]:
    """The examples of some splits, or all, in the manifest's order.

    Args:
      data_dir: Folder of the data set.
      splits: Names joined by ``+``; None for all.

    Raises:
      ValueError: A split is unknown, or a shard is damaged.
    """
    manifest = load_manifest(data_dir)
    folder = files.path_of(data_dir)
    for file in shard_files(manifest, splits):
        for _, example in shard_examples(folder / file, manifest.compression):
            yield example


def shard_examples(
    path: pathlib.Path, compression: str
) -> Iterator[tuple[int, FrameExample]]:
    """Offset of the record (before compression) and example of all of a shard.

    Raises:
      ValueError: A record is damaged; names the shard and the record.
    """
    offset = 0
    records = tfrecord_file.read_records(path, compression=compression)
    for number, data in enumerate(records):
        try:
            example = example_schema.decode(data)
        except ValueError as error:
            raise ValueError(f"{path}, record {number}: {error}") from None
        yield offset, example
        offset += len(data) + tfrecord_file.FRAMING


def shard_files(manifest: Manifest, splits: str | None) -> Sequence[str]:
    """Names of the shards of some splits, or all, in the manifest's order."""
    names = split_names(manifest, splits) if splits else list(manifest.splits)
    return [shard.file for name in names for shard in manifest.splits[name].shards]


def spread(total: int, count: int) -> set[int]:
    """``count`` places, or all, evenly spread over ``range(total)``."""
    count = min(count, total)
    return {(2 * index + 1) * total // (2 * count) for index in range(count)}
