"""Dice, Hausdorff distance and volume of masks on stacked slices; no TensorFlow.

Masks are bool ``[slices, rows, columns]``. Slices lie where they say: their distances
need not be equal, and slices may be missing between them.
"""

from __future__ import annotations

import dataclasses
import math
from types import ModuleType

import numpy as np


@dataclasses.dataclass(frozen=True)
class SliceGrid:
    """Where the pixels of a stack are.

    Attributes:
      spacing: Distance between rows and between columns, mm; NaN if unknown.
      positions: float64 ``[slices]``: place of each slice along the normal, mm, in
        rising or falling order; NaN if unknown.
      thickness: float64 ``[slices]``: how much of the normal each slice stands for,
        mm; NaN if unknown.
    """

    spacing: tuple[float, float]
    positions: np.ndarray
    thickness: np.ndarray


# Steps longer than this multiple of the usual one have slices missing in between; there
# is a usual one if the median of deviations from it is at most this part of it.
_LONG_STEP, _REGULAR = 1.5, 0.1


def missing_between(indices: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """How many slices are missing between each slice and the next.

    Those that indices leave out; and where a step is more than 1.5 times the usual one
    (the median over slices whose indices follow one another), at least as many as fit
    in: a slice whose file is absent has no index. Where steps differ from the usual
    one by more than a tenth of it (median of the deviations), or a place is unknown,
    only indices count.

    Args:
      indices: int ``[slices]``, rising: places among the slices of the series.
      positions: float64 ``[slices]``: places along the normal, mm; NaN if unknown.

    Returns:
      int64 ``[slices - 1]``; of no slice, none.
    """
    indices = np.asarray(indices, np.int64)
    found = np.maximum(np.diff(indices) - 1, 0)
    steps = np.abs(np.diff(np.asarray(positions, np.float64)))
    usual = _usual_step(steps[np.diff(indices) == 1])
    if math.isnan(usual):
        return found
    is_long = steps > _LONG_STEP * usual
    fitting = np.rint(np.where(is_long, steps / usual, 1.0)).astype(np.int64) - 1
    return np.maximum(found, fitting)


def _usual_step(steps: np.ndarray) -> float:
    """The median step, mm; NaN where there is no usual one."""
    usual = float(np.median(steps)) if len(steps) else math.nan
    if not usual > 0:
        return math.nan
    deviation = float(np.median(np.abs(steps - usual)))
    return usual if deviation <= _REGULAR * usual else math.nan


def load_scipy() -> ModuleType:
    """``scipy.spatial``, which is not needed to train.

    Raises:
      ModuleNotFoundError: It is not installed; says how to.
    """
    try:
        from scipy import spatial
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "evaluation needs scipy: pip install 'tfdicom[evaluate]'", name="scipy"
        ) from error
    return spatial


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Twice what both have, by what each has (Dice 1945); NaN if both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2.0 * int((one & other).sum()) / total if total else math.nan


def volume_ml(mask: np.ndarray, grid: SliceGrid) -> float:
    """Sum of the slices' areas times their thickness, ml; NaN if a distance is unknown.

    Args:
      mask: bool ``[slices, rows, columns]``.
      grid: Where its pixels are.
    """
    pixels = mask.sum(axis=(1, 2), dtype=np.float64)
    area = grid.spacing[0] * grid.spacing[1]
    return float((pixels * grid.thickness).sum()) * area / 1000.0


def hausdorff(
    one: np.ndarray, other: np.ndarray, grid: SliceGrid, *, percentile: float = 95.0
) -> float:
    """Percentile of the distances between two surfaces, mm: the larger of both ways.

    From each surface pixel of one mask to the nearest of the other; the percentile of
    these distances, and of those the other way round; then the larger one (Maier-Hein
    et al., "Metrics reloaded", Nature Methods 2024; MONAI has the same). Distances are
    between centres of pixels. A surface pixel has one of six neighbours outside of the
    mask (of four in a stack of one slice); beyond the stack is outside. With
    ``percentile=100`` it is the Hausdorff distance.

    Args:
      one: bool ``[slices, rows, columns]``.
      other: The same.
      grid: Where their pixels are.
      percentile: In [0, 100], interpolated linearly between ranks.

    Returns:
      mm; NaN if one of them is empty, or a distance is unknown.
    """
    if not (one.any() and other.any()):
        return math.nan
    points = [_surface_points(mask, grid) for mask in (one, other)]
    if not all(np.isfinite(some).all() for some in points):
        return math.nan
    trees = [load_scipy().cKDTree(some) for some in points]
    ways = (
        trees[1].query(points[0])[0],
        trees[0].query(points[1])[0],
    )
    return float(max(np.percentile(distances, percentile) for distances in ways))


def _surface_points(mask: np.ndarray, grid: SliceGrid) -> np.ndarray:
    """Surface pixels' places along the normal, columns and rows, mm: ``[n, 3]``."""
    box = tuple(slice(*_ends(mask, axis)) for axis in (0, 1, 2))
    inside = _surface(mask[box], flat=len(mask) == 1)
    at, row, column = (
        found + part.start for found, part in zip(np.nonzero(inside), box, strict=True)
    )
    # What lies in one plane needs no place along the normal.
    along = grid.positions[at] if len(mask) > 1 else np.zeros(len(at))
    return np.stack([along, row * grid.spacing[0], column * grid.spacing[1]], axis=1)


def _ends(mask: np.ndarray, axis: int) -> tuple[int, int]:
    """First and last + 1 along an axis; the mask is not empty."""
    others = tuple({0, 1, 2} - {axis})
    found = np.flatnonzero(mask.any(axis=others))
    return int(found[0]), int(found[-1]) + 1


def _surface(mask: np.ndarray, *, flat: bool) -> np.ndarray:
    """Pixels with a neighbour that is not of the mask; the array's border is not."""
    inner = mask.copy()
    axes = (1, 2) if flat else (0, 1, 2)
    for axis in axes:
        line, result = np.moveaxis(mask, axis, 0), np.moveaxis(inner, axis, 0)
        result[1:] &= line[:-1]
        result[:-1] &= line[1:]
        result[0] = result[-1] = False
    return mask & ~inner
