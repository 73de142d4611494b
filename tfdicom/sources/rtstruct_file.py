"""Reads RT Structure Sets: what their header says, and their contours.

PS3.3 A.19 and C.8.8.5, C.8.8.6. ROIs are linked by ROI Number (3006,0022) and
Referenced ROI Number (3006,0084), never by their order. Whatever is malformed is left
out by itself, with its reason.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError

from tfdicom import dicom_elements, dicom_file, files
from tfdicom.dicom_elements import element_name
from tfdicom.reasons import InputSkipped

HEADER_KEYWORDS = (
    "SpecificCharacterSet",
    "SOPInstanceUID",
    "InstanceCreationDate",
    "InstanceCreationTime",
    "OperatorsName",
    "PatientID",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
    "StructureSetDate",
    "StructureSetTime",
    "ReferencedFrameOfReferenceSequence",
    "StructureSetROISequence",
    "ROIContourSequence",
    "RTROIObservationsSequence",
)
_CONTOUR_KEYWORDS = ("ReferencedFrameOfReferenceSequence", "ROIContourSequence")
# A coordinate is a decimal string, in any value representation that holds text.
_TEXT_KINDS = (None, "DS", "IS", "LO", "SH", "LT", "ST", "UT", "UC", "UN", "OB")
_KEPT_FILES = 4


@dataclasses.dataclass(frozen=True)
class PatientContour:
    """One item of Contour Sequence (3006,0040).

    Attributes:
      part: Its number within the ROI, from 1.
      role: Contour Geometric Type (3006,0042).
      points: float64 ``[n, 3]``, mm, LPS; None where they cannot be read.
      problem: What is wrong with the points, for the terminal.
      images: SOP Instance UIDs that it names, each with a frame number, None for any.
    """

    part: int
    role: str
    points: np.ndarray | None
    problem: str
    images: tuple[tuple[str, int | None], ...]


@dataclasses.dataclass(frozen=True)
class StructureContours:
    """The contours of a structure set.

    Attributes:
      contours: By ROI Number.
      frames_of_reference: Frame of Reference UID by ROI Number, where it is said.
      series: Series Instance UIDs that are named, by Frame of Reference UID.
    """

    contours: Mapping[int, tuple[PatientContour, ...]]
    frames_of_reference: Mapping[int, str]
    series: Mapping[str, tuple[str, ...]]


def open_dataset(path: pathlib.Path, keywords: Sequence[str]) -> pydicom.Dataset:
    """Reads elements; what they hold is converted when it is asked for.

    Raises:
      InputSkipped: The file cannot be read, or is not DICOM.
    """
    try:
        return dicom_file.open_elements(path, keywords)
    except OSError as error:
        raise InputSkipped("file_unreadable", error.strerror or str(error)) from error
    except InvalidDicomError as error:
        raise InputSkipped("not_dicom", "no DICM prefix") from error
    except Exception as error:  # a damaged file can raise anything
        raise InputSkipped("not_dicom", f"{type(error).__name__}: {error}") from error


def items(dataset: pydicom.Dataset, keyword: str) -> list[pydicom.Dataset]:
    """The items of a sequence; none where it is absent, or is something else."""
    try:
        return dicom_elements.items(dataset, keyword)
    except InputSkipped:
        return []


def text(dataset: pydicom.Dataset, keyword: str) -> str:
    """The element's value; empty where it is absent or cannot be read."""
    try:
        return dicom_elements.text(dataset, keyword)
    except InputSkipped:
        return ""


def whole(dataset: pydicom.Dataset, keyword: str) -> int | None:
    """The element's value; None where it is absent or no whole number."""
    try:
        value = float(text(dataset, keyword).replace("_", "?"))
        return int(value) if value == int(value) else None
    except (ValueError, OverflowError):
        return None


def references(dataset: pydicom.Dataset) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """What a structure set was drawn on (PS3.3 C.8.8.5).

    Yields:
      Frame of Reference UID, Series Instance UID and the SOP Instance UIDs that are
      listed for it, for each series; either UID may be empty.
    """
    for frame in items(dataset, "ReferencedFrameOfReferenceSequence"):
        reference = text(frame, "FrameOfReferenceUID")
        for study in items(frame, "RTReferencedStudySequence"):
            for series in items(study, "RTReferencedSeriesSequence"):
                images = items(series, "ContourImageSequence")
                instances = (text(one, "ReferencedSOPInstanceUID") for one in images)
                name = text(series, "SeriesInstanceUID")
                yield reference, name, tuple(filter(None, instances))


