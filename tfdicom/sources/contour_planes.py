"""Which frames contours lie on, by their distance along the frames' normal.

Frames of one series with one orientation and spacing are a *stack*. Slices need not be
evenly spaced: each has its own position, and reaches towards its nearer neighbour.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from tfdicom import spatial
from tfdicom.frame_headers import FrameHeader
from tfdicom.reasons import InputSkipped
from tfdicom.spatial import ImagePlane

#: Share of the gap to the nearer neighbour within which a contour is a slice's own.
NEAR = 0.4
#: What is off the plane by no more than this share of the gap, or of the contour's own
#: size (some three degrees), is parallel to it.
_FLAT_OF_GAP, _FLAT_OF_SIZE = 0.1, 0.05
#: A contour that is as near to a slice as this share of the gap may be meant for it.
_DOUBTFUL = 0.9


@dataclasses.dataclass(frozen=True)
class Stack:
    """Frames that lie above each other.

    Attributes:
      frames: Their places in the frames given.
      slices: For each frame, its slice, from 0 along the normal.
      distances: Of each slice along the normal, mm.
      gaps: From each slice to its nearer neighbour, mm; for a single slice the larger
        pixel spacing.
      normal: Unit vector.
    """

    frames: tuple[int, ...]
    slices: tuple[int, ...]
    distances: np.ndarray
    gaps: np.ndarray
    normal: np.ndarray

    def frames_at(self, points: np.ndarray) -> tuple[int, ...]:
        """The frames of the slice that points ``[n, 3]`` lie on.

        Raises:
          InputSkipped: They lie on none: between slices, off their ends, or askew.
        """
        along = points @ self.normal
        place = int(np.abs(self.distances - along.mean()).argmin())
        gap, off = self.gaps[place], np.abs(along - self.distances[place])
        size = float(np.linalg.norm(np.ptp(points, axis=0)))
        if np.ptp(along) > max(_FLAT_OF_GAP * gap, _FLAT_OF_SIZE * size):
            detail = f"its points lie over {np.ptp(along):.4g} mm along the normal"
            raise InputSkipped("contour_not_parallel", detail)
        if off.max() > NEAR * gap:
            detail = f"{off.max():.4g} mm from the nearest slice"
            raise InputSkipped("contour_off_plane", detail)
        return self.frames_of(place)

    def frames_of(self, place: int) -> tuple[int, ...]:
        """The frames of a slice."""
        pairs = zip(self.frames, self.slices, strict=True)
        return tuple(frame for frame, own in pairs if own == place)

    def frames_near(self, points: np.ndarray) -> tuple[int, ...]:
        """The frames that points ``[n, 3]`` may be meant for, generously."""
        along = points @ self.normal
        reach = _DOUBTFUL * self.gaps
        near = (self.distances > along.min() - reach) & (
            self.distances < along.max() + reach
        )
        pairs = zip(self.frames, self.slices, strict=True)
        return tuple(frame for frame, own in pairs if near[own])


def stacks_of(frames: Sequence[FrameHeader]) -> tuple[Stack, ...]:
    """Sorts frames into stacks; those without a plane are in none."""
    groups: list[tuple[str, ImagePlane, list[int]]] = []
    for number, frame in enumerate(frames):
        if frame.plane is None:
            continue
        for series, plane, members in groups:
            if series == frame.series and plane.is_parallel_to(frame.plane):
                members.append(number)
                break
        else:
            groups.append((frame.series, frame.plane, [number]))
    return tuple(_stack(frames, plane, members) for _, plane, members in groups)


def _stack(
    frames: Sequence[FrameHeader], plane: ImagePlane, members: Sequence[int]
) -> Stack:
    normal = plane.normal / np.linalg.norm(plane.normal)
    positions = [_plane(frames[number]).position for number in members]
    along = np.array(positions) @ normal
    slices = spatial.slice_indices(along.tolist())
    distances = np.zeros(max(slices) + 1)
    distances[slices] = along
    steps = np.diff(distances)
    if not len(steps):
        gaps = np.array([max(plane.pixel_spacing)])
    else:
        gaps = np.minimum(np.append(steps, steps[-1]), np.append(steps[:1], steps))
    return Stack(tuple(members), tuple(slices), distances, gaps, normal)


def _plane(frame: FrameHeader) -> ImagePlane:
    if frame.plane is None:
        raise ValueError("a frame without a plane lies nowhere")
    return frame.plane


def frames_on(
    points: np.ndarray, candidates: Collection[int], stacks: Sequence[Stack]
) -> tuple[int, ...]:
    """Those of some frames that points lie on.

    Args:
      points: float64 ``[n, 3]``, mm, LPS.
      candidates: Places in the frames given.
      stacks: All stacks.

    Raises:
      InputSkipped: On none of them.
    """
    found: list[int] = []
    problems: list[InputSkipped] = []
    for stack in stacks:
        if not set(stack.frames).isdisjoint(candidates):
            try:
                here = stack.frames_at(points)
            except InputSkipped as skipped:
                problems.append(skipped)
            else:
                found += [frame for frame in here if frame in candidates]
    if found:
        return tuple(found)
    if not problems:
        raise _nowhere(candidates, stacks)
    raise min(problems, key=lambda one: one.code != "contour_off_plane")


def _nowhere(candidates: Collection[int], stacks: Sequence[Stack]) -> InputSkipped:
    placed = {frame for stack in stacks for frame in stack.frames}
    if placed.isdisjoint(candidates):
        return InputSkipped("frame_without_geometry")
    return InputSkipped("contour_off_plane", "it lies on another slice of the series")


def gaps_between(places: Collection[int]) -> Iterator[int]:
    """Slices without a contour that have contours on both sides."""
    if places:
        yield from sorted(set(range(min(places), max(places))) - set(places))
