import dataclasses
import sys

import numpy as np
import pytest

from tests import source_folders
from tfdicom import drawing, rasterize
from tfdicom.classes import parse_classes
from tfdicom.deidentify import Pseudonyms
from tfdicom.drawing import AnnotationRules, DrawnAnnotation, combined, draw_frame
from tfdicom.reasons import InputSkipped
from tfdicom.series import plan_series
from tfdicom.sources.annotation_objects import (
    Drawing,
    DrawingRules,
    DrawnContour,
    LeftItem,
)
from tfdicom.sources.candidates import MASKS, RTSTRUCT, SEG, Annotation
from tfdicom.sources.readers import READERS

PATIENT = "SCD0000101"
SHAPE = (40, 48)
RULES = AnnotationRules(
    classes=parse_classes("inner;outer"),
    text=DrawingRules("half_covered", tolerance=0.02, shift=(-1.0, -1.0)),
    objects=DrawingRules("center", hole_rule="standard", fractional_threshold=0.5),
    origin="center1",
)


@pytest.fixture
def folder(tmp_path):
    return source_folders.write_folder(tmp_path / "in", patients=[PATIENT])


def planned(folder, number=1):
    """The frame of an image with its contours."""
    frames = source_folders.annotated_frames(folder.root)
    (series,) = plan_series(frames, patient="p", pseudonyms=Pseudonyms(b"key"))
    return series.frames[number - 1]


def draw(folder, frame, rules=RULES):
    return draw_frame(folder.root, frame, frame.header, rules)


def as_written(vertices):
    """As it stands in the file: two decimals."""
    return np.round(vertices + 1, 2) - 1


@pytest.mark.parametrize("edge_rule", rasterize.EDGE_RULES)
def test_contour_files(folder, edge_rule):
    text = dataclasses.replace(RULES.text, edge_rule=edge_rule, covered_fraction=True)
    # What is chosen for objects is nothing to text files.
    rules = dataclasses.replace(RULES, text=text, fixed_edge_rule=True)
    drawn, left = draw(folder, planned(folder), rules)
    assert not left
    assert [one.annotation.structure for one in drawn] == ["inner", "outer"]
    for one, vertices in zip(
        drawn, (folder.inner(PATIENT, 1), folder.outer(PATIENT, 1)), strict=True
    ):
        written = as_written(vertices)
        expected = rasterize.fill(written, SHAPE, edge_rule=edge_rule, tolerance=0.02)
        np.testing.assert_array_equal(one.drawing.plane, expected)
        area = rasterize.polygon_area(written)
        assert one.drawing.fraction.sum() == pytest.approx(area, rel=1e-6)
        (contour,) = one.drawing.contours
        np.testing.assert_allclose(contour.vertices, written, atol=1e-9)
        assert (one.drawing.edge_rule, contour.role) == (edge_rule, "CLOSED_PLANAR")


def test_shift_is_that_of_the_contour_files(folder):
    moved = dataclasses.replace(RULES.text, shift=(2.0, 1.0))
    here, _ = draw(folder, planned(folder))
    there, _ = draw(folder, planned(folder), dataclasses.replace(RULES, text=moved))
    for one, other in zip(here, there, strict=True):
        rolled = np.roll(one.drawing.plane, (2, 3), axis=(0, 1))
        np.testing.assert_array_equal(other.drawing.plane, rolled)


def test_plane_is_of_the_size_that_was_decoded(folder):
    frame = planned(folder)
    header = dataclasses.replace(frame.header, rows=30, columns=25)
    drawn, _ = draw_frame(folder.root, frame, header, RULES)
    assert {one.drawing.plane.shape for one in drawn} == {(30, 25)}
    assert drawn[1].drawing.findings == ("contour_leaves_image",)


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        ("", "contour_empty", ""),
        ("1 2\n3 x\n", "contour_malformed", "line 2: '3 x'"),
        ("1 2\n3 4\n", "contour_too_short", "2 points"),
        ("99 99\n120 99\n99 120\n", "contour_outside_image", "columns 98 to 119"),
        (None, "contour_unreadable", "No such file"),
    ],
)
def test_contour_file_that_cannot_be_drawn_costs_itself(folder, text, reason, detail):
    frame = planned(folder)
    bad = folder.contour(PATIENT, 1)
    bad.unlink() if text is None else bad.write_text(text)
    drawn, (left,) = draw(folder, frame)
    assert [one.annotation.structure for one in drawn] == ["outer"]
    assert left.path == bad.relative_to(folder.root).as_posix()
    assert (left.kind, left.reason) == ("contour", reason)
    assert detail in left.detail


