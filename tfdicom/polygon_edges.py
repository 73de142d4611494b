"""The edges of polygons: checked, cut into pieces, and where they cross.

Vertices are float64 ``[n, 2]``, (column, row) in pixels, as in `tfdicom.rasterize`.
Edges of several polygons may stand in one list.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
Edges = tuple[Floats, Floats]  # upper and lower ends, [n, 2] each
#: Tells whether a place belongs to a region, from whether each polygon holds it.
Region = Callable[[Sequence[Mask]], Mask]

# Pairs and pieces of edges; drawn contours have some thousands, and this many take
# seconds and half a gigabyte.
_MOST_PIECES = 5_000_000
# Pixels; further away, sums of products lose the digits that a pixel needs.
FURTHEST = 1e7


class TooIntricate(ValueError):  # noqa: N818 - says what the polygon is
    """The polygon crosses itself so often that its area would take minutes."""


def checked(vertices: npt.ArrayLike) -> Floats:
    """Returns vertices as float64.

    Raises:
      ValueError: They are no polygon, or too far away to be computed with.
    """
    points = np.asarray(vertices, dtype=np.float64)
    if points.size == 0 or (points.ndim == 2 and len(points) < 3):
        count = len(points) if points.size else 0
        raise ValueError(f"a polygon needs at least 3 vertices, got {count}")
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"vertices must have shape [n, 2], got {list(points.shape)}")
    wrong = ~(np.abs(points) <= FURTHEST).all(axis=1)  # NaN too
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(
            f"vertex {first} is not finite, or more than {FURTHEST:g} pixels away: "
            f"{points[first].tolist()}"
        )
    return points


def edges_of(vertices: Floats) -> Edges:
    """Sorts each edge's ends, so that two polygons compute a shared edge alike."""
    following = np.concatenate([vertices[1:], vertices[:1]])
    swap = (vertices[:, 1] > following[:, 1])[:, np.newaxis]
    return np.where(swap, following, vertices), np.where(swap, vertices, following)


def columns_at(edges: Edges, owner: Integers, row: Floats) -> Floats:
    """The columns at which edges that are not horizontal pass the given rows."""
    upper, lower = edges[0][owner], edges[1][owner]
    run, rise = (lower - upper).T
    return upper[:, 0] + (row - upper[:, 1]) * run / rise


def ranges(start: Integers, stop: Integers) -> tuple[Integers, Integers]:
    """Lists the integers of many half-open ranges, and which range each is from.

    Raises:
      TooIntricate: There are more than anything that was drawn has.
    """
    length = np.maximum(stop - start, 0)
    if (total := int(length.sum())) > _MOST_PIECES:
        raise TooIntricate(
            f"the polygon is too intricate: {total} pieces of edges, at most "
            f"{_MOST_PIECES} are computed"
        )
    owner = np.repeat(np.arange(len(length)), length)
    offset = start - (np.cumsum(length) - length)
    return owner, np.arange(len(owner)) + offset[owner]


def whole(values: Floats, limit: int) -> Integers:
    """Whole numbers as integers, cut to 0 to ``limit``."""
    return np.clip(values, 0, limit).astype(np.intp)


def corner_rows(edges: Edges) -> Floats:
    """The rows of vertices and crossings; the edges keep their order between them."""
    return np.concatenate([edges[0][:, 1], edges[1][:, 1], crossing_rows(edges)])


def pieces(edges: Edges, cuts: Floats) -> tuple[Integers, Floats, Floats, Floats]:
    """Cuts edges into slabs of rows, and orders the pieces of each slab.

    Args:
      edges: Upper and lower ends.
      cuts: Rows, all `corner_rows` in reach among them, in any order.

    Returns:
      For each piece, slab by slab and left to right: its edge, its middle's row, its
      height and its middle's column.
    """
    cuts = np.unique(cuts)
    reach = cuts[0], cuts[-1]
    owner, slab = ranges(*(cuts.searchsorted(end[:, 1].clip(*reach)) for end in edges))
    row = (cuts[:-1] + cuts[1:])[slab] / 2
    column = columns_at(edges, owner, row)
    order = np.lexsort((column, slab))
    return owner[order], row[order], np.diff(cuts)[slab[order]], column[order]


