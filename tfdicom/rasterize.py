"""Masks from polygons.

Vertices are float [n, 2], n >= 3, (column, row) in pixels, zero-based, and (0, 0) is
the *centre* of the first pixel (PS3.3 C.7.6.2.1.1): pixel (c, r) is the square from
(c - 0.5, r - 0.5) to (c + 0.5, r + 0.5). A polygon closes by itself, from its last
vertex to its first, and what lies inside is decided by the even-odd rule, in every
function here. Vertices are never rounded. What lies outside the image is cut off. Fewer
than three vertices, or one that is not finite or more than 10 million pixels away,
raise ValueError; a polygon that crosses itself some thousand times, TooIntricate.
"""

import numpy as np
import numpy.typing as npt

EDGE_RULES = ("center", "inside", "half_covered")

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
Edges = tuple[Floats, Floats]  # upper and lower ends, [n, 2] each

# A centre further from the path than this may have another nearest row or column.
_LARGEST_TOLERANCE = 0.25
# Coverage is a sum of areas: an exact half may come out a few ulps short.
_TIE = 1e-9
# Pairs and pieces of edges; drawn contours have some thousands, and this many take
# seconds and half a gigabyte.
_MOST_PIECES = 5_000_000
# Pixels; further away, sums of products lose the digits that a pixel needs.
_FURTHEST = 1e7


class TooIntricate(ValueError):  # noqa: N818 - says what the polygon is
    """The polygon crosses itself so often that its area would take minutes."""


def fill(
    vertices: npt.ArrayLike,
    shape: tuple[int, int],
    *,
    edge_rule: str,
    tolerance: float = 0.001,
) -> Mask:
    """Fills a polygon.

    Args:
      vertices: float [n, 2], (column, row) in pixels.
      shape: (rows, columns) of the image.
      edge_rule: Which pixels the polygon takes. 'center': centre (c, r) is in when an
        odd number of edges with min(y) <= r < max(y) cross row r at a column greater
        than c, so that polygons that share an edge share no pixel. 'inside': as
        'center', and so is every centre that lies on the path (PS3.3 C.8.8.6.3).
        'half_covered': at least half of the pixel's area is in.
      tolerance: How far from the path, in pixels, a centre still lies on it; 0 to 0.25;
        'inside' alone uses it. Coordinates written with two decimals want 0.02.

    Returns:
      bool [rows, columns].

    Raises:
      ValueError: An unknown edge rule, a tolerance out of range, or bad vertices.
    """
    if edge_rule not in EDGE_RULES:
        raise ValueError(
            f"edge_rule is {edge_rule!r}; allowed are {', '.join(EDGE_RULES)}"
        )
    local, box = _in_box(vertices, shape)
    mask = np.zeros(shape, dtype=np.bool_)
    inner = mask[box]
    if edge_rule == "half_covered":
        inner[:] = _coverage(local, inner.shape) >= 0.5 - _TIE
        return mask
    inner[:] = _centres_inside(local, inner.shape)
    if edge_rule == "inside":
        inner |= _centres_on_path(local, inner.shape, tolerance)
    return mask


def covered_fraction(vertices: npt.ArrayLike, shape: tuple[int, int]) -> Floats:
    """Measures how much of each pixel a polygon covers.

    Args:
      vertices: float [n, 2], (column, row) in pixels; the polygon may cross itself.
      shape: (rows, columns) of the image.

    Returns:
      float64 [rows, columns] in [0, 1]: areas that are exact but for rounding.
    """
    local, box = _in_box(vertices, shape)
    fraction = np.zeros(shape)
    inner = fraction[box]
    inner[:] = _coverage(local, inner.shape)
    return fraction


def centres_on_path(
    vertices: npt.ArrayLike, shape: tuple[int, int], *, tolerance: float = 0.001
) -> int:
    """Counts the pixel centres of the image that lie on the path.

    Args:
      vertices: float [n, 2], (column, row) in pixels.
      shape: (rows, columns) of the image.
      tolerance: How far from the path, in pixels, a centre still lies on it; 0 to 0.25.
    """
    local, (rows, columns) = _in_box(vertices, shape)
    inner = rows.stop - rows.start, columns.stop - columns.start
    return int(_centres_on_path(local, inner, tolerance).sum())


def polygon_area(vertices: npt.ArrayLike) -> float:
    """Returns the area that a polygon encloses, in square pixels."""
    return _moments(_checked(vertices))[0]


