import dataclasses
import multiprocessing
import os
import pathlib
import signal
import sys

import pytest

from tests import source_folders
from tfdicom import processes
from tfdicom.frame_headers import FrameHeader
from tfdicom.matching import match_annotations, paired_left, without_terms
from tfdicom.reasons import InputSkipped
from tfdicom.runners import LocalRunner
from tfdicom.scan import ScannedFrame
from tfdicom.sources.annotation_objects import (
    AnnotatedItem,
    AnnotationObject,
    LeftItem,
    Match,
    Matches,
)
from tfdicom.sources.candidates import (
    MASKS,
    RTSTRUCT,
    SEG,
    TEXT,
    Annotation,
    LeftFile,
    Loss,
)
from tfdicom.sources.readers import READERS

FOLDER = pathlib.Path("in")


def frame(name, series="1.3", reference="", **fields):
    header = FrameHeader(
        patient_id="P",
        study="1.2",
        series=series,
        instance=f"1.4.{name}",
        modality="MR",
        rows=40,
        columns=48,
        bytes_per_pixel=2,
        plane=None,
        temporal_order=(0.0, 0.0, 0.0),
        burned_in=False,
        frame_of_reference=reference,
        **fields,
    )
    return ScannedFrame(f"{name}.dcm", header)


#: Two series of one Frame of Reference, in turn, and one of another.
FRAMES = (
    frame("a1", "A", "here"),
    frame("b1", "B", "here"),
    frame("a2", "A", "here"),
    frame("b2", "B", "here"),
    frame("c1", "C", "there"),
    frame("d1", "D"),
)


def described(path="rt.dcm", kind=RTSTRUCT, items=((1, "heart"),), left=(), **fields):
    usual = {"instance": f"instance of {path}", "created": "20200101000000"}
    numbered = (AnnotatedItem(number, (name, f"#{number}")) for number, name in items)
    return AnnotationObject(
        path=path, kind=kind, items=tuple(numbered), left=left, **{**usual, **fields}
    )


def everywhere(path, described, frames, items):
    """Draws part 10 + n of each item on frame n of those given."""
    return Matches(
        tuple(
            Match(place, item, (10 + place,))
            for place in range(len(frames))
            for item in items
        )
    )


@pytest.fixture
def match(monkeypatch):
    """Runs the matching of frames and objects, as `found` matches an object."""

    def run(
        objects,
        found=everywhere,
        *,
        frames=FRAMES,
        paired=None,
        terms=("heart",),
        policy="newest",
        left_out=(),
    ):
        asked, done = [], []

        def recorded(path, one, headers, items):
            asked.append((path, [header.instance[4:] for header in headers], items))
            return found(path, one, headers, items)

        for kind in (RTSTRUCT, SEG, MASKS):
            monkeypatch.setattr(READERS[kind], "match", recorded)
        annotated, left = match_annotations(
            FOLDER,
            frames,
            paired or {},
            objects,
            terms,
            policy=policy,
            runner=LocalRunner(1),
            progress=done.append,
            left_out=left_out,
        )
        assert done == list(range(len(asked) + 1))
        return Found(annotated, left, asked)

    return run


