import dataclasses
import sys

import numpy as np
import pytest

from tests import source_folders
from tfdicom import examples, rasterize
from tfdicom.classes import parse_classes
from tfdicom.deidentify import Pseudonyms
from tfdicom.examples import AnnotationRules, series_outcomes
from tfdicom.reasons import REASONS
from tfdicom.scan import scan_headers
from tfdicom.series import plan_series
from tfdicom.sources import contours

RULES = AnnotationRules(
    classes=parse_classes("inner;outer"),
    edge_rule="half_covered",
    tolerance=0.02,
    origin="center1",
    shift=(-1.0, -1.0),
)
PATIENT = "SCD0000101"


@pytest.fixture
def folder(tmp_path):
    """One patient: images 1 to 3 have contours, 4 and 5 have none."""
    return source_folders.write_folder(
        tmp_path / "in", patients=[PATIENT], annotated=3, outer=2, plain=2
    )


def outcomes(folder, rules=RULES, **changes):
    structures = {"i": "inner", "o": "outer"}
    listing = contours.find(folder.root, structures=structures)
    scanned, _ = scan_headers(
        folder.root, listing, workers=1, progress=lambda done: None
    )
    (series,) = plan_series(scanned, patient="p", pseudonyms=Pseudonyms(b"key"))
    rules = dataclasses.replace(rules, **changes)
    return {
        outcome.frame.path: outcome
        for outcome in series_outcomes(folder.root, series, rules)
    }


def example(folder, number=1, **changes):
    return outcomes(folder, **changes)[f"dicoms/{PATIENT}/{number}.dcm"].example


def left(found):
    return {
        one.path.rpartition("/")[2]: one.reason
        for outcome in found.values()
        for one in outcome.left
    }


def figures(pixels):
    """Mean, deviation, extremes and the median, of modality values."""
    median = np.percentile(pixels, 50, method="inverted_cdf")
    return [pixels.mean(), pixels.std(), pixels.min(), pixels.max(), median]


def stored_figures(statistics):
    return [*statistics[:4], statistics[9]]


def test_frames_become_examples_in_order(folder):
    found = outcomes(folder)
    assert [path[-5:] for path in found] == ["1.dcm", "2.dcm", "3.dcm"]
    for number, outcome in enumerate(found.values(), 1):
        one = outcome.example
        pixels = source_folders.draw_pixels(PATIENT, number)
        np.testing.assert_array_equal(one.image[..., 0], pixels)
        assert one.annotated == (1, int(number <= 2))
        assert (one.slice_index, one.slice_count) == (number - 1, 5)
        assert one.slice_spacing == pytest.approx(source_folders.SLICE_MM)
        assert one.orientation == source_folders.ORIENTATION
        assert one.pixel_spacing == source_folders.SPACING
        assert one.key_hash % 2**64 == int(one.key[:16], 16)
        assert not outcome.left and not outcome.findings


@pytest.mark.parametrize("edge_rule", rasterize.EDGE_RULES)
def test_masks_take_the_edge_rule(folder, edge_rule):
    one = example(folder, edge_rule=edge_rule)
    # As in the file: two decimals.
    vertices = np.round(folder.inner(PATIENT, 1) + 1, 2) - 1
    expected = rasterize.fill(
        vertices, (40, 48), edge_rule=edge_rule, tolerance=RULES.tolerance
    )
    np.testing.assert_array_equal(one.masks[0], expected)
    assert one.edge_rule == edge_rule
    assert one.pixel_count[0] == expected.sum()
    rows, columns = np.nonzero(expected)
    box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    assert one.bounding_box[:4] == box
    for row, column in np.reshape(one.foreground_points, (2, 16, 2))[0]:
        assert expected[row, column]


def test_contours_are_kept_as_drawn_and_shifted(folder):
    one = example(folder)
    (inner, inner_vertices), (outer, outer_vertices) = one.contours
    assert (inner, outer) == ("inner", "outer")
    np.testing.assert_allclose(inner_vertices, folder.inner(PATIENT, 1), atol=0.006)
    np.testing.assert_allclose(outer_vertices, folder.outer(PATIENT, 1), atol=0.006)
    assert one.contour_roles == ("CLOSED_PLANAR",) * 2
    assert (one.contour_origin, one.contour_shift) == ("center1", (-1, -1))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (-0.5, -0.5), (-1.0, 2.0)])
def test_shift_moves_the_masks(folder, shift):
    here, there = example(folder), example(folder, shift=shift)
    rows, columns = np.indices((40, 48))
    for one, offset in ((here, (-1, -1)), (there, shift)):
        mask = one.masks[1]
        centre = np.array([columns[mask].mean(), rows[mask].mean()]) - offset
        drawn = folder.outer(PATIENT, 1).mean(axis=0) + 1
        np.testing.assert_allclose(centre, drawn, atol=0.15)


