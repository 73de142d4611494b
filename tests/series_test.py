import dataclasses
import random
import sys

import numpy as np
import pytest

from tests import source_folders
from tfdicom.annotated_frames import AnnotatedFrame
from tfdicom.deidentify import Pseudonyms
from tfdicom.frame_headers import FrameHeader
from tfdicom.series import plan_series
from tfdicom.sources.candidates import TEXT, Annotation
from tfdicom.spatial import ImagePlane

PSEUDONYMS = Pseudonyms(b"a key for tests, of enough bytes")
TURNED = (0.6, -0.8, 0.0, 0.0, 0.0, -1.0)


def image(
    name,
    *,
    millimetres=0.0,
    trigger=0.0,
    temporal=0.0,
    number=0,
    orientation=source_folders.ORIENTATION,
    spacing=source_folders.SPACING,
    rows=40,
    geometry=True,
    annotated=True,
    frame=1,
    frame_count=1,
    **fields,
):
    """A frame of one series; ``fields`` are those of the `AnnotatedFrame`."""
    position = tuple(np.array((3.0, -4.0, 5.0)) + millimetres * source_folders.NORMAL)
    header = FrameHeader(
        patient_id="P1",
        study="1.2",
        series="1.3",
        instance=f"1.4.{name}",
        modality="MR",
        rows=rows,
        columns=48,
        bytes_per_pixel=2,
        plane=ImagePlane(position, orientation, spacing) if geometry else None,
        temporal_order=(temporal, trigger, number),
        burned_in=False,
        frame_number=frame,
        frame_count=frame_count,
    )
    drawn = (Annotation(TEXT, f"{name}.txt", "inner"),) if annotated else ()
    return AnnotatedFrame(name, header, **{"annotations": drawn, **fields})


def plans(images, **arguments):
    """The plans, which no order of the input may change."""
    arguments = {"patient": "pseudonym", "pseudonyms": PSEUDONYMS, **arguments}
    found = list(plan_series(images, **arguments))
    for seed in range(5):
        shuffled = random.Random(seed).sample(images, len(images))
        assert list(plan_series(shuffled, **arguments)) == found
    return found


def places(series):
    return {
        frame.path: (frame.slice_index, frame.phase_index) for frame in series.frames
    }


def test_slices_go_along_the_normal_whatever_their_numbers():
    images = [image(str(n), millimetres=8 * n, number=9 - n) for n in range(4)]
    (series,) = plans(images)
    assert [frame.path for frame in series.frames] == ["0", "1", "2", "3"]
    assert [frame.slice_index for frame in series.frames] == [0, 1, 2, 3]
    assert {frame.slice_count for frame in series.frames} == {4}
    assert {frame.phase_count for frame in series.frames} == {1}
    assert series.slice_spacing == pytest.approx(8)


@pytest.mark.parametrize(
    ("early", "late"),
    [
        ({"trigger": 30}, {"trigger": 250}),
        ({"trigger": 30, "number": 9}, {"trigger": 250, "number": 1}),
        ({"temporal": 1, "trigger": 250}, {"temporal": 2, "trigger": 30}),
        ({"number": 1}, {"number": 2}),
    ],
)
def test_phases_go_in_time_within_a_slice(early, late):
    images = [
        image("upper a, late", millimetres=8, **late),
        image("upper b, early", millimetres=8.005, **early),
        image("lower a, late", millimetres=0, **late),
        image("lower b, early", millimetres=0, **early),
    ]
    (series,) = plans(images)
    assert places(series) == {
        "lower b, early": (0, 0),
        "lower a, late": (0, 1),
        "upper b, early": (1, 0),
        "upper a, late": (1, 1),
    }
    assert list(places(series)) == [
        "lower b, early",
        "lower a, late",
        "upper b, early",
        "upper a, late",
    ]
    assert {(f.slice_count, f.phase_count) for f in series.frames} == {(2, 2)}