@dataclasses.dataclass(frozen=True)
class Found:
    frames: list
    left: list
    asked: list

    @property
    def drawn(self):
        """Structure, item and parts by the frame's name, of frames with any."""
        return {
            one.name.removesuffix(".dcm"): [
                (a.structure, a.item, a.parts) for a in one.annotations
            ]
            for one in self.frames
            if one.annotations
        }

    @property
    def reasons(self):
        return {one.path: (one.kind, one.reason) for one in self.left}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        # All frames of the series that it names an instance of, in order.
        ({"referenced_instances": ("1.4.a2",)}, ["a1", "a2"]),
        ({"referenced_instances": ("1.4.b1", "1.4.a1")}, ["a1", "b1", "a2", "b2"]),
        ({"referenced_instances": ("1.4.d1",)}, ["d1"]),
        # Instances say more than series, and series more than a Frame of Reference.
        (
            {
                "referenced_instances": ("1.4.a1",),
                "referenced_series": ("B",),
                "frame_of_reference": "there",
            },
            ["a1", "a2"],
        ),
        (
            {
                "referenced_instances": ("lost",),
                "referenced_series": ("B", "lost"),
                "frame_of_reference": "there",
            },
            ["b1", "b2"],
        ),
        (
            {
                "referenced_instances": ("lost",),
                "referenced_series": ("lost",),
                "frame_of_reference": "here",
            },
            ["a1", "b1", "a2", "b2"],
        ),
        ({"frame_of_reference": "there"}, ["c1"]),
        ({"referenced_series": ("C", "A")}, ["a1", "a2", "c1"]),
        ({}, None),
        ({"frame_of_reference": "nowhere"}, None),
        ({"referenced_instances": ("lost",), "referenced_series": ("lost",)}, None),
        # Blank is no name that d1 and an object could share.
        ({"frame_of_reference": "", "referenced_series": ("",)}, None),
    ],
)
def test_frames_that_an_object_may_mean(match, names, expected):
    found = match([described(**names)])
    if expected is None:
        assert not found.asked and not found.drawn
        assert found.reasons == {"rt.dcm": ("object", "series_missing")}
        return
    ((path, frames, items),) = found.asked
    assert (path, frames, items) == (FOLDER / "rt.dcm", expected, (1,))
    assert found.drawn == {
        name: [("heart", 1, (10 + place,))] for place, name in enumerate(expected)
    }
    assert [one.name for one in found.frames] == [one.name for one in FRAMES]
    assert not found.left


def test_instance_of_several_frames_is_one_of_its_series(match):
    cine = [
        dataclasses.replace(
            one, header=dataclasses.replace(one.header, frame_number=n, frame_count=2)
        )
        for n, one in enumerate([frame("a1", "A"), frame("a1", "A")], 1)
    ]
    found = match([described(referenced_instances=("1.4.a1",))], frames=cine)
    assert [one.name for one in found.frames] == ["a1.dcm#1", "a1.dcm#2"]
    assert [len(one.annotations) for one in found.frames] == [1, 1]


THREE = {
    "items": ((1, "heart"), (2, "LUNG_L"), (3, "lung_r")),
    "referenced_series": ("A",),
}


@pytest.mark.parametrize(
    ("terms", "asked", "unused"),
    [
        (("heart",), (1,), [2, 3]),
        (("/lung_(l|r)/",), (2, 3), [1]),
        (("#3", "heart"), (1, 3), [2]),
        (("heart", "/.*/"), (1, 2, 3), []),
    ],
)
def test_only_items_that_classes_use_are_looked_for(match, terms, asked, unused):
    terms = tuple(f"/{one}/" if one.startswith("#") else one for one in terms)
    found = match([described(**THREE)], terms=terms)
    assert found.asked[0][2] == asked
    assert found.reasons == {
        f"rt.dcm#{number}": ("contour", "structure_not_used") for number in unused
    }


def test_item_of_two_terms_is_drawn_for_both(match):
    found = match([described(**THREE)], terms=("heart", "/h.*/"))
    assert found.drawn["a1"] == [("/h.*/", 1, (10,)), ("heart", 1, (10,))]


def test_object_without_anything_of_use(match):
    found = match([described(**THREE), described("b.dcm", SEG)], terms=("liver",))
    assert not found.asked
    assert found.reasons == {
        "rt.dcm": ("object", "object_not_used"),
        "b.dcm": ("object", "object_not_used"),
        **{f"rt.dcm#{n}": ("contour", "structure_not_used") for n in (1, 2, 3)},
        "b.dcm#1": ("segment", "structure_not_used"),
    }