def test_derived_classes(folder):
    classes = parse_classes(
        "cavity=inner;myo=outer-inner;all=inner+outer;c=inner&outer"
    )
    found = outcomes(folder, classes=classes)
    whole, partial = (
        found[f"dicoms/{PATIENT}/{number}.dcm"].example for number in (1, 3)
    )
    plain = example(folder)
    inner, outer = plain.masks
    np.testing.assert_array_equal(
        whole.masks, [inner, outer & ~inner, outer | inner, outer & inner]
    )
    assert whole.annotated == (1, 1, 1, 1)
    assert whole.class_expressions == (
        "inner",
        "outer-inner",
        "inner+outer",
        "inner&outer",
    )
    assert partial.annotated == (1, 0, 0, 0)
    assert partial.pixel_count[1:] == (0, 0, 0)


def test_image_without_all_structures_of_any_class_is_left_out(folder):
    found = outcomes(folder, classes=parse_classes("myo=outer-inner"))
    assert left(found) == {
        "3.dcm": "class_incomplete",
        "IM-0001-0003-icontour-manual.txt": "class_incomplete",
    }


def test_covered_fractions_add_up_to_the_area(folder):
    classes = parse_classes("inner;myo=outer-inner")
    one = example(folder, classes=classes, covered_fraction=True)
    planes = np.frombuffer(one.covered_fraction, np.uint8).reshape(2, 40, 48) / 255
    areas = [
        rasterize.polygon_area(folder.inner(PATIENT, 1)),
        rasterize.polygon_area(folder.outer(PATIENT, 1)),
    ]
    expected = [areas[0], areas[1] - areas[0]]
    np.testing.assert_allclose(planes.sum(axis=(1, 2)), expected, rtol=2e-3)
    assert len(np.unique(planes[0])) > 10
    assert example(folder).covered_fraction is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "contour_empty"),
        ("1 2\n3 x\n", "contour_malformed"),
        ("1 2\n3 4\n", "contour_too_short"),
        ("500 500\n510 500\n500 510\n", "contour_outside_image"),
        ("10 10\n20 10\n15 10\n", "contour_outside_image"),
    ],
)
def test_bad_contour_costs_itself_only(folder, text, code):
    bad = folder.contour(PATIENT, 1)
    bad.write_text(text)
    found = outcomes(folder)
    assert left(found) == {bad.name: code}
    one = found[f"dicoms/{PATIENT}/1.dcm"].example
    assert one.annotated == (0, 1) and one.pixel_count[0] == 0
    folder.contour(PATIENT, 1, "o").write_text(text)
    assert left(outcomes(folder)) == {
        "1.dcm": "no_usable_contour",
        bad.name: code,
        folder.contour(PATIENT, 1, "o").name: code,
    }


def test_contour_outside_says_where_it_is(folder):
    folder.contour(PATIENT, 1).write_text("500 600\n510 600\n500 610\n")
    (one,) = outcomes(folder)[f"dicoms/{PATIENT}/1.dcm"].left
    assert one.detail == (
        "columns 499 to 509, rows 599 to 609; the image has 48 columns and 40 rows"
    )


@pytest.mark.parametrize(
    ("vertices", "findings"),
    [
        ([(-5, 5), (10, 5), (10, 15)], ("contour_leaves_image",)),
        ([(40, 5), (48, 5), (48, 15)], ("contour_leaves_image",)),
        ([(-0.5, -0.5), (47.5, -0.5), (47.5, 39.5), (-0.5, 39.5)], ()),
        ([(5, 5), (15, 15), (15, 5), (5, 15)], ("contour_crosses_itself",)),
    ],
)
def test_findings(folder, vertices, findings):
    path = folder.contour(PATIENT, 1)
    path.write_text(source_folders.contour_text(np.array(vertices)))
    outcome = outcomes(folder)[f"dicoms/{PATIENT}/1.dcm"]
    name = path.relative_to(folder.root).as_posix()
    assert outcome.findings.get(name, ()) == findings
    assert outcome.example is not None


def test_geometry_that_makes_no_sense_is_a_finding(folder):
    source_folders.edit(folder.image(PATIENT, 1), PixelSpacing=[0, 0])
    structures = {"i": "inner", "o": "outer"}
    listing = contours.find(folder.root, structures=structures)
    scanned, _ = scan_headers(
        folder.root, listing, workers=1, progress=lambda done: None
    )
    groups = list(plan_series(scanned, patient="p", pseudonyms=Pseudonyms(b"key")))
    alone = next(one for one in groups if len(one.frames) == 1)
    (outcome,) = series_outcomes(folder.root, alone, RULES)
    assert outcome.findings == {f"dicoms/{PATIENT}/1.dcm": ("geometry_invalid",)}
    assert outcome.example.pixel_spacing is None and outcome.example.position is None


