"""Every value of a source folder that may identify somebody, in all its spellings.

Values come from the attributes that PS3.15 Table E.1-1 protects, from private ones,
from names of people, dates and UIDs wherever they stand (sequences and the File Meta
Information too), and from the names of files and folders.

Left out are values under four characters (names in scripts without letters: under two),
coded values (CS, AS), numbers (DS, IS, FL, US, ...), bulk data (OB, OW) of attributes
that are not private, UIDs that the Standard itself registers, and words such as
``anonymous``.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
import pathlib
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator

import pydicom
from pydicom.dataelem import DataElement

from tfdicom import dicom_file, files
from tfdicom.dicom_elements import quiet
from tfdicom.identifying_attributes import is_protected
from tfdicom.patient_facts import parse_date

#: Kinds of values.
NAME, ID, DATE, TIME, UID = "name", "identifier", "date", "time", "UID"
DESCRIPTION, PATH, PRIVATE = "description", "file or folder name", "private value"

_LEAST, _LEAST_WITHOUT_LETTERS = 4, 2
_LONGEST = 512
_STANDARD_UIDS = ("1.2.840.10008.",)
_NOBODY = frozenset(
    """
    anonymous anonymized anonymised anon unknown none null test phantom patient removed
    deidentified de-identified pseudonymized no-name noname not available undefined
    """.split()
)
_SKIPPED_VRS = frozenset(
    "CS AS DS IS FL FD SL SS SV UL US UV AT OF OD OL OV OW".split()
)
_IDENTIFIERS = frozenset({"SH", "AE", "LO"})
_MEASURE = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_NUMBER = re.compile(r"[0-9][0-9./-]{4,}[0-9]")
_WORD = re.compile(r"[^\W\d_]+")
_CAPITALISED = re.compile(r"[A-Z][a-z]+")  # KrauseHilde is two
_PRINTABLE = re.compile(rb"[\x20-\x7e]{4,}")
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
_TABLE_COLUMNS = frozenset(
    "patient_id original_id patient name study series instance birth_date".split()
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
        if not _is_long_enough(text) or len(text) > _LONGEST:
            return
        if text.lower() in _NOBODY:
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


def _is_long_enough(text: str) -> bool:
    if len(text) >= _LEAST:
        return True
    ideographs = all(ord(one) > 0x2E7F for one in text)
    return ideographs and len(text) >= _LEAST_WITHOUT_LETTERS


def collect(folder: pathlib.Path) -> tuple[IdentifyingValues, int]:
    """Collects the values of every file of a folder.

    Returns:
      The values, and how many DICOM files they were read from.
    """
    values, count = IdentifyingValues(), 0
    for path in files.walk(folder):
        _add_path(path, values)
        if path.lower().endswith(".csv"):
            _add_table(folder / path, values)
            continue
        dataset = _read(folder / path)
        if dataset is not None:
            count += 1
            add_dataset(dataset, values)
    return values, count


def _read(path: pathlib.Path) -> pydicom.Dataset | None:
    """All elements but the pixels; None where it is no DICOM."""
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dicom_file.open_header(path)  # which tells other files apart
            with path.open("rb") as file:
                return pydicom.dcmread(file, stop_before_pixels=True, force=True)
    except Exception:  # a file of any kind can raise anything
        return None


def add_dataset(dataset: pydicom.Dataset, values: IdentifyingValues) -> None:
    """Adds what a data set and its File Meta Information hold."""
    charsets = _charsets(dataset)
    meta = getattr(dataset, "file_meta", None)
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd values, which are not our business
        for part in (meta, dataset) if meta is not None else (dataset,):
            for element, within in _elements(part):
                _add_element(element, within, values, charsets)


def _charsets(dataset: pydicom.Dataset) -> tuple[str, ...]:
    found = getattr(dataset, "_character_set", None) or ()
    return tuple([found] if isinstance(found, str) else found)


def _elements(
    dataset: pydicom.Dataset, within: bool = False
) -> Iterator[tuple[DataElement, bool]]:
    """Every element that can be read, and whether what holds it is protected."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
            items = list(element.value or ()) if element.VR == "SQ" else None
        except Exception:  # a damaged value names nobody that can be read
            continue
        if items is None:
            yield element, within
        for item in items or ():
            yield from _elements(item, within or is_protected(int(tag)))


