"""The frames of a segmentation: whose they are, and where they lie.

PS3.3 C.7.6.16 (functional groups) and C.8.20.3. A frame that cannot be placed is kept
with what is wrong about it; an object that lacks what each frame must have is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from tfdicom.dicom_elements import element_name, items, numbers, text
from tfdicom.reasons import InputSkipped
from tfdicom.spatial import ImagePlane


@dataclasses.dataclass(frozen=True)
class Source:
    """An image that is named: its SOP Instance UID and frame; None is all frames."""

    instance: str
    frame_number: int | None = None


@dataclasses.dataclass(frozen=True)
class SegmentFrame:
    """One frame.

    Attributes:
      number: From 1.
      segment: Referenced Segment Number; None in a label map, where pixels say it.
      plane: Where it lies; None where it does not say.
      sources: Images that it was made from.
      aligned: False where Spatial Locations Preserved (0028,135A) says that its pixels
        do not lie on those of its sources.
      thickness: The smaller of its slice thickness and slice spacing, mm; None where
        it says neither.
      problem: What is wrong with its geometry; empty if nothing is.
    """

    number: int
    segment: int | None
    plane: ImagePlane | None
    sources: tuple[Source, ...]
    aligned: bool
    thickness: float | None
    problem: str = ""


def malformed(keyword: str, problem: str) -> InputSkipped:
    """The refusal of an object for one of its elements."""
    return InputSkipped("seg_malformed", f"{element_name(keyword)}: {problem}")


def whole_number(dataset: Dataset, keyword: str, lowest: int) -> int:
    """An element that has to be there.

    Raises:
      InputSkipped: It is absent, no whole number, or too low.
    """
    found = numbers(dataset, keyword) or ()
    if len(found) == 1 and found[0] == int(found[0]) and found[0] >= lowest:
        return int(found[0])
    got = ", ".join(f"{number:g}" for number in found) or "nothing"
    problem = f"a whole number from {lowest} on is wanted, got {got}"
    raise malformed(keyword, problem)


def read_frames(dataset: Dataset, *, name_segments: bool) -> tuple[SegmentFrame, ...]:
    """What the functional groups say of each frame.

    Args:
      dataset: A segmentation.
      name_segments: Whether each frame is of one segment, which it has to name.

    Raises:
      InputSkipped: Groups are missing, or a frame names no segment.
    """
    groups = items(dataset, "PerFrameFunctionalGroupsSequence")
    if not groups:
        raise malformed("PerFrameFunctionalGroupsSequence", "no frame is described")
    count = whole_number(dataset, "NumberOfFrames", 1)
    if len(groups) != count:
        detail = f"{count} frames, {len(groups)} descriptions"
        raise InputSkipped("seg_frames_differ", detail)
    shared = items(dataset, "SharedFunctionalGroupsSequence") or [Dataset()]
    return tuple(
        _frame(number, _Groups(own, shared[0]), name_segments)
        for number, own in enumerate(groups, 1)
    )


@dataclasses.dataclass(frozen=True)
class _Groups:
    """Functional groups of a frame: its own, else what all frames share."""

    own: Dataset
    shared: Dataset

    def items(self, keyword: str) -> Sequence[Dataset]:
        return items(self.own, keyword) or items(self.shared, keyword)


def _frame(number: int, groups: _Groups, name_segments: bool) -> SegmentFrame:
    plane, problem = _plane(groups)
    named = [
        source
        for derivation in groups.items("DerivationImageSequence")
        for source in items(derivation, "SourceImageSequence")
    ]
    preserved = {text(one, "SpatialLocationsPreserved").upper() for one in named}
    return SegmentFrame(
        number=number,
        segment=_segment(number, groups) if name_segments else None,
        plane=plane,
        sources=tuple(source for one in named for source in sources_of(one)),
        aligned=preserved.isdisjoint({"NO", "REORIENTED_ONLY"}),
        thickness=_thickness(groups),
        problem=problem,
    )


def _segment(number: int, groups: _Groups) -> int:
    for identification in groups.items("SegmentIdentificationSequence"):
        if numbers(identification, "ReferencedSegmentNumber"):
            return whole_number(identification, "ReferencedSegmentNumber", 0)
    detail = f"frame {number} has no {element_name('ReferencedSegmentNumber')}"
    raise InputSkipped("seg_frame_without_segment", detail)


_PLANE_ELEMENTS = (
    ("PlanePositionSequence", "ImagePositionPatient", 3),
    ("PlaneOrientationSequence", "ImageOrientationPatient", 6),
    ("PixelMeasuresSequence", "PixelSpacing", 2),
)


def _plane(groups: _Groups) -> tuple[ImagePlane | None, str]:
    """Where a frame lies, or what is wrong with it; neither where it says nothing.

    A pixel spacing alone says nothing of the place.
    """
    try:
        found = [
            numbers(group[0], keyword, count) if group else None
            for group, keyword, count in (
                (groups.items(sequence), keyword, count)
                for sequence, keyword, count in _PLANE_ELEMENTS
            )
        ]
        if not any(found[:2]):  # neither position nor orientation
            return None, ""
        for value, (_, keyword, _) in zip(found, _PLANE_ELEMENTS, strict=True):
            if value is None:
                return None, f"{element_name(keyword)} is missing"
        return ImagePlane(*found), ""  # type: ignore[arg-type]
    except InputSkipped as skipped:
        return None, skipped.detail
    except ValueError as error:
        return None, str(error)


def _thickness(groups: _Groups) -> float | None:
    found: list[float] = []
    for measures in groups.items("PixelMeasuresSequence"):
        for keyword in ("SpacingBetweenSlices", "SliceThickness"):
            found += numbers(measures, keyword) or ()
    return min((abs(value) for value in found if value), default=None)


def sources_of(reference: Dataset) -> Iterator[Source]:
    """The image, or the frames of one, that an item of a sequence names."""
    instance = text(reference, "ReferencedSOPInstanceUID")
    frame_numbers = numbers(reference, "ReferencedFrameNumber") or (None,)
    for number in frame_numbers if instance else ():
        yield Source(instance, None if number is None else int(number))
