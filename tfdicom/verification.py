"""What `verify` says of a data set: problems, and what else it found."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator

_KEPT = 20  # problems of one kind in one file


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something that is wrong.

    Attributes:
      code: What kind of thing, as ``record_damaged``.
      text: What exactly: what was got, and what was expected.
      file: The file of the data set that it is in, relative to its folder.
      record: Number of the record in the file, from 0; None where it is about the
        file, or of a file that holds none.
      key: Key of the example, where it is known.
    """

    code: str
    text: str
    file: str = ""
    record: int | None = None
    key: str = ""

    def __str__(self) -> str:
        """As one line."""
        where = self.file
        if self.record is not None:
            where += f", record {self.record}"
        if self.key:
            where += f", key {self.key}"
        return ": ".join(filter(None, (where, self.code, self.text)))


class ProblemList:
    """Collects problems; of one kind in one file the first 20, and how many more."""

    def __init__(self) -> None:
        """Starts empty."""
        self._kept: list[Problem] = []
        self._counts: collections.Counter = collections.Counter()

    def add(self, code: str, text: str, **where: str | int | None) -> None:
        """Adds one; ``where`` are the other fields of ``Problem``."""
        self.extend([Problem(code, text, **where)])  # type: ignore[arg-type]

    def extend(self, problems: Iterable[Problem]) -> None:
        """Adds some."""
        for one in problems:
            self._counts[one.code, one.file] += 1
            if self._counts[one.code, one.file] <= _KEPT:
                self._kept.append(one)

    def __iter__(self) -> Iterator[Problem]:
        """All of them, and one that counts those which were not kept."""
        yield from self._kept
        for (code, file), count in self._counts.items():
            if count > _KEPT:
                yield Problem(code, f"and {count - _KEPT} more such problems", file)


@dataclasses.dataclass(frozen=True)
class VerifyResult:
    """What was checked, and what came of it.

    Attributes:
      data_dir: Folder of the data set.
      rows: A table for people: a line of titles, and one for each split.
      problems: What is wrong; empty for a data set that is as it was made.
      notes: What is worth to be known, and is not wrong.
      shards: Names of the manifest's shards, in its order.
    """

    data_dir: str
    rows: tuple[tuple[str, ...], ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    shards: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def bad_shards(self) -> tuple[str, ...]:
        """Shards that something is wrong with, in the manifest's order."""
        named = {one.file for one in self.problems}
        return tuple(file for file in self.shards if file in named)

    def __str__(self) -> str:
        """For a terminal."""
        lines = [*map(str, self.problems)]
        lines += [f"Note: {note}" for note in self.notes]
        lines += ["", *_aligned(self.rows), ""]
        if self.is_whole:
            lines.append(f"{self.data_dir} is whole: every check passed.")
            return "\n".join(lines).lstrip("\n")
        codes = collections.Counter(one.code for one in self.problems)
        kinds = ", ".join(f"{count} x {code}" for code, count in codes.most_common())
        lines.append(f"{self.data_dir} is NOT as it was made: {kinds}.")
        if self.bad_shards:
            count = f"{len(self.bad_shards)} of {len(self.shards)}"
            lines.append(f"Bad shards ({count}): {', '.join(self.bad_shards)}")
        return "\n".join(lines)


def _aligned(rows: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = zip(others, widths[1:], strict=True)
        yield "  ".join((first.ljust(widths[0]), *(c.rjust(w) for c, w in cells)))
