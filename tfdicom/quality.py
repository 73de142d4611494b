"""What is odd about annotations that can be used all the same: codes of ``FINDINGS``.

Nothing here changes a mask. Each rule says how it was set; the rates are those of the
shared Sunnybrook data (84 contours of three patients) and of the RTSTRUCTs beside it.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tfdicom import outlines, rasterize
from tfdicom.classes import SegmentationClass
from tfdicom.spatial import ImagePlane

FAR_FROM_EDGE = "contour_far_from_edge"
NOT_INSIDE = "structure_not_inside"
DUPLICATE = "contour_duplicate"
AREA_JUMPS = "area_jumps"
GAP = "annotation_gap"
ORIENTATION_DIFFERS = "orientation_differs"

#: Structures of contour text files that lie in one another: (inside, outside).
KNOWN_PAIRS = (("inner", "outer"), ("papillary1", "inner"), ("papillary2", "inner"))

_POINTS = 64  # along a contour
_BAND = 2  # pixels to each side of the path in which its edge may lie
# Across the path over along it. Where a contour does not follow what the image shows,
# neither direction is special.
_LEAST_RATIO = 1.5
# Of the mean change: keeps flat parts of a path from being compared by their noise.
_FLAT = 0.05
_SMALLEST_EXTENT = 8  # pixels; the bands of a smaller contour meet inside of it
_LEAST_IN_IMAGE = 0.5  # of the points

# Neighbouring masks share pixels of a common edge, depending on the edge rule.
_OUTSIDE_SHARE, _OUTSIDE_PIXELS = 0.01, 3

_JUMP_FACTOR = 2.0
_JUMP_SHARE = 0.35  # of the structure's largest area in the phase
_JUMP_MM2 = 20.0


def nested_pairs(
    classes: Iterable[SegmentationClass],
) -> tuple[tuple[str, str], ...]:
    """Pairs (inside, outside) of structures that the classes take to be nested.

    ``outer-inner`` says that inner lies in outer. An expression that is more than
    names and ``-`` says nothing. ``KNOWN_PAIRS`` are always among them.
    """
    chains = (
        one.structures
        for one in classes
        if len(one.structures) > 1 and "-".join(one.structures) == one.expression
    )
    meant = ((inside, first) for first, *rest in chains for inside in rest)
    return tuple(dict.fromkeys((*KNOWN_PAIRS, *meant)))


def frame_findings(
    pixels: np.ndarray,
    planes: Mapping[str, np.ndarray],
    contours: Mapping[str, Sequence[np.ndarray]],
    *,
    pairs: Sequence[tuple[str, str]] = KNOWN_PAIRS,
) -> dict[str, tuple[str, ...]]:
    """What is odd about the annotations of one frame.

    Args:
      pixels: Stored values ``[rows, columns]`` or ``[rows, columns, samples]``.
      planes: Mask of each structure, bool ``[rows, columns]``; an empty one is absent.
      contours: Outlines of each structure, float ``[n, 2]``, (column, row) in pixels;
        structures without outlines (SEG, mask images) may be missing.
      pairs: Structures (inside, outside) that should lie in one another.

    Returns:
      Codes by structure, of the structures that have some.
    """
    found: dict[str, list[str]] = collections.defaultdict(list)
    grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
    for structure, drawn in contours.items():
        if any(is_far_from_edge(grey, vertices) for vertices in drawn):
            found[structure].append(FAR_FROM_EDGE)
    for inside in _not_inside(planes, pairs):
        found[inside].append(NOT_INSIDE)
    for structure in _duplicates(planes, contours, grey.shape):
        found[structure].append(DUPLICATE)
    return {structure: tuple(codes) for structure, codes in found.items()}


def is_far_from_edge(pixels: np.ndarray, vertices: np.ndarray) -> bool:
    """Whether a contour follows no edge of the image.

    At 64 points of the path, the steepest change across it within two pixels is
    compared with the steepest change along it there. The geometric mean of the ratios
    is 1 where path and image have nothing to do with each other; below 1.5 the contour
    is far from any edge. Neither the edge's strength matters nor what else the image
    shows. (Mean gradients compared with those of shifted copies of the contour find a
    fifth of the shifted contours at the same rate of false alarms.)

    Flagged are 0 of the 84 Sunnybrook contours (their lowest ratio is 1.69), but 95 %
    of them when shifted by 15 pixels (by 10: 51 %, by 5: 5 %), and 80 % when drawn on
    an image of another patient; of tumours in CT 1 of 18, in MR 6 of 15, where the
    outer slices show no edge; all of a phantom's 12, which were drawn into noise. A
    contour that is smaller than 8 pixels, or mostly outside the image, is never
    flagged.

    Args:
      pixels: ``[rows, columns]``, any real dtype.
      vertices: float ``[n, 2]``, (column, row) in pixels.
    """
    vertices = np.asarray(vertices, np.float64)
    drawn = outlines.outline(vertices, _POINTS)
    if drawn is None or np.ptp(vertices, axis=0).min() < _SMALLEST_EXTENT:
        return False
    points, normals = drawn
    last = np.array(pixels.shape)[::-1] - 1 - _BAND
    within = ((points >= _BAND) & (points <= last)).all(axis=1)
    if within.mean() < _LEAST_IN_IMAGE:
        return False
    return _edge_ratio(pixels, points[within], normals[within]) < _LEAST_RATIO


def _edge_ratio(pixels: np.ndarray, points: np.ndarray, normals: np.ndarray) -> float:
    """Change across a path over change along it, a geometric mean; 1 without any."""
    tangents = normals[:, ::-1] * (-1, 1)
    across = np.arange(-_BAND - 1, _BAND + 2)[:, np.newaxis, np.newaxis]
    path = points + across * normals
    places = np.concatenate([path, path[1:-1] + tangents, path[1:-1] - tangents])
    values = outlines.interpolate(pixels, places)
    centre, ahead, behind = np.split(values, [len(path), 2 * len(path) - 2])
    change_across = np.abs(centre[2:] - centre[:-2]).max(axis=0)
    change_along = np.abs(ahead - behind).max(axis=0)
    flat = _FLAT * (change_across + change_along).mean()
    if flat == 0:
        return 1.0
    ratios = (change_across + flat) / (change_along + flat)
    return float(np.exp(np.log(ratios).mean()))


def _not_inside(
    planes: Mapping[str, np.ndarray], pairs: Sequence[tuple[str, str]]
) -> Iterator[str]:
    """Structures of which over 1 % and over 3 pixels lie outside their partner."""
    for inside, outside in pairs:
        if inside in planes and outside in planes and planes[outside].any():
            left_out = np.count_nonzero(planes[inside] > planes[outside])
            if left_out > _OUTSIDE_PIXELS and (
                left_out > _OUTSIDE_SHARE * np.count_nonzero(planes[inside])
            ):
                yield inside


def _duplicates(
    planes: Mapping[str, np.ndarray],
    contours: Mapping[str, Sequence[np.ndarray]],
    shape: tuple[int, ...],
) -> Iterator[str]:
    """Structures with the mask of another one, or with one contour twice."""
    sizes = {name: np.count_nonzero(plane) for name, plane in planes.items()}
    twins = {
        name
        for pair in itertools.combinations(planes, 2)
        if 0 < sizes[pair[0]] == sizes[pair[1]]
        and np.array_equal(planes[pair[0]], planes[pair[1]])
        for name in pair
    }
    for name in dict.fromkeys((*planes, *contours)):
        if name in twins or _drawn_twice(contours.get(name, ()), shape):
            yield name


def _drawn_twice(drawn: Sequence[np.ndarray], shape: tuple[int, ...]) -> bool:
    """Whether two contours take the same pixels; most pairs differ in their extent."""
    whole = [vertices for vertices in drawn if len(vertices) >= 3]
    boxes = np.array([[one.min(axis=0), one.max(axis=0)] for one in whole])
    for place, one in enumerate(whole):
        apart = np.abs(boxes[place + 1 :] - boxes[place]).max(axis=(1, 2), initial=0)
        for after in np.flatnonzero(apart < 1):
            if _same_mask(one, whole[place + 1 + after], shape):
                return True
    return False


def _same_mask(one: np.ndarray, other: np.ndarray, shape: tuple[int, ...]) -> bool:
    rows, columns = shape
    try:
        first, second = (
            rasterize.fill(vertices, (rows, columns), edge_rule="half_covered")
            for vertices in (one, other)
        )
    except ValueError:  # too intricate, or too far away
        return False
    return bool(first.any() and np.array_equal(first, second))


@dataclasses.dataclass(frozen=True)
class SliceArea:
    """How much of a slice a structure covers.

    Attributes:
      structure: Its name.
      slice_index: Place of the slice along the normal, from 0.
      phase_index: Phase of the slice.
      area_mm2: The area; 0 where it is absent, None where it is not annotated.
    """

    structure: str
    slice_index: int
    phase_index: int
    area_mm2: float | None


def neighbour_findings(
    areas: Sequence[SliceArea], *, gaps: bool = True
) -> dict[int, tuple[str, ...]]:
    """What is odd between neighbouring slices.

    ``area_jumps``: of two neighbours one has over twice the area of the other, and the
    difference is over 35 % of the structure's largest area in this phase and over
    20 mm2. A structure may end as it likes: where the smaller of the two is the last
    slice at one end, nothing is said. A slice that jumps to both sides is flagged
    alone, else both slices of the jump are. Of the 16 stacks of the Sunnybrook
    contours and the RTSTRUCTs none is flagged (at most 23 % within a stack); when an
    inner slice is given half of its area 74 % are found, with the threefold 91 %.

    ``annotation_gap``: the next slice with the structure is not the next slice; the
    slice before the gap is flagged.

    Args:
      areas: One for each structure and frame of a series, in any order. Of two for one
        place the larger counts (another rater's, or an object drawn anew).
      gaps: Whether a gap is suspicious for this kind of annotation.

    Returns:
      Codes by place in ``areas``.
    """
    stacks: dict[tuple[str, int], dict[int, int]] = collections.defaultdict(dict)
    for index in sorted(range(len(areas)), key=lambda at: areas[at].area_mm2 or 0):
        one = areas[index]
        if one.area_mm2:
            stacks[one.structure, one.phase_index][one.slice_index] = index
    found: dict[int, tuple[str, ...]] = collections.defaultdict(tuple)
    for stack in stacks.values():
        order = sorted(stack)
        sizes = [areas[stack[at]].area_mm2 or 0.0 for at in order]
        for place in _jumps(order, sizes):
            found[stack[order[place]]] += (AREA_JUMPS,)
        for before, after in itertools.pairwise(order):
            if gaps and after - before > 1:
                found[stack[before]] += (GAP,)
    return dict(found)


def _jumps(order: Sequence[int], sizes: Sequence[float]) -> list[int]:
    """Places in a stack, in order, whose area jumps."""
    least = max(_JUMP_MM2, _JUMP_SHARE * max(sizes))
    jumps = []
    for place in range(len(order) - 1):
        pair = (place, place + 1)
        small, large = sorted(pair, key=lambda at: sizes[at])
        if (
            order[place + 1] - order[place] == 1
            and small not in (0, len(order) - 1)
            and sizes[large] > _JUMP_FACTOR * sizes[small]
            and sizes[large] - sizes[small] > least
        ):
            jumps.append(pair)
    count = collections.Counter(itertools.chain.from_iterable(jumps))
    alone = ([at for at in pair if count[at] == 2] or pair for pair in jumps)
    return sorted(set(itertools.chain.from_iterable(alone)))


def series_findings(planes: Iterable[ImagePlane | None]) -> tuple[str, ...]:
    """What is odd about the frames of one series.

    ``orientation_differs``: Image Orientation (Patient) (0020,0037) is not the same in
    all frames that have one.

    Args:
      planes: The frames' planes, None where a frame says none.
    """
    different = {plane.orientation: plane for plane in planes if plane is not None}
    first = next(iter(different.values()), None)
    for plane in different.values():
        if first and not dataclasses.replace(
            plane, pixel_spacing=first.pixel_spacing
        ).is_parallel_to(first):
            return (ORIENTATION_DIFFERS,)
    return ()