@pytest.mark.parametrize(
    ("kind", "candidate"),
    [(RTSTRUCT, "contour"), (SEG, "segment"), (MASKS, "mask")],
)
def test_what_is_left_is_named_by_item_and_part(match, kind, candidate):
    def found(path, one, frames, items):
        left = (
            LeftItem(1, 4, "contour_off_plane", "12.5 mm"),
            LeftItem(1, None, "roi_not_placed"),
            LeftItem(None, None, "header_invalid", "odd"),
        )
        return Matches((Match(0, 1, (3,)),), left)

    header = (LeftItem(9, None, "roi_of_points", "ROI 'x'"),)
    one = described("x", kind, left=header, referenced_series=("A",))
    result = match([one], found)
    assert [(one.path, one.kind, one.reason, one.detail) for one in result.left] == [
        ("x#9", candidate, "roi_of_points", "ROI 'x'"),
        ("x#1.4", candidate, "contour_off_plane", "12.5 mm"),
        ("x#1", candidate, "roi_not_placed", ""),
        ("x", "object", "header_invalid", "odd"),
    ]
    assert result.drawn == {"a1": [("heart", 1, (3,))]}
    (annotation,) = result.frames[0].annotations
    assert (annotation.kind, annotation.candidates) == (kind, ("x#1.3",))


def test_object_that_kills_its_workers_is_left(monkeypatch):
    context = multiprocessing.get_context("fork")
    monkeypatch.setattr(processes, "_context", lambda: context)

    def kill(path, described, frames, items):
        if path.name == "rt2.dcm":
            os.kill(os.getpid(), signal.SIGKILL)
        return everywhere(path, described, frames, items)

    monkeypatch.setattr(READERS[RTSTRUCT], "match", kill)
    objects = [described(f"rt{n}.dcm", frame_of_reference="here") for n in (1, 2)]
    done = []
    frames, left = match_annotations(
        FOLDER,
        FRAMES,
        {},
        objects,
        ("heart",),
        policy="raters",
        runner=LocalRunner(2),
        progress=done.append,
    )
    assert {one.path for frame in frames for one in frame.annotations} == {"rt1.dcm"}
    assert [(one.path, one.reason) for one in left] == [("rt2.dcm", "worker_died")]
    assert "SIGKILL" in left[0].detail
    assert done[-1] == 2


def test_object_that_cannot_be_read_is_left(match):
    def found(path, one, frames, items):
        if one.path == "bad.dcm":
            raise InputSkipped("rtstruct_changed", "since the scan")
        return everywhere(path, one, frames, items)

    objects = [described(name, referenced_series=("A",)) for name in ("bad.dcm", "ok")]
    result = match(objects, found)
    (left,) = result.left
    assert (left.path, left.kind) == ("bad.dcm", "object")
    assert (left.reason, left.detail) == ("rtstruct_changed", "since the scan")
    assert set(result.drawn) == {"a1", "a2"}


@pytest.mark.parametrize("matches", [(), (Match(0, 1), Match(1, 1))])
def test_object_that_draws_nothing_is_left(match, matches):
    found = match(
        [described(referenced_series=("A",))], lambda *arguments: Matches(matches)
    )
    assert found.reasons == {"rt.dcm": ("object", "object_without_mask")}
    # That it looked for the structure counts all the same.
    absent = [one.name for one in found.frames if one.absent == ("heart",)]
    assert absent == (["a1.dcm", "a2.dcm"] if matches else [])


def test_absent_and_drawn(match):
    def found(*arguments):
        return Matches((Match(0, 1, (5, 6)), Match(1, 1), Match(1, 3, (1,))))

    result = match([described(**THREE)], found, terms=("heart", "/lung_(l|r)/"))
    assert result.drawn == {
        "a1": [("heart", 1, (5, 6))],
        "a2": [("/lung_(l|r)/", 3, (1,))],
    }
    assert {one.name: one.absent for one in result.frames if one.absent} == {
        "a2.dcm": ("heart",)
    }


