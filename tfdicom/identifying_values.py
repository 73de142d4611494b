"""Values that may identify somebody, in all their spellings."""

from __future__ import annotations

import collections
import dataclasses
import re
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator

from tfdicom.patient_facts import parse_date

#: Kinds of values.
NAME, ID, DATE, TIME, UID = "name", "identifier", "date", "time", "UID"
DESCRIPTION, PATH, PRIVATE = "description", "file or folder name", "private value"

_LEAST, _LEAST_WITHOUT_LETTERS = 4, 2
# A longer text is looked for in parts: whoever copies it may cut it short.
_LONGEST, _PART, _LEAST_PART = 512, 64, 16
_NOBODY = frozenset(
    """
    anonymous anonymized anonymised anon unknown none null test phantom patient removed
    deidentified de-identified pseudonymized no-name noname not available undefined
    """.split()
)
_NUMBER = re.compile(r"[0-9][0-9./-]{4,}[0-9]")
_WORD = re.compile(r"[^\W\d_]+")
_CAPITALISED = re.compile(r"[A-Z][a-z]+")  # KrauseHilde is two
_DATE_FORMATS = (
    "%Y%m%d",
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
)
_CHARSETS = ("utf-8", "latin-1")


@dataclasses.dataclass(frozen=True, slots=True)
class SourceValue:
    """A value that identifies.

    Attributes:
      kind: What it is: ``name``, ``identifier``, ...
      where: The attribute that holds it, as ``(0010,0010) 'Patient's Name'``.
    """

    kind: str
    where: str


class IdentifyingValues:
    """Values and their spellings, as bytes with ASCII in lower case."""

    def __init__(self) -> None:
        """Starts empty."""
        self.patterns: dict[bytes, SourceValue] = {}

    def __len__(self) -> int:
        """Number of spellings."""
        return len(self.patterns)

    def add(self, text: str, value: SourceValue, charsets: Iterable[str] = ()) -> None:
        """Adds a text as it stands, and in other cases and character sets."""
        text = text.strip(" \0\t\r\n")
        if not _is_long_enough(text) or text.lower() in _NOBODY:
            return
        if len(text) > _LONGEST:
            for part in _parts(text):
                self.add(part, value, charsets)
            return
        spellings = {text}
        if not text.isascii():
            cased = (text, text.lower(), text.upper(), text.title())
            spellings = {unicodedata.normalize("NFC", one) for one in cased}
            spellings |= {unicodedata.normalize("NFD", one) for one in cased}
        for spelling in spellings:
            for charset in dict.fromkeys((*_CHARSETS, *charsets)):
                try:
                    pattern = spelling.encode(charset).lower()
                except (UnicodeEncodeError, LookupError):
                    continue
                self.patterns.setdefault(pattern, value)
                if spelling.isascii():
                    break  # the same in every character set

    def add_name(
        self, text: str, value: SourceValue, charsets: Iterable[str] = ()
    ) -> None:
        """A name of a person, its groups, components and usual ways to write both."""
        for group in text.split("="):
            self.add(group.rstrip("^"), value, charsets)
            parts = [part.strip() for part in group.split("^") if part.strip()]
            for part in parts:
                self.add(part, value, charsets)
                for word in part.split():
                    self.add(word, value, charsets)
            for first, second in (parts[:2], parts[1::-1]) if len(parts) > 1 else ():
                for between in (" ", ", ", ",", "_", "-", "."):
                    self.add(f"{first}{between}{second}", value, charsets)

    def add_date(self, text: str, value: SourceValue) -> None:
        """A date in usual forms."""
        self.add(text, value)
        date = parse_date(text[:8]) or parse_date(text)
        if date is not None:
            for form in _DATE_FORMATS:
                self.add(date.strftime(form), value)

    def add_text(
        self, text: str, value: SourceValue, charsets: Iterable[str] = ()
    ) -> None:
        """A text, its lines, and the longer numbers in it."""
        self.add(text, value, charsets)
        for line in text.splitlines():
            self.add(line, value, charsets)
        if "^" in text:
            self.add_name(text, value, charsets)
        for number in _NUMBER.findall(text):
            self.add(number, value)
            date = parse_date(number)
            if date is not None and 1900 <= date.year <= 2100:
                self.add_date(number, value)

    def add_path(self, path: str) -> None:
        """Names of a file and its folders, whole, without ending, and their words."""
        for name in path.split("/"):
            value = SourceValue(PATH, "a name of a file or folder")
            self.add(name, value)
            self.add(name.partition(".")[0], value)
            words = (*_WORD.findall(name), *_CAPITALISED.findall(name))
            for word in (*words, *_NUMBER.findall(name)):
                self.add(word, value)


def _parts(text: str) -> Iterator[str]:
    """A long text in parts of whole words, as far as words are short."""
    parts = textwrap.wrap(
        text, _PART, expand_tabs=False, replace_whitespace=False, break_on_hyphens=False
    )
    return (part for part in parts if len(part) >= _LEAST_PART)


def _is_long_enough(text: str) -> bool:
    if len(text) >= _LEAST:
        return True
    ideographs = all(ord(one) > 0x2E7F for one in text)
    return ideographs and len(text) >= _LEAST_WITHOUT_LETTERS


def counts(values: IdentifyingValues) -> dict[str, int]:
    """Number of spellings of each kind."""
    found = collections.Counter(one.kind for one in values.patterns.values())
    return dict(sorted(found.items()))
