"""Reads one DICOM file: its header, and its pixels as they are stored.

Values that are absent stay absent (None); values that are there and make no sense
are reported with their element, never replaced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pydicom
from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.errors import InvalidDicomError
from pydicom.pixels import pixel_array

from tfdicom import pet
from tfdicom.example_schema import PIXEL_DTYPES
from tfdicom.reasons import InputSkipped
from tfdicom.spatial import ImagePlane

_HEADER_KEYWORDS = (
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "BitsAllocated",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "TriggerTime",
    "TemporalPositionIdentifier",
    "InstanceNumber",
    "BurnedInAnnotation",
)


@dataclasses.dataclass(frozen=True)
class FrameHeader:
    """What a plan needs to know of an image, without its pixels."""

    patient_id: str
    study: str
    series: str
    instance: str
    modality: str
    rows: int
    columns: int
    bytes_per_pixel: int
    plane: ImagePlane | None
    temporal_order: tuple[float, float, float]
    burned_in: bool
    samples: int = 1
    findings: tuple[str, ...] = ()
    frame_number: int = 1
    frame_count: int = 1
    frame_of_reference: str = ""


@dataclasses.dataclass(frozen=True)
class Frame:
    """Pixels as stored, and what turns them into modality values.

    ``pixels`` is ``[rows, columns]`` or ``[rows, columns, samples]`` in a dtype of
    ``PIXEL_DTYPES``. ``attributes`` holds the fields of the record that describe the
    image, by field name.
    """

    pixels: np.ndarray
    attributes: dict[str, Any]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without pydicom's checks of values, which we make where it matters."""
    settings = pydicom.config.settings
    before = settings.reading_validation_mode
    settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        yield
    finally:
        settings.reading_validation_mode = before


def read_header(path: pathlib.Path) -> FrameHeader:
    """Reads the header of an image.

    Raises:
      InputSkipped: The file is not DICOM, holds no image, or lacks an identifier.
    """
    with _quiet():
        header = _read(path, stop_before_pixels=True, specific_tags=_HEADER_KEYWORDS)
        return _frame_header(header)


def _read(path: pathlib.Path, **arguments: Any) -> pydicom.Dataset:
    try:
        with path.open("rb") as file:
            return pydicom.dcmread(file, **arguments)
    except InvalidDicomError as error:
        raise InputSkipped("not_dicom", "no DICM prefix") from error
    except OSError as error:
        raise InputSkipped("file_unreadable", error.strerror or str(error)) from error
    except Exception as error:  # a damaged file can raise anything
        raise InputSkipped("not_dicom", f"{type(error).__name__}: {error}") from error


def _frame_header(header: pydicom.Dataset) -> FrameHeader:
    rows, columns = _number(header, "Rows"), _number(header, "Columns")
    if not rows or not columns:
        if _is_cut_off(header):
            raise InputSkipped("not_dicom", "it ends before Rows (0028,0010)")
        raise InputSkipped("no_pixel_data", "no Rows (0028,0010) or Columns")
    if not _text(header, "SOPInstanceUID"):
        raise InputSkipped("no_instance")
    plane, findings = _plane(header)
    bits = _number(header, "BitsAllocated") or 16
    samples = int(_number(header, "SamplesPerPixel") or 1)
    return FrameHeader(
        patient_id=_text(header, "PatientID"),
        study=_text(header, "StudyInstanceUID"),
        series=_text(header, "SeriesInstanceUID"),
        instance=_text(header, "SOPInstanceUID"),
        modality=_text(header, "Modality"),
        rows=int(rows),
        columns=int(columns),
        bytes_per_pixel=(samples * int(bits) + 7) // 8,
        samples=samples,
        plane=plane,
        temporal_order=_temporal_order(header),
        burned_in=_text(header, "BurnedInAnnotation").upper() == "YES",
        findings=findings,
        frame_of_reference=_text(header, "FrameOfReferenceUID"),
    )


def _is_cut_off(header: pydicom.Dataset) -> bool:
    """Whether an image's header ends before the elements that describe its pixels."""
    meta = getattr(header, "file_meta", pydicom.Dataset())
    kind = pydicom.uid.UID(_text(meta, "MediaStorageSOPClassUID"))
    # A class that is cut off itself has no name.
    is_image = kind.name == kind or "Image Storage" in kind.name
    return is_image and "BitsAllocated" not in header


def _spacing(dataset: pydicom.Dataset) -> tuple[float, ...] | None:
    """Pixel Spacing, as absent where it makes no sense."""
    spacing = _numbers(dataset, "PixelSpacing", 2)
    return spacing if spacing and min(spacing) > 0 else None


def _plane(header: pydicom.Dataset) -> tuple[ImagePlane | None, tuple[str, ...]]:
    position = _numbers(header, "ImagePositionPatient", 3)
    orientation = _numbers(header, "ImageOrientationPatient", 6)
    spacing = _numbers(header, "PixelSpacing", 2)
    if not position or not orientation or not spacing:
        return None, ()
    try:
        return ImagePlane(position, orientation, spacing), ()  # type: ignore[arg-type]
    except ValueError:
        return None, ("geometry_invalid",)


