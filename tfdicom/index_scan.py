"""Goes once through ``dataset.index`` and notes where the lines of each shard lie.

Whoever checks a shard then reads its own lines alone, however many shards there are.
"""

from __future__ import annotations

import dataclasses
import io
import pathlib
from collections.abc import Mapping, Sequence

from tfdicom import dataset_index, files
from tfdicom.dataset_index import INDEX, IndexEntry
from tfdicom.verification import ProblemList


@dataclasses.dataclass(frozen=True)
class IndexScan:
    """First byte and end of each shard's lines, and what is wrong with the lines."""

    spans: Mapping[str, tuple[int, int]]
    problems: ProblemList


def scan_index(folder: pathlib.Path, shards: Sequence[str]) -> IndexScan:
    """Scans the index.

    Args:
      folder: Of the data set.
      shards: Names of those that hold an example, in the manifest's order.
    """
    spans: dict[str, tuple[int, int]] = {}
    problems = ProblemList()
    path = folder / INDEX
    if not files.exists(path):
        problems.add("index_missing", "there is no such file", file=INDEX)
        return IndexScan(spans, problems)
    last, known = "", set(shards)
    with files.opened(path) as file:
        place = 0
        for number, line in enumerate(file, 1):
            start, place = place, place + len(line)
            if number == 1:
                if line.rstrip(b"\n") != dataset_index.HEADER.encode():
                    problems.add("index_line", "line 1 has other columns", file=INDEX)
                continue
            entry = _entry(line)
            if entry is None:
                problems.add("index_line", f"line {number} is damaged", file=INDEX)
                continue
            if entry.shard not in known:
                text = f"line {number} names {entry.shard}, which the manifest does not"
                problems.add("index_shard", text, file=INDEX)
            elif entry.shard == last:
                spans[last] = spans[last][0], place
            elif entry.shard in spans:
                text = f"line {number} is apart from the others of {entry.shard}"
                problems.add("index_order", text, file=INDEX)
            else:
                last = entry.shard
                spans[last] = start, place
    if list(spans) != [shard for shard in shards if shard in spans]:
        problems.add(
            "index_order", "the shards' order is not the manifest's", file=INDEX
        )
    return IndexScan(spans, problems)


def entries_of(
    folder: pathlib.Path, span: tuple[int, int] | None, shard: str
) -> list[IndexEntry]:
    """The entries of a shard, from its lines that are not damaged."""
    if span is None:
        return []
    with files.opened(folder / INDEX) as file:
        file.seek(span[0])
        lines = io.BytesIO(file.read(span[1] - span[0]))
    entries = (_entry(line) for line in lines)
    return [one for one in entries if one is not None and one.shard == shard]


def _entry(line: bytes) -> IndexEntry | None:
    """What a line says; None unless it is just as it would be written."""
    try:
        entry = dataset_index.parse_line(line.decode())
        return entry if dataset_index.line_of(entry).encode() == line else None
    except ValueError:
        return None