@pytest.mark.parametrize("known", [2, 3])
def test_absence_of_one_of_two_items_says_nothing_of_the_other(match, known):
    # A slice between two that the other ROI is drawn on, and without it: unknown.
    other = ({2, 3} - {known}).pop()

    def found(*arguments):
        return Matches((Match(0, known), Match(1, known), Match(1, other, (1,))))

    result = match([described(**THREE)], found, terms=("/lung_(l|r)/",))
    by_name = {one.name: one for one in result.frames}
    assert by_name["a2.dcm"].annotated == {"/lung_(l|r)/"}
    assert by_name["a1.dcm"].annotated == frozenset()


def of_no_use(reason):
    """An object whose other lung is of no use from the start."""
    left = LeftItem(3, None, reason, "ROI 'lung_r'", ("lung_r", "#3"))
    items = tuple(one for one in THREE["items"] if one[0] != 3)
    return described(**{**THREE, "items": items, "left": (left,)})


@pytest.mark.parametrize(
    ("reason", "annotated"),
    [
        ("roi_without_contours", True),  # nothing was drawn: it adds nothing
        ("roi_of_points", True),
        ("roi_not_closed", False),  # an outline was, and is lost
        ("roi_number_twice", False),
    ],
)
def test_one_roi_of_no_use_and_the_class_of_both(match, reason, annotated):
    matches = Matches((Match(0, 2, (1,)), Match(1, 2)))
    result = match(
        [of_no_use(reason)], lambda *arguments: matches, terms=("/lung_(l|r)/",)
    )
    wanted = {"/lung_(l|r)/"} if annotated else set()
    assert result.frames[0].annotated == wanted == result.frames[2].annotated
    assert result.reasons["rt.dcm#3"] == ("contour", reason)
    assert ("rt.dcm#2.1" in result.reasons) != annotated


def test_one_roi_that_lies_nowhere_leaves_the_class_of_both_unknown(match):
    nowhere = LeftItem(3, None, "roi_not_placed")
    matches = Matches((Match(0, 2, (1,)), Match(1, 2)), left=(nowhere,))
    result = match(
        [described(**THREE)], lambda *arguments: matches, terms=("/lung_(l|r)/",)
    )
    assert all(one.annotated == frozenset() for one in result.frames)
    assert result.reasons["rt.dcm#3"] == ("contour", "roi_not_placed")
    assert result.reasons["rt.dcm#2.1"] == ("contour", "class_incomplete")


def test_one_roi_of_no_use_that_no_class_wants_is_no_fault(match):
    matches = Matches((Match(0, 2, (1,)),))
    result = match(
        [of_no_use("roi_number_twice")], lambda *arguments: matches, terms=("LUNG_L",)
    )
    assert result.reasons["rt.dcm#3"] == ("contour", "structure_not_used")
    assert result.frames[0].annotated == {"LUNG_L"}


def test_absence_of_both_items_is_absence(match):
    matches = Matches((Match(0, 2), Match(0, 3), Match(1, 2, (1,)), Match(1, 3)))
    result = match(
        [described(**THREE)], lambda *arguments: matches, terms=("/lung_(l|r)/",)
    )
    assert result.frames[0].absent == ("/lung_(l|r)/",)
    assert result.frames[2].absent == () and result.frames[2].annotations


def test_findings_are_told_of_the_object_and_edge_rules_go_along(match):
    def found(*arguments):
        return Matches(
            (Match(0, 1), Match(1, 1, (7, 8)), Match(0, 2, (1,)), Match(1, 2, (2,))),
            findings={1: ("odd", "strange"), 2: ("queer",)},
            edge_rules={1: "inside"},
        )

    result = match([described(**THREE)], found, terms=("heart", "lung_l"))
    by_name = {one.name: one for one in result.frames}
    assert by_name["a1.dcm"].findings == (("rt.dcm", "queer"),)
    assert by_name["a2.dcm"].findings == (
        ("rt.dcm", "odd"),
        ("rt.dcm", "strange"),
        ("rt.dcm", "queer"),
    )
    rules = {
        (one.name, each.item): each.edge_rule
        for one in result.frames
        for each in one.annotations
    }
    assert rules == {
        ("a1.dcm", 2): "",
        ("a2.dcm", 1): "inside",
        ("a2.dcm", 2): "",
    }


