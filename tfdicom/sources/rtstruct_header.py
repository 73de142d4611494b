"""The header of an RT Structure Set (PS3.3 C.8.8.5, C.8.8.6, C.8.8.8)."""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import pydicom

from tfdicom import contour_masks
from tfdicom.dicom_elements import element_name
from tfdicom.reasons import InputSkipped
from tfdicom.sources import annotation_objects, rtstruct_file
from tfdicom.sources.annotation_objects import (
    AnnotatedItem,
    AnnotationObject,
    LeftItem,
)
from tfdicom.sources.rtstruct_file import text, whole


def describe(dataset: pydicom.Dataset, name: str) -> AnnotationObject:
    """What a structure set says of itself and of its ROIs; no coordinate is read.

    Args:
      dataset: At least the elements of ``rtstruct_file.HEADER_KEYWORDS``.
      name: Path of the file relative to the input folder.

    Returns:
      Of a file that was cut short, with the problem that it is of no use.

    Raises:
      InputSkipped: No ROI is described.
    """
    problem = _problem_of_file(dataset)
    items, left = (_lost_items(dataset), ()) if problem else _items(dataset)
    if not items and not left and not problem:
        raise InputSkipped("rtstruct_without_rois")
    named = list(rtstruct_file.references(dataset))
    instances = [one for _, _, listed in named for one in listed]
    frames_of_reference = {reference for reference, _, _ in named}
    only = frames_of_reference.pop() if len(frames_of_reference) == 1 else ""
    return AnnotationObject(
        path=name,
        kind="rtstruct",
        patient_id=text(dataset, "PatientID"),
        instance=text(dataset, "SOPInstanceUID"),
        study=text(dataset, "StudyInstanceUID"),
        created=_created(dataset),
        rater=_rater(dataset),
        frame_of_reference=text(dataset, "FrameOfReferenceUID") or only,
        referenced_series=_unique(series for _, series, _ in named),
        referenced_instances=_unique(instances or _contour_images(dataset)),
        items=items,
        left=left,
        problem=problem,
    )


def _problem_of_file(dataset: pydicom.Dataset) -> LeftItem | None:
    """What tells that the file was cut short, within an element or behind one."""
    if getattr(dataset, "cut_off", False):
        return LeftItem(None, None, "object_truncated", "it ends within an element")
    last = ("ROIContourSequence", "RTROIObservationsSequence")  # PS3.3: type 1, both
    described = "StructureSetROISequence" in dataset
    if described and not any(keyword in dataset for keyword in last):
        detail = f"it ends before {element_name(last[0])}"
        return LeftItem(None, None, "object_truncated", detail)
    return None


def _lost_items(dataset: pydicom.Dataset) -> tuple[AnnotatedItem, ...]:
    """The ROIs of a file that was cut short; none if their list may be short, too."""
    if "ROIContourSequence" not in dataset and getattr(dataset, "cut_off", False):
        return ()
    counts, codes = _outlines(dataset)[1], _codes(dataset)
    described = {
        number: one
        for one in rtstruct_file.items(dataset, "StructureSetROISequence")
        if (number := whole(one, "ROINumber")) is not None
    }
    # The number of an ROI stands behind its contours: the last may have lost it.
    unknown = [number for number in described if number not in counts]
    if len(unknown) == 1:
        counts[unknown[0]] = counts[None]
    return tuple(
        AnnotatedItem(number, _names(one, number, codes), counts[number])
        for number, one in described.items()
    )


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


def _contour_images(dataset: pydicom.Dataset) -> Iterator[str]:
    for _, contours in rtstruct_file.contour_items(dataset):
        for contour in contours:
            for image in rtstruct_file.items(contour, "ContourImageSequence"):
                yield text(image, "ReferencedSOPInstanceUID")


def _items(
    dataset: pydicom.Dataset,
) -> tuple[tuple[AnnotatedItem, ...], tuple[LeftItem, ...]]:
    """The ROIs that have outlines, and what is wrong with the others."""
    types, counts = _outlines(dataset)
    codes = _codes(dataset)
    described = rtstruct_file.items(dataset, "StructureSetROISequence")
    numbers = [whole(one, "ROINumber") for one in described]
    used, left = [], []
    for number, one in zip(numbers, described, strict=True):
        name = text(one, "ROIName")
        problem = _problem(numbers.count(number), types.get(number))
        if number is None or problem:
            reason = problem if number is not None else "roi_without_number"
            known = (name,) if number is None else (name, f"#{number}")
            left.append(LeftItem(number, None, reason, f"ROI {name!r}", known))
        else:
            parts = counts[number]
            used.append(AnnotatedItem(number, _names(one, number, codes), parts))
    left += [
        LeftItem(number, None, "roi_not_described")
        for number in types
        if number is None or number not in numbers
    ]
    return tuple(used), tuple(dict.fromkeys(left))


def _outlines(
    dataset: pydicom.Dataset,
) -> tuple[dict[int | None, set[str]], collections.Counter[int | None]]:
    """Types of the contours of each ROI, and how many there are."""
    types: dict[int | None, set[str]] = collections.defaultdict(set)
    counts: collections.Counter[int | None] = collections.Counter()
    for number, contours in rtstruct_file.contour_items(dataset):
        types[number] |= _types(contours)
        counts[number] += len(contours)
    return types, counts


def _names(
    described: pydicom.Dataset, number: int, codes: Mapping[int, Sequence[str]]
) -> tuple[str, ...]:
    """All names that an ROI may be called by."""
    name = text(described, "ROIName")
    return _unique([name, f"#{number}", *codes.get(number, ())])


def _types(contours: Sequence[pydicom.Dataset]) -> set[str]:
    """The types of contours, as far as they matter: one that is closed is enough."""
    found = set()
    for contour in contours:
        role = rtstruct_file.geometric_type(contour)
        if role in contour_masks.CLOSED_TYPES:
            return {role}
        found.add(role)
    return found


def _problem(count: int, types: Collection[str] | None) -> str:
    """Why an ROI is of no use; empty if it is of use."""
    if count > 1:
        return "roi_number_twice"
    if not types:
        return "roi_without_contours"
    if not set(types).isdisjoint(contour_masks.CLOSED_TYPES):
        return ""
    return "roi_of_points" if set(types) == {"POINT"} else "roi_not_closed"


def _codes(dataset: pydicom.Dataset) -> dict[int, list[str]]:
    """Coded identifications of ROIs (3006,0086), as meaning and as SCHEME:VALUE."""
    found = collections.defaultdict(list)
    for one in rtstruct_file.items(dataset, "RTROIObservationsSequence"):
        number = whole(one, "ReferencedROINumber")
        for code in rtstruct_file.items(one, "RTROIIdentificationCodeSequence"):
            scheme = text(code, "CodingSchemeDesignator")
            value = text(code, "CodeValue")
            if number is not None:
                found[number].append(text(code, "CodeMeaning"))
                found[number].append(f"{scheme}:{value}" if scheme and value else "")
    return found


def _created(dataset: pydicom.Dataset) -> str:
    return annotation_objects.created(
        (text(dataset, f"{kind}Date"), text(dataset, f"{kind}Time"))
        for kind in ("StructureSet", "InstanceCreation")
    )


def _rater(dataset: pydicom.Dataset) -> str:
    """ROI Interpreter (3006,00A6) if it is the same everywhere, else the operator."""
    observations = rtstruct_file.items(dataset, "RTROIObservationsSequence")
    names = {text(one, "ROIInterpreter") for one in observations} - {""}
    if len(names) == 1:
        return names.pop()
    return text(dataset, "OperatorsName")
