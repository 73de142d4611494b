"""Which contours of a structure are holes, and which fill a hole again.

A contour *is inside* another one if their paths do not cross, though they may touch,
and what it encloses is enclosed by the other one as well. Coordinates are written with
few decimals, so paths that leave each other by less than ``TOUCHING`` only touch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfdicom import rasterize
from tfdicom.polygon_edges import Floats, Mask

#: Pixels; times the length of a path, the area that it may lie astray.
TOUCHING = 0.01
#: Pixels; paths as near to each other as this are the same.
_SAME = 1e-6
#: Share of the outer contour's area; a contour inside it that has more than this was
#: drawn in its place, and is no hole in it.
NEAR_DUPLICATE = 0.8


@dataclasses.dataclass(frozen=True)
class Nesting:
    """A tree of contours.

    Attributes:
      groups: Contours that mean one outline, by number; larger ones come first.
      parents: For each group, the group in which it is a hole (or which it fills
        again, where that is a hole); None where there is none.
      findings: Codes of what is odd.
    """

    groups: tuple[tuple[int, ...], ...]
    parents: tuple[int | None, ...]
    findings: tuple[str, ...]

    def region(self, inside: Sequence[Mask]) -> Mask:
        """Where the structure is, from where each contour's inside is."""
        filled = [np.any([inside[n] for n in group], axis=0) for group in self.groups]
        found = np.zeros_like(inside[0])
        # A hole comes behind what it is in, so it is whole when it is taken away.
        for group, parent in reversed(list(enumerate(self.parents))):
            if parent is None:
                found = found | filled[group]
            else:
                filled[parent] = filled[parent] & ~filled[group]
        return found


@dataclasses.dataclass(frozen=True)
class _Shape:
    """A polygon with what is often asked of it."""

    vertices: Floats
    area: float
    length: float

    @classmethod
    def of(cls, vertices: Floats) -> _Shape:
        sides = np.roll(vertices, -1, axis=0) - vertices
        length = float(np.hypot(*sides.T).sum())
        return cls(vertices, rasterize.polygon_area(vertices), length)

    def is_beside(self, other: _Shape) -> bool:
        """Whether the boxes around both are apart."""
        low = np.maximum(self.vertices.min(axis=0), other.vertices.min(axis=0))
        high = np.minimum(self.vertices.max(axis=0), other.vertices.max(axis=0))
        return bool((low > high).any())


def nest(polygons: Sequence[Floats]) -> Nesting:
    """Finds out which polygon lies in which.

    An exact duplicate is dropped. A polygon over 80 % as large as the one that it is
    in is a near duplicate: it belongs to the same outline. Polygons that partly overlap
    are no holes in each other. Each of these is a finding.

    Args:
      polygons: float64 ``[n, 2]`` each, (column, row) in pixels.

    Raises:
      TooIntricate: Two of them cross too often.
    """
    shapes = [_Shape.of(polygon) for polygon in polygons]
    groups: list[list[int]] = []
    parents: list[int | None] = []
    group_of: dict[int, int] = {}  # large to small
    findings = set()
    for number in sorted(range(len(shapes)), key=lambda n: -shapes[n].area):
        relations = {n: _relation(shapes[n], shapes[number]) for n in group_of}
        findings |= {_FINDINGS[one] for one in relations.values() if one in _FINDINGS}
        if _SAME_OUTLINE in relations.values():
            continue
        holders = [n for n, relation in relations.items() if relation == _INSIDE]
        holder = holders[-1] if holders else None
        if holder is not None and _near(shapes[holder], shapes[number]):
            findings.add("contours_near_duplicate")
            group_of[number] = group_of[holder]
            groups[group_of[holder]].append(number)
        else:
            group_of[number] = len(groups)
            groups.append([number])
            parents.append(None if holder is None else group_of[holder])
    return Nesting(tuple(map(tuple, groups)), tuple(parents), tuple(sorted(findings)))


_APART, _INSIDE, _OVERLAPPING, _SAME_OUTLINE = range(4)
_FINDINGS = {_OVERLAPPING: "contours_overlap", _SAME_OUTLINE: "contours_duplicate"}


def _near(larger: _Shape, smaller: _Shape) -> bool:
    return smaller.area > NEAR_DUPLICATE * larger.area


def _relation(larger: _Shape, smaller: _Shape) -> int:
    """How the smaller of two polygons lies to the larger one."""
    if larger.is_beside(smaller):
        return _APART
    shared = rasterize.shared_area(larger.vertices, smaller.vertices)
    astray = min(TOUCHING * smaller.length, smaller.area / 4)
    if shared < smaller.area - astray:
        return _APART if shared <= astray else _OVERLAPPING
    apart = larger.area - shared
    return _SAME_OUTLINE if 0 < shared and apart <= _SAME * larger.length else _INSIDE
