"""Every value of a source folder that may identify somebody.

Values come from the attributes that PS3.15 Table E.1-1 protects, from private ones,
from names of people, dates and UIDs wherever they stand (sequences and the File Meta
Information too), from the names of files and folders, and from tables.

Of a table (CSV), the columns that name patients, images or days are read. A crosswalk
that was left in the folder is none: candidates and patients in it are pseudonyms, which
stand in the data set by right; its source columns are read.

Left out are values under four characters (names in scripts without letters: under two),
coded values (CS, AS), numbers (DS, IS, FL, US, ...), bulk data (OB, OW) of attributes
that are not private, UIDs that the Standard itself registers, and words such as
``anonymous``.
"""

from __future__ import annotations

import csv
import io
import pathlib
import re
import warnings
from collections.abc import Iterator

import pydicom
from pydicom.dataelem import DataElement

from tfdicom import deidentify, dicom_file, files
from tfdicom.bytes_as_text import texts_in
from tfdicom.dicom_elements import quiet
from tfdicom.identifying_attributes import is_protected
from tfdicom.identifying_values import (
    DATE,
    DESCRIPTION,
    ID,
    NAME,
    PRIVATE,
    TIME,
    UID,
    IdentifyingValues,
    SourceValue,
)

_STANDARD_UIDS = ("1.2.840.10008.",)
_SKIPPED_VRS = frozenset(
    "CS AS DS IS FL FD SL SS SV UL US UV AT OF OD OL OV OW".split()
)
_IDENTIFIERS = frozenset({"SH", "AE", "LO"})
_MEASURE = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_LONGEST_BYTES = 1 << 16
# Columns of tables, without case and what is no letter.
_TABLE_COLUMNS = frozenset(
    """
    patient patientid patientname originalid name study studyinstanceuid series
    seriesinstanceuid instance sopinstanceuid birthdate patientbirthdate
    """.split()
)
_SOURCE_PATIENT, _SOURCE_PATH = deidentify.CROSSWALK_COLUMNS[2:]


def collect(folder: pathlib.Path) -> tuple[IdentifyingValues, int]:
    """Collects the values of every file of a folder.

    Returns:
      The values, and how many DICOM files they were read from.
    """
    values, count = IdentifyingValues(), 0
    for path in files.walk(folder):
        values.add_path(path)
        dataset = _read(folder / path)
        if dataset is not None:
            count += 1
            add_dataset(dataset, values)
        elif path.lower().endswith(".csv"):
            _add_table(folder / path, values)
    return values, count


def _read(path: pathlib.Path) -> pydicom.Dataset | None:
    """All elements but the pixels; None where it is no DICOM."""
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dicom_file.open_header(path)  # which tells other files apart
            with files.opened(path) as file:
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
    for text in _texts(element, charsets):
        if _is_measure(text, kind, private):
            continue
        if kind == "PN":
            values.add_name(text, SourceValue(NAME, where), charsets)
        elif kind in ("DA", "DT"):
            values.add_date(text, SourceValue(DATE, where))
        elif kind == "TM":
            values.add(text, SourceValue(TIME, where))
            values.add(text.partition(".")[0], SourceValue(TIME, where))
        elif kind == "UI":
            if not text.startswith(_STANDARD_UIDS):
                values.add(text, SourceValue(UID, where))
        elif private:
            values.add_text(text, SourceValue(PRIVATE, where), charsets)
        elif kind in _IDENTIFIERS and _is_identifier(element):
            values.add(text, SourceValue(ID, where), charsets)
        else:
            values.add_text(text, SourceValue(DESCRIPTION, where), charsets)


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


def _texts(element: DataElement, charsets: tuple[str, ...]) -> Iterator[str]:
    value = element.value
    if value is None or element.VR in _SKIPPED_VRS:
        return
    if isinstance(value, (bytes, bytearray)):
        if element.tag.is_private and len(value) <= _LONGEST_BYTES:
            yield from texts_in(bytes(value), charsets)
        return
    several = isinstance(value, (list, pydicom.multival.MultiValue))
    for one in value if several else [value]:
        yield str(one)


def _add_table(path: pathlib.Path, values: IdentifyingValues) -> None:
    """Cells of a table's columns that name patients, images or days."""
    try:
        header, *rows = csv.reader(io.StringIO(_table_text(path)))
    except (OSError, ValueError, csv.Error):
        return
    is_crosswalk = tuple(header) == deidentify.CROSSWALK_COLUMNS
    for cells in rows:
        for column, cell in zip(header, cells, strict=False):
            value = SourceValue(ID, f"column {column!r} of a table")
            if is_crosswalk:
                if column == _SOURCE_PATIENT:
                    values.add(cell, value)
                elif column == _SOURCE_PATH:
                    values.add_path(cell)
            elif re.sub("[^a-z]", "", column.lower()) in _TABLE_COLUMNS:
                values.add(cell, value)


def _table_text(path: pathlib.Path) -> str:
    """The text, whatever wrote it; cells are separated by commas."""
    data = files.read_bytes(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    first = text.partition("\n")[0]
    return text.replace(";", ",") if ";" in first and "," not in first else text
