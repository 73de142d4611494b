import sys

import numpy as np
import pytest

from tests.rtstruct_objects import (
    SAGITTAL,
    Outline,
    headers,
    matches,
    save,
    structure_set,
)
from tests.source_folders import uid
from tfdicom.sources.annotation_objects import Match


def square(low=5, high=20):
    return np.array([(low, low), (high, low), (high, high), (low, high)], dtype=float)


def write(tmp_path, outlines, frames=(), **elements):
    dataset = structure_set([(1, "ROI", outlines)], frames, **elements)
    return save(dataset, tmp_path / "rt.dcm")


def outline(frame, names=(), **fields):
    return Outline(square() + 0.3, frame, names=names, **fields)


def reasons(found):
    return [(one.part, one.reason) for one in found.left]


LOST = (None, "roi_not_placed")


def test_the_image_that_is_named_counts(tmp_path):
    # Four phases at each place: the contour names the third.
    frames = headers([0, 0, 0, 0, 3, 3, 3, 3])
    path = write(tmp_path, [outline(frames[2], None)], frames)
    found = matches(path, frames)
    # On the other slice nothing tells which phase was looked at.
    assert found.matches == (Match(2, 1, (1,)),)
    assert found.left == ()


def test_of_several_phases_the_listed_one_is_negative(tmp_path):
    frames = headers([0, 0, 3, 3, 6, 6])
    path = write(tmp_path, [outline(frames[0], None)], frames[::2])
    assert matches(path, frames).matches == (
        Match(0, 1, (1,)),
        Match(2, 1),
        Match(4, 1),
    )


def test_a_contour_may_name_several_images(tmp_path):
    frames = headers([0, 0, 3])
    names = [(frames[0].instance, None), (frames[1].instance, None)]
    found = matches(write(tmp_path, [outline(frames[0], names)], frames), frames)
    assert found.matches == (Match(0, 1, (1,)), Match(1, 1, (1,)), Match(2, 1))


def test_frames_of_one_instance_are_told_apart(tmp_path):
    frames = [
        *headers([0], instance="1.2", frame_number=1),
        *headers([3], instance="1.2", frame_number=2),
        *headers([6], instance="1.2", frame_number=3),
    ]
    by_number = [outline(frames[1], [("1.2", 2)])]
    by_plane = [outline(frames[1], [("1.2", None)])]
    for outlines in (by_number, by_plane):
        found = matches(write(tmp_path, outlines, frames), frames)
        assert found.matches == (Match(0, 1), Match(1, 1, (1,)), Match(2, 1))
    wrong = [outline(frames[1], [("1.2", 3)])]
    found = matches(write(tmp_path, wrong, frames), frames)
    assert reasons(found) == [(1, "contour_off_plane"), LOST]


def test_without_names_the_referenced_series_counts(tmp_path):
    meant, other = headers([0, 3, 6], name="a"), headers([0, 3, 6], name="b")
    path = write(tmp_path, [outline(meant[1])], meant)
    found = matches(path, [*other, *meant])
    assert found.matches == (Match(3, 1), Match(4, 1, (1,)), Match(5, 1))


def test_unknown_instances_fall_back_to_the_series(tmp_path):
    # As after images got new UIDs, and the structure set did not.
    frames = headers([0, 3, 6])
    named = [outline(frames[1], [("1.2.3.4", None)])]
    dataset = structure_set([(1, "ROI", named)], frames)
    (reference,) = dataset.ReferencedFrameOfReferenceSequence
    (study,) = reference.RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    for image in series.ContourImageSequence:
        image.ReferencedSOPInstanceUID = "1.2.3.5"
    path = save(dataset, tmp_path / "rt.dcm")
    assert Match(1, 1, (1,)) in matches(path, frames).matches


def test_one_contour_that_names_an_image_tells_the_series_of_all(tmp_path):
    frames = [*headers([0, 3, 6], name="b"), *headers([0, 3, 6], name="a")]
    outlines = [outline(frames[3], None), outline(frames[4])]
    found = matches(write(tmp_path, outlines), frames)
    assert found.matches == (Match(3, 1, (1,)), Match(4, 1, (2,)), Match(5, 1))


def test_an_image_that_is_missing_is_not_replaced_by_its_neighbour(tmp_path):
    frames = headers([0, 0, 3, 3])
    path = write(tmp_path, [outline(one, None) for one in frames[::2]], frames)
    found = matches(path, frames[1:])
    assert found.matches == (Match(1, 1, (2,)),)
    assert reasons(found) == [(1, "contour_image_missing")]