def test_objects_meet_on_frames(match):
    old = described("old.dcm", referenced_series=("A",))
    new = described("new.dcm", created="2021", referenced_instances=("1.4.a1",))
    for objects in ([old, new], [new, old]):
        found = match(objects, lambda *_: Matches((Match(0, 1, (3,)),)))
        ((structure, _, _),) = found.drawn["a1"]
        assert structure == "heart"
        (left,) = found.left
        assert (left.path, left.detail) == ("old.dcm#1.3", "on a1.dcm")
    raters = match([old, new], policy="raters")
    assert [one.name for one in raters.frames[:2]] == ["a1.dcm", "a1.dcm"]
    assert {one.rater for one in raters.frames[:2]} == {new.instance, old.instance}
    assert len(raters.frames) == len(FRAMES) + 2
    with pytest.raises(ValueError, match=r"new.dcm and old.dcm both annotate 'heart'"):
        match([old, new], policy="error")


def text(name, structure):
    return Annotation(TEXT, f"{name}.txt", structure)


def test_contour_files_are_bound_to_terms(match):
    paired = {
        "a1.dcm": (text("1", "Heart"), text("2", "aorta")),
        "gone.dcm": (text("3", "heart"),),
        "b1.dcm": (),
    }
    found = match([], paired=paired, terms=("heart", "/h.*/"))
    assert found.drawn == {"a1": [("/h.*/", 0, ()), ("heart", 0, ())]}
    assert {one.path for one in found.frames[0].annotations} == {"1.txt"}
    assert found.reasons == {"2.txt": ("contour", "structure_not_used")}
    assert not found.asked


def test_contour_files_and_objects_meet(match):
    paired = {"a1.dcm": (text("1", "heart"),), "b1.dcm": (text("2", "heart"),)}
    found = match([described(referenced_series=("A",))], paired=paired)
    assert found.drawn == {
        "a2": [("heart", 1, (11,))],
        "b1": [("heart", 0, ())],
    }
    assert set(found.reasons) == {"1.txt", "rt.dcm#1.10"}
    assert {reason for _, reason in found.reasons.values()} == {"annotated_twice"}


@pytest.mark.parametrize(
    ("items", "loss"),
    [
        (((1, "heart"), (2, "lung")), Loss(("heart", "#1"), ("a1.dcm", "5.6"))),
        ((), Loss((), ("a1.dcm", "5.6"))),  # nobody knows what it held
        (((2, "lung"),), None),
    ],
)
def test_object_of_no_use_says_what_is_lost(match, items, loss):
    problem = LeftItem(None, None, "object_truncated", "it ends within an element")
    fields = {"referenced_instances": ("1.4.a1", "5.6"), "problem": problem}
    found = match([described(items=items, **fields)])
    assert found.asked == []
    (one,) = (each for each in found.left if each.kind == "object")
    assert one.reason == ("object_truncated" if loss else "object_not_used")
    assert one.loss == loss


def test_what_is_lost_counts_by_its_parts(match):
    items = (AnnotatedItem(1, ("heart",), 7), AnnotatedItem(2, ("lung",), 50))
    one = dataclasses.replace(described(), items=items, referenced_series=("Z",))
    (left,) = (each for each in match([one]).left if each.kind == "object")
    assert (left.reason, left.loss.count) == ("series_missing", 7)