def polygon_centroid(vertices: npt.ArrayLike) -> tuple[float, float]:
    """Returns the (column, row) of the centroid of what a polygon encloses.

    Raises:
      ValueError: The polygon encloses nothing, or bad vertices.
    """
    area, column, row = _moments(_checked(vertices))
    if not area > 0:
        raise ValueError("the polygon encloses no area, so it has no centroid")
    return column, row


def crosses_itself(vertices: npt.ArrayLike) -> bool:
    """Tells whether two edges of a polygon cross at a point inside both of them.

    Edges that touch, meet at a vertex or run along each other (a keyhole's channel) do
    not cross.
    """
    return _crossing_rows(_edges(_checked(vertices)), tolerance=1e-9).size > 0


def _checked(vertices: npt.ArrayLike) -> Floats:
    points = np.asarray(vertices, dtype=np.float64)
    if points.size == 0 or (points.ndim == 2 and len(points) < 3):
        count = len(points) if points.size else 0
        raise ValueError(f"a polygon needs at least 3 vertices, got {count}")
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"vertices must have shape [n, 2], got {list(points.shape)}")
    wrong = ~(np.abs(points) <= _FURTHEST).all(axis=1)  # NaN too
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(
            f"vertex {first} is not finite, or more than {_FURTHEST:g} pixels away: "
            f"{points[first].tolist()}"
        )
    return points


def _in_box(
    vertices: npt.ArrayLike, shape: tuple[int, int]
) -> tuple[Floats, tuple[slice, slice]]:
    """Finds the pixels that a polygon can touch, and moves its vertices there.

    The move is by whole pixels towards zero, which floating point does exactly.
    """
    points = _checked(vertices)
    limit = np.array(shape[::-1])
    start = np.clip(np.floor(points.min(axis=0) + 0.5), 0, limit)
    stop = np.clip(np.floor(points.max(axis=0) + 0.5) + 1, start, limit)
    columns, rows = map(slice, start.astype(int).tolist(), stop.astype(int).tolist())
    return points - start, (rows, columns)


def _edges(vertices: Floats) -> Edges:
    """Sorts each edge's ends, so that two polygons compute a shared edge alike."""
    following = np.roll(vertices, -1, axis=0)
    swap = (vertices[:, 1] > following[:, 1])[:, np.newaxis]
    return np.where(swap, following, vertices), np.where(swap, vertices, following)


def _at(edges: Edges, owner: Integers, row: Floats) -> Floats:
    """The columns at which edges that are not horizontal pass the given rows."""
    upper, lower = edges[0][owner], edges[1][owner]
    run, rise = (lower - upper).T
    return upper[:, 0] + (row - upper[:, 1]) * run / rise


def _ranges(start: Integers, stop: Integers) -> tuple[Integers, Integers]:
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


def _whole(values: Floats, limit: int) -> Integers:
    return np.clip(values, 0, limit).astype(np.intp)


def _centres_inside(vertices: Floats, shape: tuple[int, ...]) -> Mask:
    rows, columns = shape
    edges = _edges(vertices)
    owner, row = _ranges(*(_whole(np.ceil(end[:, 1]), rows) for end in edges))
    # The crossing lies right of every centre before this one.
    column = _whole(np.ceil(_at(edges, owner, row.astype(float))), columns)
    cell = row * (columns + 1) + column
    crossings = np.bincount(cell, minlength=rows * (columns + 1))
    odd = (crossings.reshape(rows, columns + 1) & 1).astype(np.bool_)
    return np.logical_xor.accumulate(odd[:, :0:-1], axis=1)[:, ::-1]


def _centres_on_path(
    vertices: Floats, shape: tuple[int, ...], tolerance: float
) -> Mask:
    if not 0 <= tolerance <= _LARGEST_TOLERANCE:
        raise ValueError(
            f"tolerance is {tolerance}; allowed are 0 to {_LARGEST_TOLERANCE} pixels"
        )
    found = np.zeros(shape, dtype=np.bool_)
    start, stop = vertices, np.roll(vertices, -1, axis=0)
    flat = np.ptp([start, stop], axis=0).argmax(axis=1) == 0
    _mark_centres(found, start[flat], stop[flat], tolerance)
    _mark_centres(found.T, start[~flat, ::-1], stop[~flat, ::-1], tolerance)
    return found


