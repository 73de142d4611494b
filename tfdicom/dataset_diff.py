"""Compares two data sets: examples, pixels, masks, labels, splits, options.

Examples are matched by key where both were made with one identity key, else by their
pixels. Shards that both have are not read, records are compared as bytes first, and
only those that differ are decoded.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tfdicom import (
    example_changes,
    example_schema,
    files,
    processes,
    record_prints,
    tfrecord_file,
)
from tfdicom.dataset_difference import Difference
from tfdicom.example_changes import ExampleChanges
from tfdicom.manifest import Manifest, load_manifest
from tfdicom.progress import Progress
from tfdicom.record_prints import Pair, RecordPrint, ShardToPrint

Places = list[tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class _DataSet:
    folder: pathlib.Path
    manifest: Manifest

    @property
    def checksums(self) -> dict[str, str]:
        """SHA-256 of each shard."""
        splits = self.manifest.splits.values()
        return {one.file: one.sha256 for info in splits for one in info.shards}

    @property
    def identity_key(self) -> str | None:
        """Fingerprint of the key that the pseudonyms were made with."""
        return self.manifest.options.get("identity_key")


def diff(
    before: str | pathlib.Path, after: str | pathlib.Path, *, num_workers: int = 0
) -> Difference:
    """Compares two data sets.

    Args:
      before: Folder of the first.
      after: Folder of the second.
      num_workers: Processes; 0: one for each processor.

    Raises:
      FileNotFoundError: One of them is no data set.
      ValueError: A manifest or a record cannot be read; ``verify`` says more.
    """
    both = [_DataSet(files.path_of(one), load_manifest(one)) for one in (before, after)]
    first, second = both
    by_key = first.identity_key == second.identity_key is not None
    workers = num_workers or processes.default_workers()
    prints = _prints(both, by_key, workers)
    pairs, removed, added = record_prints.match(*prints, by_key=by_key)
    changes = _changes(both, pairs, by_key, workers)
    patients = _patients(first.manifest, {} if by_key else _same_patients(pairs))
    new = _patients(second.manifest, {})
    return Difference(
        matched_by="key" if by_key else "pixels",
        examples_before=len(prints[0]),
        examples_after=len(prints[1]),
        added=tuple(one.key for one in added),
        removed=tuple(one.key for one in removed),
        changes=changes,
        moved={
            name: (patients[name], split)
            for name, split in new.items()
            if patients.get(name, split) != split
        },
        patients_added=_without(new, patients),
        patients_removed=_without(patients, new),
        manifest=_manifest_changes(first.manifest, second.manifest, by_key),
        same_files=first.checksums == second.checksums,
    )


def _prints(
    both: Sequence[_DataSet], by_key: bool, workers: int
) -> list[list[RecordPrint]]:
    """A few bytes of every record of both."""
    found: list[list[RecordPrint]] = [[], []]
    shared = both[0].checksums.items() & both[1].checksums.items() if by_key else ()
    shards, total = [], 0
    for side, one in enumerate(both):
        found[side] += record_prints.prints_of_index(one.folder, dict(shared))
        for info in one.manifest.splits.values():
            for shard in info.shards:
                if (shard.file, shard.sha256) not in shared:
                    where = one.folder, one.manifest.compression
                    shards.append(ShardToPrint(side, *where, shard.file))
                    total += shard.examples
    read = functools.partial(record_prints.print_shard, not by_key)
    with Progress("records", total, "records") as progress:
        results = processes.map_in_processes(
            read, shards, workers=workers, progress=progress
        )
        for task, prints in zip(shards, results, strict=True):
            found[task.side] += prints
    return found


def _changes(
    both: Sequence[_DataSet], pairs: Iterable[Pair], by_key: bool, workers: int
) -> ExampleChanges:
    """What is different in records that are not the same bytes."""
    by_shards: dict[tuple[str, str], Places] = collections.defaultdict(list)
    for one, other in pairs:
        if one.record != other.record:
            by_shards[one.shard, other.shard].append((one.offset, other.offset))
    compare = functools.partial(_compare_shards, both, by_key)
    count = sum(map(len, by_shards.values()))
    with Progress("changed records", count, "records") as progress:
        return example_changes.total(
            processes.map_in_processes(
                compare, sorted(by_shards.items()), workers=workers, progress=progress
            )
        )


def _compare_shards(
    both: Sequence[_DataSet], by_key: bool, task: tuple[tuple[str, str], Places]
) -> ExampleChanges:
    """Compares examples that lie in one shard before, and in one after."""
    shards, places = task
    readers = [
        _records(one, shard, sorted(place[side] for place in places))
        for side, (one, shard) in enumerate(zip(both, shards, strict=True))
    ]
    changes = ExampleChanges()
    waiting = dict(readers[0])  # as they are stored, and of one shard
    before_of = {after: before for before, after in places}
    for place, data in readers[1]:
        old = example_schema.decode(waiting.pop(before_of[place]))
        new = example_schema.decode(data)
        changes.add(example_changes.changes_of(old, new, same_names=by_key))
        processes.count_done()
    return changes


def _records(
    one: _DataSet, shard: str, offsets: Sequence[int]
) -> Iterator[tuple[int, bytes]]:
    """The records at some offsets, ascending."""
    path, compression = one.folder / shard, one.manifest.compression
    if compression == "none":
        with files.opened(path) as file:
            for offset in offsets:
                where = f"{path}, offset {offset}"
                yield offset, tfrecord_file.record_at(file, offset, where)
        return
    wanted, offset = set(offsets), 0
    for data in tfrecord_file.read_records(path, compression=compression):
        if offset in wanted:
            yield offset, data
        offset += tfrecord_file.FRAMING + len(data)


def _patients(manifest: Manifest, names: Mapping[str, str]) -> dict[str, str]:
    """Split of each patient, by the name that the other data set has for it."""
    return {
        names.get(patient, patient): split
        for split, info in manifest.splits.items()
        for patient in info.patients
    }


def _same_patients(pairs: Iterable[Pair]) -> dict[str, str]:
    """Name in the second data set of each patient of the first, by their images."""
    names: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for one, other in pairs:
        names[one.patient][other.patient] += 1
    return {patient: found.most_common(1)[0][0] for patient, found in names.items()}


def _without(some: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    return {name: split for name, split in some.items() if name not in others}


# Told of in another way, or pseudonyms.
_NOT_COMPARED = {"split_table", "buckets", "shards", "patients"}


def _manifest_changes(
    before: Manifest, after: Manifest, by_key: bool
) -> dict[str, tuple[Any, Any]]:
    first, second = (dict(_flat(dataclasses.asdict(one))) for one in (before, after))
    names = dict.fromkeys([*first, *second])
    return {
        name: (first.get(name), second.get(name))
        for name in names
        if first.get(name) != second.get(name)
        and (by_key or name != "options.identity_key")
    }


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Values by names as ``splits.train.examples``."""
    for name, value in fields.items():
        if name in _NOT_COMPARED:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", list(value) if isinstance(value, tuple) else value