@pytest.mark.parametrize(
    ("different", "groups"),
    [
        ({"orientation": (0.80001, 0.59999, 0.0, 0.0, 0.0, -1.0)}, 1),
        ({"spacing": (1.50001, 1.25)}, 1),
        ({"orientation": TURNED}, 2),
        ({"spacing": (1.6, 1.25)}, 2),
        ({"rows": 41}, 2),
        ({"geometry": False}, 2),
    ],
)
def test_frames_that_are_alike_form_a_group(different, groups):
    found = plans([image("0"), image("1", millimetres=8), image("2", **different)])
    assert len(found) == groups
    assert [series.group for series in found] == list(range(groups))
    if groups == 2:
        assert [len(series.frames) for series in found] == [2, 1]


def test_part_without_any_contour_is_not_planned():
    images = [image("0", rows=41, annotated=False), image("1"), image("2")]
    (series,) = plans(images)
    assert series.group == 1
    assert [frame.path for frame in series.frames] == ["1", "2"]


def test_unannotated_frames_count_among_the_slices():
    images = [image(str(n), millimetres=8 * n, annotated=n == 2) for n in range(4)]
    (series,) = plans(images)
    (example,) = (frame for frame in series.frames if frame.example)
    assert (example.slice_index, example.slice_count) == (2, 4)


def test_frames_without_geometry_go_in_time_only():
    images = [image(str(n), geometry=False, trigger=90 - n) for n in range(3)]
    (series,) = plans(images)
    assert [frame.path for frame in series.frames] == ["2", "1", "0"]
    assert [frame.phase_index for frame in series.frames] == [0, 1, 2]
    for frame in series.frames:
        assert (frame.slice_index, frame.slice_count) == (None, None)
        assert frame.header.plane is None
    assert series.slice_spacing is None


def test_names_are_pseudonyms_and_keys_differ():
    images = [image("0"), image("1", millimetres=8)]
    (series,) = plans(images)
    assert series.patient == "pseudonym"
    assert series.study == PSEUDONYMS.of("study", "1.2")
    assert series.series == PSEUDONYMS.of("series", "1.3")
    keys = {frame.key for frame in series.frames}
    assert len(keys | {frame.instance for frame in series.frames}) == 4
    shown = repr(dataclasses.replace(series, frames=())) + repr(keys)
    assert "1.2" not in shown and "1.4" not in shown


def test_study_and_series_without_a_uid_are_told_apart_by_their_patient():
    one = image("a")
    header = dataclasses.replace(one.header, study="", series="")
    blank = [dataclasses.replace(one, header=header)]
    (first,), (second,) = (
        plan_series(blank, patient=patient, pseudonyms=PSEUDONYMS)
        for patient in ("who", "other")
    )
    assert first.study != second.study and first.series != second.series
    assert first.study != PSEUDONYMS.of("study", "")


def examples(series):
    return [frame.path for frame in series.frames if frame.example]


def beating_heart(annotated):
    """Slices 0 to 4 in the phases early and late, annotated where it says so."""
    return [
        image(
            f"{place} {phase}",
            millimetres=8 * place,
            trigger=trigger,
            annotated=f"{place} {phase}" in annotated,
        )
        for place in range(5)
        for phase, trigger in (("early", 30), ("late", 250))
    ]


@pytest.mark.parametrize(
    ("include", "annotated", "expected"),
    [
        ("no", ["2 late"], ["2 late"]),
        ("neighbours", ["2 late"], ["1 late", "2 late", "3 late"]),
        ("neighbours", ["0 early"], ["0 early", "1 early"]),
        ("neighbours", ["4 late"], ["3 late", "4 late"]),
        (
            "neighbours",
            ["1 early", "3 late"],
            ["0 early", "1 early", "2 early", "2 late", "3 late", "4 late"],
        ),
        ("neighbours", [], None),
        ("no", [], None),
        ("all", [], [f"{n} {phase}" for n in range(5) for phase in ("early", "late")]),
        (
            "all",
            ["2 late"],
            [f"{n} {phase}" for n in range(5) for phase in ("early", "late")],
        ),
    ],
)
def test_frames_without_annotation_become_examples(include, annotated, expected):
    found = plans(beating_heart(annotated), include=include)
    if expected is None:
        assert not found
        return
    (series,) = found
    assert examples(series) == expected
    assert len(series.frames) == 10
    drawn = [frame.path for frame in series.frames if frame.annotations]
    assert drawn == annotated


