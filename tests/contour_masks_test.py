import functools
import itertools
import math
import operator
import sys

import numpy as np
import pytest

from tfdicom import contour_masks, rasterize
from tfdicom.contour_masks import CLOSED_PLANAR, CLOSED_XOR, PlanarContour
from tfdicom.reasons import FINDINGS, REASONS, InputSkipped
from tfdicom.sources.annotation_objects import DrawingRules

SHAPE = (32, 36)
BOW_TIE = [(2, 2), (12, 12), (12, 2), (2, 12)]


def square(low, high):
    return np.array([(low, low), (high, low), (high, high), (low, high)], dtype=float)


def disc(radius, column=15.3, row=15.8, corners=180):
    angle = np.arange(corners) / corners * 2 * np.pi
    return np.stack(
        [column + radius * np.cos(angle), row + radius * np.sin(angle)], axis=1
    )


def draw(polygons, *, roles=None, edge_rule="center", **rules):
    roles = roles or [CLOSED_PLANAR] * len(polygons)
    contours = [
        PlanarContour(number, np.asarray(polygon, dtype=float), role)
        for number, (polygon, role) in enumerate(zip(polygons, roles, strict=True), 1)
    ]
    rules = DrawingRules(edge_rule=edge_rule, **rules)
    return contour_masks.draw_contours(contours, SHAPE, rules, item=7)


def filled(polygon, edge_rule="center"):
    return rasterize.fill(polygon, SHAPE, edge_rule=edge_rule)


@pytest.mark.parametrize("hole_rule", contour_masks.HOLE_RULES)
@pytest.mark.parametrize("edge_rule", rasterize.EDGE_RULES)
def test_one_contour_is_its_filling(edge_rule, hole_rule):
    drawn = draw([disc(9)], edge_rule=edge_rule, hole_rule=hole_rule)
    np.testing.assert_array_equal(drawn.plane, filled(disc(9), edge_rule))
    assert drawn.plane.dtype == np.bool_
    assert (drawn.edge_rule, drawn.hole_rule) == (edge_rule, hole_rule)
    assert drawn.fraction is None
    assert drawn.findings == () and drawn.left == ()


def keyhole():
    """A ring as one path: around, in through a channel, around the hole, out again."""
    outer, hole = disc(10), disc(6)[::-1]
    return np.concatenate([outer, outer[:1], hole[-1:], hole])


@pytest.mark.parametrize("edge_rule", rasterize.EDGE_RULES)
@pytest.mark.parametrize("order", [1, -1])
def test_ring_made_three_ways(edge_rule, order):
    both = [disc(10), disc(6)][::order]
    ways = [
        draw(both, edge_rule=edge_rule),
        draw(both, roles=[CLOSED_XOR] * 2, edge_rule=edge_rule),
        draw(both, edge_rule=edge_rule, hole_rule="xor"),
        draw([keyhole()], edge_rule=edge_rule),
    ]
    rows, columns = np.indices(SHAPE)
    radius = np.hypot(columns - 15.3, rows - 15.8)
    for drawn in ways:
        np.testing.assert_array_equal(drawn.plane, ways[0].plane)
        clear = (np.abs(radius - 10) > 0.6) & (np.abs(radius - 6) > 0.6)
        expected = (radius < 10) & (radius > 6)
        np.testing.assert_array_equal(drawn.plane[clear], expected[clear])
    union = draw(both, edge_rule=edge_rule, hole_rule="union").plane
    np.testing.assert_array_equal(union, filled(disc(10), edge_rule))
    standard = draw(both, edge_rule=edge_rule, hole_rule="standard").plane
    np.testing.assert_array_equal(standard, union)


@pytest.mark.parametrize("edge_rule", ["center", "inside"])
def test_standard_adds_planar_contours_and_flips_the_others(edge_rule):
    polygons = [square(2.2, 12.3), square(8.1, 20.4), square(4.5, 10.6)]
    roles = [CLOSED_PLANAR, CLOSED_PLANAR, CLOSED_XOR]
    drawn = draw(polygons, roles=roles, edge_rule=edge_rule, hole_rule="standard")
    one, two, three = map(filled, polygons)
    np.testing.assert_array_equal(drawn.plane, (one | two) ^ three)


@pytest.mark.parametrize(
    ("rule", "join"), [("xor", operator.xor), ("union", operator.or_)]
)
def test_rules_that_ignore_types(rule, join):
    polygons = [square(2.2, 12.3), square(8.1, 20.4), disc(7), disc(3, 8, 8)]
    expected = functools.reduce(join, map(filled, polygons))
    for roles in itertools.product((CLOSED_PLANAR, CLOSED_XOR), repeat=4):
        drawn = draw(polygons, roles=roles, hole_rule=rule)
        np.testing.assert_array_equal(drawn.plane, expected)


def test_island_in_a_hole_and_partial_overlap():
    polygons = [disc(13), disc(9), disc(4), square(23.2, 31.2)]
    drawn = draw(polygons)
    outer, hole, island, beside = map(filled, polygons)
    np.testing.assert_array_equal(drawn.plane, (outer & ~hole) | island | beside)
    assert drawn.findings == ("contours_overlap",)
    drawn = draw([square(2.5, 12.5), square(8.5, 20.5)])
    assert drawn.plane.sum() == 100 + 144 - 16


def test_exact_and_near_duplicates_are_no_holes():
    drawn = draw([disc(10), disc(10)[::-1], disc(9.6)])
    np.testing.assert_array_equal(drawn.plane, filled(disc(10)))
    assert drawn.findings == ("contours_duplicate", "contours_near_duplicate")
    ring = draw([disc(10), disc(6), disc(9.6), disc(5.6)])
    expected = filled(disc(10)) & ~filled(disc(6))
    np.testing.assert_array_equal(ring.plane, expected)
    assert set(ring.findings) == {"contours_near_duplicate"}