@pytest.mark.parametrize(
    ("left_out", "reason", "images"),
    [
        ((), "contour_image_missing", ("a2.dcm", "9.9")),
        (("9.9",), "contour_image_missing", ("a2.dcm", "9.9")),
        (("9.9", "1.4.a2"), "image_left_out", None),
    ],
)
def test_contours_of_images_that_a_policy_leaves_out(match, left_out, reason, images):
    def found(path, one, frames, items):
        where = ("1.4.a2", "9.9")
        left = LeftItem(1, 3, "contour_image_missing", images=where)
        return dataclasses.replace(everywhere(path, one, frames, items), left=(left,))

    one = described(referenced_series=("A",))
    (left,) = match([one], found, left_out=left_out).left
    assert (left.path, left.reason) == ("rt.dcm#1.3", reason)
    if images:
        assert left.loss == Loss(("heart", "#1"), images)


def test_faults_of_contours_that_no_class_uses_are_none():
    left = [
        left_contour("1.txt", "heart", "a.dcm", ""),
        left_contour("2.txt", "lung", "a.dcm", ""),
        LeftFile("3.txt", "contour", "image_left_out", loss=Loss(("lung",))),
        LeftFile("4.dcm", "object", "not_dicom", loss=Loss(("lung",))),
    ]
    (one,) = without_terms(left, ["heart"])
    assert (one.path, one.reason, one.loss) == ("2.txt", "structure_not_used", None)


def left_contour(path, structure, image, detail):
    loss = Loss((structure,), (image,))
    return LeftFile(path, "contour", "image_unusable", detail, image, loss=loss)


def test_contour_files_of_unusable_images():
    paired = {"a.dcm": (text("1", "x"), text("2", "y")), "b.dcm": (text("3", "x"),)}
    left = [
        LeftFile("a.dcm", "image", "burned_in"),
        LeftFile("b.dcm", "image", "not_dicom", "no DICM prefix"),
        LeftFile("c.dcm", "image", "not_dicom"),
        LeftFile("a.dcm", "object", "not_dicom"),
    ]
    assert list(paired_left(paired, left)) == [
        left_contour("1.txt", "x", "a.dcm", "a.dcm"),
        left_contour("2.txt", "y", "a.dcm", "a.dcm"),
        left_contour("3.txt", "x", "b.dcm", "b.dcm: no DICM prefix"),
    ]


def test_unusable_image_takes_its_contours_along(source):
    patient = source.patients[0]
    source_folders.edit(source.image(patient, 1), Rows=None)
    listing, scan = source_folders.scan_images(source.root)
    left = list(paired_left(listing.images, scan.left))
    assert len(left) == 2 and {one.reason for one in left} == {"image_unusable"}
    image = f"dicoms/{patient}/1.dcm"
    assert all(one.detail.startswith(f"{image}: ") for one in left)
    assert image not in {one.path for one in scan.frames}


def test_a_real_structure_set(source):
    patient = source.patients[0]
    images = [source.image(patient, number) for number in (1, 2)]
    outlines = {"Heart": source.inner(patient, 1), "Skin": source.outer(patient, 1)}
    source_folders.write_structure_set(source.root / "rt.dcm", images, outlines)
    _, scan = source_folders.scan_images(source.root)
    one = READERS[RTSTRUCT].read_object(source.root / "rt.dcm", "rt.dcm")
    frames, left = match_annotations(
        source.root,
        scan.frames,
        {},
        [one],
        ["heart"],
        policy="newest",
        runner=LocalRunner(1),
        progress=lambda done: None,
    )
    drawn = {one.path: one.annotations for one in frames if one.annotations}
    assert {path: one[0].candidates for path, one in drawn.items()} == {
        f"dicoms/{patient}/{number}.dcm": (f"rt.dcm#1.{number}",) for number in (1, 2)
    }
    (absent,) = (one.path for one in frames if one.absent)
    assert absent == f"dicoms/{patient}/3.dcm"
    assert [(one.path, one.reason) for one in left] == [
        ("rt.dcm#2", "structure_not_used")
    ]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
