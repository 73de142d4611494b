"""Grids of frames in space: which are the same, and how one is sampled on another.

Distances are millimetres; pixels are (column, row), (0, 0) the first pixel's centre.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfdicom.spatial import ImagePlane

SAME_PIXEL = 0.05  # of a pixel; exports round positions to six digits
_COPLANAR_MM = 0.01
# Centres that lie midway between two samples belong to the second, whatever the
# last digits of rounded positions say.
_TIE = 1e-3


def corners(plane: ImagePlane, shape: tuple[int, int]) -> np.ndarray:
    """Patient coordinates ``[4, 3]`` of the centres of a frame's corner pixels.

    Args:
      plane: Where the frame lies.
      shape: Its rows and columns.
    """
    rows, columns = shape
    last = np.array([[0, 0], [columns - 1, 0], [0, rows - 1], [columns - 1, rows - 1]])
    return plane.to_patient(last.astype(float))


def tolerance(plane: ImagePlane) -> float:
    """How far corners of equal grids may be apart, mm."""
    return SAME_PIXEL * min(plane.pixel_spacing)


def is_same(
    one: ImagePlane,
    other: ImagePlane,
    shape: tuple[int, int],
    *,
    pixels: float = SAME_PIXEL,
) -> bool:
    """Whether two frames of one size have their pixels in the same places.

    Args:
      one: Where a frame lies.
      other: Where the other lies.
      shape: Rows and columns of both.
      pixels: How far corners may be apart, in pixels.
    """
    away = np.linalg.norm(corners(one, shape) - corners(other, shape), axis=1)
    return bool(away.max() <= pixels * min(other.pixel_spacing))


@dataclasses.dataclass(frozen=True)
class PlaneStack:
    """Parallel frames of one size, no two of them in one place.

    Attributes:
      planes: Where they lie; orientation and spacing are those of the first.
      shape: Rows and columns.
      thickness: Distance that a slice fills along the normal, half of it to each side,
        mm; 0 fills nothing but the plane itself.
    """

    planes: tuple[ImagePlane, ...]
    shape: tuple[int, int]
    thickness: float

    def touched(self, plane: ImagePlane, shape: tuple[int, int]) -> list[int]:
        """Places of the frames that an image may take pixels from; none is missed.

        Args:
          plane: Where the image lies.
          shape: Its rows and columns.
        """
        points = corners(plane, shape)
        distances = points @ self._normal
        reach = self._reach
        own = self._distances
        near = (own >= distances.min() - reach) & (own <= distances.max() + reach)
        places = np.flatnonzero(near)
        positions = np.array([self.planes[place].position for place in places])
        pixels = self._pixels(points, positions.reshape(-1, 1, 3))
        low, high = pixels.min(axis=1), pixels.max(axis=1)
        size = np.array(self.shape[::-1])
        meets = ((high > -0.5 - _TIE) & (low < size - 0.5 + _TIE)).all(axis=1)
        return places[meets].tolist()

    def nearest(
        self, plane: ImagePlane, shape: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The sample that is nearest to each pixel of an image.

        Args:
          plane: Where the image lies.
          shape: Its rows and columns.

        Returns:
          Place of the frame, row and column, int64 ``[rows, columns]`` each; the place
          is -1 where the image leaves the stack.
        """
        rows, columns = np.indices(shape)
        points = plane.to_patient(np.stack([columns.ravel(), rows.ravel()], axis=1))
        distances = points @ self._normal
        order = np.argsort(self._distances, kind="stable")
        own = self._distances[order]
        middles = (own[1:] + own[:-1]) / 2
        at = np.searchsorted(middles - _TIE * self.thickness, distances)
        place = order[at]
        positions = np.array([one.position for one in self.planes])
        pixels = self._pixels(points, positions[place])
        found = np.floor(pixels + (0.5 + _TIE)).astype(np.int64)
        inside = np.abs(distances - own[at]) <= self._reach
        inside &= ((found >= 0) & (found < self.shape[::-1])).all(axis=1)
        place = np.where(inside, place, -1)
        found = np.where(inside[:, None], found, 0)
        row, column = found[:, 1], found[:, 0]
        return place.reshape(shape), row.reshape(shape), column.reshape(shape)

    @property
    def _reach(self) -> float:
        return max(self.thickness / 2, _COPLANAR_MM)

    @property
    def _normal(self) -> np.ndarray:
        return self.planes[0].normal

    @property
    def _distances(self) -> np.ndarray:
        return np.array([one.position for one in self.planes]) @ self._normal

    def _pixels(self, points: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """(column, row) of points in frames that begin at positions."""
        first = self.planes[0]
        row, column = np.reshape(first.orientation, (2, 3))
        between_rows, between_columns = first.pixel_spacing
        # Directions that an export rounded are not quite orthonormal.
        steps = np.stack([row * between_columns, column * between_rows, first.normal])
        return ((points - positions) @ np.linalg.inv(steps))[..., :2]


def stacks(
    planes: Sequence[ImagePlane], shape: tuple[int, int], thickness: float
) -> list[tuple[PlaneStack, tuple[int, ...]]]:
    """Sorts frames into stacks.

    Args:
      planes: Where the frames lie.
      shape: Rows and columns of each.
      thickness: Distance that each fills along its normal, mm.

    Returns:
      Each stack, with the places of its frames among those given.
    """
    groups: list[list[int]] = []
    for place, plane in enumerate(planes):
        for group in groups:
            if planes[group[0]].is_parallel_to(plane) and not _meets(
                plane, [planes[other] for other in group]
            ):
                group.append(place)
                break
        else:
            groups.append([place])
    return [
        (
            PlaneStack(tuple(planes[one] for one in group), shape, thickness),
            tuple(group),
        )
        for group in groups
    ]


def _meets(plane: ImagePlane, others: Sequence[ImagePlane]) -> bool:
    """Whether a frame lies in the plane of one of others that are parallel."""
    away = np.array([one.position for one in others]) - plane.position
    return bool((np.abs(away @ plane.normal) <= _COPLANAR_MM).any())


def smallest_gap(planes: Sequence[ImagePlane]) -> float | None:
    """Smallest distance between parallel frames that lie apart, mm; None for one."""
    distances = np.array([one.position for one in planes]) @ planes[0].normal
    gaps = np.diff(np.sort(distances))
    gaps = gaps[gaps > _COPLANAR_MM]
    return float(gaps.min()) if len(gaps) else None
