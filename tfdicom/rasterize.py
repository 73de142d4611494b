"""Masks from polygons.

Vertices are float [n, 2], n >= 3, (column, row) in pixels, zero-based, and (0, 0) is
the *centre* of the first pixel (PS3.3 C.7.6.2.1.1): pixel (c, r) is the square from
(c - 0.5, r - 0.5) to (c + 0.5, r + 0.5). A polygon closes by itself, from its last
vertex to its first, and what lies inside is decided by the even-odd rule, in every
function here. Vertices are never rounded. What lies outside the image is cut off. Fewer
than three vertices, or one that is not finite or more than 10 million pixels away,
raise ValueError; a polygon that crosses itself some thousand times, TooIntricate.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tfdicom.polygon_edges import (
    Edges,
    Floats,
    Integers,
    Mask,
    Region,
    checked,
    columns_at,
    corner_rows,
    crossing_rows,
    edges_of,
    joined,
    moments,
    pieces,
    ranges,
    signed_heights,
    whole,
)
from tfdicom.polygon_edges import TooIntricate as TooIntricate

EDGE_RULES = ("center", "inside", "half_covered")

# A centre further from the path than this may have another nearest row or column.
_LARGEST_TOLERANCE = 0.25
# Coverage is a sum of areas: an exact half may come out a few ulps short.
_TIE = 1e-9
# Pixels that are worked on at a time, in 8 bytes each; all, of most images.
_BLOCK = 1 << 20


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
        _fill_with(inner, _coverage([local], inner.shape, _only), half_covered)
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
    return region_fraction([vertices], _only, shape)


def region_fraction(
    polygons: Sequence[npt.ArrayLike], region: Region, shape: tuple[int, int]
) -> Floats:
    """Measures how much of each pixel a region covers that several polygons bound.

    Args:
      polygons: float [n, 2] each, at least one; they may cross each other.
      region: Gets, for each polygon, where its inside is (bool arrays of one shape),
        and returns where the region is; nothing where no polygon is.
      shape: (rows, columns) of the image.

    Returns:
      float64 [rows, columns] in [0, 1]: areas that are exact but for rounding.
    """
    local, box = _in_common_box(polygons, shape)
    fraction = np.zeros(shape)
    _fill_with(fraction[box], _coverage(local, fraction[box].shape, region))
    return fraction


def region_half_covered(
    polygons: Sequence[npt.ArrayLike], region: Region, shape: tuple[int, int]
) -> Mask:
    """Pixels of which a region covers at least half; as ``region_fraction``.

    Returns:
      bool [rows, columns].
    """
    local, box = _in_common_box(polygons, shape)
    mask = np.zeros(shape, dtype=np.bool_)
    _fill_with(mask[box], _coverage(local, mask[box].shape, region), half_covered)
    return mask


def half_covered(fraction: Floats) -> Mask:
    """Pixels of which at least half is covered."""
    return fraction >= 0.5 - _TIE


def path_centres(
    vertices: npt.ArrayLike, shape: tuple[int, int], *, tolerance: float = 0.001
) -> Mask:
    """Marks the pixel centres of the image that lie on the path.

    Args:
      vertices: float [n, 2], (column, row) in pixels.
      shape: (rows, columns) of the image.
      tolerance: How far from the path, in pixels, a centre still lies on it; 0 to 0.25.

    Returns:
      bool [rows, columns].
    """
    local, box = _in_box(vertices, shape)
    found = np.zeros(shape, dtype=np.bool_)
    inner = found[box]
    inner[:] = _centres_on_path(local, inner.shape, tolerance)
    return found


def centres_on_path(
    vertices: npt.ArrayLike, shape: tuple[int, int], *, tolerance: float = 0.001
) -> int:
    """Counts what `path_centres` marks."""
    return int(path_centres(vertices, shape, tolerance=tolerance).sum())


def polygon_area(vertices: npt.ArrayLike) -> float:
    """Returns the area that a polygon encloses, in square pixels."""
    return moments(checked(vertices))[0]


def shared_area(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """Returns the area that two polygons both enclose, in square pixels."""
    pair = [checked(one), checked(other)]
    origin = np.concatenate(pair).mean(axis=0)
    edges, polygon = joined([points - origin for points in pair])
    owner, _, height, column = pieces(edges, corner_rows(edges))
    height = signed_heights(height, polygon[owner], 2, _both)
    return max(-float(height @ column), 0.0)


def crosses_itself(vertices: npt.ArrayLike) -> bool:
    """Tells whether two edges of a polygon cross at a point inside both of them.

    Edges that touch, meet at a vertex or run along each other (a keyhole's channel) do
    not cross.
    """
    return crossing_rows(edges_of(checked(vertices)), tolerance=1e-9).size > 0


def _in_box(
    vertices: npt.ArrayLike, shape: tuple[int, int]
) -> tuple[Floats, tuple[slice, slice]]:
    """Finds the pixels that a polygon can touch, and moves its vertices there."""
    points = checked(vertices)
    start, box = _box(points, shape)
    return points - start, box


def _in_common_box(
    polygons: Sequence[npt.ArrayLike], shape: tuple[int, int]
) -> tuple[list[Floats], tuple[slice, slice]]:
    """As ``_in_box``, for several polygons."""
    points = [checked(polygon) for polygon in polygons]
    start, box = _box(np.concatenate(points), shape)
    return [one - start for one in points], box


def _box(points: Floats, shape: tuple[int, int]) -> tuple[Floats, tuple[slice, slice]]:
    """Finds the pixels that polygons can touch: the first one, and all.

    A move to the first is by whole pixels towards zero, which floating point does
    exactly.
    """
    limit = np.array(shape[::-1])
    start = np.clip(np.floor(points.min(axis=0) + 0.5), 0, limit)
    stop = np.clip(np.floor(points.max(axis=0) + 0.5) + 1, start, limit)
    columns, rows = map(slice, start.astype(int).tolist(), stop.astype(int).tolist())
    return start, (rows, columns)


def _both(inside: Sequence[Mask]) -> Mask:
    """The region that two polygons share."""
    return inside[0] & inside[1]


def _only(inside: Sequence[Mask]) -> Mask:
    """The region of a single polygon."""
    return inside[0]


def _centres_inside(vertices: Floats, shape: tuple[int, ...]) -> Mask:
    rows, columns = shape
    edges = edges_of(vertices)
    owner, row = ranges(*(whole(np.ceil(end[:, 1]), rows) for end in edges))
    # The crossing lies right of every centre before this one.
    column = whole(np.ceil(columns_at(edges, owner, row.astype(float))), columns)
    inside = np.empty(shape, dtype=np.bool_)
    for some, these in _blocks(row, rows, columns + 1):
        count = some.stop - some.start
        cell = (row[these] - some.start) * (columns + 1) + column[these]
        crossings = np.bincount(cell, minlength=count * (columns + 1))
        odd = (crossings.reshape(count, columns + 1) & 1).astype(np.bool_)
        inside[some] = np.logical_xor.accumulate(odd[:, :0:-1], axis=1)[:, ::-1]
    return inside


def _blocks(
    row: Integers, rows: int, columns: int
) -> Iterator[tuple[slice, slice | Integers]]:
    """Blocks of rows, and which of the values that lie in rows lie there, in order."""
    height = max(1, _BLOCK // columns)
    if height >= rows:
        yield slice(0, rows), slice(None)
        return
    for start in range(0, rows, height):
        some = slice(start, min(start + height, rows))
        yield some, np.flatnonzero((some.start <= row) & (row < some.stop))


def _fill_with(
    target: np.ndarray,
    blocks: Iterator[tuple[slice, Floats]],
    how: Callable[[Floats], np.ndarray] | None = None,
) -> None:
    for some, values in blocks:
        target[some] = how(values) if how else values


def _centres_on_path(
    vertices: Floats, shape: tuple[int, ...], tolerance: float
) -> Mask:
    if not 0 <= tolerance <= _LARGEST_TOLERANCE:
        raise ValueError(
            f"tolerance is {tolerance}; allowed are 0 to {_LARGEST_TOLERANCE} pixels"
        )
    found = np.zeros(shape, dtype=np.bool_)
    start, stop = vertices, np.concatenate([vertices[1:], vertices[:1]])
    run, rise = np.abs(stop - start).T
    flat = run >= rise
    _mark_centres(found, start[flat], stop[flat], tolerance)
    _mark_centres(found.T, start[~flat, ::-1], stop[~flat, ::-1], tolerance)
    return found


def _mark_centres(found: Mask, start: Floats, stop: Floats, tolerance: float) -> None:
    """Marks the centres near edges that run along columns more than along rows.

    Each column has one candidate, the centre nearest to the edge there.
    """
    rows, columns = found.shape
    owner, column = ranges(
        whole(np.ceil(np.minimum(start, stop)[:, 0] - tolerance), columns),
        whole(np.floor(np.maximum(start, stop)[:, 0] + tolerance) + 1, columns),
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


def _coverage(
    polygons: Sequence[Floats], shape: tuple[int, ...], region: Region
) -> Iterator[tuple[slice, Floats]]:
    """Adds up the areas to the right of each piece of an edge, with its sign.

    Slabs are cut so finely that each piece lies in one pixel. There the piece's middle
    gives the exact area; the running sum along the row hands it to all pixels behind.
    """
    rows, columns = shape
    edges, polygon = joined(polygons)
    borders = np.arange(rows + 1) - 0.5
    cuts = np.concatenate([borders, _border_rows(edges, columns), corner_rows(edges)])
    owner, row, height, column = pieces(edges, np.clip(cuts, -0.5, rows - 0.5))
    height = signed_heights(height, polygon[owner], len(polygons), region)
    column = np.clip(column, -0.5, columns - 0.5)
    pixel = np.floor(column + 0.5)
    # Two columns more than the image: one for what is cut off, one behind it.
    behind = height * (column + 0.5 - pixel)
    line, pixel = np.floor(row + 0.5).astype(np.intp), pixel.astype(np.intp)
    for some, these in _blocks(line, rows, columns + 2):
        count = some.stop - some.start
        cell = (line[these] - some.start) * (columns + 2) + pixel[these]
        size = count * (columns + 2)
        change = np.bincount(cell, (height - behind)[these], size)
        change += np.bincount(cell + 1, behind[these], size)
        covered = np.cumsum(change.reshape(count, columns + 2), axis=1)[:, :columns]
        yield some, np.clip(covered, 0, 1)


def _border_rows(edges: Edges, columns: int) -> Floats:
    """The rows at which edges pass from one pixel column into the next."""
    upper, lower = (end[:, ::-1] for end in edges)
    owner, border = ranges(
        whole(np.floor(np.minimum(upper, lower)[:, 1] + 0.5) + 1, columns + 1),
        whole(np.ceil(np.maximum(upper, lower)[:, 1] + 0.5), columns + 1),
    )
    return columns_at((upper, lower), owner, border.astype(float) - 0.5)