def test_neighbours_are_of_the_same_part_and_lie_somewhere():
    images = [
        image("0", annotated=False),
        image("1", millimetres=8),
        image("2, larger", millimetres=16, rows=41, annotated=False),
    ]
    (series,) = plans(images, include="neighbours")
    assert examples(series) == ["0", "1"]
    nowhere = [image(str(n), geometry=False, annotated=n == 1) for n in range(3)]
    (series,) = plans(nowhere, include="neighbours")
    assert examples(series) == ["1"]


def test_frame_on_which_everything_is_absent_is_an_example():
    images = [image("0", annotated=False, absent=("inner",)), image("1", millimetres=8)]
    (series,) = plans(images)
    assert examples(series) == ["0", "1"]
    first, second = series.frames
    assert (first.annotations, first.absent) == ((), ("inner",))
    assert first.annotated == second.annotated == {"inner"}
    assert not second.absent


def raters(name, *who, **fields):
    return [image(name, rater=one, **fields) for one in who]


def test_raters_of_one_frame_are_examples_of_one_place():
    images = [
        *raters("0", "Ann", "Bob"),
        *raters("1", "Ann", millimetres=8),
        image("2", millimetres=16, annotated=False),
    ]
    arguments = {"patient": "pseudonym", "pseudonyms": PSEUDONYMS}
    (series,) = plan_series(images, **arguments)
    ann, bob, alone, plain = series.frames
    assert [one.slice_index for one in series.frames] == [0, 0, 1, 2]
    assert {(one.slice_count, one.phase_count) for one in series.frames} == {(3, 1)}
    assert {one.phase_index for one in series.frames} == {0}
    assert examples(series) == ["0", "0", "1"]
    assert ann.instance == bob.instance and ann.name == bob.name
    assert len({one.key for one in series.frames}) == 4
    assert ann.rater == alone.rater == PSEUDONYMS.of("rater", "Ann")
    assert bob.rater not in (ann.rater, None) and plain.rater is None
    assert "Ann" not in repr((ann.rater, ann.key))
    # Who else drew on it changes no key.
    (again,) = plan_series(images[1:], **arguments)
    assert again.frames[0].key == bob.key


def test_a_rater_who_drew_no_whole_class_is_no_example():
    (ann,) = raters("0", "Ann")
    (bob,) = raters("0", "Bob", annotated=False)
    (series,) = plan_series([ann, bob], patient="p", pseudonyms=PSEUDONYMS)
    assert [(one.example, len(one.annotations)) for one in series.frames] == [
        (True, 1),
        (False, 0),
    ]


def test_frames_of_one_file_have_names_and_keys_of_their_own():
    images = [
        image("cine.dcm", frame=n, frame_count=3, number=n, millimetres=8 * (3 - n))
        for n in (1, 2, 3)
    ]
    (series,) = plans(
        [dataclasses.replace(one, labels=(("age", "70"),)) for one in images]
    )
    names = [frame.name for frame in series.frames]
    assert names == ["cine.dcm#3", "cine.dcm#2", "cine.dcm#1"]
    assert {frame.path for frame in series.frames} == {"cine.dcm"}
    assert len({frame.key for frame in series.frames}) == 3
    assert len({frame.instance for frame in series.frames}) == 1
    assert {frame.labels for frame in series.frames} == {(("age", "70"),)}


def test_findings_of_header_and_annotations_stand_together():
    one = image("a", findings=(("rt.dcm#1.1", "annotated_again"),))
    header = dataclasses.replace(one.header, findings=("geometry_invalid",))
    (series,) = plans([dataclasses.replace(one, header=header)])
    assert series.frames[0].findings == (
        ("a", "geometry_invalid"),
        ("rt.dcm#1.1", "annotated_again"),
    )
    assert series.frames[0].shape == (40, 48, 1)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