@pytest.fixture
def objects(monkeypatch):
    """Calls of the objects' draw functions; each draws the same plane."""
    calls = []
    plane = np.zeros(SHAPE, bool)
    plane[3:9, 4:8] = True

    def draw_object(path, item, parts, header, rules):
        calls.append((path.name, item, parts, header.rows, rules))
        if item == 13:
            raise InputSkipped("contours_take_nothing", "2 contours")
        left = tuple(LeftItem(item, n, "contour_too_short", "x") for n in parts[2:])
        return Drawing(plane, left=left)

    for kind in (RTSTRUCT, SEG, MASKS):
        monkeypatch.setattr(READERS[kind], "draw", draw_object)
    return calls


def annotated(folder, *annotations):
    return dataclasses.replace(planned(folder), annotations=annotations)


@pytest.mark.parametrize("kind", [RTSTRUCT, SEG, MASKS])
def test_objects_are_drawn_by_their_rules(folder, objects, kind):
    one = Annotation(kind, "a/rt.dcm", "inner", 3, (5, 6))
    drawn, left = draw(folder, annotated(folder, one))
    assert objects == [("rt.dcm", 3, (5, 6), 40, RULES.objects)]
    assert [each.annotation for each in drawn] == [one] and not left


@pytest.mark.parametrize(
    ("own", "fixed", "expected"),
    [
        ("", False, "center"),
        ("inside", False, "inside"),
        ("inside", True, "center"),
        ("", True, "center"),
    ],
)
def test_edge_rule_is_the_items_own_unless_one_was_asked_for(
    folder, objects, own, fixed, expected
):
    one = Annotation(RTSTRUCT, "rt.dcm", "inner", 3, (5,), edge_rule=own)
    rules = dataclasses.replace(RULES, fixed_edge_rule=fixed)
    draw(folder, annotated(folder, one), rules)
    ((*_, used),) = objects
    assert used == dataclasses.replace(RULES.objects, edge_rule=expected)


@pytest.mark.parametrize(
    ("kind", "candidate"), [(RTSTRUCT, "contour"), (SEG, "segment"), (MASKS, "mask")]
)
def test_parts_that_draw_nothing_are_named(folder, objects, kind, candidate):
    frame = annotated(
        folder,
        Annotation(kind, "x", "inner", 3, (5, 6, 7, 8)),
        Annotation(kind, "x", "outer", 13, (1, 2)),
    )
    drawn, left = draw(folder, frame)
    assert [one.annotation.item for one in drawn] == [3]
    assert {one.kind for one in left} == {candidate}
    assert [(one.path, one.reason, one.detail) for one in left] == [
        ("x#3.7", "contour_too_short", "x"),
        ("x#3.8", "contour_too_short", "x"),
        ("x#13.1", "contours_take_nothing", "2 contours"),
        ("x#13.2", "contours_take_nothing", "2 contours"),
    ]


def test_one_roi_drawn_and_another_not_is_no_mask_of_both(folder, objects):
    frame = annotated(
        folder,
        Annotation(RTSTRUCT, "x", "inner", 3, (5,)),
        Annotation(RTSTRUCT, "x", "inner", 13, (1,)),
        Annotation(RTSTRUCT, "x", "outer", 4, (2,)),
    )
    drawn, left = draw(folder, frame)
    assert [one.annotation.item for one in drawn] == [4]
    assert {one.path: one.reason for one in left} == {
        "x#3.5": "class_incomplete",
        "x#13.1": "contours_take_nothing",
    }


def test_item_without_parts_is_named_as_a_whole(folder, objects):
    frame = annotated(folder, Annotation(MASKS, "m.png", "inner", 13))
    drawn, (left,) = draw(folder, frame)
    assert (left.path, left.kind) == ("m.png#13", "mask") and not drawn


def test_a_real_structure_set_is_drawn_as_it_was_outlined(folder):
    vertices = folder.inner(PATIENT, 1)
    source_folders.write_structure_set(
        folder.root / "rt.dcm", [folder.image(PATIENT, 1)], {"Heart": vertices}
    )
    frame = annotated(folder, Annotation(RTSTRUCT, "rt.dcm", "inner", 1, (1,)))
    ((one,), left) = draw(folder, frame)
    expected = rasterize.fill(vertices, SHAPE, edge_rule="center")
    np.testing.assert_array_equal(one.drawing.plane, expected)
    (contour,) = one.drawing.contours
    np.testing.assert_allclose(contour.vertices, vertices, atol=1e-3)
    assert (one.drawing.hole_rule, left) == ("standard", [])