def test_frame_of_reference_is_the_last_resort(tmp_path):
    frames = headers([0, 3, 6], series="1.2.9")
    outlines = [outline(frames[1])]
    reference = frames[0].frame_of_reference
    path = write(tmp_path, outlines, FrameOfReferenceUID=reference)
    found = matches(path, frames)
    assert found.matches == (Match(0, 1), Match(1, 1, (1,)), Match(2, 1))
    path = write(tmp_path, outlines, FrameOfReferenceUID="1.2.77")
    assert reasons(matches(path, frames)) == [(None, "roi_images_missing")]
    path = write(tmp_path, outlines)
    assert reasons(matches(path, frames)) == [(None, "roi_images_missing")]
    bare = headers([0, 3, 6], frame_of_reference="")
    assert reasons(matches(path, bare)) == [(None, "roi_images_missing")]


def test_two_series_at_one_place_are_ambiguous(tmp_path):
    frames = [*headers([0, 3], name="a"), *headers([0, 3], name="b")]
    reference = frames[0].frame_of_reference
    path = write(tmp_path, [outline(frames[1])], FrameOfReferenceUID=reference)
    found = matches(path, frames)
    assert found.matches == ()
    assert reasons(found) == [(1, "contour_ambiguous"), LOST]
    # Of two phases the one that the object lists.
    frames = headers([0, 0, 3])
    found = matches(write(tmp_path, [outline(frames[1])], frames[1:]), frames)
    assert found.matches == (Match(1, 1, (1,)), Match(2, 1))
    found = matches(write(tmp_path, [outline(frames[1])], frames), frames)
    assert reasons(found) == [(1, "contour_ambiguous"), LOST]


def test_frame_of_reference_of_the_images_may_differ(tmp_path):
    frames = headers([0, 3])
    other = headers([0, 3], frame_of_reference=uid("another"))
    path = write(tmp_path, [outline(frames[0], None)], frames)
    assert Match(0, 1, (1,)) in matches(path, other).matches


def test_a_named_image_in_another_plane_is_refused(tmp_path):
    frames = headers([0, 3, 6])
    wrong = outline(frames[0], [(frames[2].instance, None)])
    found = matches(write(tmp_path, [wrong, outline(frames[1], None)], frames), frames)
    assert reasons(found) == [(1, "contour_off_plane")]
    # On the slice that it lies on and on the one it names, nothing is known.
    assert found.matches == (Match(1, 1, (2,)),)


@pytest.mark.parametrize(
    ("bad", "reason", "unknown"),
    [
        ({"role": "POINT"}, "contour_of_points", {3}),
        ({"role": "OPEN_PLANAR"}, "contour_not_closed", {3}),
        ({"role": "OPEN_NONPLANAR"}, "contour_not_closed", {3}),
        ({"role": None}, "contour_without_type", {3}),
        ({"vertices": square()[:2]}, "contour_too_short", {3}),
        ({"vertices": np.array([[np.nan, 3], [8, 3], [3, 9]])}, None, {0, 3, 4}),
    ],
)
def test_where_a_contour_failed_nothing_is_known(tmp_path, bad, reason, unknown):
    frames = headers([0, 3, 6, 9, 12])
    fields = {"vertices": square() + 0.3, "names": (), **bad}
    outlines = [outline(one) for one in frames[1:3]] + [
        Outline(frame=frames[3], **fields)
    ]
    found = matches(write(tmp_path, outlines, frames), frames)
    assert reasons(found) == [(3, reason or "contour_points_invalid")]
    annotated = {one.frame for one in found.matches}
    assert annotated == {0, 1, 2, 3, 4} - unknown
    if reason is None:
        named = [*outlines[:2], Outline(frame=frames[3], vertices=bad["vertices"])]
        found = matches(write(tmp_path, named, frames), frames)
        assert {one.frame for one in found.matches} == {0, 1, 2, 4}


def test_other_stacks_of_the_series_are_not_negatives(tmp_path):
    frames = [*headers([0, 3, 6]), *headers([0, 3], orientation=SAGITTAL)]
    found = matches(write(tmp_path, [outline(frames[1], None)], frames), frames)
    assert [one.frame for one in found.matches] == [0, 1, 2]


def test_rois_follow_their_own_frame_of_reference(tmp_path):
    first = headers([0, 3], name="a", frame_of_reference="1.1")
    second = headers([0, 3], name="b", frame_of_reference="1.2")
    frames = [*first, *second]
    rois = [(1, "one", [outline(first[0])]), (2, "two", [outline(second[0])])]
    dataset = structure_set(rois, frames)
    dataset.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = "1.2"
    found = matches(save(dataset, tmp_path / "rt.dcm"), frames)
    assert found.left == ()
    drawn = [(one.frame, one.item) for one in found.matches if one.parts]
    assert drawn == [(0, 1), (2, 2)]


def test_only_the_items_that_are_wanted(tmp_path):
    frames = headers([0, 3])
    rois = [(number, "x", [outline(frames[0], None)]) for number in (1, 2, 3)]
    path = save(structure_set(rois, frames), tmp_path / "rt.dcm")
    found = matches(path, frames, [3, 7])
    assert {one.item for one in found.matches} == {3}
    assert [(one.item, one.reason) for one in found.left] == [(7, "roi_not_placed")]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
