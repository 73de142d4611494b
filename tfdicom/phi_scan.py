"""Searches a finished data set for whatever identifies the people it was made from.

Texts are searched for every spelling of every value of the source's headers, and for
what looks like an identifier: dates, UIDs, names with ``^``, addresses of mail, numbers
of telephones, paths. Pixels and planes are searched for values of eight bytes or more:
shorter ones occur there by chance, and so do those of fewer than four different bytes,
as ``00000000``. (Of P values of n bytes, N random bytes hold N x P / 256^n by chance:
for a million of six bytes in a terabyte 3,600, of eight 0.05.)

What may stand in a text by chance must stand there as a word of its own: digits and
hexadecimal digits between other characters, up to five letters between others than
letters. A description, a private value or the name of a file that is a word of the
package's own (``image``, ``train``) identifies nobody.
"""

from __future__ import annotations

import bisect
import collections
import dataclasses
import pathlib
import re
from collections.abc import Iterable, Iterator

from tfdicom import dataset_texts, files, identifying_values, source_values
from tfdicom.byte_search import ByteSearch
from tfdicom.dataset_texts import Piece
from tfdicom.example_schema import FEATURES
from tfdicom.identifying_values import (
    DATE,
    DESCRIPTION,
    PATH,
    PRIVATE,
    TIME,
    IdentifyingValues,
)
from tfdicom.manifest import load_manifest

_TEXT_WIDTH, _BINARY_WIDTH = 4, 8
_LEAST_DIFFERENT = 4
_BATCH_BYTES = 1 << 20
_HEX = re.compile(rb"[0-9a-f]+")
_DIGITS = re.compile(rb"[0-9][0-9.:/-]*")
_LETTERS = re.compile(rb"[a-z]+")
_SHORT_WORD = 5
# Moved dates look like dates; they exist only where --dates=shift asked for them.
_MOVED_DATES = frozenset(
    FEATURES[name].key for name in ("study_date", "acquisition_date")
)
# What a user's own words may repeat: a class may be named as the series is.
_REPEATABLE = frozenset({DESCRIPTION, PATH, PRIVATE})

_YEAR, _MONTH, _DAY = rb"(?:19|20)\d\d", rb"(?:0[1-9]|1[0-2])", rb"(?:[0-2]\d|3[01])"
PATTERNS = {
    "a date": re.compile(
        rb"(?<![\w.])(?:%b%b%b|%b[-/.]%b[-/.]%b|%b[-/.]%b[-/.]%b)(?![\w.])"
        % (_YEAR, _MONTH, _DAY, _YEAR, _MONTH, _DAY, _DAY, _MONTH, _YEAR)
    ),
    "a UID": re.compile(rb"(?<![\w.])[0-2](?:\.(?:0|[1-9]\d{0,38})){6,}(?![\w.])"),
    "a name with ^": re.compile(rb"[A-Za-z\x80-\xff]{2,}\^[A-Za-z\x80-\xff]{2,}"),
    "an address of mail": re.compile(rb"[\w.+-]+@[\w-]+\.[A-Za-z]{2,}"),
    "a number of a telephone": re.compile(
        rb"(?<![\w.])\+\d{1,3}[ (-]{0,2}\d{2,4}[\d ()-]{4,}\d"
    ),
    "an absolute path": re.compile(rb"(?<![\w.:/])/(?:home|Users|mnt|media|data)/\w+"),
}


@dataclasses.dataclass(frozen=True)
class Hit:
    """Something that identifies, found in a data set.

    Attributes:
      kind: Of value, or the pattern that it looks like.
      where: The attribute of the source; empty for patterns.
      file: Relative path.
      record: Number of the record, from 0; None outside of records.
      key: Key of the feature, or of the value.
      value: What was found; not to be shown unless asked for.
    """

    kind: str
    where: str
    file: str
    record: int | None
    key: str
    value: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class PhiScan:
    """What a scan found.

    Attributes:
      hits: In the order of files and records.
      searched: Bytes.
      records: Records read.
      spellings: Number of spellings of values that were searched for, by kind; None
        where only patterns were.
      source_files: DICOM files that the values are from.
    """

    hits: tuple[Hit, ...]
    searched: int
    records: int
    spellings: dict[str, int] | None
    source_files: int


def phi_scan(
    data_dir: str | pathlib.Path, input_dir: str | pathlib.Path | None = None
) -> PhiScan:
    """Searches a data set.

    Args:
      data_dir: Folder of the data set.
      input_dir: The folder that it was made from; None searches for patterns alone.

    Raises:
      FileNotFoundError: There is no whole data set.
      ValueError: A shard is damaged.
    """
    found = load_manifest(data_dir)
    values, count = IdentifyingValues(), 0
    if input_dir is not None:
        folder = files.path_of(input_dir)
        if not folder.is_dir():
            raise ValueError(f"input_dir={input_dir}: there is no such folder")
        values, count = source_values.collect(folder)
    searched, records = 0, set()
    hits: list[Hit] = []
    search = Search(values)
    for batch in _batches(dataset_texts.pieces(data_dir, found)):
        hits += search.find(batch)
        searched += sum(len(one.data) for one in batch)
        records |= {(one.file, one.record) for one in batch if one.record is not None}
    spellings = identifying_values.counts(values) if input_dir is not None else None
    return PhiScan(tuple(hits), searched, len(records), spellings, count)