def _add_element(
    element: DataElement,
    within: bool,
    values: IdentifyingValues,
    charsets: tuple[str, ...],
) -> None:
    kind = element.VR
    private = element.tag.is_private
    if element.tag.is_private_creator:
        return
    protected = within or is_protected(int(element.tag))
    if kind not in ("PN", "DA", "DT", "UI") and not protected:
        return
    where = f"{element.tag} {element.name!r}"
    for text in _texts(element, private):
        if _is_measure(text, kind, private):
            continue
        if kind == "PN":
            _add_name(text, SourceValue(NAME, where), values, charsets)
        elif kind in ("DA", "DT"):
            _add_date(text, SourceValue(DATE, where), values)
        elif kind == "TM":
            values.add(text, SourceValue(TIME, where))
            values.add(text.partition(".")[0], SourceValue(TIME, where))
        elif kind == "UI":
            if not text.startswith(_STANDARD_UIDS):
                values.add(text, SourceValue(UID, where))
        elif private:
            _add_text(text, SourceValue(PRIVATE, where), values, charsets)
        elif kind in _IDENTIFIERS and _is_identifier(element):
            values.add(text, SourceValue(ID, where), charsets)
        else:
            _add_text(text, SourceValue(DESCRIPTION, where), values, charsets)


def _is_measure(text: str, kind: str, private: bool) -> bool:
    """Whether a text is a number with a fraction, or several numbers.

    An identifier may look like that, too, and have more points: 756.1234.5678.97.
    """
    if kind in ("UI", "DA", "DT", "TM") or (kind in _IDENTIFIERS and not private):
        return False
    several = "\\" in text or "." in text
    return several and all(_MEASURE.fullmatch(one) for one in text.split("\\"))


def _is_identifier(element: DataElement) -> bool:
    words = (
        "ID",
        "Number",
        "Address",
        "Telephone",
        "Location",
        "Institution",
        "Issuer",
    )
    return element.VR != "LO" or any(word in element.keyword for word in words)


def _texts(element: DataElement, private: bool) -> Iterator[str]:
    value = element.value
    if value is None or element.VR in _SKIPPED_VRS:
        return
    if isinstance(value, (bytes, bytearray)):
        if private and len(value) <= 1 << 16:
            for run in _PRINTABLE.findall(bytes(value)):
                yield run.decode("ascii")
        return
    several = isinstance(value, (list, pydicom.multival.MultiValue))
    for one in value if several else [value]:
        yield str(one)


def _add_name(
    text: str,
    value: SourceValue,
    values: IdentifyingValues,
    charsets: tuple[str, ...],
) -> None:
    """A name of a person, its groups, its components and usual ways to write both."""
    for group in text.split("="):
        values.add(group.rstrip("^"), value, charsets)
        parts = [part.strip() for part in group.split("^") if part.strip()]
        for part in parts:
            values.add(part, value, charsets)
            for word in part.split():
                values.add(word, value, charsets)
        for first, second in (parts[:2], parts[1::-1]) if len(parts) > 1 else ():
            for between in (" ", ", ", ",", "_", "-", "."):
                values.add(f"{first}{between}{second}", value, charsets)


def _add_date(text: str, value: SourceValue, values: IdentifyingValues) -> None:
    values.add(text, value)
    date = parse_date(text[:8]) or parse_date(text)
    if date is not None:
        for form in _DATE_FORMATS:
            values.add(date.strftime(form), value)


def _add_text(
    text: str, value: SourceValue, values: IdentifyingValues, charsets: tuple[str, ...]
) -> None:
    """A text, its lines, and the longer numbers in it."""
    values.add(text, value, charsets)
    for line in text.splitlines():
        values.add(line, value, charsets)
    if "^" in text:
        _add_name(text, value, values, charsets)
    for number in _NUMBER.findall(text):
        values.add(number, value)
        date = parse_date(number)
        if date is not None and 1900 <= date.year <= 2100:
            _add_date(number, value, values)


def _add_path(path: str, values: IdentifyingValues) -> None:
    """Names of a file and its folders, whole, without ending, and their words."""
    for name in path.split("/"):
        value = SourceValue(PATH, "a name of a file or folder")
        values.add(name, value)
        values.add(name.partition(".")[0], value)
        words = (*_WORD.findall(name), *_CAPITALISED.findall(name))
        for word in (*words, *_NUMBER.findall(name)):
            values.add(word, value)


def _add_table(path: pathlib.Path, values: IdentifyingValues) -> None:
    """Cells of a table's columns that name patients or images."""
    try:
        rows = csv.DictReader(io.StringIO(files.read_text(path)))
        for row in rows:
            for column, cell in row.items():
                if column in _TABLE_COLUMNS and isinstance(cell, str):
                    values.add(cell, SourceValue(ID, f"column {column!r} of a table"))
    except (ValueError, csv.Error):
        return


def counts(values: IdentifyingValues) -> dict[str, int]:
    """Number of spellings of each kind."""
    found = collections.Counter(one.kind for one in values.patterns.values())
    return dict(sorted(found.items()))
