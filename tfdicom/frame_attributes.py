"""Fields of the record that describe an image: what turns its pixels into values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pydicom

from tfdicom import known_terms, pet
from tfdicom.dicom_elements import is_absent, item, items, number, numbers, text
from tfdicom.frame_groups import FrameGroups, pixel_spacing

_PADDING = (
    ("PixelPaddingValue", "PixelPaddingRangeLimit"),
    ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
)


def shared_attributes(dataset: pydicom.Dataset) -> dict[str, Any]:
    """The fields that all frames of an object have alike."""
    modality = known_terms.known_modality(text(dataset, "Modality"))
    return {
        "photometric_interpretation": _photometric_interpretation(dataset),
        "padding": _padding(dataset),
        "modality": modality,
        "manufacturer": _device(dataset, "Manufacturer"),
        "model": _device(dataset, "ManufacturerModelName"),
        "field_strength": number(dataset, "MagneticFieldStrength"),
        "suv_factor": pet.suv_factor(dataset) if modality == "PT" else None,
    }


def own_attributes(frame: FrameGroups) -> dict[str, Any]:
    """The fields that may differ from frame to frame."""
    slope, intercept, units = _modality_values(frame)
    return {
        "rescale_slope": slope,
        "rescale_intercept": intercept,
        "units": units,
        "window": _window(frame),
        "pixel_spacing": pixel_spacing(frame),
        "trigger_time": trigger_time(frame),
    }


def findings(dataset: pydicom.Dataset) -> tuple[str, ...]:
    """Codes of what is odd about an object's values."""
    odd = ("modality_lut",) if items(dataset, "ModalityLUTSequence") else ()
    return (*odd, "text_left_out") if _has_unknown_text(dataset) else odd


def _device(dataset: pydicom.Dataset, keyword: str) -> str | None:
    return known_terms.known_device(text(dataset, keyword)) or None


def _has_unknown_text(dataset: pydicom.Dataset) -> bool:
    """Whether a text that records hold was left out, as it might name somebody."""
    checked: dict[str, Callable[[str], object]] = {
        "Modality": known_terms.known_modality,
        "Manufacturer": known_terms.known_device,
        "ManufacturerModelName": known_terms.known_device,
        "RescaleType": known_terms.known_units,
        "Units": known_terms.known_units,
    }
    found = ((text(dataset, keyword), known) for keyword, known in checked.items())
    return any(value and not known(value) for value, known in found)


def trigger_time(frame: FrameGroups) -> float | None:
    """Milliseconds after the R-peak: Trigger Time, or its name in enhanced objects."""
    group = frame.group("CardiacSynchronizationSequence")
    nominal = number(group, "NominalCardiacTriggerDelayTime")
    return number(frame.dataset, "TriggerTime") if nominal is None else nominal


def _modality_values(frame: FrameGroups) -> tuple[float, float, str | None]:
    """Slope, intercept and units of modality values.

    They are those of the rescale (PS3.3 C.11.1, C.7.6.16.2.9); where there is none, and
    no units are said to be those of the stored values, of the one linear real world
    value mapping (C.7.6.16.2.11); else 1 and 0.
    """
    holder = frame.holder("PixelValueTransformationSequence", "RescaleSlope")
    slope = number(holder, "RescaleSlope")
    intercept = number(holder, "RescaleIntercept")
    units = text(holder, "RescaleType") or text(frame.dataset, "Units") or None
    if slope is None and intercept is None and units is None:
        mapping = _real_world_mapping(frame)
        if mapping is not None:
            return mapping
    return (
        1.0 if slope is None else slope,
        0.0 if intercept is None else intercept,
        known_terms.known_units(units or "") or None,
    )


def _real_world_mapping(frame: FrameGroups) -> tuple[float, float, str | None] | None:
    keyword = "RealWorldValueMappingSequence"
    holders = (frame.own, frame.shared, frame.dataset)
    holder = next((one for one in holders if not is_absent(one, keyword)), None)
    mappings = items(holder, keyword) if holder is not None else []
    if len(mappings) != 1:
        return None  # which one is meant, none says
    slope = number(mappings[0], "RealWorldValueSlope")
    intercept = number(mappings[0], "RealWorldValueIntercept")
    if slope is None or intercept is None:
        return None
    code = item(mappings[0], "MeasurementUnitsCodeSequence")
    units = text(code, "CodeValue") if code is not None else ""
    return slope, intercept, known_terms.known_units(units) or None


def _photometric_interpretation(dataset: pydicom.Dataset) -> str:
    stored = text(dataset, "PhotometricInterpretation")
    # Decoding turns these into RGB.
    is_rgb = stored.startswith("YBR_") or stored == "PALETTE COLOR"
    return "RGB" if is_rgb else known_terms.known_photometric(stored)


def _padding(dataset: pydicom.Dataset) -> tuple[float, float] | None:
    for keyword, limit_keyword in _PADDING:
        value = number(dataset, keyword)
        if value is not None:
            limit = number(dataset, limit_keyword)
            ends = (value, value if limit is None else limit)
            if keyword == "PixelPaddingValue":
                ends = (_as_stored(dataset, ends[0]), _as_stored(dataset, ends[1]))
            return min(ends), max(ends)
    return None


def _as_stored(dataset: pydicom.Dataset, value: float) -> float:
    """A value that was written with the other signedness than the pixels.

    Pixel Representation (0028,0103) is that of padding, too (PS3.3 C.7.5.1.1.2).
    """
    range_size = 2.0 ** (number(dataset, "BitsAllocated") or 16)
    if number(dataset, "PixelRepresentation") == 1:
        return value - range_size if value >= range_size / 2 else value
    return value + range_size if value < 0 else value


def _window(frame: FrameGroups) -> tuple[float, float] | None:
    holder = frame.holder("FrameVOILUTSequence", "WindowCenter")
    centers = numbers(holder, "WindowCenter")
    widths = numbers(holder, "WindowWidth")
    return (centers[0], widths[0]) if centers and widths else None