def _batches(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece.data)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    yield batch


class Search:
    """Searches pieces for values and for patterns."""

    def __init__(self, values: IdentifyingValues) -> None:
        """Takes the values."""
        own = {text.lower().encode() for text in dataset_texts.FIXED_TEXTS}
        self._values = {
            pattern: value
            for pattern, value in values.patterns.items()
            if value.kind not in _REPEATABLE or pattern not in own
        }
        self._texts = ByteSearch(self._values, width=_TEXT_WIDTH)
        varied = (one for one in self._values if len(set(one)) >= _LEAST_DIFFERENT)
        self._binary = ByteSearch(varied, width=_BINARY_WIDTH)

    def find(self, pieces: Iterable[Piece]) -> list[Hit]:
        """Everything found in some pieces, in their order."""
        pieces = list(pieces)
        found: list[tuple[int, Hit]] = []
        for is_text, search in ((True, self._texts), (False, self._binary)):
            places = [at for at, one in enumerate(pieces) if one.is_text == is_text]
            # No value holds a zero, so that none is found across two pieces.
            data = b"\0".join(pieces[at].data for at in places)
            starts, end = [], 0
            for at in places:
                starts.append(end)
                end += len(pieces[at].data) + 1
            lower = data.lower()
            for start, pattern in search.find(data):
                place = places[bisect.bisect_right(starts, start) - 1]
                piece, value = pieces[place], self._values[pattern]
                if is_text and _is_by_chance(lower, start, pattern, piece, value.kind):
                    continue
                text = pattern.decode(errors="replace")
                found.append((place, _hit(value.kind, value.where, piece, text)))
            if is_text:
                for name, pattern_of in PATTERNS.items():
                    for match in pattern_of.finditer(data):
                        at = bisect.bisect_right(starts, match.start()) - 1
                        piece = pieces[places[at]]
                        if name == "a date" and piece.key in _MOVED_DATES:
                            continue
                        text = match[0].decode(errors="replace")
                        found.append((places[at], _hit(name, "", piece, text)))
        return [hit for _, hit in sorted(found, key=lambda one: one[0])]


def _hit(kind: str, where: str, piece: Piece, value: str) -> Hit:
    return Hit(kind, where, piece.file, piece.record, piece.key, value)


def _is_by_chance(
    data: bytes, start: int, pattern: bytes, piece: Piece, kind: str
) -> bool:
    """Whether a text holds a value for another reason than that it was copied."""
    if kind in _REPEATABLE and piece.chosen:
        return True
    if kind in (DATE, TIME) and piece.key in _MOVED_DATES:
        return True
    before = data[max(start - 1, 0) : start]
    after = data[start + len(pattern) : start + len(pattern) + 1]
    if _HEX.fullmatch(pattern) or _DIGITS.fullmatch(pattern):
        return any(one.isalnum() for one in (before, after))
    if len(pattern) <= _SHORT_WORD and _LETTERS.fullmatch(pattern):
        return any(one.isalpha() for one in (before, after))
    return False


def report(result: PhiScan, *, show_values: bool = False) -> str:
    """What was searched for and what was found, for a terminal.

    Args:
      result: Of ``phi_scan``.
      show_values: Whether to print the values found, which identify people.
    """
    lines = []
    if result.spellings is None:
        lines.append(
            "Searched for patterns alone; --input_dir adds the source's values."
        )
    else:
        kinds = ", ".join(f"{n} of {kind}" for kind, n in result.spellings.items())
        lines.append(
            f"Searched for {sum(result.spellings.values())} spellings of the values of "
            f"{result.source_files} DICOM files ({kinds}), and for patterns."
        )
    megabytes = f"{result.records} records, {result.searched / 1e6:.1f} MB"
    groups: dict[tuple[str, ...], list[Hit]] = collections.defaultdict(list)
    for hit in result.hits:
        value = hit.value if show_values else ""
        groups[hit.kind, hit.where, hit.file, hit.key, value].append(hit)
    for (kind, where, file, key, value), hits in groups.items():
        place = "" if hits[0].record is None else f", record {hits[0].record}"
        more = f" and {len(hits) - 1} more" if len(hits) > 1 else ""
        source = f" of {where}" if where else ""
        shown = f": {value!r}" if value else ""
        lines.append(f"FOUND {kind}{source} in {file}{place}{more}, {key}{shown}")
    verdict = f"{len(result.hits)} found" if result.hits else "Nothing found"
    return "\n".join([*lines, f"{verdict} in {megabytes}."])
