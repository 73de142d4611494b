"""A few bytes of every record of a data set, by which two data sets are compared."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Iterable, Sequence

from tfdicom import dataset_index, example_schema, processes, tfrecord_file

_LENGTH = 16  # bytes of a digest: two records of a million alike by chance: never


@dataclasses.dataclass(frozen=True, slots=True)
class RecordPrint:
    """Where a record lies, and what tells it from others.

    Attributes:
      key: Key of the example.
      patient: Pseudonym; empty where only bytes were looked at.
      record: Digest of the record.
      pixels: Digest of its pixels; empty where only bytes were looked at.
      shard: File that holds it.
      offset: Where, in bytes before compression.
    """

    key: str
    patient: str
    record: bytes
    pixels: bytes
    shard: str
    offset: int


@dataclasses.dataclass(frozen=True)
class ShardToPrint:
    """A shard of one of the two data sets, ``side`` 0 or 1."""

    side: int
    folder: pathlib.Path
    compression: str
    file: str


def print_shard(with_pixels: bool, shard: ShardToPrint) -> list[RecordPrint]:
    """Reads a shard.

    Args:
      with_pixels: Whether examples are to be told by their pixels, which means to
        decode them.
      shard: Which one.

    Raises:
      ValueError: A record is damaged.
    """
    path = shard.folder / shard.file
    found = []
    offset = 0
    for data in tfrecord_file.read_records(path, compression=shard.compression):
        patient, pixels = "", b""
        example = example_schema.decode(data)
        if with_pixels:
            patient = example.patient
            shape = repr((example.shape, example.dtype)).encode()
            pixels = _digest(shape + example.pixels)
        record = _digest(data)
        place = shard.file, offset
        found.append(RecordPrint(example.key, patient, record, pixels, *place))
        offset += tfrecord_file.FRAMING + len(data)
        processes.count_done()
    return found


def prints_of_index(
    folder: pathlib.Path, checksums: dict[str, str]
) -> Iterable[RecordPrint]:
    """Prints of records in shards that both data sets have, without reading them.

    Args:
      folder: Of the data set.
      checksums: SHA-256 of each such shard, by name. Equal files hold equal records at
        equal places.
    """
    for entry in dataset_index.read_index(folder):
        if entry.shard in checksums:
            place = f"{checksums[entry.shard]} {entry.offset}".encode()
            where = entry.shard, entry.offset
            yield RecordPrint(entry.key, "", _digest(place), b"", *where)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_LENGTH).digest()


Pair = tuple[RecordPrint, RecordPrint]


def match(
    before: Sequence[RecordPrint], after: Sequence[RecordPrint], *, by_key: bool
) -> tuple[list[Pair], list[RecordPrint], list[RecordPrint]]:
    """Pairs of the same example, and those that only one of the two has.

    Args:
      before: Of the first data set, in its order.
      after: Of the second.
      by_key: Whether equal keys mean equal examples; else equal pixels do, the first of
        some with the first.
    """
    name: Callable[[RecordPrint], str | bytes]
    name = (lambda one: one.key) if by_key else (lambda one: one.pixels)
    waiting: dict[str | bytes, list[RecordPrint]] = {}
    for one in before:
        waiting.setdefault(name(one), []).append(one)
    pairs, added = [], []
    for one in after:
        same = waiting.get(name(one))
        if same:
            pairs.append((same.pop(0), one))
        else:
            added.append(one)
    removed = [one for left in waiting.values() for one in left]
    return pairs, removed, added
