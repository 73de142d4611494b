import dataclasses
import sys

import numpy as np
import pytest

from tests import source_folders
from tfdicom import counted_frames, examples, rasterize
from tfdicom.classes import parse_classes, structures_of
from tfdicom.deidentify import Pseudonyms
from tfdicom.drawing import AnnotationRules
from tfdicom.examples import series_outcomes
from tfdicom.reasons import REASONS, InputSkipped
from tfdicom.series import plan_series
from tfdicom.sources.annotation_objects import Drawing, DrawingRules
from tfdicom.sources.candidates import RTSTRUCT, Annotation
from tfdicom.sources.readers import READERS

TEXT_RULES = DrawingRules(edge_rule="half_covered", tolerance=0.02, shift=(-1.0, -1.0))
RULES = AnnotationRules(
    classes=parse_classes("inner;outer"),
    text=TEXT_RULES,
    objects=DrawingRules(edge_rule="center"),
    origin="center1",
)
PATIENT = "SCD0000101"
#: Findings that come from what the image shows, and from other contours.
BY_CONTENT = {
    "area_jumps",
    "contour_duplicate",
    "contour_far_from_edge",
    "structure_not_inside",
}


@pytest.fixture
def folder(tmp_path):
    """One patient: images 1 to 3 have contours, 4 and 5 have none."""
    return source_folders.write_folder(
        tmp_path / "in", patients=[PATIENT], annotated=3, outer=2, plain=2
    )


def show_structures(folder, number):
    """Makes an image show what is drawn on it; returns its pixels."""
    pixels = source_folders.draw_pixels(PATIENT, number) // 9
    for vertices in (folder.inner(PATIENT, number), folder.outer(PATIENT, number)):
        pixels[rasterize.fill(vertices, pixels.shape, edge_rule="center")] += 1000
    source_folders.edit(folder.image(PATIENT, number), pixels=pixels)
    return pixels


def planned(folder, classes=RULES.classes, change=lambda frames: frames, **arguments):
    """The parts of the one series; ``change`` is given its frames first."""
    frames = source_folders.annotated_frames(folder.root, structures_of(classes))
    pseudonyms = Pseudonyms(b"key")
    return plan_series(change(frames), patient="p", pseudonyms=pseudonyms, **arguments)


def outcomes(folder, classes=RULES.classes, plan=None, **changes):
    """Outcomes by path; ``changes`` are those of the rules for contour text files."""
    (series,) = planned(folder, classes, **(plan or {}))
    objects = dataclasses.replace(
        RULES.objects, covered_fraction=changes.get("covered_fraction", False)
    )
    rules = dataclasses.replace(
        RULES,
        classes=classes,
        text=dataclasses.replace(RULES.text, **changes),
        objects=objects,
    )
    found = {}
    for outcome in series_outcomes(folder.root, series, rules):
        key = outcome.frame.path
        if key in found:  # what its neighbours tell comes last
            assert outcome.example is None and not outcome.left
            key = "neighbours"
        found[key] = outcome
    return found


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
    shown = [show_structures(folder, number) for number in (1, 2, 3)]
    found = outcomes(folder)
    assert [path[-5:] for path in found] == ["1.dcm", "2.dcm", "3.dcm"]
    for number, outcome in enumerate(found.values(), 1):
        one = outcome.example
        np.testing.assert_array_equal(one.image[..., 0], shown[number - 1])
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
        vertices, (40, 48), edge_rule=edge_rule, tolerance=TEXT_RULES.tolerance
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
    found = [code for code in outcome.findings.get(name, ()) if code not in BY_CONTENT]
    assert tuple(found) == findings
    assert outcome.example is not None


def drawn_findings(folder, key):
    """Findings of one outcome, by the last part of the candidate's path."""
    outcome = outcomes(folder).get(key)
    found = outcome.findings if outcome else {}
    return {name.rpartition("/")[2]: codes for name, codes in found.items()}


def test_contours_are_compared_with_the_image_and_each_other(folder):
    name = f"dicoms/{PATIENT}/1.dcm"
    inner, outer = (folder.contour(PATIENT, 1, code) for code in "io")
    # Of noise, no contour follows an edge.
    far = ("contour_far_from_edge",)
    assert drawn_findings(folder, name) == {inner.name: far, outer.name: far}
    show_structures(folder, 1)
    assert drawn_findings(folder, name) == {}
    inner.write_text(outer.read_text())
    found = drawn_findings(folder, name)
    assert found[inner.name] == found[outer.name] == ("contour_duplicate",)