def test_series_statistics_are_those_of_every_frame(folder):
    frames = [source_folders.draw_pixels(PATIENT, number) for number in range(1, 6)]
    for outcome in outcomes(folder).values():
        stored = stored_figures(outcome.example.series_statistics)
        np.testing.assert_allclose(stored, figures(np.stack(frames)), rtol=1e-6)


@pytest.mark.parametrize("kept_bytes", [0, 4000, 1 << 20])
def test_frames_that_are_read_again_give_the_same(folder, monkeypatch, kept_bytes):
    expected = outcomes(folder)
    monkeypatch.setattr(examples, "_KEPT_BYTES", kept_bytes)
    found = outcomes(folder)
    assert [one.example for one in found.values()] == [
        one.example for one in expected.values()
    ]


@pytest.mark.parametrize("number", [1, 5])
def test_truncated_image_is_listed_and_the_rest_goes_on(folder, number):
    path = folder.image(PATIENT, number)
    path.write_bytes(path.read_bytes()[:-50])
    found = outcomes(folder)
    reasons = left(found)
    assert reasons.pop(f"{number}.dcm") == "pixels_unreadable"
    assert set(reasons.values()) == ({"image_unusable"} if number == 1 else set())
    assert all(REASONS[code].fault for code in ("pixels_unreadable", "image_unusable"))
    good = [one.example for one in found.values() if one.example]
    assert len(good) == (2 if number == 1 else 3)
    frames = [
        source_folders.draw_pixels(PATIENT, other)
        for other in range(1, 6)
        if other != number
    ]
    stored = stored_figures(good[0].series_statistics)
    np.testing.assert_allclose(stored, figures(np.stack(frames)), rtol=1e-6)


def test_padding_is_left_out_of_the_statistics(folder):
    pixels = source_folders.draw_pixels(PATIENT, 1)
    pixels[:10] = -2000
    path = folder.image(PATIENT, 1)
    source_folders.edit(path, pixels=pixels, PixelPaddingValue=-2000)
    one = example(folder)
    assert one.padding == (-2000, -2000)
    stored = stored_figures(one.image_statistics)
    np.testing.assert_allclose(stored, figures(pixels[10:]), rtol=1e-6)


def test_statistics_are_of_modality_values(folder):
    path = folder.image(PATIENT, 1)
    source_folders.edit(path, RescaleSlope="2.5", RescaleIntercept="-100")
    one = example(folder)
    assert (one.rescale_slope, one.rescale_intercept) == (2.5, -100)
    stored = source_folders.draw_pixels(PATIENT, 1)
    np.testing.assert_array_equal(one.image[..., 0], stored)
    expected = figures(stored * 2.5 - 100)
    np.testing.assert_allclose(stored_figures(one.image_statistics), expected, 1e-4)


def test_frame_without_any_pixel_but_padding_has_no_statistics(folder):
    pixels = np.full((40, 48), 7, np.int16)
    path = folder.image(PATIENT, 1)
    source_folders.edit(path, pixels=pixels, PixelPaddingValue=7)
    assert example(folder).image_statistics is None


def test_colour_image(folder):
    pixels = np.random.default_rng(1).integers(0, 255, (40, 48, 3)).astype(np.uint8)
    source_folders.edit(folder.image(PATIENT, 1), pixels=pixels)
    outcome = outcomes(folder)[f"dicoms/{PATIENT}/1.dcm"]
    one = outcome.example
    assert one.shape == (40, 48, 3) and one.dtype == "uint8"
    np.testing.assert_array_equal(one.image, pixels)
    assert one.masks.shape == (2, 40, 48)
    inside = one.masks.any(axis=0)
    assert outcome.intensities["foreground"].count == inside.sum() * 3


def test_pixel_hash_tells_images_apart_but_not_constant_ones(folder):
    source_folders.edit(folder.image(PATIENT, 3), pixels=np.zeros((40, 48), np.int16))
    copy = source_folders.draw_pixels(PATIENT, 1)
    source_folders.edit(folder.image(PATIENT, 2), pixels=copy)
    first, second, constant = outcomes(folder).values()
    assert first.pixel_hash == second.pixel_hash is not None
    assert constant.pixel_hash is None


def test_contour_that_crosses_itself_without_end_is_left_out(folder):
    points = np.random.default_rng(0).uniform(0, 30, (1500, 2))
    text = source_folders.contour_text(points)
    folder.contour(PATIENT, 1).write_text(text)
    for changes in ({}, {"edge_rule": "center", "covered_fraction": True}):
        found = left(outcomes(folder, **changes))
        assert found == {"IM-0001-0001-icontour-manual.txt": "contour_too_intricate"}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