@pytest.mark.parametrize("hole_rule", contour_masks.HOLE_RULES)
def test_fractions_of_what_overlaps_are_exact(hole_rule):
    polygons = [disc(11), disc(6), disc(2.5), disc(5, 26, 20), square(3.3, 9.7)]
    roles = [CLOSED_PLANAR] * 4 + [CLOSED_XOR]
    rules = {"hole_rule": hole_rule, "covered_fraction": True}
    drawn = draw(polygons, roles=roles, **rules)
    scale = 32
    fine = contour_masks.draw_contours(
        [
            PlanarContour(number, (polygon + 0.5) * scale - 0.5, role)
            for number, (polygon, role) in enumerate(zip(polygons, roles, strict=True))
        ],
        (SHAPE[0] * scale, SHAPE[1] * scale),
        DrawingRules(edge_rule="center", hole_rule=hole_rule),
    )
    expected = fine.plane.reshape(SHAPE[0], scale, SHAPE[1], scale).mean(axis=(1, 3))
    np.testing.assert_allclose(drawn.fraction, expected, atol=0.03)
    assert drawn.fraction.sum() == pytest.approx(expected.sum(), rel=1e-3)
    half = draw(polygons, roles=roles, edge_rule="half_covered", **rules)
    np.testing.assert_array_equal(half.plane, half.fraction >= 0.5 - 1e-9)


def test_two_halves_of_a_pixel_are_a_whole_one():
    # Neither of them covers half of column 5.
    left, right = (
        np.array([(low, 2.5), (high, 2.5), (high, 8.5), (low, 8.5)])
        for low, high in ((1.5, 4.9), (4.9, 9.5))
    )
    drawn = draw([left, right], edge_rule="half_covered", covered_fraction=True)
    assert drawn.plane.sum() == 8 * 6
    assert drawn.fraction.sum() == pytest.approx(8 * 6)


def test_a_hole_that_was_traced_on_the_mask_keeps_its_rim():
    # The hole's path runs on pixels that belong to the structure.
    outer, hole = square(2, 20), square(6, 12)
    inside = draw([outer, hole], edge_rule="inside")
    assert inside.plane.sum() == 19 * 19 - 5 * 5
    assert [one.centres_on_path for one in inside.contours] == [4 * 18, 4 * 6]
    centre = draw([outer, hole])
    assert centre.plane.sum() == 18 * 18 - 6 * 6


@pytest.mark.parametrize(
    ("polygon", "role", "reason"),
    [
        ([(3, 3)], CLOSED_PLANAR, "contour_too_short"),
        ([(3, 3), (8, 3)], CLOSED_PLANAR, "contour_too_short"),
        ([(3, 3), (8, 3), (3, 3)], CLOSED_PLANAR, "contour_too_short"),
        (np.empty((0, 2)), CLOSED_PLANAR, "contour_too_short"),
        (square(100, 120), CLOSED_PLANAR, "contour_outside_image"),
        ([(3.2, 3.2), (3.8, 3.2), (3.5, 9)], CLOSED_XOR, "contour_outside_image"),
        ([(3, 3), (8, math.nan), (3, 9)], CLOSED_PLANAR, "contour_points_invalid"),
        ([(3, 3), (8, 1e9), (3, 9)], CLOSED_PLANAR, "contour_points_invalid"),
        (square(3, 9), "OPEN_PLANAR", "contour_not_closed"),
    ],
)
def test_a_bad_contour_is_left_and_the_rest_is_drawn(polygon, role, reason):
    drawn = draw([polygon, disc(9)], roles=[role, CLOSED_PLANAR])
    np.testing.assert_array_equal(drawn.plane, filled(disc(9)))
    assert [(one.item, one.part, one.reason) for one in drawn.left] == [(7, 1, reason)]
    assert reason in REASONS
    assert len(drawn.contours) == 1
    with pytest.raises(InputSkipped) as caught:
        draw([polygon], roles=[role])
    assert caught.value.code == reason


def test_what_draws_nothing_says_why():
    with pytest.raises(InputSkipped, match="contour 2: contour_outside_image") as found:
        draw([[(3, 3)], square(100, 120)])
    assert found.value.code == "no_usable_contour"
    with pytest.raises(InputSkipped) as found:
        draw([disc(9), disc(9)], hole_rule="xor")
    assert found.value.code == "contours_take_nothing"


def test_a_contour_that_is_too_intricate_is_left():
    scribble = np.random.default_rng(0).uniform(0, 30, (1500, 2))
    drawn = draw([scribble, disc(9)])
    assert [one.reason for one in drawn.left] == ["contour_too_intricate"]


def test_findings_of_each_contour_are_told():
    drawn = draw([BOW_TIE, square(20.5, 40)])
    assert drawn.findings == ("contour_crosses_itself", "contour_leaves_image")
    assert set(drawn.findings) <= set(FINDINGS)


def test_contours_come_back_without_the_repeated_end():
    closed = np.concatenate([disc(9), disc(9)[:1]])
    (contour,) = draw([closed]).contours
    np.testing.assert_array_equal(contour.vertices, disc(9))
    assert contour.role == CLOSED_PLANAR


def test_refuses_unknown_rules():
    with pytest.raises(ValueError, match="hole_rule is 'odd'; allowed are nested"):
        draw([disc(9)], hole_rule="odd")
    with pytest.raises(ValueError, match="edge_rule is 'odd'; allowed are center"):
        draw([disc(9)], edge_rule="odd")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
