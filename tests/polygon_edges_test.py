import math
import sys

import numpy as np
import pytest

from tfdicom import polygon_edges

SQUARE = np.array([(2, 1), (6, 1), (6, 5), (2, 5)], dtype=float)


def test_edges_have_their_upper_end_first():
    upper, lower = polygon_edges.edges_of(SQUARE)
    assert (upper[:, 1] <= lower[:, 1]).all()
    again = polygon_edges.edges_of(SQUARE[::-1])
    ends = {(*map(tuple, pair),) for pair in zip(upper, lower, strict=True)}
    assert {(*map(tuple, pair),) for pair in zip(*again, strict=True)} >= {
        pair for pair in ends if pair[0][1] < pair[1][1]
    }


def test_joined_edges_know_their_polygon():
    edges, polygon = polygon_edges.joined([SQUARE, SQUARE[:3]])
    assert polygon.tolist() == [0, 0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(edges[0][4:], polygon_edges.edges_of(SQUARE[:3])[0])


def test_ranges():
    start, stop = np.array([3, 5, 9, 0]), np.array([5, 5, 7, 2])
    owner, number = polygon_edges.ranges(start, stop)
    assert owner.tolist() == [0, 0, 3, 3]
    assert number.tolist() == [3, 4, 0, 1]
    with pytest.raises(polygon_edges.TooIntricate, match="6000000 pieces"):
        polygon_edges.ranges(np.zeros(2, np.intp), np.full(2, 3_000_000))


def test_pieces_of_two_squares():
    edges, polygon = polygon_edges.joined([SQUARE, SQUARE + (2, 2)])
    owner, row, height, column = polygon_edges.pieces(
        edges, polygon_edges.corner_rows(edges)
    )
    # Slabs of rows 1 to 3, 3 to 5, 5 to 7; the squares share the second.
    assert row.tolist() == [2, 2, 4, 4, 4, 4, 6, 6]
    assert height.tolist() == [2] * 8
    assert column.tolist() == [2, 6, 2, 4, 6, 8, 4, 8]
    assert polygon[owner].tolist() == [0, 0, 0, 1, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("region", "signs"),
    [
        (lambda inside: inside[0], [1, -1, 1, 0, -1, 0, 0, 0]),
        (lambda inside: inside[0] | inside[1], [1, -1, 1, 0, 0, -1, 1, -1]),
        (lambda inside: inside[0] & inside[1], [0, 0, 0, 1, -1, 0, 0, 0]),
        (lambda inside: inside[0] ^ inside[1], [1, -1, 1, -1, 1, -1, 1, -1]),
        (lambda inside: inside[0] & ~inside[1], [1, -1, 1, -1, 0, 0, 0, 0]),
    ],
)
def test_signs_of_what_bounds_a_region(region, signs):
    polygon = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    height = np.full(8, 2.0)
    found = polygon_edges.signed_heights(height, polygon, 2, region)
    assert found.tolist() == [2.0 * sign for sign in signs]


@pytest.mark.parametrize(
    ("one", "other", "rows"),
    [
        ([(0, 0), (4, 4)], [(4, 0), (0, 4)], [2]),
        ([(0, 0), (4, 8)], [(0, 2), (9, 2)], [2]),
        ([(0, 0), (4, 4)], [(4, 0), (3, 3)], []),  # ends on the other edge
        ([(0, 0), (4, 4)], [(4, 4), (8, 0)], []),
        ([(0, 0), (4, 4)], [(0, 0), (4, 4)], []),
        ([(0, 0), (4, 4)], [(1, 0), (5, 4)], []),
    ],
)
def test_crossings(one, other, rows):
    ends = np.array([one, other], dtype=float)
    edges = tuple(
        np.stack([sorted(pair.tolist(), key=lambda end: end[1])[n] for pair in ends])
        for n in (0, 1)
    )
    found = polygon_edges.crossing_rows(edges, tolerance=1e-9)
    assert found == pytest.approx(rows)


def test_moments():
    area, column, row = polygon_edges.moments(SQUARE)
    assert (area, column, row) == pytest.approx((16, 4, 3))
    assert polygon_edges.moments(SQUARE[[0, 1]])[0] == 0
    assert math.isnan(polygon_edges.moments(SQUARE[[0, 1]])[1])


@pytest.mark.parametrize("wrong", [[(0, 0), (1, 1)], [(0, 0), (1, 1), (2, math.inf)]])
def test_checks(wrong):
    with pytest.raises(ValueError, match=r"at least 3|not finite"):
        polygon_edges.checked(wrong)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