def _temporal_order(header: pydicom.Dataset) -> tuple[float, float, float]:
    keywords = ("TemporalPositionIdentifier", "TriggerTime", "InstanceNumber")
    values = [_number(header, keyword) for keyword in keywords]
    first, second, third = (0.0 if value is None else value for value in values)
    return first, second, third


def _value(header: pydicom.Dataset, keyword: str) -> Any:
    try:
        return header.get(keyword)
    except Exception as error:  # values are converted here, and may be damaged
        raise _invalid(keyword, error) from error


def _invalid(keyword: str, problem: object) -> InputSkipped:
    return InputSkipped("header_invalid", f"{element_name(keyword)}: {problem}")


def _text(header: pydicom.Dataset, keyword: str) -> str:
    value = _value(header, keyword)
    return "" if value is None else str(value).strip(" \0")


def _number(header: pydicom.Dataset, keyword: str) -> float | None:
    values = _numbers(header, keyword, None)
    return values[0] if values else None


def _numbers(
    header: pydicom.Dataset, keyword: str, count: int | None
) -> tuple[float, ...] | None:
    """The element's values as finite floats; None where it is absent or empty."""
    value = _value(header, keyword)
    if value is None or value == "":
        return None
    values = (
        value if isinstance(value, (list, pydicom.multival.MultiValue)) else [value]
    )
    try:
        numbers = tuple(float(item) for item in values)
    except (ValueError, TypeError, OverflowError) as error:
        raise _invalid(keyword, error) from error
    if not all(map(math.isfinite, numbers)):
        got = ", ".join(f"{number:g}" for number in numbers)
        raise _invalid(keyword, f"finite numbers are wanted, got {got}")
    if count is not None and len(numbers) != count:
        raise _invalid(keyword, f"{count} values are wanted, got {len(numbers)}")
    return numbers


def element_name(keyword: str) -> str:
    """An element as messages show it: ``(0028,1053) 'Rescale Slope'``."""
    tag = tag_for_keyword(keyword) or 0
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {dictionary_description(tag)!r}"


def read_frame(path: pathlib.Path) -> Frame:
    """Reads and decodes the one frame of a file.

    Raises:
      InputSkipped: There are no pixels, or they cannot be decoded or stored.
    """
    with _quiet():
        dataset = _read(path)
        if (_number(dataset, "NumberOfFrames") or 1) > 1:
            raise InputSkipped("pixels_unsupported", "several frames")
        return Frame(_decoded(dataset), _attributes(dataset))


def _decoded(dataset: pydicom.Dataset) -> np.ndarray:
    keywords = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
    if not any(dataset.get(keyword) for keyword in keywords):
        detail = "no Pixel Data (7FE0,0010); a file that was cut off looks like this"
        raise InputSkipped("no_pixel_data", detail)
    try:
        pixels = pixel_array(dataset)
    except Exception as error:  # decoders raise anything
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputSkipped("pixels_unreadable", message) from error
    if pixels.dtype.name not in PIXEL_DTYPES or pixels.ndim not in (2, 3):
        found = f"{pixels.dtype.name} of shape {pixels.shape}"
        raise InputSkipped("pixels_unsupported", found)
    return pixels


def _attributes(dataset: pydicom.Dataset) -> dict[str, Any]:
    slope = _number(dataset, "RescaleSlope")
    intercept = _number(dataset, "RescaleIntercept")
    return {
        "rescale_slope": 1.0 if slope is None else slope,
        "rescale_intercept": 0.0 if intercept is None else intercept,
        "units": _text(dataset, "RescaleType") or _text(dataset, "Units") or None,
        "photometric_interpretation": _photometric_interpretation(dataset),
        "padding": _padding(dataset),
        "modality": _text(dataset, "Modality"),
        "manufacturer": _text(dataset, "Manufacturer") or None,
        "model": _text(dataset, "ManufacturerModelName") or None,
        "field_strength": _number(dataset, "MagneticFieldStrength"),
        "suv_factor": pet.suv_factor(dataset),
        "window": _window(dataset),
        "pixel_spacing": _spacing(dataset),
        "trigger_time": _number(dataset, "TriggerTime"),
    }


def _photometric_interpretation(dataset: pydicom.Dataset) -> str:
    stored = _text(dataset, "PhotometricInterpretation")
    # pydicom's pixel_array converts these to RGB while decoding.
    return "RGB" if stored.startswith("YBR_") else stored


def _padding(dataset: pydicom.Dataset) -> tuple[float, float] | None:
    value = _number(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = _number(dataset, "PixelPaddingRangeLimit")
    ends = sorted((value, value if limit is None else limit))
    return ends[0], ends[1]


def _window(dataset: pydicom.Dataset) -> tuple[float, float] | None:
    centers = _numbers(dataset, "WindowCenter", None)
    widths = _numbers(dataset, "WindowWidth", None)
    return (centers[0], widths[0]) if centers and widths else None
