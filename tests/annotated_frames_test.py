import dataclasses
import itertools
import sys

import pytest

from tfdicom.annotated_frames import AnnotatedFrame, DrawnHere, resolved
from tfdicom.frame_headers import FrameHeader
from tfdicom.scan import ScannedFrame
from tfdicom.sources.annotation_objects import AnnotationObject
from tfdicom.sources.candidates import RTSTRUCT, SEG, TEXT, Annotation

HEADER = FrameHeader(
    patient_id="P",
    study="1.2",
    series="1.3",
    instance="1.4",
    modality="MR",
    rows=40,
    columns=48,
    bytes_per_pixel=2,
    plane=None,
    temporal_order=(0.0, 0.0, 0.0),
    burned_in=False,
)
FRAME = ScannedFrame("a.dcm", HEADER)


def described(path, created="", rater="", kind=RTSTRUCT):
    instance = f"instance of {path}"
    return AnnotationObject(path, kind, instance=instance, created=created, rater=rater)


OLD = described("old.dcm", "20200101101500")
NEW = described("new.dcm", "20200101101501", kind=SEG)
UNDATED = described("undated.dcm")


def draws(one, structure="heart", item=1, parts=(1,)):
    """What an object draws; ``one`` is None for a contour text file."""
    if one is None:
        return None, Annotation(TEXT, f"{structure}.txt", structure)
    return one, Annotation(one.kind, one.path, structure, item, parts)


def resolve(drawn=(), absent=(), findings=(), policy="newest"):
    """Frames, and reason by name of what is left; whatever the objects' order."""
    found = []
    for order in itertools.permutations(drawn):
        left = []
        here = DrawnHere(list(order), list(absent), list(findings))
        frames = list(resolved(FRAME, here, policy, left))
        reasons = {one.path: one.reason for one in left}
        assert len(reasons) == len(left)
        found.append((frames, reasons))
    for frames, reasons in found:
        assert reasons == found[0][1]
        assert [taken(one) for one in frames] == [taken(one) for one in found[0][0]]
    return found[0]


def taken(frame):
    """Structure and file of what is drawn."""
    return sorted((one.structure, one.path) for one in frame.annotations)


def test_frame_that_nothing_is_drawn_on():
    for policy in ("newest", "raters", "error"):
        assert resolve(policy=policy) == ([AnnotatedFrame("a.dcm", HEADER)], {})


def test_name_of_a_frame_tells_its_number_where_there_are_several():
    one = AnnotatedFrame("a.dcm", HEADER)
    several = dataclasses.replace(HEADER, frame_number=7, frame_count=9)
    assert one.name == "a.dcm"
    assert dataclasses.replace(one, header=several).name == "a.dcm#7"


@pytest.mark.parametrize(
    ("objects", "path", "left"),
    [
        ([OLD], "old.dcm", {}),
        ([OLD, NEW], "new.dcm", {"old.dcm#1.1": "annotated_again_later"}),
    ],
)
def test_newest_is_taken(objects, path, left):
    (frame,), reasons = resolve([draws(one) for one in objects])
    assert taken(frame) == [("heart", path)]
    assert reasons == left
    (one,) = frame.annotations
    again = ((one.candidates[0], "annotated_again"),)
    assert frame.findings == (again if left else ())
    assert frame.rater == "" and frame.absent == ()


@pytest.mark.parametrize(
    "objects",
    [
        [OLD, dataclasses.replace(OLD, path="same.dcm")],
        [UNDATED, dataclasses.replace(UNDATED, path="same.dcm")],
        [UNDATED, None],
        [UNDATED, OLD],  # which may be newer or older
        [OLD, NEW, UNDATED],
        [None, OLD],  # a contour text file has no date
        [OLD, dataclasses.replace(OLD, path="same.dcm"), UNDATED],
    ],
)
def test_where_dates_do_not_tell_none_is_taken(objects):
    (frame,), reasons = resolve([draws(one) for one in objects])
    assert not frame.annotations and not frame.annotated and not frame.findings
    assert len(reasons) == len(objects)
    assert set(reasons.values()) == {"annotated_twice"}


def test_each_structure_is_taken_by_itself():
    drawn = [draws(OLD, "heart"), draws(NEW, "heart"), draws(OLD, "lung", item=2)]
    (frame,), reasons = resolve(drawn)
    assert taken(frame) == [("heart", "new.dcm"), ("lung", "old.dcm")]
    assert reasons == {"old.dcm#1.1": "annotated_again_later"}
    assert frame.annotated == {"heart", "lung"}


def test_two_items_of_one_object_are_both_taken():
    drawn = [draws(NEW, item=1, parts=(3, 4)), draws(NEW, item=2, parts=(9,))]
    (frame,), reasons = resolve(drawn)
    assert sorted(one.item for one in frame.annotations) == [1, 2]
    assert not reasons and not frame.findings
    (frame,), reasons = resolve([*drawn, draws(OLD, item=5, parts=(1, 2))])
    assert sorted(one.item for one in frame.annotations) == [1, 2]
    assert reasons == dict.fromkeys(
        ("old.dcm#5.1", "old.dcm#5.2"), "annotated_again_later"
    )
    assert {name for name, _ in frame.findings} == {"new.dcm#1.3", "new.dcm#2.9"}


def test_contour_files_are_one_source_together():
    one = (None, Annotation(TEXT, "1.txt", "heart"))
    other = (None, Annotation(TEXT, "2.txt", "heart"))
    (frame,), reasons = resolve([one, other], policy="error")
    assert taken(frame) == [("heart", "1.txt"), ("heart", "2.txt")] and not reasons


