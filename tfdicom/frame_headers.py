"""What a plan needs to know of each frame of an image, without its pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pydicom
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from tfdicom import (
    dicom_elements,
    frame_attributes,
    frame_groups,
    native_pixels,
    patient_facts,
    pixel_text,
)
from tfdicom.dicom_elements import is_absent, number, quiet, text
from tfdicom.frame_groups import FrameGroups
from tfdicom.interning import interned
from tfdicom.native_pixels import NativePixels, PixelFormat
from tfdicom.patient_facts import PatientFacts
from tfdicom.reasons import InputSkipped
from tfdicom.spatial import ImagePlane

# A deflated byte is at most some thousand bytes.
_INFLATES_TO = 1032
# An encapsulated frame has at least a fragment, of 8 bytes and 2 of data.
_LEAST_FRAGMENT = 10
# Values of a color look-up table are three samples when they are looked up.
_PALETTE = "PALETTE COLOR"


@dataclasses.dataclass(frozen=True, slots=True)
class FrameHeader:
    """What a plan needs to know of a frame, without its pixels.

    Attributes:
      plane: Where it lies; None where the object does not say.
      temporal_order: Sorts frames of one place.
      samples: Per pixel, as they are read: 3 for every color.
      findings: Codes of what is odd.
      frame_number: In its instance, from 1.
      frame_count: Of its instance.
      attributes: Fields of the record that describe the image, by field name.
      transfer_syntax: Transfer Syntax UID of the file.
      has_pixels: False where an element with pixels was looked for in vain.
      native: Where the pixels lie; None where it takes a decoder.
      text_risk: Whether images of this kind often have text in their pixels.
      facts: What the header says of the patient and the day; None where that is of no
        use any more.
    """

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
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    transfer_syntax: str = ""
    has_pixels: bool = True
    native: NativePixels | None = None
    text_risk: bool = False
    facts: PatientFacts | None = None


def frame_headers(dataset: pydicom.Dataset) -> tuple[FrameHeader, ...]:
    """One header for each frame of an image.

    Args:
      dataset: As ``dicom_file.open_header`` gives it.

    Raises:
      InputSkipped: It is no image, or a value makes no sense.
    """
    with quiet():
        pixels = _pixel_format(dataset)
        if getattr(dataset, "cut_off", False):
            raise InputSkipped("object_truncated", "it ends before its pixels")
        count = _frame_count(dataset, pixels)
        shared = _shared_fields(dataset, pixels)
        findings = frame_attributes.findings(dataset)
        attributes = frame_attributes.shared_attributes(dataset)
        places = _native(dataset, pixels, count)
        return tuple(
            _header(frame, native, shared, findings, attributes)
            for frame, native in zip(
                frame_groups.frame_groups(dataset, count), places, strict=True
            )
        )


def _header(
    frame: FrameGroups,
    native: NativePixels | None,
    shared: Mapping[str, Any],
    findings: tuple[str, ...],
    attributes: Mapping[str, Any],
) -> FrameHeader:
    plane, odd = frame_groups.frame_plane(frame)
    return FrameHeader(
        **shared,
        plane=plane,
        temporal_order=_temporal_order(frame),
        findings=odd + findings,
        frame_number=frame.index + 1,
        frame_count=frame.count,
        attributes=interned({**attributes, **frame_attributes.own_attributes(frame)}),
        native=interned(native),
    )


def _shared_fields(dataset: pydicom.Dataset, pixels: PixelFormat) -> dict[str, Any]:
    if not text(dataset, "SOPInstanceUID"):
        raise InputSkipped("no_instance")
    samples = 3 if pixels.color == _PALETTE else pixels.samples
    return {
        "patient_id": interned(text(dataset, "PatientID")),
        "study": interned(text(dataset, "StudyInstanceUID")),
        "series": interned(text(dataset, "SeriesInstanceUID")),
        "instance": text(dataset, "SOPInstanceUID"),
        "modality": interned(text(dataset, "Modality")),
        "rows": pixels.rows,
        "columns": pixels.columns,
        "bytes_per_pixel": (samples * pixels.allocated + 7) // 8,
        "burned_in": pixel_text.says_burned_in(dataset),
        "text_risk": pixel_text.has_text_risk(dataset),
        "facts": patient_facts.read_facts(dataset),
        "samples": samples,
        "frame_of_reference": interned(text(dataset, "FrameOfReferenceUID")),
        "transfer_syntax": interned(getattr(dataset, "transfer_syntax", "")),
        "has_pixels": getattr(dataset, "has_pixels", True),
    }


def _pixel_format(dataset: pydicom.Dataset) -> PixelFormat:
    rows, columns = _natural(dataset, "Rows", 0), _natural(dataset, "Columns", 0)
    if not rows or not columns:
        raise _no_image(dataset)
    allocated = _natural(dataset, "BitsAllocated", 16)
    return PixelFormat(
        rows,
        columns,
        samples=_natural(dataset, "SamplesPerPixel", 1),
        color=text(dataset, "PhotometricInterpretation"),
        allocated=allocated,
        stored=_natural(dataset, "BitsStored", allocated),
        signed=_natural(dataset, "PixelRepresentation", 0) == 1,
        planar=_natural(dataset, "PlanarConfiguration", 0) == 1,
    )


def _natural(dataset: pydicom.Dataset, keyword: str, absent: int) -> int:
    value = number(dataset, keyword)
    if value is None:
        return absent
    if value < 0 or value != int(value):
        raise dicom_elements.invalid(keyword, f"a count is wanted, got {value:g}")
    return int(value)


def _no_image(dataset: pydicom.Dataset) -> InputSkipped:
    """Why there is nothing to read of an object without rows or columns."""
    kind = UID(getattr(dataset, "sop_class", "") or text(dataset, "SOPClassUID"))
    # A class that is unknown, or cut off itself, has no name.
    is_image = not kind or kind.name == kind or "Image Storage" in kind.name
    if not is_image:
        return InputSkipped("not_an_image", kind.name)
    if getattr(dataset, "cut_off", False):
        return InputSkipped("object_truncated", "it ends before its image is described")
    if all(is_absent(dataset, one) for one in ("BitsAllocated", "Rows")):
        return InputSkipped("not_dicom", "it ends before Rows (0028,0010)")
    return InputSkipped("no_pixel_data", "no Rows (0028,0010) or Columns")


def _frame_count(dataset: pydicom.Dataset, pixels: PixelFormat) -> int:
    """Number of Frames, which may not be more than the file has room for."""
    count = _natural(dataset, "NumberOfFrames", 1) or 1
    size = getattr(dataset, "file_size", None)
    if count == 1 or size is None:
        return count
    bits = max(1, pixels.frame_bits)
    if dataset.transfer_syntax == DeflatedExplicitVRLittleEndian:
        room = size * _INFLATES_TO * 8 // bits
    elif dataset.transfer_syntax in native_pixels.NATIVE_SYNTAXES:
        room = size * 16 // bits  # color may be stored at half of its resolution
    else:
        room = size // _LEAST_FRAGMENT
    if count > max(1, room):
        name = dicom_elements.element_name("NumberOfFrames")
        detail = f"{name} is {count}, and the file has room for {room}"
        raise InputSkipped("pixels_unreadable", detail)
    return count


def _native(
    dataset: pydicom.Dataset, pixels: PixelFormat, count: int
) -> list[NativePixels | None]:
    element = getattr(dataset, "pixel_element", None)
    syntax = getattr(dataset, "transfer_syntax", "")
    return native_pixels.locate(element, syntax, pixels, count)


def _temporal_order(frame: FrameGroups) -> tuple[float, float, float]:
    content = frame.group("FrameContentSequence")
    temporal = number(content, "TemporalPositionIndex")
    if temporal is None:
        temporal = number(frame.dataset, "TemporalPositionIdentifier")
    trigger = frame_attributes.trigger_time(frame)
    instance = number(frame.dataset, "InstanceNumber") or 0.0
    # Frames of one instance before those of the next.
    return temporal or 0.0, trigger or 0.0, instance + frame.index / frame.count
