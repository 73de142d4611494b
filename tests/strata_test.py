import dataclasses
import sys

import pytest

from tests import source_folders
from tfdicom import strata
from tfdicom.classes import parse_classes
from tfdicom.sources.candidates import RTSTRUCT, Annotation


@pytest.fixture
def frames(source):
    """Three images of one patient, two with an inner contour, one with an outer."""
    return [
        one
        for one in source_folders.annotated_frames(source.root)
        if one.header.patient_id == source.patients[0]
    ]


@pytest.mark.parametrize(
    ("classes", "amounts"),
    [
        ("inner", {"inner annotated": 2, "inner drawn": 2}),
        ("outer", {"outer annotated": 1, "outer drawn": 1}),
        ("myo=outer-inner", {"myo annotated": 1, "myo drawn": 1}),
        ("papillary", {}),
    ],
)
def test_classes_by_contour_files(frames, classes, amounts):
    found = strata.strata_of({"A": frames, "B": []}, "classes", parse_classes(classes))
    assert found == {"A": amounts, "B": {}}


def test_where_a_class_is_absent_it_is_annotated_and_not_drawn(frames):
    drawn = Annotation(RTSTRUCT, "rt.dcm", "lung", 1, (1,))
    found = [
        dataclasses.replace(one, annotations=(drawn,), absent=("heart",))
        for one in frames
    ]
    found[0] = dataclasses.replace(found[0], annotations=(), absent=("heart", "lung"))
    amounts = strata.strata_of({"A": found}, "classes", parse_classes("lung;heart"))
    assert amounts == {
        "A": {"lung annotated": 3, "lung drawn": 2, "heart annotated": 3}
    }


def labelled(frames, *values):
    pairs = zip(frames, values, strict=True)
    return [
        dataclasses.replace(one, labels=(("age", "7"), ("diagnosis", value)))
        for one, value in pairs
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["b", "a", "b"], "b"),
        (["b", "a", "c"], "a"),
        (["", "", "c"], "c"),
        (["", "", ""], ""),
    ],
)
def test_a_label_is_the_most_frequent_value(frames, values, expected):
    found = strata.strata_of({"A": labelled(frames, *values)}, "label:diagnosis", ())
    assert found == {"A": {expected: 1}}


def test_values_of_one_patient_each_are_refused(frames):
    by_patient = {f"P{n}": labelled(frames[:1], f"v{max(n, 4)}") for n in range(10)}
    assert len(strata.strata_of(by_patient, "label:diagnosis", ())) == 10
    by_patient = {f"P{n}": labelled(frames[:1], f"v{max(n, 3)}") for n in range(10)}
    with pytest.raises(
        ValueError, match="label:diagnosis: 6 of 10 patients have .* as bands of this"
    ):
        strata.strata_of(by_patient, "label:diagnosis", ())


def test_nothing_is_asked(frames):
    assert strata.strata_of({"A": frames}, "", parse_classes("inner")) == {}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
