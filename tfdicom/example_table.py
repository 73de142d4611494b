"""Every example of a plan and where its record lies, from the indexes."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tfdicom import dataset_index, files, shard_copies, tfrecord_file
from tfdicom.class_layout import ABSENT
from tfdicom.dataset_index import IndexEntry
from tfdicom.input_options import SKIP
from tfdicom.input_plan import InputPlan
from tfdicom.manifest import MANIFEST, ShardInfo

_NAMED = 10  # damaged records that are listed


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExampleTable:
    """The examples of a plan, in the manifests' order; arrays ``[examples]``.

    Attributes:
      paths: Of the shards.
      shard: int64: place of the example's shard in ``paths``.
      number: int64: of its record in the shard, from 0.
      offset: int64: of its record, bytes before compression.
      data_set: int64: number of its data set.
      present: Whether any of the classes that are read has a pixel.
      absent: Whether all of them that the data set has were annotated, and none has a
        pixel.
      keys: Bytes, 32 hexadecimal digits.
      damaged: Records that cannot be read and are left out, in words.
      failure: File that appears when a copy that is under way cannot be made, and says
        why; empty where all of them are there.
      mend: Makes a copy, by its path, again, and says why it cannot; None where shards
        are read where they lie.
    """

    paths: tuple[str, ...]
    shard: np.ndarray
    number: np.ndarray
    offset: np.ndarray
    data_set: np.ndarray
    present: np.ndarray
    absent: np.ndarray
    keys: np.ndarray
    damaged: tuple[str, ...] = ()
    failure: str = ""
    mend: Callable[[str], str] | None = None

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.shard)


def read_table(folders: Sequence[str], plan: InputPlan) -> ExampleTable:
    """Finds every example of a plan; opens no shard unless damage is to be skipped.

    Args:
      folders: Of the data sets, in the plan's order.
      plan: What to read.

    Raises:
      FileNotFoundError: A shard or an index is missing.
      ValueError: A shard has not the size that the manifest says, an index does not
        agree with it, or no record can be read.
    """
    paths = shard_paths(folders, plan)
    entries = _entries_by_shard(folders, plan)
    rows: list[tuple] = []
    damaged: list[str] = []
    for place, shard in enumerate(plan.shards):
        found = entries[shard.data_set, shard.info.file]
        bad = _damaged(paths[place], found, plan)
        damaged += bad.values()
        rows += [
            (place, number, entry.offset, shard.data_set, entry)
            for number, entry in enumerate(found)
            if number not in bad and entry.is_known(plan.needed(shard.data_set))
        ]
    if not rows:
        raise ValueError("no record can be read: " + "; ".join(damaged[:_NAMED]))
    failure, mend = "", shard_copies.CopyMender(paths, plan)
    if plan.far:
        paths, failure = shard_copies.coming(paths, plan)
    elif plan.copies_to:
        paths = shard_copies.copied(paths, plan)
    table = _table(paths, rows, plan, damaged)
    mends = mend if plan.copies_to else None
    return dataclasses.replace(table, failure=failure, mend=mends)


def without_damaged(plan: InputPlan, table: ExampleTable) -> InputPlan:
    """The plan of what can be read, with a warning of what cannot."""
    if not table.damaged:
        return plan
    count = len(table.damaged)
    listed = "; ".join(table.damaged[:_NAMED])
    more = f"; and {count - _NAMED} more" if count > _NAMED else ""
    warning = f"{count} damaged records left out: {listed}{more}"
    return dataclasses.replace(
        plan,
        examples=len(table),
        warnings=(*plan.warnings, warning),
    )


def _table(
    paths: Sequence[str], rows: Sequence[tuple], plan: InputPlan, damaged: Sequence[str]
) -> ExampleTable:
    shard, number, offset, data_set, entries = zip(*rows, strict=True)
    shown = [
        _shown(entry.annotated, entry.present, plan.classes.indices[one])
        for entry, one in zip(entries, data_set, strict=True)
    ]
    present, absent = np.array(shown, bool).T
    return ExampleTable(
        paths=tuple(paths),
        shard=np.array(shard, np.int64),
        number=np.array(number, np.int64),
        offset=np.array(offset, np.int64),
        data_set=np.array(data_set, np.int64),
        present=present,
        absent=absent,
        keys=np.array([entry.key.encode() for entry in entries]),
        damaged=tuple(damaged),
    )


@functools.lru_cache(maxsize=4096)  # examples are many, patterns are few
def _shown(annotated: str, present: str, places: tuple[int, ...]) -> tuple[bool, bool]:
    """Whether a class that is read is present, and whether all are surely absent."""
    known = [place for place in places if place != ABSENT]
    is_present = any(present[place] == "1" for place in known)
    all_annotated = all(annotated[place] == "1" for place in known)
    return is_present, bool(known) and all_annotated and not is_present


def _entries_by_shard(
    folders: Sequence[str], plan: InputPlan
) -> dict[tuple[int, str], list[IndexEntry]]:
    wanted = {(one.data_set, one.info.file): one.info for one in plan.shards}
    found: dict[tuple[int, str], list[IndexEntry]] = {key: [] for key in wanted}
    for number, folder in enumerate(folders):
        for entry in dataset_index.read_index(folder):
            if (number, entry.shard) in found:
                found[number, entry.shard].append(entry)
    for key, entries in found.items():
        count = plan.classes.counts[key[0]]
        _check_agreement(entries, wanted[key], folders[key[0]], count)
    return found


def _check_agreement(
    entries: Sequence[IndexEntry], shard: ShardInfo, folder: str, classes: int
) -> None:
    """Whether index and manifest, which may have been copied apart, are of one."""
    facts: dict[str, tuple] = {
        "examples": (len(entries), shard.examples),
        "bytes in the records": (sum(one.length for one in entries), shard.data_size),
        "classes annotated": (
            dict(Counter(one.annotated for one in entries)),
            dict(shard.annotated),
        ),
        "numbers of classes": (
            {len(one.present) for one in entries},
            {classes for _ in shard.annotated},
        ),
    }
    for name, (found, wanted) in facts.items():
        if found != wanted:
            raise ValueError(
                f"{files.path_of(folder) / dataset_index.INDEX} and {MANIFEST} differ "
                f"in the {name} of {shard.file}: {found} and {wanted}; copy both "
                "again, or convert again"
            )


def shard_paths(folders: Sequence[str], plan: InputPlan) -> tuple[str, ...]:
    """Paths of shards that are there and have the size that the manifest says.

    Raises:
      FileNotFoundError: A shard is missing.
      ValueError: A shard has another size, and damage is not to be skipped.
    """
    paths = []
    sizes = [files.sizes(files.path_of(folder)) for folder in folders]
    for shard in plan.shards:
        path = files.path_of(folders[shard.data_set]) / shard.info.file
        size = sizes[shard.data_set].get(shard.info.file)
        if size is None:
            raise FileNotFoundError(
                f"{path} is missing though {MANIFEST} names it; copy it here, or "
                "convert again"
            )
        if size != shard.info.size and plan.options.on_corrupt != SKIP:
            raise ValueError(
                f"{path} has {size} bytes, {MANIFEST} says {shard.info.size}; copy it "
                "again, or convert again, or leave its damaged records out with "
                "on_corrupt='skip'"
            )
        paths.append(str(path))
    return tuple(paths)


def _damaged(
    path: str, entries: Sequence[IndexEntry], plan: InputPlan
) -> dict[int, str]:
    """The records of a shard that cannot be read, if they are to be skipped."""
    if plan.options.on_corrupt != SKIP or plan.far:  # no copy is made of damage
        return {}
    found: dict[int, str] = {}
    opened = files.path_of(path)
    if plan.compression:
        records = tfrecord_file.read_records(
            opened, compression=plan.compression.lower()
        )
        return _damaged_stream(records, len(entries))
    with files.opened(opened) as file:
        for number, entry in enumerate(entries):
            try:
                tfrecord_file.record_at(file, entry.offset, f"{path}, record {number}")
            except ValueError as error:
                found[number] = str(error)
    return found


def _damaged_stream(records: Iterator[bytes], count: int) -> dict[int, str]:
    """Where a compressed stream is damaged, all that follows is lost."""
    number = 0
    try:
        for _ in records:
            number += 1
    except ValueError as error:
        later = "lost after that damage"
        return {
            place: str(error) if place == number else later
            for place in range(number, count)
        }
    return {place: "the file ends before it" for place in range(number, count)}
