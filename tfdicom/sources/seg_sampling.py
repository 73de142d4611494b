"""Frames of a segmentation on another grid than the images', and images to look in."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tfdicom import spatial
from tfdicom.frame_headers import FrameHeader
from tfdicom.sources import plane_grids
from tfdicom.sources.plane_grids import PlaneStack
from tfdicom.sources.seg_frames import SegmentFrame, Source
from tfdicom.sources.seg_header import SegmentationHeader
from tfdicom.spatial import ImagePlane


@dataclasses.dataclass(frozen=True)
class Location:
    """Images on which a frame lies; with a reason, those on which it might lie.

    ``off_grid`` says that no image has its grid.
    """

    images: set[int] = dataclasses.field(default_factory=set)
    reason: str = ""
    detail: str = ""
    off_grid: bool = False


@dataclasses.dataclass(frozen=True)
class Images:
    """Images that a segmentation annotates.

    Attributes:
      frames: All that may be meant.
      places: Those that are annotated, as places in ``frames``.
      named: Whether they are those that it names; else those of its series or space.
    """

    frames: tuple[FrameHeader, ...]
    places: tuple[int, ...]
    named: bool

    def plane(self, at: int) -> ImagePlane | None:
        """Where an image lies."""
        return self.frames[at].plane

    def shape(self, at: int) -> tuple[int, int]:
        """Rows and columns of an image."""
        return self.frames[at].rows, self.frames[at].columns

    def named_by(self, sources: Iterable[Source]) -> set[int]:
        """Annotated images that are among the sources."""
        found = set()
        for source in sources:
            for at in self._by_instance.get(source.instance, ()):
                if source.frame_number in (None, self.frames[at].frame_number):
                    found.add(at)
        return found

    @functools.cached_property
    def _by_instance(self) -> dict[str, list[int]]:
        by_instance = collections.defaultdict(list)
        for at in self.places:
            by_instance[self.frames[at].instance].append(at)
        return by_instance

    @functools.cached_property
    def with_plane(self) -> dict[int, ImagePlane]:
        """Planes of the annotated images that have one."""
        planes = {at: self.plane(at) for at in self.places}
        return {at: plane for at, plane in planes.items() if plane is not None}

    @functools.cached_property
    def _corners(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Places, shapes, corners and tolerances of the images that have a plane."""
        planes = self.with_plane
        shapes = [self.shape(at) for at in planes]
        corners = [
            plane_grids.corners(plane, shape)
            for plane, shape in zip(planes.values(), shapes, strict=True)
        ]
        return (
            np.array(list(planes), int),
            np.reshape(shapes, (-1, 2)),
            np.reshape(corners, (-1, 4, 3)),
            np.array([plane_grids.tolerance(plane) for plane in planes.values()]),
        )

    def on_grid(self, plane: ImagePlane, shape: tuple[int, int]) -> set[int]:
        """Images whose pixels are those of a frame."""
        places, shapes, corners, allowed = self._corners
        away = np.linalg.norm(corners - plane_grids.corners(plane, shape), axis=2)
        same = (shapes == shape).all(axis=1) & (away.max(axis=1, initial=0) <= allowed)
        return set(places[same].tolist())

    @functools.cached_property
    def slice_spacing(self) -> float:
        """Largest slice spacing of their orientations, mm; 0 where none is known."""
        groups: dict[tuple[float, ...], list[float]] = collections.defaultdict(list)
        for plane in self.with_plane.values():
            key = tuple(np.round(plane.normal, 3))
            groups[key].append(float(np.array(key) @ plane.position))
        spacings = (spatial.slice_spacing(group) for group in groups.values())
        return max((one for one in spacings if one), default=0.0)


def stacks(
    header: SegmentationHeader, frames: Sequence[SegmentFrame]
) -> Iterator[tuple[PlaneStack, list[SegmentFrame]]]:
    """Sorts frames that have planes into stacks, each with its frames."""
    planes = [frame.plane for frame in frames if frame.plane is not None]
    known = [header.slice_thickness(frame) for frame in frames]
    shape = (header.rows, header.columns)
    thickness = min((one for one in known if one), default=0.0)
    for stack, places in plane_grids.stacks(planes, shape, thickness):
        yield stack, [frames[place] for place in places]


def locate(
    header: SegmentationHeader, frames: Sequence[SegmentFrame], images: Images
) -> Iterator[tuple[SegmentFrame, Location]]:
    """Says for frames on no image's grid which images take pixels from them.

    Args:
      header: The segmentation.
      frames: Frames of one segment that have planes.
      images: Where to look.
    """
    used: dict[int, set[int]] = collections.defaultdict(set)
    near: dict[int, set[int]] = collections.defaultdict(set)
    for stack, members in stacks(header, frames):
        reach = stack.thickness + images.slice_spacing
        wide = dataclasses.replace(stack, thickness=reach)
        for at, plane in images.with_plane.items():
            for place in wide.touched(plane, images.shape(at)):
                near[members[place].number].add(at)
            for place in stack.touched(plane, images.shape(at)):
                used[members[place].number].add(at)
    for frame in frames:
        here = used[frame.number]
        yield frame, _judged(frame, header, images, here, near[frame.number])


def _judged(
    frame: SegmentFrame,
    header: SegmentationHeader,
    images: Images,
    used: set[int],
    near: set[int],
) -> Location:
    named = images.named_by(frame.sources)
    if named and not named & near:
        return Location(named | used, "seg_frame_elsewhere")
    if not used:
        reason = "seg_between_images" if near else "seg_on_no_image"
        return Location(set(), reason)
    space = header.frame_of_reference
    same = {
        at for at in used if space and images.frames[at].frame_of_reference == space
    }
    if not same:
        return Location(used, "seg_other_frame_of_reference")
    chosen: set[int] = set()
    for at in same:
        plane = images.frames[at].plane
        twins = images.on_grid(plane, images.shape(at)) if plane else {at}
        if len(twins) > 1 and not twins & named:
            return Location(twins, "seg_frame_ambiguous")
        if len(twins) == 1 or at in named:
            chosen.add(at)
    return Location(chosen)