def joined(polygons: Sequence[Floats]) -> tuple[Edges, Integers]:
    """The edges of several polygons in one list, and which polygon each is from."""
    upper, lower = zip(*map(edges_of, polygons), strict=True)
    sizes = [len(polygon) for polygon in polygons]
    edges = np.concatenate(upper), np.concatenate(lower)
    return edges, np.repeat(np.arange(len(polygons)), sizes)


def signed_heights(
    height: Floats, polygon: Integers, count: int, region: Region
) -> Floats:
    """Gives each piece the sign with which it bounds a region.

    Args:
      height: Heights of `pieces`, in their order.
      polygon: Which polygon each is from.
      count: How many polygons there are.
      region: What belongs to the region.

    Returns:
      The height where the region starts to the right of the piece, minus the height
      where it ends, 0 where the piece bounds nothing.
    """
    mine = [polygon == number for number in range(count)]
    # Each slab crosses a polygon an even number of times, so no slab resets the count.
    right = [np.logical_xor.accumulate(one) for one in mine]
    left = [one ^ own for one, own in zip(right, mine, strict=True)]
    return height * (region(right).astype(np.int8) - region(left).astype(np.int8))


def moments(vertices: Floats) -> tuple[float, float, float]:
    """Integrates a polygon: its area, and its centroid's column and row."""
    origin = vertices.mean(axis=0)
    edges = edges_of(vertices - origin)
    owner, row, height, column = pieces(edges, corner_rows(edges))
    height[1::2] *= -1  # where the polygon ends, by the even-odd rule
    area = -float(height @ column)
    if not area > 0:
        return 0.0, np.nan, np.nan
    run, rise = (edges[1] - edges[0])[owner].T
    # Along a piece, the mean of a product is the product of the means and this much.
    spread = run / rise * height**2 / 12
    columns = -float(height @ (column**2 + run / rise * spread)) / 2
    rows = -float(height @ (row * column + spread))
    return area, float(origin[0]) + columns / area, float(origin[1]) + rows / area


def crossing_rows(edges: Edges, tolerance: float = 0.0) -> Floats:
    """The rows at which two edges cross inside both of them.

    Args:
      edges: Upper and lower ends.
      tolerance: An end this near to the other edge's line, in pixels, only touches it.
    """
    order = np.argsort(edges[0][:, 1], kind="stable")
    order = order[(edges[0] != edges[1]).any(axis=1)[order]]
    upper, lower = edges[0][order], edges[1][order]
    # Of edges sorted by their upper end, only those that start within one can cross it.
    reach = upper[:, 1].searchsorted(lower[:, 1], side="right")
    one, two = ranges(np.arange(1, len(upper) + 1), reach)
    # Most pairs are edges of opposite sides, far from each other.
    left, right = np.minimum(upper, lower)[:, 0], np.maximum(upper, lower)[:, 0]
    near = (left[two] <= right[one]) & (left[one] <= right[two])
    one, two = one[near], two[near]
    above, below = (_side(end[two], upper[one], lower[one]) for end in (upper, lower))
    parted = (above * below < 0) & (np.minimum(abs(above), abs(below)) > tolerance)
    one, two, above, below = one[parted], two[parted], above[parted], below[parted]
    first, last = (_side(end[one], upper[two], lower[two]) for end in (upper, lower))
    parted = (first * last < 0) & (np.minimum(abs(first), abs(last)) > tolerance)
    rise = lower[two, 1] - upper[two, 1]
    return (upper[two, 1] + rise * above / (above - below))[parted]


def _side(point: Floats, upper: Floats, lower: Floats) -> Floats:
    """The signed distances, in pixels, of points from the lines through edges."""
    run, offset = (lower - upper).T, (point - upper).T
    return (run[0] * offset[1] - run[1] * offset[0]) / np.hypot(*run)
