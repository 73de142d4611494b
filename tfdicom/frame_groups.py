"""What a frame of a multi-frame object says of itself, and what all of them share.

Enhanced objects keep this in functional groups, per frame or shared (PS3.3 C.7.6.16);
others say it in the data set, or by a vector with a value for each frame.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pydicom

from tfdicom import dicom_elements
from tfdicom.dicom_elements import (
    EMPTY,
    is_absent,
    item,
    items,
    number,
    numbers,
    text,
)
from tfdicom.interning import interned
from tfdicom.spatial import ImagePlane


@dataclasses.dataclass(frozen=True)
class FrameGroups:
    """Where the elements of one frame stand.

    Attributes:
      dataset: The object.
      index: Place of the frame, from 0.
      count: Frames of the object.
      own: Its item of Per-Frame Functional Groups Sequence (5200,9230).
      shared: The item of Shared Functional Groups Sequence (5200,9229).
    """

    dataset: pydicom.Dataset
    index: int
    count: int
    own: pydicom.Dataset
    shared: pydicom.Dataset

    def group(self, keyword: str) -> pydicom.Dataset:
        """Item of a functional group: the frame's own, else the shared; or empty."""
        for groups in (self.own, self.shared):
            if groups is not EMPTY and (found := item(groups, keyword)) is not None:
                return found
        return EMPTY

    def holder(self, group: str, keyword: str) -> pydicom.Dataset:
        """Functional group with an element, else the object."""
        found = self.group(group)
        return self.dataset if is_absent(found, keyword) else found


def frame_groups(dataset: pydicom.Dataset, count: int) -> list[FrameGroups]:
    """The groups of each frame, in order.

    Raises:
      InputSkipped: There are groups for another number of frames.
    """
    own = items(dataset, "PerFrameFunctionalGroupsSequence")
    shared = item(dataset, "SharedFunctionalGroupsSequence") or EMPTY
    if own and len(own) != count:
        raise dicom_elements.invalid(
            "PerFrameFunctionalGroupsSequence",
            f"{count} items are wanted, one for each frame; got {len(own)}",
        )
    return [
        FrameGroups(dataset, index, count, own[index] if own else EMPTY, shared)
        for index in range(count)
    ]


def frame_plane(frame: FrameGroups) -> tuple[ImagePlane | None, tuple[str, ...]]:
    """Where a frame lies, and what is odd about it; None where it does not say."""
    values = _plane_values(frame)
    if values is None:
        return None, ()
    try:
        position, orientation, spacing = values
        plane = ImagePlane(position, interned(orientation), interned(spacing))
        return plane, ()
    except ValueError:
        return None, ("geometry_invalid",)


def pixel_spacing(frame: FrameGroups) -> tuple[float, float] | None:
    """Pixel Spacing (0028,0030), as absent where it makes no sense."""
    holder = frame.holder("PixelMeasuresSequence", "PixelSpacing")
    spacing = numbers(holder, "PixelSpacing", 2)
    return (spacing[0], spacing[1]) if spacing and min(spacing) > 0 else None


def _plane_values(frame: FrameGroups) -> tuple | None:
    position = numbers(frame.group("PlanePositionSequence"), "ImagePositionPatient", 3)
    orientation = numbers(
        frame.group("PlaneOrientationSequence"), "ImageOrientationPatient", 6
    )
    if orientation is None:
        orientation = numbers(_plain_place(frame), "ImageOrientationPatient", 6)
    if position is None and orientation is not None:
        position = _stacked_position(frame, orientation)
    spacing = numbers(
        frame.holder("PixelMeasuresSequence", "PixelSpacing"), "PixelSpacing", 2
    )
    if position is None or orientation is None or spacing is None:
        return None
    return position, orientation, spacing


def _plain_place(frame: FrameGroups) -> pydicom.Dataset:
    """Where an object without functional groups says its place.

    Nuclear medicine says it by detector (PS3.3 C.8.4.11).
    """
    detector = item(frame.dataset, "DetectorInformationSequence")
    if detector is not None and not is_absent(detector, "ImagePositionPatient"):
        return detector
    return frame.dataset


def _stacked_position(
    frame: FrameGroups, orientation: tuple[float, ...]
) -> tuple[float, ...] | None:
    """Position of a frame of an object that says where its first one lies."""
    first = numbers(_plain_place(frame), "ImagePositionPatient", 3)
    if first is None or frame.count == 1:
        return first
    distance = _distance_from_first(frame)
    if distance is None:
        return None
    normal = np.cross(orientation[:3], orientation[3:])
    return tuple((np.array(first) + distance * normal).tolist())


def _distance_from_first(frame: FrameGroups) -> float | None:
    """Along the normal, mm; None where the object does not say.

    Doses say it by Grid Frame Offset Vector, whose first value is then 0 (PS3.3
    C.8.8.3.2), reconstructions of nuclear medicine by slice number and a signed
    spacing (C.8.4.15).
    """
    offsets = numbers(frame.dataset, "GridFrameOffsetVector")
    if offsets and len(offsets) == frame.count and offsets[0] == 0:
        return offsets[frame.index]
    slices = numbers(frame.dataset, "SliceVector")
    spacing = number(frame.dataset, "SpacingBetweenSlices")
    if not slices or len(slices) != frame.count or not spacing:
        return None
    if "RECON TOMO" not in text(frame.dataset, "ImageType"):
        return None
    return (slices[frame.index] - 1) * spacing
