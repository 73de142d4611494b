"""Points along a contour, and the image's values beside them.

Coordinates are (column, row) in pixels, (0, 0) the centre of the first pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Points to each side that give a direction: vertices are often rounded to a lattice.
_TANGENT_REACH = 3


def outline(vertices: Floats, points: int) -> tuple[Floats, Floats] | None:
    """Spaces points evenly along a closed contour.

    Args:
      vertices: float64 [n, 2]; the last is joined to the first.
      points: How many points are wanted.

    Returns:
      The points and their outward unit normals, [points, 2] each; None for fewer than
      three vertices, vertices that are not finite, or a contour without length.
    """
    if vertices.ndim != 2 or len(vertices) < 3 or not np.isfinite(vertices).all():
        return None
    closed = np.concatenate([vertices, vertices[:1]])
    length = np.cumsum(np.hypot(*np.diff(closed, axis=0).T))
    if not length[-1] > 0:
        return None
    at = np.arange(points) / points * length[-1]
    arc = np.concatenate([[0], length])
    along = np.stack([np.interp(at, arc, axis) for axis in closed.T], axis=1)
    ahead = np.roll(along, -_TANGENT_REACH, axis=0)
    run, rise = (ahead - np.roll(along, _TANGENT_REACH, axis=0)).T
    x, y = along.T
    turn = np.sign(x @ np.roll(y, -1) - y @ np.roll(x, -1))
    norm = np.maximum(np.hypot(run, rise), np.finfo(np.float64).tiny)
    return along, np.stack([rise, -run], axis=1) * (turn / norm)[:, np.newaxis]


def interpolate(pixels: npt.NDArray[Any], places: Floats) -> Floats:
    """Samples an image linearly; outside of it, its border goes on.

    Args:
      pixels: [rows, columns], any real dtype.
      places: float64 [..., 2].

    Returns:
      float64 [...].
    """
    rows, columns = pixels.shape
    x = np.clip(places[..., 0], 0, columns - 1)
    y = np.clip(places[..., 1], 0, rows - 1)
    left, top = x.astype(np.intp), y.astype(np.intp)
    x, y = x - left, y - top
    right = np.minimum(left + 1, columns - 1)
    top, below = top * columns, np.minimum(top + 1, rows - 1) * columns
    value = pixels.ravel().take
    upper = value(top + left) * (1 - x) + value(top + right) * x
    lower = value(below + left) * (1 - x) + value(below + right) * x
    return upper * (1 - y) + lower * y
