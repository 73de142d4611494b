import sys

import numpy as np
import pytest

from tfdicom import nesting


def square(low, high, corners=None):
    corners = corners or [(0, 0), (1, 0), (1, 1), (0, 1)]
    return low + (high - low) * np.array(corners, dtype=float)


def disc(radius, column=15.3, row=15.8, corners=120):
    angle = np.arange(corners) / corners * 2 * np.pi
    return np.stack(
        [column + radius * np.cos(angle), row + radius * np.sin(angle)], axis=1
    )


def parents_of(polygons):
    """For each polygon, one of the polygons it is a hole in (or fills again)."""
    tree = nesting.nest(polygons)
    first = [group[0] for group in tree.groups]
    parents = [None if parent is None else first[parent] for parent in tree.parents]
    return dict(zip(first, parents, strict=True)), tree


@pytest.mark.parametrize(
    ("polygons", "parents"),
    [
        ([square(0, 9)], {0: None}),
        ([square(0, 9), square(20, 29)], {0: None, 1: None}),
        ([square(3, 6), square(0, 9)], {1: None, 0: 1}),
        (
            [square(0, 20), square(2, 16), square(4, 9), square(11, 14)],
            {0: None, 1: 0, 2: 1, 3: 1},
        ),
        # A hole that touches what it is in: at a corner, along a side, at a vertex.
        ([square(0, 9), square(0, 5)], {0: None, 1: 0}),
        ([square(0, 9), square(2, 4) - (2, 0)], {0: None, 1: 0}),
        ([disc(9), disc(4.5, 15.3 + 4.5)], {0: None, 1: 0}),
        # Neighbours that share a side or a corner.
        ([square(0, 9), square(0, 9) + (9, 0)], {0: None, 1: None}),
        ([square(0, 9), square(9, 12)], {0: None, 1: None}),
        # Two decimals can put a touching hole outside by less than their half.
        ([square(0, 9), square(2, 6) - (2.004, 0)], {0: None, 1: 0}),
        # In the other's box, but not in it.
        ([square(0, 9)[[0, 1, 3]], square(7, 8)], {0: None, 1: None}),
    ],
)
def test_who_lies_in_whom(polygons, parents):
    found, tree = parents_of(polygons)
    assert found == parents
    assert tree.findings == ()


def test_what_crosses_overlaps_and_is_no_hole():
    for moved in (0.5, 2.0, 3.5):
        found, tree = parents_of([square(0, 9), square(3, 7) + (2 + moved, 0)])
        assert found == {0: None, 1: None}
        assert tree.findings == ("contours_overlap",)


def test_crossing_at_vertices_is_seen():
    # No two edges cross inside both of them.
    one = np.array([(0, 0), (4, 0), (8, 0), (8, 8), (4, 8), (0, 8)], dtype=float)
    other = np.array([(4, 0), (9, 0), (9, 8), (4, 8)], dtype=float)
    assert nesting.nest([one, other]).findings == ("contours_overlap",)


def test_a_duplicate_is_dropped_however_it_is_walked():
    again = np.roll(disc(9), 7, axis=0)[::-1]
    found, tree = parents_of([disc(9), again, disc(4)])
    assert found == {0: None, 2: 0}
    assert tree.findings == ("contours_duplicate",)


@pytest.mark.parametrize(
    ("share", "hole"), [(0.5, True), (0.79, True), (0.81, False), (0.99, False)]
)
def test_a_near_duplicate_is_no_hole(share, hole):
    found, tree = parents_of([disc(9), disc(9 * share**0.5)])
    assert found == ({0: None, 1: 0} if hole else {0: None})
    assert tree.findings == (() if hole else ("contours_near_duplicate",))
    assert tree.groups == (((0,), (1,)) if hole else ((0, 1),))


def test_a_ring_that_was_drawn_twice_stays_a_ring():
    polygons = [disc(9.6), disc(5.6), disc(10), disc(6)]
    tree = nesting.nest(polygons)
    assert tree.groups == ((2, 0), (3, 1))
    assert tree.parents == (None, 0)
    rows, columns = np.indices((32, 32))
    radius = np.hypot(columns - 15.3, rows - 15.8)
    inside = [radius < limit for limit in (9.6, 5.6, 10, 6)]
    expected = (radius < 10) & ~(radius < 6)
    np.testing.assert_array_equal(tree.region(inside), expected)


def test_region_of_many_depths():
    radii = (14, 11, 8, 5, 2)
    tree = nesting.nest([disc(radius) for radius in radii])
    rows, columns = np.indices((32, 32))
    radius = np.hypot(columns - 15.3, rows - 15.8)
    depth = np.sum([radius < limit for limit in radii], axis=0)
    found = tree.region([radius < limit for limit in radii])
    np.testing.assert_array_equal(found, depth % 2 == 1)


def test_a_hole_takes_nothing_from_a_neighbour_that_it_overlaps():
    polygons = [square(0, 10), square(4, 8), square(0, 10) + (7, 0)]
    tree = nesting.nest(polygons)
    rows, columns = np.indices((12, 20)) + 0.5
    inside = [
        (rows < 10) & (columns < 10),
        (rows > 4) & (rows < 8) & (columns > 4) & (columns < 8),
        (rows < 10) & (columns > 7) & (columns < 17),
    ]
    expected = (inside[0] & ~inside[1]) | inside[2]
    np.testing.assert_array_equal(tree.region(inside), expected)
    assert tree.findings == ("contours_overlap",)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
