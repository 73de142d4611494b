"""Headers of source images, mended so that new objects can take elements over."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from tfdicom.dicom_elements import element_name

# Empty where the source has none (type 2), as highdicom wants them there.
_WANTED = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
)
_SEXES = ("", "M", "F", "O")


def mended(header: Dataset, *, multi_frame: bool) -> tuple[Dataset, list[str]]:
    """A copy of public elements, with dates and times that exist, or none.

    Args:
      header: Of an image.
      multi_frame: Whether it has functional groups that mean something.

    Returns:
      The copy, and which elements of patient and study were blanked.
    """
    changes: dict[str, None] = {}
    source = Dataset()
    source.file_meta = getattr(header, "file_meta", pydicom.dataset.FileMetaDataset())
    for element in _readable(header, changes):
        groups = element.tag.group == 0x5200
        # Some single frames hold functional groups, though there are none.
        if element.tag.is_private or (groups and not multi_frame):
            continue
        source.add(copy.copy(element))
        if not _makes_sense(element):
            source[element.tag].value = ""
            if element.keyword in _WANTED:
                changes[_now_empty(element.keyword)] = None
    for keyword in _WANTED:
        if keyword not in source:
            setattr(source, keyword, "")
    if "SliceThickness" not in source:
        source.SliceThickness = None
    if not source.get("SpecificCharacterSet"):
        source.pop("SpecificCharacterSet", None)
    return source, list(changes)


def _readable(
    header: Dataset, changes: dict[str, None]
) -> Iterator[pydicom.DataElement]:
    for tag in sorted(header.keys()):
        try:
            yield header[tag]
        except Exception:  # values are converted here, and may be damaged
            keyword = keyword_for_tag(tag)
            if keyword in _WANTED:
                changes[_now_empty(keyword)] = None


def _now_empty(keyword: str) -> str:
    return f"{element_name(keyword)} was invalid, now empty"


_PARSERS = {
    "DA": pydicom.valuerep.DA,
    "TM": pydicom.valuerep.TM,
    "DT": pydicom.valuerep.DT,
}


def _makes_sense(element: pydicom.DataElement) -> bool:
    if element.keyword == "PatientSex":
        return element.value in _SEXES or element.value is None
    parser = _PARSERS.get(element.VR)
    if parser is None or not element.value:
        return True
    several = element.value if element.VM > 1 else [element.value]
    try:
        for value in several:
            parser(str(value))
    except ValueError:
        return False
    return True