# Planes of four pixels, one for each way in which two structures can meet.
A, B = np.array([[[False, True, False, True]], [[False, False, True, True]]])


@pytest.mark.parametrize(
    ("planes", "absent", "classes", "expected"),
    [
        ([("a", A), ("b", B)], [], "a;b", [A, B]),
        ([("a", A), ("b", B)], [], "b;x=a-b;y=a+b", [B, A & ~B, A | B]),
        ([("a", A), ("b", B)], [], "x=a&b", [A & B]),
        # Several planes of one structure are one.
        ([("a", A), ("a", B)], [], "a", [A | B]),
        ([("a", B), ("a", A), ("b", A)], [], "x=a-b", [B & ~A]),
        # What is absent is empty, and what is not annotated makes its class empty.
        ([("a", A)], ["b"], "a;b;x=a-b;y=a+b;z=a&b", [A, 0 * A, A, A, 0 * A]),
        ([("a", A)], [], "a;b;x=a-b;y=a+b;z=a&b", [A, 0 * A, 0 * A, 0 * A, 0 * A]),
        ([("a", A)], ["a"], "a", [A]),
        ([], ["a"], "a", [0 * A]),
        ([], [], "a", [0 * A]),
        # A plane that no class uses disturbs nothing.
        ([("a", A), ("c", B)], [], "a", [A]),
    ],
)
@pytest.mark.parametrize("dtype", [np.bool_, np.float64])
def test_combined(planes, absent, classes, expected, dtype):
    before = [plane.astype(dtype) for _, plane in planes]
    given = [
        (name, plane.copy()) for (name, _), plane in zip(planes, before, strict=True)
    ]
    known = {name for name, _ in planes}.union(absent)
    parsed = parse_classes(classes)
    found = combined(given, known, parsed, (1, 4), dtype)
    assert {(one.dtype, one.shape) for one in found} == {(np.dtype(dtype), (1, 4))}
    np.testing.assert_array_equal(found, np.array(expected, dtype))
    for (_, plane), same in zip(given, before, strict=True):
        np.testing.assert_array_equal(plane, same)


def test_fractions_are_combined_by_the_largest_and_the_rest():
    a, other = np.array([[0.25, 1.0, 0.5]]), np.array([[0.75, 0.0, 0.5]])
    b = np.array([[0.5, 0.25, 0.0]])
    planes = [("a", a), ("a", other), ("b", b)]
    classes = parse_classes("a;x=a-b;y=a+b;z=a&b")
    found = combined(planes, ["a", "b"], classes, (1, 3), np.float64)
    np.testing.assert_allclose(
        np.concatenate(found),
        [[0.75, 1, 0.5], [0.25, 0.75, 0.5], [0.75, 1, 0.5], [0.5, 0.25, 0]],
    )


def test_no_classes_are_no_planes():
    assert combined([("a", A)], ["a"], (), (1, 4), np.bool_) == []


def drawn_with(**fields):
    return DrawnAnnotation(
        Annotation(RTSTRUCT, "rt.dcm", fields.pop("structure", "a")),
        Drawing(A, **fields),
    )


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], None),
        ([None], None),
        (["center"], "center"),
        (["center", None, "center"], "center"),
        (["inside", "center", "inside"], "center,inside"),
    ],
)
@pytest.mark.parametrize("name", ["edge_rule", "hole_rule"])
def test_rules_that_were_used(rules, expected, name):
    drawn = [drawn_with(**{name: rule}) for rule in rules]
    assert drawing.rules_used(drawn, name) == expected


def test_contours_of_a_record():
    triangle = np.array([[1.0, 2], [3, 4], [5.5, 6]])
    square = np.array([[0.0, 0], [0, 1], [1, 1], [1, 0]])
    first = DrawnContour(triangle, "CLOSED_PLANAR", 2)
    second = DrawnContour(square, "CLOSEDPLANAR_XOR", 0)
    drawn = [
        drawn_with(contours=(first, second)),
        drawn_with(structure="seg"),
        drawn_with(structure="b", contours=(second,)),
    ]
    fields = drawing.contour_fields(drawn)
    points = np.concatenate([triangle, square, square])
    assert fields.pop("contour_points") == tuple(points.ravel())
    assert fields == {
        "contour_lengths": (3, 4, 4),
        "contour_structures": ("a", "a", "b"),
        "contour_roles": ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSEDPLANAR_XOR"),
        "contour_centres_on_path": (2, 0, 0),
    }
    assert drawing.contour_fields(drawn[1:2]) == {}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