def test_absent_is_annotated_and_draws_nothing():
    (frame,), reasons = resolve(absent=[(NEW, "heart"), (OLD, "lung"), (NEW, "liver")])
    assert frame.absent == ("heart", "lung", "liver") and not reasons
    assert frame.annotated == {"heart", "lung", "liver"} and not frame.annotations


@pytest.mark.parametrize(
    ("drawer", "other", "drawn", "left"),
    [
        # One of the two ROIs of a structure is there, the other is not.
        (NEW, NEW, True, {}),
        (NEW, OLD, True, {}),
        # A SEG says that a structure is absent.
        (OLD, NEW, False, {"old.dcm#1.1": "annotated_again_later"}),
    ],
)
def test_of_absent_and_drawn_the_newest_counts(drawer, other, drawn, left):
    (frame,), reasons = resolve([draws(drawer)], absent=[(other, "heart")])
    assert bool(frame.annotations) == drawn
    assert frame.absent == (() if drawn else ("heart",))
    assert frame.annotated == {"heart"} and reasons == left


def test_a_newer_structure_set_that_draws_nothing_here_leaves_it_unknown():
    new = dataclasses.replace(NEW, kind=RTSTRUCT)
    (frame,), reasons = resolve([draws(OLD)], absent=[(new, "heart")])
    assert frame.annotated == frozenset()
    assert reasons == {"old.dcm#1.1": "drawn_and_absent"}


def test_absent_and_drawn_without_a_date_is_unknown():
    (frame,), reasons = resolve([draws(None)], absent=[(NEW, "heart")])
    assert frame.annotated == frozenset()
    assert reasons == {"heart.txt": "annotated_twice"}


def test_objects_that_agree_on_absence_do_not_contradict():
    (frame,), reasons = resolve(absent=[(UNDATED, "heart"), (OLD, "heart")])
    assert frame.absent == ("heart",) and not reasons


def test_absent_twice_is_absent_once():
    (frame,), reasons = resolve(absent=[(NEW, "heart"), (NEW, "heart")])
    assert frame.absent == ("heart",) and not reasons


@pytest.mark.parametrize(
    ("drawn", "absent"),
    [
        ([OLD, NEW], []),
        ([None, NEW], []),
        ([OLD], [NEW]),
        ([], [NEW, OLD]),
    ],
)
def test_error_names_the_objects_and_what_to_do(drawn, absent):
    with pytest.raises(
        ValueError, match="both annotate 'heart' on a.dcm; --several_annotations=newest"
    ) as error:
        resolve(
            [draws(one) for one in drawn],
            absent=[(one, "heart") for one in absent],
            policy="error",
        )
    for one in drawn + absent:
        assert (one.path if one else "a contour file") in str(error.value)


def test_no_error_where_one_object_draws_each_structure():
    drawn = [draws(OLD, "lung"), draws(NEW, "heart")]
    (frame,), reasons = resolve(drawn, policy="error")
    assert len(frame.annotations) == 2 and not reasons


ANN = dataclasses.replace(OLD, rater="Ann")
BOB = dataclasses.replace(NEW, rater="Bob")
ANN_LATER = described("again.dcm", "20210101", rater="Ann")


def by_rater(*arguments, **fields):
    frames, reasons = resolve(*arguments, **fields, policy="raters")
    assert [one.rater for one in frames] == sorted(one.rater for one in frames)
    return {one.rater: one for one in frames}, reasons


def test_raters_are_kept_apart():
    found, reasons = by_rater(
        [draws(ANN), draws(BOB), draws(BOB, "lung", item=2)], absent=[(ANN, "liver")]
    )
    assert {rater: taken(one) for rater, one in found.items()} == {
        "Ann": [("heart", "old.dcm")],
        "Bob": [("heart", "new.dcm"), ("lung", "new.dcm")],
    }
    assert (found["Ann"].absent, found["Bob"].absent) == (("liver",), ())
    assert not reasons and not found["Ann"].findings


def test_objects_that_name_no_rater_are_raters():
    found, reasons = by_rater([draws(OLD), draws(NEW), draws(None)])
    assert set(found) == {"", OLD.instance, NEW.instance}
    assert taken(found[""]) == [("heart", "heart.txt")] and not reasons


def test_of_one_raters_objects_the_newest_counts():
    found, reasons = by_rater([draws(ANN), draws(ANN_LATER), draws(BOB)])
    assert taken(found["Ann"]) == [("heart", "again.dcm")]
    assert found["Ann"].findings == (("again.dcm#1.1", "annotated_again"),)
    assert taken(found["Bob"]) == [("heart", "new.dcm")] and not found["Bob"].findings
    assert reasons == {"old.dcm#1.1": "annotated_again_later"}


def test_findings_go_with_their_rater():
    findings = [("old.dcm#1.1", "odd"), ("new.dcm#1.1", "strange")]
    found, _ = by_rater([draws(ANN), draws(BOB)], findings=findings)
    assert found["Ann"].findings == (("old.dcm#1.1", "odd"),)
    assert found["Bob"].findings == (("new.dcm#1.1", "strange"),)
    (frame,), _ = resolve([draws(ANN, "lung"), draws(BOB)], findings=findings)
    assert frame.findings == tuple(findings)


def test_finding_that_two_objects_draw_is_added_to_others():
    findings = [("new.dcm#1.1", "strange")]
    (frame,), _ = resolve([draws(OLD), draws(NEW)], findings=findings)
    assert frame.findings == (
        ("new.dcm#1.1", "strange"),
        ("new.dcm#1.1", "annotated_again"),
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