def _mark_centres(found: Mask, start: Floats, stop: Floats, tolerance: float) -> None:
    """Marks the centres near edges that run along columns more than along rows.

    Each column has one candidate, the centre nearest to the edge there.
    """
    rows, columns = found.shape
    owner, column = _ranges(
        _whole(np.ceil(np.minimum(start, stop)[:, 0] - tolerance), columns),
        _whole(np.floor(np.maximum(start, stop)[:, 0] + tolerance) + 1, columns),
    )
    start, step = start[owner], (stop - start)[owner]
    run = np.where(step[:, 0] == 0, 1, step[:, 0])  # 0: a repeated vertex
    share = np.clip((column - start[:, 0]) / run, 0, 1)
    row = np.rint(start[:, 1] + step[:, 1] * share)
    offset = np.stack([column, row], axis=1) - start
    along = (offset * step).sum(axis=1) / (run**2 + step[:, 1] ** 2)
    distance = np.hypot(*(offset - np.clip(along, 0, 1)[:, np.newaxis] * step).T)
    near = (distance <= tolerance) & (row >= 0) & (row < rows)
    found[row[near].astype(np.intp), column[near]] = True


def _coverage(vertices: Floats, shape: tuple[int, ...]) -> Floats:
    """Adds up the areas to the right of each piece of an edge, with its sign.

    Slabs are cut so finely that each piece lies in one pixel. There the piece's middle
    gives the exact area; the running sum along the row hands it to all pixels behind.
    """
    rows, columns = shape
    edges = _edges(vertices)
    borders = np.arange(rows + 1) - 0.5
    cuts = np.concatenate([borders, _border_rows(edges, columns), _corner_rows(edges)])
    _, row, height, column = _pieces(edges, np.clip(cuts, -0.5, rows - 0.5))
    column = np.clip(column, -0.5, columns - 0.5)
    pixel = np.floor(column + 0.5)
    # Two columns more than the image: one for what is cut off, one behind it.
    cell = (np.floor(row + 0.5) * (columns + 2) + pixel).astype(np.intp)
    behind = height * (column + 0.5 - pixel)
    size = rows * (columns + 2)
    change = np.bincount(cell, height - behind, size)
    change += np.bincount(cell + 1, behind, size)
    covered = np.cumsum(change.reshape(rows, columns + 2), axis=1)[:, :columns]
    return np.clip(covered, 0, 1)


def _border_rows(edges: Edges, columns: int) -> Floats:
    """The rows at which edges pass from one pixel column into the next."""
    upper, lower = (end[:, ::-1] for end in edges)
    owner, border = _ranges(
        _whole(np.floor(np.minimum(upper, lower)[:, 1] + 0.5) + 1, columns + 1),
        _whole(np.ceil(np.maximum(upper, lower)[:, 1] + 0.5), columns + 1),
    )
    return _at((upper, lower), owner, border.astype(float) - 0.5)


def _corner_rows(edges: Edges) -> Floats:
    """The rows of vertices and crossings; the edges keep their order between them."""
    return np.concatenate([edges[0][:, 1], edges[1][:, 1], _crossing_rows(edges)])


def _pieces(edges: Edges, cuts: Floats) -> tuple[Integers, Floats, Floats, Floats]:
    """Cuts edges into slabs of rows, and orders the pieces of each slab.

    Args:
      edges: Upper and lower ends.
      cuts: Rows, all `_corner_rows` in reach among them, in any order.

    Returns:
      For each piece, slab by slab and left to right: its edge, its middle's row, its
      height (negative where the polygon ends, which even-odd makes every second piece)
      and its middle's column.
    """
    cuts = np.unique(cuts)
    reach = cuts[0], cuts[-1]
    owner, slab = _ranges(*(cuts.searchsorted(end[:, 1].clip(*reach)) for end in edges))
    row = (cuts[:-1] + cuts[1:])[slab] / 2
    column = _at(edges, owner, row)
    order = np.lexsort((column, slab))
    height = np.diff(cuts)[slab[order]]
    height[1::2] *= -1
    return owner[order], row[order], height, column[order]


def _moments(vertices: Floats) -> tuple[float, float, float]:
    """Integrates a polygon: its area, and its centroid's column and row."""
    origin = vertices.mean(axis=0)
    edges = _edges(vertices - origin)
    owner, row, height, column = _pieces(edges, _corner_rows(edges))
    area = -float(height @ column)
    if not area > 0:
        return 0.0, np.nan, np.nan
    run, rise = (edges[1] - edges[0])[owner].T
    # Along a piece, the mean of a product is the product of the means and this much.
    spread = run / rise * height**2 / 12
    columns = -float(height @ (column**2 + run / rise * spread)) / 2
    rows = -float(height @ (row * column + spread))
    return area, float(origin[0]) + columns / area, float(origin[1]) + rows / area


def _crossing_rows(edges: Edges, tolerance: float = 0.0) -> Floats:
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
    one, two = _ranges(np.arange(1, len(upper) + 1), reach)
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
