"""Where a frame lies: the Image Plane module, and order along its normal.

Coordinates of pixels are (column, row), zero-based, (0, 0) is the centre of the first
pixel; those of the patient are millimetres, LPS (PS3.3 C.7.6.2.1.1).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

_ORTHONORMAL_TOLERANCE = 1e-3
_SAME_ORIENTATION = 1e-3  # of a direction cosine; exports round them to 4 to 6 digits
_SAME_PLACE_MM = 0.01


@dataclasses.dataclass(frozen=True, slots=True)
class ImagePlane:
    """Position, orientation and spacing of a frame.

    Attributes:
      position: Image Position (Patient) (0020,0032): centre of the first pixel, mm.
      orientation: Image Orientation (Patient) (0020,0037): direction of a row, then
        of a column.
      pixel_spacing: Pixel Spacing (0028,0030): between rows, then between columns, mm.
    """

    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    pixel_spacing: tuple[float, float]

    def __post_init__(self) -> None:
        """Refuses directions that are not orthonormal, and numbers that are none."""
        if not all(map(math.isfinite, self.position)):
            raise ValueError(
                "(0020,0032) 'Image Position (Patient)' should be three finite "
                f"numbers; got {self.position}"
            )
        row, column = self.orientation[:3], self.orientation[3:]
        gram = (_dot(row, row) - 1, _dot(column, column) - 1, _dot(row, column))
        # Written so that a NaN fails.
        if not all(abs(one) <= _ORTHONORMAL_TOLERANCE for one in gram):
            raise ValueError(
                "(0020,0037) 'Image Orientation (Patient)' should be two orthogonal "
                f"unit vectors; got {self.orientation}"
            )
        if not all(0 < spacing < math.inf for spacing in self.pixel_spacing):
            raise ValueError(
                "(0028,0030) 'Pixel Spacing' should be two positive numbers; got "
                f"{self.pixel_spacing}"
            )

    @property
    def normal(self) -> np.ndarray:
        """Unit vector across the plane: row direction x column direction."""
        return np.cross(self.orientation[:3], self.orientation[3:])

    def to_patient(self, points: np.ndarray) -> np.ndarray:
        """Patient coordinates ``[n, 3]`` of pixel coordinates ``[n, 2]``."""
        row, column = np.reshape(self.orientation, (2, 3))
        between_rows, between_columns = self.pixel_spacing
        return (
            np.array(self.position)
            + points[:, :1] * between_columns * row
            + points[:, 1:] * between_rows * column
        )

    def to_pixels(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixel coordinates ``[n, 2]`` of patient coordinates ``[n, 3]``.

        The inverse of `to_patient` (PS3.3 C.7.6.2.1.1), also where the directions are
        not quite orthonormal.

        Returns:
          (column, row) of where each point lies when it is moved along the normal into
          the plane, float64 ``[n, 2]``; and how far it was from there, in mm,
          ``[n]``, positive on the normal's side.
        """
        offset = np.asarray(points, dtype=np.float64) - np.array(self.position)
        found = offset @ _from_patient(self.orientation, self.pixel_spacing)
        return found[:, :2], found[:, 2]

    def is_parallel_to(self, other: ImagePlane) -> bool:
        """Whether both have one orientation and pixel spacing."""
        if (self.orientation, self.pixel_spacing) == (
            other.orientation,
            other.pixel_spacing,
        ):
            return True  # as in most series
        turned = zip(self.orientation, other.orientation, strict=True)
        scaled = zip(self.pixel_spacing, other.pixel_spacing, strict=True)
        largest = _SAME_ORIENTATION * max(self.pixel_spacing)
        return all(abs(a - b) < _SAME_ORIENTATION for a, b in turned) and all(
            abs(a - b) < largest for a, b in scaled
        )


@functools.lru_cache(maxsize=256)  # planes of a series differ in their positions only
def _from_patient(
    orientation: tuple[float, ...], pixel_spacing: tuple[float, float]
) -> np.ndarray:
    """Matrix ``[3, 3]`` from mm to columns, rows, and mm along the normal."""
    # Without the sign of zeros, which makes no other key.
    row, column = np.reshape(orientation, (2, 3)) + 0.0
    between_rows, between_columns = pixel_spacing
    normal = np.cross(row, column)
    across = normal / np.linalg.norm(normal)
    steps = np.stack([row * between_columns, column * between_rows, across])
    found = np.linalg.inv(steps)
    found.flags.writeable = False
    return found


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def slice_indices(distances: Sequence[float]) -> list[int]:
    """The place of each plane among the distinct ones, from 0.

    Args:
      distances: Along the normal, mm, in any order; equal ones share an index.
    """
    order = np.argsort(distances, kind="stable")
    gaps = np.diff(np.asarray(distances, float)[order], prepend=distances[order[0]])
    indices = np.empty(len(order), int)
    indices[order] = np.cumsum(gaps > _SAME_PLACE_MM)
    return indices.tolist()


def slice_spacing(distances: Sequence[float]) -> float | None:
    """Median distance between neighbouring distinct planes, mm; None for one plane."""
    gaps = np.diff(np.sort(np.asarray(distances, float)))
    gaps = gaps[gaps > _SAME_PLACE_MM]
    return float(np.median(gaps)) if len(gaps) else None
