"""A large input folder of small slices: real headers, and outlines on every slice.

The header is that of an image of the sample, with all its elements; 16 x 16 pixels are
drawn at random. Files are written from templates, one for each place in a series, in
which the identifiers are replaced by others of the same length: 100,000 slices take
some ten seconds.
"""

from __future__ import annotations

import dataclasses
import io
import pathlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pydicom
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

RTSTRUCT, CONTOURS = "rtstruct", "contours"
#: Name of what is outlined, in structure sets and as a class of contour files.
STRUCTURE = "inner"
_SIZE = 16
# Identifiers of the templates; those of series n have the number 1000000 + n.
_NUMBER = 1_000_000
_ROOT = "1.2.826.0.1.3680043.10.999."
_PATIENT = "P"
_CORNERS = ((4, 4), (11, 4), (11, 11), (4, 11))  # of the outline, (column, row)
_LINKS = "link.csv"


@dataclasses.dataclass(frozen=True)
class _Templates:
    """Bytes of each slice but for its pixels, and of what is drawn on the series."""

    slices: Sequence[bytes]
    structure_set: bytes


def write(
    folder: pathlib.Path,
    header: pathlib.Path,
    *,
    series: int,
    per_series: int,
    annotations: str,
) -> None:
    """Writes a folder; each series is of a patient of its own.

    Args:
      folder: Made if absent.
      header: A DICOM image whose header is taken.
      series: How many.
      per_series: Slices of a series.
      annotations: ``rtstruct`` (one for each series) or ``contours`` (a text file
        for each slice, in the layout ``sunnybrook``).
    """
    templates = _templates(header, per_series)
    links = ["patient_id,original_id"]
    for place in range(series):
        name = f"{_PATIENT}{_NUMBER + place}"
        images = folder / "dicoms" / name
        images.mkdir(parents=True)
        _write_slices(images, templates.slices, place)
        if annotations == RTSTRUCT:
            drawn = _of_series(templates.structure_set, place)
            (images / "structures.dcm").write_bytes(drawn)
        else:
            _write_contours(folder / "contourfiles" / name / "i-contours", per_series)
            links.append(f"{name},{name}")
    if annotations == CONTOURS:
        (folder / _LINKS).write_text("\n".join(links) + "\n")


def _write_slices(
    folder: pathlib.Path, templates: Sequence[bytes], series: int
) -> None:
    random = np.random.default_rng(series)
    drawn = random.integers(0, 900, (len(templates), _SIZE, _SIZE), np.int16)
    for number, (template, pixels) in enumerate(zip(templates, drawn, strict=True), 1):
        data = _of_series(template, series) + pixels.tobytes()
        (folder / f"{number}.dcm").write_bytes(data)


def _write_contours(folder: pathlib.Path, count: int) -> None:
    folder.mkdir(parents=True)
    # Numbers begin at 1 there, and pixels at 0 here.
    text = "".join(f"{x + 1:.2f} {y + 1:.2f}\n" for x, y in _CORNERS)
    for number in range(1, count + 1):
        (folder / f"IM-0001-{number:04d}-icontour-manual.txt").write_text(text)


def _of_series(template: bytes, series: int) -> bytes:
    number = str(_NUMBER + series)
    for before in (_ROOT, _PATIENT):
        old, new = f"{before}{_NUMBER}", f"{before}{number}"
        template = template.replace(old.encode(), new.encode())
    return template


def _templates(header: pathlib.Path, count: int) -> _Templates:
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")  # the sample has odd UIDs
        image = pydicom.dcmread(header)
        found = []
        for number in range(1, count + 1):
            _become_slice(image, number)
            # Its pixels come last.
            found.append(_bytes(image)[: -len(image.PixelData)])
        return _Templates(found, _bytes(_structure_set(image, count)))


def _bytes(dataset: pydicom.Dataset) -> bytes:
    with io.BytesIO() as buffer:
        dataset.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()


def _uid(*numbers: int) -> str:
    return ".".join(map(str, (f"{_ROOT}{_NUMBER}", *numbers)))


def _instance(number: int) -> str:
    return _uid(4, number)


def _position(image: pydicom.Dataset, number: int) -> np.ndarray:
    """Of the first pixel; slices follow one another along the normal."""
    row, column = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
    return 8.0 * (number - 1) * np.cross(row, column)


def _become_slice(image: pydicom.Dataset, number: int) -> None:
    image.file_meta.MediaStorageSOPInstanceUID = _instance(number)
    image.SOPInstanceUID = _instance(number)
    image.StudyInstanceUID, image.SeriesInstanceUID = _uid(1), _uid(2)
    image.FrameOfReferenceUID = _uid(3)
    image.PatientID = image.PatientName = f"{_PATIENT}{_NUMBER}"
    image.InstanceNumber = number
    image.ImagePositionPatient = _texts(_position(image, number))
    image.Rows = image.Columns = _SIZE
    image.PixelData = bytes(_SIZE * _SIZE * 2)


def _texts(values: np.ndarray) -> list[str]:
    return [f"{value:.4f}" for value in values.ravel()]


def _structure_set(image: pydicom.Dataset, count: int) -> pydicom.Dataset:
    """One ROI, outlined on every slice."""
    drawn = pydicom.Dataset()
    drawn.file_meta = pydicom.dataset.FileMetaDataset()
    drawn.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    drawn.SOPClassUID, drawn.SOPInstanceUID = RTStructureSetStorage, _uid(5)
    drawn.Modality, drawn.PatientID = "RTSTRUCT", image.PatientID
    drawn.StudyInstanceUID, drawn.SeriesInstanceUID = _uid(1), _uid(6)
    named = [_named(image, number) for number in range(1, count + 1)]
    series = _item(SeriesInstanceUID=_uid(2), ContourImageSequence=named)
    study = _item(ReferencedSOPInstanceUID=_uid(1), RTReferencedSeriesSequence=[series])
    drawn.ReferencedFrameOfReferenceSequence = [
        _item(FrameOfReferenceUID=_uid(3), RTReferencedStudySequence=[study])
    ]
    drawn.StructureSetROISequence = [
        _item(ROINumber=1, ROIName=STRUCTURE, ReferencedFrameOfReferenceUID=_uid(3))
    ]
    outlines = [_outline(image, number) for number in range(1, count + 1)]
    drawn.ROIContourSequence = [_item(ReferencedROINumber=1, ContourSequence=outlines)]
    return drawn


def _item(**elements: Any) -> pydicom.Dataset:
    found = pydicom.Dataset()
    for keyword, value in elements.items():
        setattr(found, keyword, value)
    return found


def _named(image: pydicom.Dataset, number: int) -> pydicom.Dataset:
    return _item(
        ReferencedSOPClassUID=image.SOPClassUID,
        ReferencedSOPInstanceUID=_instance(number),
    )


def _outline(image: pydicom.Dataset, number: int) -> pydicom.Dataset:
    row, column = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
    between_rows, between_columns = map(float, image.PixelSpacing)
    corners = np.array(_CORNERS, float) * (between_columns, between_rows)
    points = _position(image, number) + corners @ np.stack([row, column])
    return _item(
        ContourImageSequence=[_named(image, number)],
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=len(points),
        ContourData=_texts(points),
    )
