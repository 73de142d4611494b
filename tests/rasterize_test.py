import csv
import math
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests import real_data
from tfdicom import polygon_edges, rasterize

BOW_TIE = [(2, 2), (12, 12), (12, 2), (2, 12)]
# An outer square with a hole, joined by a channel that is walked both ways.
KEYHOLE = [(1, 1), (11, 1), (11, 11), (1, 11), (1, 1)]
KEYHOLE += [(4, 4), (4, 8), (8, 8), (8, 4), (4, 4)]
SPIKE = [(2, 2), (6, 2), (6, 2), (9, 2), (6, 2), (6, 6), (2, 6)]


def polygon_centroid(vertices):
    """Column and row."""
    return polygon_edges.moments(polygon_edges.checked(vertices))[1:]


def square(low, high):
    return [(low, low), (high, low), (high, high), (low, high)]


def disc(column, row, radius, corners=180):
    angle = np.arange(corners) / corners * 2 * np.pi
    return np.stack(
        [column + radius * np.cos(angle), row + radius * np.sin(angle)], axis=1
    )


def star(rng, corners=24, size=32):
    """A simple polygon, some of it outside the image."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(4, 20, corners)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return points + rng.uniform(8, size - 8, 2)


def shoelace(vertices):
    x, y = np.transpose(vertices)
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def drawn_fraction(vertices, size, scale=16):
    """Covered fractions by Pillow, drawn large and reduced."""
    image = Image.new("1", (size * scale, size * scale))
    corners = (np.asarray(vertices) + 0.5) * scale - 0.5
    ImageDraw.Draw(image).polygon([tuple(corner) for corner in corners], fill=1)
    fine = np.asarray(image, dtype=float)
    return fine.reshape(size, scale, size, scale).mean(axis=(1, 3))


def sunnybrook_contours():
    with open(real_data.SUNNYBROOK / "link.csv", encoding="utf-8") as file:
        originals = [row["original_id"] for row in csv.DictReader(file)]
    root = real_data.SUNNYBROOK / "contourfiles"
    for original in originals:
        for file in sorted((root / original).glob("*/IM-*-manual.txt")):
            yield np.loadtxt(file) - 1


@pytest.mark.parametrize(
    ("vertices", "pixels"),
    [
        (square(2, 5), {"center": 9, "inside": 16, "half_covered": 12}),
        (square(1.5, 5.5), {"center": 16, "inside": 16, "half_covered": 16}),
        (square(-3, 2.5), {"center": 9, "inside": 9, "half_covered": 9}),
        (square(-0.5, 13.5), {"center": 196, "inside": 196, "half_covered": 196}),
        (square(-9, 99), {"center": 196, "inside": 196, "half_covered": 196}),
        (square(20, 30), {"center": 0, "inside": 0, "half_covered": 0}),
        (square(-9, -2), {"center": 0, "inside": 0, "half_covered": 0}),
        (KEYHOLE, {"center": 84, "inside": 112, "half_covered": 108}),
        ([(3, 3), (3, 7), (3, 5)], {"center": 0, "inside": 5, "half_covered": 0}),
    ],
)
def test_counts_pixels(vertices, pixels):
    # A border through centres covers half of a pixel, a convex corner only a quarter.
    for rule, count in pixels.items():
        mask = rasterize.fill(vertices, (14, 14), edge_rule=rule)
        assert mask.dtype == np.bool_ and mask.shape == (14, 14)
        assert mask.sum() == count, rule


def test_center_is_half_open_and_neighbours_share_nothing():
    mask = rasterize.fill(square(2, 5), (8, 8), edge_rule="center")
    assert {tuple(place) for place in np.argwhere(mask)} == {
        (row, column) for row in (2, 3, 4) for column in (2, 3, 4)
    }
    rng = np.random.default_rng(1)
    for ends in rng.integers(0, 31, (50, 2, 2)) / 2:
        upper, lower = ends[ends[:, 1].argsort()]
        shared = [(upper[0], -1), upper, lower, (lower[0], 16)]
        left, right = (
            rasterize.fill(
                [(side, -1), *shared, (side, 16)], (16, 16), edge_rule="center"
            )
            for side in (-1, 16)
        )
        assert not (left & right).any()
        assert (left | right).all()


@pytest.mark.parametrize("rule", ["center", "half_covered"])
def test_disc_keeps_its_area(rule):
    rng = np.random.default_rng(0)
    areas = [
        rasterize.fill(
            disc(*rng.uniform(15, 16, 2), 10), (32, 32), edge_rule=rule
        ).sum()
        for _ in range(100)
    ]
    assert np.mean(areas) == pytest.approx(math.pi * 100, rel=0.005)


@pytest.mark.parametrize(
    ("vertices", "area", "centroid"),
    [
        (square(2, 6), 16, (4, 4)),
        ([(5, 1), (9, 5), (5, 9), (1, 5)], 32, (5, 5)),
        ([(0, 0), (6, 0), (0, 3)], 9, (2, 1)),
        (BOW_TIE, 50, (7, 7)),
        (KEYHOLE, 84, (6, 6)),
        (SPIKE, 16, (4, 4)),
        (disc(7, 7, 5), 90 * 25 * math.sin(math.pi / 90), (7, 7)),
    ],
)
def test_area_and_centroid(vertices, area, centroid):
    assert rasterize.polygon_area(vertices) == pytest.approx(area, rel=1e-12)
    assert polygon_centroid(vertices) == pytest.approx(centroid)
    covered = rasterize.covered_fraction(vertices, (14, 14))
    assert covered.sum() == pytest.approx(area, abs=1e-9)


def test_ring_of_two_contours():
    outer, inner = (
        rasterize.covered_fraction(disc(15.3, 15.8, radius), (32, 32))
        for radius in (10, 6)
    )
    assert (outer >= inner).all()
    expected = shoelace(disc(0, 0, 10)) - shoelace(disc(0, 0, 6))
    assert (outer - inner).sum() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "region",
    [
        lambda inside: inside[0] & inside[1],
        lambda inside: inside[0] | inside[2],
        lambda inside: (inside[0] & ~inside[1]) ^ inside[2],
        lambda inside: (inside[0] & inside[1]) | (inside[1] & inside[2]),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_region_of_polygons_that_cross(region, seed):
    rng = np.random.default_rng(seed)
    polygons = [star(rng), rng.uniform(-4, 36, (8, 2)), star(rng)]
    fraction = rasterize.region_fraction(polygons, region, (28, 32))
    fine = region(
        [
            rasterize.fill((one + 0.5) * 32 - 0.5, (896, 1024), edge_rule="center")
            for one in polygons
        ]
    )
    expected = fine.reshape(28, 32, 32, 32).mean(axis=(1, 3))
    np.testing.assert_allclose(fraction, expected, atol=0.03)
    assert fraction.sum() == pytest.approx(expected.sum(), rel=1e-3)


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (square(2, 6), square(2, 6), 16),
        (square(2, 6), square(4, 12), 4),
        (square(2, 6), square(6, 8), 0),
        (square(2, 6), square(20, 30), 0),
        (square(0, 12), KEYHOLE, 84),
        (square(4, 8), KEYHOLE, 0),
        (BOW_TIE, square(2, 7), 12.5),
        (disc(7, 7, 5), disc(7, 7, 3), 90 * 9 * math.sin(math.pi / 90)),
    ],
)
def test_shared_area(one, other, shared):
    assert rasterize.shared_area(one, other) == pytest.approx(shared, abs=1e-9)
    assert rasterize.shared_area(other, one) == pytest.approx(shared, abs=1e-9)


def test_marks_the_centres_that_it_counts():
    marked = rasterize.path_centres(square(-2, 3), (14, 12))
    assert {tuple(place) for place in np.argwhere(marked)} == {
        *((3, column) for column in range(4)),
        *((row, 3) for row in range(4)),
    }


def test_even_odd_where_the_path_winds_twice():
    twice = [*square(2, 10), (2, 2), *square(4, 8), (4, 4)]
    mask = rasterize.fill(twice, (13, 13), edge_rule="center")
    assert not mask[5, 5]
    assert mask[3, 5]
    mask = rasterize.fill(BOW_TIE, (14, 14), edge_rule="center")
    assert mask[7, [4, 10]].all()
    assert not mask[[3, 11], 7].any()


@pytest.mark.parametrize("seed", range(8))
def test_center_agrees_with_matplotlib(seed):
    path = pytest.importorskip("matplotlib.path")
    vertices = star(np.random.default_rng(seed))
    rows, columns = np.indices((32, 32))
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1)
    other = path.Path([*vertices, vertices[0]], closed=True).contains_points(centres)
    mask = rasterize.fill(vertices, (32, 32), edge_rule="center")
    np.testing.assert_array_equal(mask, other.reshape(32, 32))


@pytest.mark.parametrize("seed", range(8))
def test_coverage_agrees_with_pillow(seed):
    vertices = star(np.random.default_rng(seed))
    covered = rasterize.covered_fraction(vertices, (32, 32))
    drawn = drawn_fraction(vertices, 32)
    # Pillow also takes the sub-pixels on the path, on both sides of a narrow arm.
    assert np.abs(covered - drawn).max() < 0.25
    assert np.abs(covered - drawn).mean() < 0.02
    mask = rasterize.fill(vertices, (32, 32), edge_rule="half_covered")
    clear = np.abs(drawn - 0.5) > 0.25
    np.testing.assert_array_equal(mask[clear], drawn[clear] > 0.5)


@pytest.mark.parametrize("seed", range(6))
def test_covers_what_a_finer_grid_covers(seed):
    rng = np.random.default_rng(seed)
    vertices = rng.uniform(-6, 22, (12, 2))  # crosses itself and the border
    fine = rasterize.fill((vertices + 0.5) * 64 - 0.5, (1024, 1024), edge_rule="center")
    fine = fine.reshape(16, 64, 16, 64).mean(axis=(1, 3))
    covered = rasterize.covered_fraction(vertices, (16, 16))
    np.testing.assert_allclose(covered, fine, atol=0.02)
    far = rasterize.covered_fraction(vertices + 8, (32, 32))
    np.testing.assert_allclose(far[8:24, 8:24], covered, atol=1e-12)
    assert far.sum() == pytest.approx(rasterize.polygon_area(vertices), abs=1e-9)


@pytest.mark.parametrize("rule", rasterize.EDGE_RULES)
@pytest.mark.parametrize("seed", range(5))
def test_mirrored_and_transposed(rule, seed):
    rng = np.random.default_rng(seed)
    vertices = star(rng) if seed % 2 else rng.uniform(-4, 36, (9, 2))
    if rule == "half_covered":
        vertices = np.rint(vertices * 2) / 2
    mask = rasterize.fill(vertices, (24, 32), edge_rule=rule)
    mirrored = np.array([31, 0]) + np.array([-1, 1]) * vertices
    np.testing.assert_array_equal(
        rasterize.fill(mirrored, (24, 32), edge_rule=rule), mask[:, ::-1]
    )
    upside_down = np.array([0, 23]) + np.array([1, -1]) * vertices
    np.testing.assert_array_equal(
        rasterize.fill(upside_down, (24, 32), edge_rule=rule), mask[::-1]
    )
    np.testing.assert_array_equal(
        rasterize.fill(vertices[:, ::-1], (32, 24), edge_rule=rule), mask.T
    )


def test_inside_gives_a_traced_mask_back():
    rows, columns = np.indices((40, 40))
    mask = np.hypot(rows - 19.3, columns - 20.6) < 11.4
    top, bottom = mask.argmax(axis=0), 39 - mask[::-1].argmax(axis=0)
    taken = np.flatnonzero(mask.any(axis=0))
    # The outline of a convex mask, from centre to centre.
    traced = [(c, top[c]) for c in taken] + [(c, bottom[c]) for c in taken[::-1]]
    inside = rasterize.fill(traced, mask.shape, edge_rule="inside")
    np.testing.assert_array_equal(inside, mask)
    assert rasterize.fill(traced, mask.shape, edge_rule="center").sum() < mask.sum()
    on_path = rasterize.centres_on_path(traced, mask.shape, tolerance=0.001)
    assert on_path >= len(set(traced))


@pytest.mark.parametrize(
    ("vertices", "tolerance", "count"),
    [
        (square(2, 5), 0.001, 12),
        (square(2.01, 5), 0.001, 5),
        (square(2.01, 5), 0.02, 12),
        (square(-2, 3), 0, 7),
        ([(0, 0), (6, 3), (6, 0)], 0, 12),
        ([(4, 4), (4, 4), (4, 4)], 0, 1),
        (square(2.5, 5.5), 0.25, 0),
    ],
)
def test_counts_centres_on_the_path(vertices, tolerance, count):
    counted = rasterize.centres_on_path(vertices, (14, 14), tolerance=tolerance)
    assert counted == count


@pytest.mark.parametrize(
    ("vertices", "crosses"),
    [
        (BOW_TIE, True),
        (KEYHOLE, False),
        (SPIKE, False),
        (square(1, 5), False),
        (disc(5, 5, 3), False),
        ([(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)], False),
        ([(0, 2), (6, 2), (6, 6), (3, 6), (3, 0)], True),
    ],
)
def test_crosses_itself(vertices, crosses):
    assert rasterize.crosses_itself(vertices) is crosses
    turned = np.asarray(vertices) @ [[0.8, 0.6], [-0.6, 0.8]]
    assert rasterize.crosses_itself(turned) is crosses


@pytest.mark.parametrize(
    ("vertices", "message"),
    [
        ([], "at least 3 vertices, got 0"),
        (np.empty((0, 2)), "at least 3 vertices, got 0"),
        ([(1, 1), (2, 2)], "at least 3 vertices, got 2"),
        ([(1, 1), (2, math.nan), (3, 3)], r"vertex 1 is not finite.*: \[2.0, nan\]"),
        ([(1, 1), (2, 3), (3, math.inf)], "vertex 2 is not finite"),
        ([(1, 1), (2, 3), (1e12, 3)], "vertex 2 .* more than 1e.07 pixels away"),
        ([1, 2, 3], r"shape \[n, 2\], got \[3\]"),
        (np.ones((4, 3)), r"shape \[n, 2\], got \[4, 3\]"),
    ],
)
def test_refuses_what_is_no_polygon(vertices, message):
    for use in (
        lambda: rasterize.fill(vertices, (8, 8), edge_rule="center"),
        lambda: rasterize.covered_fraction(vertices, (8, 8)),
        lambda: rasterize.centres_on_path(vertices, (8, 8)),
        lambda: rasterize.polygon_area(vertices),
        lambda: rasterize.crosses_itself(vertices),
    ):
        with pytest.raises(ValueError, match=message):
            use()


def test_refuses_options():
    with pytest.raises(ValueError, match="'centre'; allowed are center, inside, half_"):
        rasterize.fill(square(1, 3), (8, 8), edge_rule="centre")
    with pytest.raises(ValueError, match="tolerance is 0.5; allowed are 0 to 0.25"):
        rasterize.fill(square(1, 3), (8, 8), edge_rule="inside", tolerance=0.5)


@real_data.needs_sunnybrook
def test_sunnybrook_contours_keep_area_and_centroid():
    taken, areas, offsets = [], [], []
    for vertices in sunnybrook_contours():
        areas.append(rasterize.polygon_area(vertices))
        assert areas[-1] == pytest.approx(shoelace(vertices), rel=1e-9)
        covered = rasterize.covered_fraction(vertices, (256, 256))
        assert covered.sum() == pytest.approx(areas[-1], abs=1e-9)
        mask = rasterize.fill(vertices, (256, 256), edge_rule="half_covered")
        taken.append(mask.sum())
        centroid = np.argwhere(mask).mean(axis=0)[::-1]
        offsets.append(centroid - polygon_centroid(vertices))
    assert len(areas) == 84
    assert sum(taken) == pytest.approx(sum(areas), rel=0.01)
    assert np.abs(np.mean(offsets, axis=0)).max() < 0.07


def test_polygon_that_would_take_minutes_is_refused_at_once():
    vertices = np.random.default_rng(0).uniform(0, 256, (1500, 2))
    for measure in (
        lambda: rasterize.fill(vertices, (256, 256), edge_rule="half_covered"),
        lambda: rasterize.covered_fraction(vertices, (256, 256)),
        lambda: rasterize.polygon_area(vertices),
    ):
        with pytest.raises(rasterize.TooIntricate, match="too intricate: [0-9]{8,9} "):
            measure()
    assert rasterize.fill(vertices, (256, 256), edge_rule="center").any()


def test_many_vertices_that_are_in_order_are_no_hindrance():
    vertices = disc(128, 128, 100, corners=20_000).round(2)
    mask = rasterize.fill(vertices, (256, 256), edge_rule="half_covered")
    assert mask.sum() == pytest.approx(math.pi * 100**2, rel=1e-3)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