def test_neighbouring_slices_are_compared(folder):
    for number in (1, 2, 3):
        assert show_structures(folder, number) is not None
    assert drawn_findings(folder, "neighbours") == {}
    middle = folder.contour(PATIENT, 2)
    large = source_folders.disc(20, 18, 14)
    middle.write_text(source_folders.contour_text(large))
    # The slices beside it are the stack's ends, which may be as small as they like.
    assert drawn_findings(folder, "neighbours") == {}
    small = source_folders.disc(20, 18, 2)
    middle.write_text(source_folders.contour_text(small))
    assert drawn_findings(folder, "neighbours") == {middle.name: ("area_jumps",)}


def test_geometry_that_makes_no_sense_is_a_finding(folder):
    source_folders.edit(folder.image(PATIENT, 1), PixelSpacing=[0, 0])
    alone = next(one for one in planned(folder) if len(one.frames) == 1)
    (outcome,) = series_outcomes(folder.root, alone, RULES)
    found = {
        name: codes
        for name, codes in outcome.findings.items()
        if not BY_CONTENT.issuperset(codes)
    }
    assert found == {f"dicoms/{PATIENT}/1.dcm": ("geometry_invalid",)}
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


def test_frame_that_is_gone_when_it_is_read_again(folder, monkeypatch):
    monkeypatch.setattr(examples, "_KEPT_BYTES", 0)
    path, reads = folder.image(PATIENT, 1), []
    read_counted = examples.read_counted

    def vanishing(file, *arguments):
        reads.append(file)
        if file == path and reads.count(path) == 2:
            raise InputSkipped("file_unreadable", "gone")
        return read_counted(file, *arguments)

    monkeypatch.setattr(examples, "read_counted", vanishing)
    found = outcomes(folder)
    reasons = left(found)
    assert reasons.pop("1.dcm") == "file_unreadable"
    assert set(reasons.values()) == {"image_unusable"} and len(reasons) == 2
    assert found[f"dicoms/{PATIENT}/2.dcm"].example is not None


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


def test_frames_without_annotation_are_examples_that_nobody_annotated(folder):
    found = outcomes(folder, plan={"include": "neighbours"})
    assert [path[-5:] for path in found] == ["1.dcm", "2.dcm", "3.dcm", "4.dcm"]
    one = found[f"dicoms/{PATIENT}/4.dcm"].example
    assert one.annotated == (0, 0) and not one.masks.any()
    assert not one.contours and one.contour_origin is None
    assert (one.edge_rule, one.hole_rule) == (None, None)
    assert len(outcomes(folder, plan={"include": "all"})) == 5


def test_labels_without_masks(folder):
    def labelled(frames):
        label = (("age", "70"), ("sick", "yes"))
        return [dataclasses.replace(one, labels=label) for one in frames]

    plan = {"include": "all", "change": labelled}
    found = outcomes(folder, classes=(), plan=plan)
    assert len(found) == 5
    for outcome in found.values():
        one = outcome.example
        assert one.classes == () and one.masks.shape == (0, 40, 48)
        assert (one.label_names, one.label_values) == (("age", "sick"), ("70", "yes"))
        assert outcome.intensities["foreground"].count == 0


def test_absent_structure_is_an_empty_plane_that_is_annotated(folder):
    def without_outer(frames):
        return [dataclasses.replace(one, absent=("outer",)) for one in frames]

    classes = parse_classes("inner;outer;ring=inner-outer")
    found = outcomes(folder, classes, plan={"change": without_outer})
    one = found[f"dicoms/{PATIENT}/3.dcm"].example
    assert one.annotated == (1, 1, 1)
    assert one.pixel_count[1] == 0 and one.pixel_count[0] == one.pixel_count[2] > 0
    empty = found[f"dicoms/{PATIENT}/5.dcm"].example
    assert empty.annotated == (0, 1, 0) and not empty.masks.any()


def roi(number, structure="inner", part=1):
    return Annotation(RTSTRUCT, "rt.dcm", structure, number, (part,))


