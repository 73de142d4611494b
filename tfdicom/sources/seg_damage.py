"""What a segmentation that cannot be used still says: of whom and of what it was."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import pathlib

import pydicom

from tfdicom import dicom_file
from tfdicom.dicom_elements import (
    HeaderDataset,
    items,
    number,
    quiet,
    readable_text,
)
from tfdicom.reasons import InputSkipped
from tfdicom.sources import seg_header
from tfdicom.sources.annotation_objects import (
    AnnotatedItem,
    AnnotationObject,
    LeftItem,
)

_BEHIND_SEGMENTS = (
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
_KEYWORDS = (
    "SpecificCharacterSet",
    "SOPInstanceUID",
    "PatientID",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
    "NumberOfFrames",
    "SegmentSequence",
    "ReferencedSeriesSequence",
    *_BEHIND_SEGMENTS,
)


def describe(path: pathlib.Path, name: str, skipped: InputSkipped) -> AnnotationObject:
    """A segmentation that cannot be used, with what is lost with it.

    Args:
      path: The file.
      name: Its path relative to the input folder.
      skipped: What is wrong with it; that the file was cut short comes first.

    Raises:
      InputSkipped: Not even its header can be read.
    """
    dataset = dicom_file.open_header(path, _KEYWORDS)
    reason, detail = skipped.code, skipped.detail
    if dataset.cut_off:
        reason, detail = "object_truncated", "it ends within an element"
    with quiet():
        names = ("PatientID", "SOPInstanceUID", "StudyInstanceUID")
        patient, instance, study = (readable_text(dataset, one) for one in names)
        return AnnotationObject(
            path=name,
            kind="seg",
            patient_id=patient,
            instance=instance,
            study=study,
            frame_of_reference=readable_text(dataset, "FrameOfReferenceUID"),
            referenced_series=_series(dataset),
            items=_segments(dataset),
            problem=LeftItem(None, None, reason, detail),
        )


def _series(dataset: pydicom.Dataset) -> tuple[str, ...]:
    with contextlib.suppress(InputSkipped):
        found = items(dataset, "ReferencedSeriesSequence")
        return tuple(
            filter(None, (readable_text(one, "SeriesInstanceUID") for one in found))
        )
    return ()


def _segments(dataset: HeaderDataset) -> tuple[AnnotatedItem, ...]:
    """The segments and their frames; none if the list of segments may be short."""
    if dataset.cut_off and not any(one in dataset for one in _BEHIND_SEGMENTS):
        return ()
    try:
        segments, _ = seg_header.segments_of(dataset, lowest=0)
    except InputSkipped:
        return ()
    counts: collections.Counter[int] = collections.Counter()
    with contextlib.suppress(InputSkipped):
        for frame in items(dataset, "PerFrameFunctionalGroupsSequence"):
            for one in items(frame, "SegmentIdentificationSequence"):
                counts[int(number(one, "ReferencedSegmentNumber") or 0)] += 1
    return tuple(dataclasses.replace(one, parts=counts[one.number]) for one in segments)
