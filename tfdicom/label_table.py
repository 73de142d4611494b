"""Labels beside masks: reads a table of them and finds the row of each frame.

A CSV with a header. One to four columns name what a row is about; a row counts for
every frame that agrees with it in all of them. Every other column is a label. Nothing
about a value is guessed from a part of its column: a column of numbers is a number, a
column without any number is a class label, and one that mixes both has to say.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tfdicom import files
from tfdicom.label_header import declared_labels, join_places
from tfdicom.label_kinds import CLASS, NUMBER, LabelInfo

_FLAG = "--labels"
_MISSING = {"", "na", "n/a", "nan", "null"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LARGEST = float(np.finfo(np.float32).max)
_LEAST_WORDS = 10  # so many words, each of one row, are names or free text
_NAMED = 3  # keys that are listed

Key = tuple[str, ...]


class FrameIdentity(NamedTuple):
    """What a frame is of, as its DICOM header (or --patient_from) names it."""

    patient: str
    study: str
    series: str
    instance: str


@dataclasses.dataclass(frozen=True)
class LabelTable:
    """The labels of everything that a table names.

    Attributes:
      columns: The labels, in the table's order.
      joins: Fields of ``FrameIdentity`` that name a row.
      rows: Values by these; empty text where one is missing.
      source: The file, for messages.
    """

    columns: tuple[LabelInfo, ...]
    joins: tuple[str, ...]
    rows: Mapping[Key, tuple[str, ...]]
    source: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the labels."""
        return tuple(one.name for one in self.columns)

    @property
    def patients(self) -> frozenset[str]:
        """The patients that rows name; none where rows name something else."""
        if "patient" not in self.joins:
            return frozenset()
        place = self.joins.index("patient")
        return frozenset(key[place] for key in self.rows)

    def key_of(self, frame: FrameIdentity) -> Key:
        """What names the row of a frame, whether there is one or not."""
        # Spaces at the ends mean nothing in a DICOM value (PS3.5 6.2).
        return tuple(getattr(frame, join).strip(" \0") for join in self.joins)

    def for_frame(
        self, *, patient: str, study: str, series: str, instance: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The labels of a frame, for the record.

        Args:
          patient: As ``--patient_from`` finds it.
          study: Study Instance UID.
          series: Series Instance UID.
          instance: SOP Instance UID.

        Returns:
          Names, of all labels, and as many values: empty text where the table has none
          or has no row for this frame.
        """
        key = self.key_of(FrameIdentity(patient, study, series, instance))
        return self.names, self.rows.get(key, ("",) * len(self.columns))


@dataclasses.dataclass(frozen=True)
class LabelMatches:
    """How a table and the frames of a data set go together.

    Attributes:
      rows: Rows of the table, those of one key once.
      unused_rows: Rows that no frame agrees with.
      frames: Frames.
      unlabelled_frames: Frames that no row names.
    """

    rows: int
    unused_rows: int
    frames: int
    unlabelled_frames: int

    def __str__(self) -> str:
        """One line for the summary, without any identifier."""
        return (
            f"{self.rows - self.unused_rows} of {self.rows} rows of the label table "
            f"name a frame, {self.unused_rows} name none; "
            f"{self.unlabelled_frames} of {self.frames} frames have no row"
        )


def match_frames(table: LabelTable, frames: Iterable[FrameIdentity]) -> LabelMatches:
    """Counts what matches.

    Args:
      table: The table.
      frames: All frames that become examples.

    Raises:
      ValueError: There are frames, and no row names any of them; shows some of both.
    """
    keys = [table.key_of(frame) for frame in frames]
    unlabelled = sum(key not in table.rows for key in keys)
    if keys and unlabelled == len(keys):
        raise ValueError(
            f"{_FLAG}: {table.source}: no row names any of the {len(keys)} frames by "
            f"{', '.join(table.joins)}. The table has {_some(table.rows)}; the frames "
            f"are of {_some(keys)}"
        )
    return LabelMatches(
        rows=len(table.rows),
        unused_rows=len(set(table.rows) - set(keys)),
        frames=len(keys),
        unlabelled_frames=unlabelled,
    )


def _some(keys: Iterable[Key]) -> str:
    shown = sorted({" / ".join(key) for key in keys})
    more = ", ..." if len(shown) > _NAMED else ""
    return ", ".join(map(repr, shown[:_NAMED])) + more


def read_label_table(path: str | pathlib.Path) -> LabelTable:
    """Reads a CSV of labels.

    A label's column is named ``name``, ``name:number``, ``name:class``, or
    ``name:word|word`` for a class label with its words in the order of their numbers.
    Without a vocabulary the words that occur are sorted. A cell that is empty or says
    NA, N/A, NaN or null is a missing value. Rows of one key are put together.

    Args:
      path: The file, UTF-8, with commas; local, or with a scheme.

    Raises:
      ValueError: The table cannot be read, has no column that names a frame, no label,
        or one that names a person; a row has no key or another number of cells; two
        rows of one key disagree; or a value is not of its column's kind. Names the
        line.
    """
    source = f"{_FLAG}: {path}"
    lines = _lines(files.read_text(files.path_of(path), flag=_FLAG), source)
    _, header = next(lines, (0, []))
    if not header:
        raise ValueError(f"{source} is empty; a header and rows are wanted")
    joins = join_places(header, source)
    places = [at for at in range(len(header)) if at not in joins.values()]
    declared = declared_labels([header[at] for at in places], source)
    rows, first_lines = _rows(lines, header, joins, places, source)
    if not rows:
        raise ValueError(f"{source} has a header and no row")
    columns = tuple(
        _column(one, [row[at] for row in rows.values()], first_lines, source)
        for at, one in enumerate(declared)
    )
    return LabelTable(columns, tuple(joins), rows, str(path))


def _lines(text: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and stripped cells; lines without any are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as error:
        raise ValueError(f"{source}, line {reader.line_num}: {error}") from None


def _rows(
    lines: Iterable[tuple[int, list[str]]],
    header: Sequence[str],
    joins: Mapping[str, int],
    places: Sequence[int],
    source: str,
) -> tuple[dict[Key, tuple[str, ...]], list[int]]:
    """Values by key, and the line on which each key came first."""
    rows: dict[Key, tuple[str, ...]] = {}
    first: dict[Key, int] = {}
    for number, cells in lines:
        where = f"{source}, line {number}"
        if len(cells) != len(header):
            raise ValueError(
                f"{where}: {len(cells)} cells, where the header has {len(header)}"
            )
        key = tuple(cells[at] for at in joins.values())
        if not all(key):
            lacking = header[list(joins.values())[key.index("")]]
            raise ValueError(
                f"{where}: {lacking} is empty, so the row is about nothing; fill it "
                "in, or leave the row out"
            )
        values = tuple(_value(cells[at]) for at in places)
        if key in rows:
            names = [header[at] for at in places]
            values = _together(
                rows[key], values, names, f"{where} and line {first[key]}"
            )
        first.setdefault(key, number)
        rows[key] = values
    return rows, list(first.values())


def _value(cell: str) -> str:
    return "" if cell.lower() in _MISSING else cell


def _together(
    before: Sequence[str], now: Sequence[str], names: Sequence[str], where: str
) -> tuple[str, ...]:
    """Two rows of one key as one; what is missing in one may stand in the other."""
    for name, one, other in zip(names, before, now, strict=True):
        if one and other and one != other:
            raise ValueError(
                f"{where}: these rows are about the same, and differ in {name!r}: "
                f"{other!r} and {one!r}"
            )
    return tuple(one or other for one, other in zip(before, now, strict=True))


def _column(
    declared: LabelInfo, values: Sequence[str], lines: Sequence[int], source: str
) -> LabelInfo:
    """The kind of a column, from all of its values."""
    known = [(value, n) for value, n in zip(values, lines, strict=True) if value]
    if not known:
        raise ValueError(
            f"{source}: column {declared.name!r} has no value; leave it out"
        )
    kind = declared.kind or _kind(declared.name, known, source)
    if kind == NUMBER:
        _check_numbers(declared.name, known, source)
        return LabelInfo(declared.name, NUMBER)
    occurring = {value for value, _ in known}
    if declared.vocabulary:
        for value, number in known:
            if value not in declared.vocabulary:
                raise ValueError(
                    f"{source}, line {number}: {declared.name} is {value!r}; by the "
                    f"header it is one of {', '.join(declared.vocabulary)}"
                )
        return declared
    if "|" in "".join(occurring):
        raise ValueError(f"{source}: a word of column {declared.name!r} holds a |")
    if not declared.kind and len(occurring) == len(known) >= _LEAST_WORDS:
        raise ValueError(
            f"{source}: every value of column {declared.name!r} is another one, as "
            "names or free text are; leave it out, or write "
            f"'{declared.name}:class' if it is a class"
        )
    return LabelInfo(declared.name, CLASS, tuple(sorted(occurring)))


def _kind(name: str, known: Sequence[tuple[str, int]], source: str) -> str:
    others = [pair for pair in known if not _NUMBER.fullmatch(pair[0])]
    if not others:
        return NUMBER
    if len(others) == len(known):
        return CLASS
    value, number = others[0]
    raise ValueError(
        f"{source}, line {number}: {name} is {value!r}, which is no number, though "
        f"others are; leave it empty, or write '{name}:class' if these are classes"
    )


def _check_numbers(name: str, known: Sequence[tuple[str, int]], source: str) -> None:
    for value, number in known:
        if not _NUMBER.fullmatch(value) or not abs(float(value)) <= _LARGEST:
            raise ValueError(
                f"{source}, line {number}: {name} is {value!r}; a finite number that a "
                f"float32 holds (up to {_LARGEST:.3g}) is wanted"
            )