def contour_items(
    dataset: pydicom.Dataset,
) -> Iterator[tuple[int | None, list[pydicom.Dataset]]]:
    """Referenced ROI Number (None if it cannot be read) and contours, item by item."""
    for one in items(dataset, "ROIContourSequence"):
        yield whole(one, "ReferencedROINumber"), items(one, "ContourSequence")


def geometric_type(contour: pydicom.Dataset) -> str:
    """Contour Geometric Type (3006,0042)."""
    return text(contour, "ContourGeometricType").upper()


def read_contours(path: pathlib.Path) -> StructureContours:
    """Reads all contours of a file; those of the last few files are remembered.

    Raises:
      InputSkipped: The file cannot be read.
    """
    try:
        stamp = files.stamp(path)
    except OSError as error:
        raise InputSkipped("file_unreadable", error.strerror or str(error)) from error
    return _read_contours(path, stamp)


@functools.lru_cache(maxsize=_KEPT_FILES)
def _read_contours(path: pathlib.Path, stamp: files.Stamp) -> StructureContours:
    keywords = ("SpecificCharacterSet", "StructureSetROISequence", *_CONTOUR_KEYWORDS)
    dataset = open_dataset(path, keywords)
    if getattr(dataset, "cut_off", False):
        raise InputSkipped("object_truncated", "it ends within an element")
    with dicom_elements.quiet():
        contours: dict[int, list[PatientContour]] = {}
        for number, found in contour_items(dataset):
            if number is not None:
                mine = contours.setdefault(number, [])
                mine += [_contour(one, len(mine) + n) for n, one in enumerate(found, 1)]
        series: dict[str, list[str]] = {}
        for reference, name, _ in references(dataset):
            series.setdefault(reference, []).append(name)
        return StructureContours(
            {number: tuple(found) for number, found in contours.items()},
            dict(_frames_of_reference(dataset)),
            {reference: tuple(names) for reference, names in series.items()},
        )


def _frames_of_reference(dataset: pydicom.Dataset) -> Iterator[tuple[int, str]]:
    for one in items(dataset, "StructureSetROISequence"):
        number = whole(one, "ROINumber")
        reference = text(one, "ReferencedFrameOfReferenceUID")
        if number is not None and reference:
            yield number, reference


def _contour(contour: pydicom.Dataset, part: int) -> PatientContour:
    points, problem = _points(contour)
    images = tuple(
        (instance, frame)
        for one in items(contour, "ContourImageSequence")
        if (instance := text(one, "ReferencedSOPInstanceUID"))
        for frame in _frame_numbers(one)
    )
    return PatientContour(part, geometric_type(contour), points, problem, images)


def _frame_numbers(image: pydicom.Dataset) -> list[int | None]:
    try:
        found = dicom_elements.numbers(image, "ReferencedFrameNumber")
    except InputSkipped:
        found = None
    return [int(number) for number in found] if found else [None]


def _points(contour: pydicom.Dataset) -> tuple[np.ndarray | None, str]:
    """Contour Data (3006,0050) as ``[n, 3]``, or what is wrong with it."""
    name = element_name("ContourData")
    try:
        values = np.array(_coordinates(contour), dtype=np.float64)
    except Exception as error:  # a damaged element can raise anything
        return None, f"{name}: {error}"
    if not values.size:
        return None, f"{name}: no points"
    if values.size % 3:
        return None, f"{name}: {values.size} values are not triplets"
    if not np.isfinite(values).all():
        return None, f"{name}: a value is not finite"
    points = values.reshape(-1, 3)
    count = whole(contour, "NumberOfContourPoints")
    if count is not None and count != len(points):
        said = f"{element_name('NumberOfContourPoints')} is {count}"
        return None, f"{name}: {len(points)} points, but {said}"
    return points, ""


def _coordinates(contour: pydicom.Dataset) -> list[float]:
    """The numbers as written; pydicom's DS would take twenty times as long."""
    tag = pydicom.tag.Tag("ContourData")
    element = contour.get_item(tag) if tag in contour else None
    if element is None:
        return []
    if not isinstance(element, RawDataElement) or element.VR not in _TEXT_KINDS:
        return np.atleast_1d(np.array(contour[tag].value or [], float)).tolist()
    written = (element.value or b"").strip(b" \0")
    if b"_" in written:  # float() takes 1_0 for 10
        raise ValueError(f"{written[:40]!r} is no number")
    return [float(value) for value in written.split(b"\\")] if written else []