@pytest.fixture
def boxes(monkeypatch):
    """ROIs of objects that are boxes, which `boxes` gives by their number."""
    planes = {}

    def draw(path, item, parts, header, rules):
        plane, findings = planes[item]
        return Drawing(plane, findings=findings, edge_rule=rules.edge_rule)

    monkeypatch.setattr(READERS[RTSTRUCT], "draw", draw)

    def add(number, rows, columns, *findings):
        plane = np.zeros((40, 48), bool)
        plane[slice(*rows), slice(*columns)] = True
        planes[number] = plane, findings
        return plane

    return add


def test_several_rois_of_one_structure_are_one_plane(folder, boxes):
    left, right = boxes(1, (5, 9), (5, 9)), boxes(2, (7, 20), (7, 20))

    def two_rois(frames):
        return [dataclasses.replace(frames[0], annotations=(roi(1), roi(2)))]

    found = outcomes(folder, plan={"change": two_rois})
    one = found[f"dicoms/{PATIENT}/1.dcm"].example
    np.testing.assert_array_equal(one.masks[0], left | right)
    assert one.annotated == (1, 0)
    assert (one.edge_rule, one.contour_origin) == ("center", None)


def test_findings_of_each_roi_are_its_own(folder, boxes):
    boxes(1, (5, 15), (5, 15), "contour_leaves_image")
    boxes(2, (5, 15), (20, 30), "contour_crosses_itself")
    boxes(3, (0, 40), (0, 48))

    def three_rois(frames):
        drawn = (roi(1), roi(2), roi(3, "outer"))
        return [dataclasses.replace(frames[0], annotations=drawn)]

    (outcome,) = outcomes(folder, plan={"change": three_rois}).values()
    assert outcome.findings == {
        "rt.dcm#1.1": ("contour_leaves_image",),
        "rt.dcm#2.1": ("contour_crosses_itself",),
    }


@pytest.mark.parametrize("outside", [1, 2])
def test_every_roi_of_a_structure_is_compared(folder, boxes, outside):
    inside = ({1, 2} - {outside}).pop()
    boxes(outside, (2, 12), (2, 12))
    boxes(inside, (22, 30), (22, 30))
    boxes(3, (20, 40), (20, 48))

    def three_rois(frames):
        drawn = (roi(1), roi(2), roi(3, "outer"))
        return [dataclasses.replace(frames[0], annotations=drawn)]

    (outcome,) = outcomes(folder, plan={"change": three_rois}).values()
    found = {code for codes in outcome.findings.values() for code in codes}
    assert found == {"structure_not_inside"}


def test_raters_of_one_frame_share_its_pixels(folder, monkeypatch):
    reads = []
    read_frame = counted_frames.dicom.read_frame

    def counted(path, *arguments):
        reads.append(path)
        return read_frame(path, *arguments)

    def two_raters(frames):
        first, *others = frames
        ann = dataclasses.replace(first, rater="Ann")
        bob = dataclasses.replace(first, rater="Bob", annotations=first.annotations[:1])
        return [ann, bob, *others]

    expected = outcomes(folder)[f"dicoms/{PATIENT}/1.dcm"].example
    monkeypatch.setattr(counted_frames.dicom, "read_frame", counted)
    (series,) = planned(folder, change=two_raters)
    found = [one for one in series_outcomes(folder.root, series, RULES) if one.example]
    assert len(reads) == 5
    ann, bob = (one.example for one in found[:2])
    assert ann.pixels == bob.pixels == expected.pixels
    assert ann.series_statistics == bob.series_statistics == expected.series_statistics
    assert (ann.annotated, bob.annotated) == ((1, 1), (1, 0))
    assert len({ann.rater, bob.rater, None}) == 3 and ann.key != bob.key
    assert ann.instance == bob.instance == expected.instance


def test_image_that_cannot_be_read_is_listed_for_every_rater(folder):
    def two_raters(frames):
        first, *others = frames
        ann, bob = (
            dataclasses.replace(first, rater=rater, annotations=(roi(n),))
            for n, rater in enumerate(("Ann", "Bob"), 1)
        )
        return [ann, bob, *others]

    path = folder.image(PATIENT, 1)
    path.write_bytes(path.read_bytes()[:-50])
    (series,) = planned(folder, change=two_raters)
    found = list(series_outcomes(folder.root, series, RULES))
    reasons = {one.path: one.reason for each in found for one in each.left}
    assert reasons == {
        f"dicoms/{PATIENT}/1.dcm": "pixels_unreadable",
        "rt.dcm#1.1": "image_unusable",
        "rt.dcm#2.1": "image_unusable",
    }


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
