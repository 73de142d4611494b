"""The mask of one structure on one frame, from the contours that outline it there.

What lies inside a contour is decided by the even-odd rule; what several contours mean
together, by the hole rule:

- ``standard``: contours of the type CLOSED_PLANAR add up, those of the type
  CLOSEDPLANAR_XOR are combined by exclusive or (PS3.3 C.8.8.6.3);
- ``nested``: as ``standard``, but a CLOSED_PLANAR contour inside another one is a
  hole, one inside the hole is filled again, and so on;
- ``xor``, ``union``: all contours are combined so, whatever their type.

Edge rules are those of `tfdicom.rasterize`. Under ``inside`` a pixel centre on the path
of any contour is in, also where that contour outlines a hole.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Iterator, Sequence

import numpy as np

from tfdicom import nesting, rasterize
from tfdicom.polygon_edges import Floats, Mask, Region
from tfdicom.reasons import InputSkipped
from tfdicom.sources.annotation_objects import (
    Drawing,
    DrawingRules,
    DrawnContour,
    LeftItem,
)

CLOSED_PLANAR = "CLOSED_PLANAR"
CLOSED_XOR = "CLOSEDPLANAR_XOR"
#: Contour Geometric Types (3006,0042) that enclose something.
CLOSED_TYPES = (CLOSED_PLANAR, CLOSED_XOR)
HOLE_RULES = ("nested", "standard", "xor", "union")


@dataclasses.dataclass(frozen=True)
class PlanarContour:
    """A contour in pixels of the frame.

    Attributes:
      part: Its number within the item.
      vertices: float64 ``[n, 2]``, (column, row), (0, 0) the first pixel's centre.
      role: Contour Geometric Type, one of ``CLOSED_TYPES``.
    """

    part: int
    vertices: np.ndarray
    role: str = CLOSED_PLANAR


@dataclasses.dataclass(frozen=True)
class _Filled:
    """A contour and the pixels that it takes by itself, as far as they are needed.

    Attributes:
      contour: The contour.
      mask: Pixels whose centre is inside; under ``half_covered`` those of which half
        is, where there is no other contour.
      path: Pixels whose centre lies on the path, under ``inside``.
      on_path: Their number, under every rule.
      fraction: Covered fractions, where the drawing has them.
      findings: What is odd.
    """

    contour: PlanarContour
    mask: Mask | None
    path: Mask | None
    on_path: int
    fraction: Floats | None
    findings: tuple[str, ...]

    @property
    def vertices(self) -> Floats:
        return self.contour.vertices


def draw_contours(
    contours: Sequence[PlanarContour],
    shape: tuple[int, int],
    rules: DrawingRules,
    *,
    item: int | None = None,
) -> Drawing:
    """Draws what contours enclose.

    Args:
      contours: All contours of one structure on one frame, in any order.
      shape: (rows, columns) of the frame.
      rules: Edge rule, hole rule and tolerance; ``shift`` is not looked at.
      item: Number of the structure, for what is left.

    Returns:
      The mask, with the contours that made it. A contour that cannot be used is left
      out, with its reason.

    Raises:
      InputSkipped: Nothing was drawn; if all contours have one reason, for this one.
      ValueError: An unknown rule.
    """
    _check("hole_rule", rules.hole_rule, HOLE_RULES)
    _check("edge_rule", rules.edge_rule, rasterize.EDGE_RULES)
    filled, left = [], []
    for contour in contours:
        try:
            filled.append(_filled(contour, shape, rules, alone=len(contours) == 1))
        except InputSkipped as skipped:
            left.append(LeftItem(item, contour.part, skipped.code, skipped.detail))
    if not filled:
        raise _nothing_drawn(left)
    try:
        return _drawing(filled, shape, rules, tuple(left))
    except rasterize.TooIntricate as error:
        raise InputSkipped("contour_too_intricate", str(error)) from error


def _check(option: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{option} is {value!r}; allowed are {', '.join(allowed)}")


def _nothing_drawn(left: Sequence[LeftItem]) -> InputSkipped:
    codes = {one.reason for one in left}
    if len(codes) == 1:
        return InputSkipped(left[0].reason, left[0].detail)
    found = ", ".join(f"contour {one.part}: {one.reason}" for one in left)
    return InputSkipped("no_usable_contour", found)


def _filled(
    contour: PlanarContour, shape: tuple[int, int], rules: DrawingRules, *, alone: bool
) -> _Filled:
    """Fills one contour by itself.

    Raises:
      InputSkipped: It encloses nothing, or takes no pixel.
    """
    if contour.role not in CLOSED_TYPES:
        raise InputSkipped("contour_not_closed", f"type {contour.role!r}")
    vertices = _without_repeated_end(np.asarray(contour.vertices, dtype=np.float64))
    if len(vertices) < 3:
        raise InputSkipped("contour_too_short", f"{len(vertices)} points")
    contour = dataclasses.replace(contour, vertices=vertices)
    try:
        half = rules.edge_rule == "half_covered"
        fraction = None
        if rules.covered_fraction:
            fraction = rasterize.covered_fraction(vertices, shape)
        if half and fraction is not None:
            mask = rasterize.half_covered(fraction)
        else:
            rule = "half_covered" if half else "center"
            mask = rasterize.fill(vertices, shape, edge_rule=rule)
        if not (alone or half or rules.covered_fraction):
            rasterize.polygon_area(vertices)  # nesting wants it; a scribble has none
        path = rasterize.path_centres(vertices, shape, tolerance=rules.tolerance)
        findings = tuple(_findings(vertices, shape))
    except rasterize.TooIntricate as error:
        raise InputSkipped("contour_too_intricate", str(error)) from error
    except ValueError as error:
        raise InputSkipped("contour_points_invalid", str(error)) from error
    inside = rules.edge_rule == "inside"
    if not mask.any() and not (inside and path.any()):
        raise InputSkipped("contour_outside_image", _where(vertices, shape))
    return _Filled(
        contour,
        mask if alone or not half else None,
        path if inside else None,
        int(np.count_nonzero(path)),
        fraction,
        findings,
    )


def _without_repeated_end(vertices: Floats) -> Floats:
    """Vertices, the last one only if it is not the first one again."""
    again = len(vertices) > 1 and (vertices[0] == vertices[-1]).all()
    return vertices[:-1] if again else vertices


def _plane(
    filled: Sequence[_Filled],
    region: Region,
    fraction: Floats | None,
    shape: tuple[int, int],
) -> Mask:
    """The pixels that contours take together."""
    masks = [one.mask for one in filled if one.mask is not None]
    if masks:
        paths = (one.path for one in filled if one.path is not None)
        together = region(masks) if len(masks) > 1 else masks[0]
        return functools.reduce(operator.or_, paths, together)
    if fraction is not None:
        return rasterize.half_covered(fraction)
    outlines = [one.vertices for one in filled]
    return rasterize.region_half_covered(outlines, region, shape)


def _where(vertices: Floats, shape: tuple[int, int]) -> str:
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    return (
        f"columns {low[0]:g} to {high[0]:g}, rows {low[1]:g} to {high[1]:g}; the "
        f"image has {shape[1]} columns and {shape[0]} rows"
    )


def _findings(vertices: Floats, shape: tuple[int, int]) -> Iterator[str]:
    rows, columns = shape
    if (vertices < -0.5).any() or (vertices > (columns - 0.5, rows - 0.5)).any():
        yield "contour_leaves_image"
    if rasterize.crosses_itself(vertices):
        yield "contour_crosses_itself"


def _drawing(
    filled: Sequence[_Filled],
    shape: tuple[int, int],
    rules: DrawingRules,
    left: tuple[LeftItem, ...],
) -> Drawing:
    region, findings = _region(filled, rules.hole_rule)
    fraction = filled[0].fraction
    if fraction is not None and len(filled) > 1:
        outlines = [one.vertices for one in filled]
        fraction = rasterize.region_fraction(outlines, region, shape)
    plane = _plane(filled, region, fraction, shape)
    if not plane.any():
        raise InputSkipped("contours_take_nothing", f"{len(filled)} contours")
    of_each = [code for one in filled for code in one.findings]
    return Drawing(
        plane=plane,
        fraction=fraction,
        contours=tuple(
            DrawnContour(one.vertices, one.contour.role, one.on_path) for one in filled
        ),
        left=left,
        findings=tuple(dict.fromkeys([*of_each, *findings])),
        part_findings=tuple(
            (one.contour.part, code) for one in filled for code in one.findings
        ),
        edge_rule=rules.edge_rule,
        hole_rule=rules.hole_rule,
    )


def _region(
    filled: Sequence[_Filled], hole_rule: str
) -> tuple[Region, tuple[str, ...]]:
    """What contours mean together, and what is odd about that."""
    everything = range(len(filled))
    if hole_rule == "union" or len(filled) == 1:
        return functools.partial(_combined, everything, ()), ()
    if hole_rule == "xor":
        return functools.partial(_combined, (), everything), ()
    added = [n for n in everything if filled[n].contour.role == CLOSED_PLANAR]
    parity = [n for n in everything if filled[n].contour.role == CLOSED_XOR]
    if hole_rule == "standard":
        return functools.partial(_combined, added, parity), ()
    tree = nesting.nest([filled[n].vertices for n in added])

    def region(inside: Sequence[Mask]) -> Mask:
        nested = tree.region([inside[n] for n in added]) if added else None
        return _combined((), parity, inside, nested)

    return region, tree.findings


def _combined(
    added: Sequence[int],
    parity: Sequence[int],
    inside: Sequence[Mask],
    start: Mask | None = None,
) -> Mask:
    """Adds contours, then changes the side at each of the others."""
    found = np.zeros_like(inside[0]) if start is None else start
    found = functools.reduce(operator.or_, (inside[n] for n in added), found)
    return functools.reduce(operator.xor, (inside[n] for n in parity), found)
