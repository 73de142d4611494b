import dataclasses
import sys

import pytest

from tests.seg_files import (
    AXIAL,
    make_frame,
    make_header,
    make_plane,
    make_series,
    named,
    uid,
)
from tfdicom import reasons
from tfdicom.sources import seg_placement
from tfdicom.sources.annotation_objects import LeftItem
from tfdicom.sources.seg_frames import Source
from tfdicom.sources.seg_header import LABELMAP

PLANES = [make_plane(index) for index in range(4)]


def placed(header, series, items=(1, 2)):
    """Parts by (image, item), and what is left as (item, part, reason)."""
    found = seg_placement.place(header, series.headers, items)
    left = [(one.item, one.part, one.reason) for one in found.left]
    assert {one.reason for one in found.left} <= reasons.REASONS.keys()
    return {(one.frame, one.item): one.parts for one in found.matches}, left


EVERY = named(1, 2, 3, 4)


def test_omitted_frames_are_negatives_on_the_images_that_it_names():
    header = make_header(
        make_frame(1, PLANES[2], segment=2),
        make_frame(2, PLANES[0]),
        make_frame(3, PLANES[1]),
        make_frame(4, PLANES[1], segment=2),
        sources=named(1, 2, 3),
    )
    found, left = placed(header, make_series(PLANES))
    assert found == {
        (0, 1): (2,),
        (1, 1): (3,),
        (2, 1): (),
        (0, 2): (),
        (1, 2): (4,),
        (2, 2): (1,),
    }
    assert left == []


def test_only_items_that_are_asked_for():
    header = make_header(
        make_frame(1, PLANES[0]), make_frame(2, PLANES[0], segment=2), sources=named(1)
    )
    assert placed(header, make_series(PLANES), [2]) == ({(0, 2): (2,)}, [])


def test_two_frames_of_a_segment_on_one_image_are_two_parts():
    header = make_header(
        make_frame(1, PLANES[0]), make_frame(2, PLANES[0]), sources=named(1)
    )
    assert placed(header, make_series(PLANES), [1]) == ({(0, 1): (1, 2)}, [])


def test_a_frame_of_a_label_map_is_of_all_segments():
    header = make_header(
        make_frame(1, PLANES[1], segment=None), sources=named(1, 2), kind=LABELMAP
    )
    found, _ = placed(header, make_series(PLANES))
    assert found == {(0, 1): (), (1, 1): (1,), (0, 2): (), (1, 2): (1,)}


def test_the_frame_of_reference_is_no_condition_where_grids_agree():
    header = make_header(make_frame(1, PLANES[1]), sources=EVERY)
    found, left = placed(header, make_series(PLANES, space="another"), [1])
    assert (found[1, 1], left) == ((1,), [])


def test_without_names_it_is_annotated_where_a_frame_lies():
    header = make_header(make_frame(1, PLANES[1]), make_frame(2, PLANES[2], segment=2))
    found, left = placed(header, make_series(PLANES))
    assert found == {(1, 1): (1,), (2, 1): (), (1, 2): (), (2, 2): (2,)}
    assert left == []


def test_names_that_are_not_there_are_as_none_if_the_space_agrees():
    frames = [make_frame(1, PLANES[1], sources=named(8, series="changed"))]
    header = make_header(*frames, sources=named(8, 9, series="changed"), series=())
    assert placed(header, make_series(PLANES), [1]) == ({(1, 1): (1,)}, [])
    found, left = placed(header, make_series(PLANES, space="another"), [1])
    assert (found, left) == ({}, [(None, None, "seg_without_image")])


def phases():
    """Two slices, two phases each."""
    return make_series([PLANES[0], PLANES[0], PLANES[1], PLANES[1]])


def test_of_images_in_one_place_the_name_decides():
    frames = [make_frame(1, PLANES[0], sources=named(2))]
    header = make_header(*frames, sources=EVERY)
    found, left = placed(header, phases(), [1])
    assert found == {(0, 1): (), (1, 1): (1,), (2, 1): (), (3, 1): ()}
    assert left == []


@pytest.mark.parametrize("sources", [(), EVERY])
def test_images_in_one_place_without_a_name_of_their_own_are_not_guessed(sources):
    frames = [make_frame(1, PLANES[0], sources=sources), make_frame(2, PLANES[1])]
    header = make_header(*frames[:1], sources=EVERY)
    found, left = placed(header, phases(), [1])
    # Nothing is said of the two that may be meant, not that the segment is absent.
    assert found == {(2, 1): (), (3, 1): ()}
    assert left == [(1, 1, "seg_frame_ambiguous")]


def test_a_frame_that_names_exactly_the_images_of_its_place_is_on_both():
    frames = [make_frame(1, PLANES[0], sources=named(1, 2))]
    found, left = placed(make_header(*frames, sources=EVERY), phases(), [1])
    assert found == {(0, 1): (1,), (1, 1): (1,), (2, 1): (), (3, 1): ()}
    assert left == []


def test_a_frame_that_lies_on_another_image_than_it_names_is_left():
    frames = [make_frame(1, PLANES[2], sources=named(1))]
    found, left = placed(make_header(*frames, sources=EVERY), make_series(PLANES), [1])
    assert found == {(1, 1): (), (3, 1): ()}
    assert left == [(1, 1, "seg_frame_elsewhere")]


def test_a_frame_whose_image_is_missing_is_left():
    frames = [make_frame(1, PLANES[0], sources=named(1)), make_frame(2, PLANES[1])]
    frames[1] = dataclasses.replace(frames[1], sources=named(2))
    series = make_series(PLANES)
    rest = dataclasses.replace(series, headers=series.headers[1:])
    found, left = placed(make_header(*frames, sources=EVERY), rest, [1])
    assert found == {(0, 1): (2,), (1, 1): (), (2, 1): ()}
    assert left == [(1, 1, "seg_image_missing")]


@pytest.mark.parametrize(
    ("sources", "on"), [(named(2), {0, 2, 3}), ((), set())], ids=["named", "nameless"]
)
def test_a_frame_of_impossible_geometry_leaves_its_image_unknown(sources, on):
    frame = make_frame(1, None, sources=sources, problem="(0020,0037) makes no sense")
    header = make_header(frame, sources=EVERY)
    found, left = placed(header, make_series(PLANES), [1])
    assert found == {(at, 1): () for at in on}
    assert left == [(1, 1, "seg_geometry_invalid")]


FLAT = make_series([None, None])


@pytest.mark.parametrize(
    ("frame", "sources", "expected", "reason"),
    [
        (make_frame(1, None, sources=named(2)), named(1, 2), {0: (), 1: (1,)}, None),
        (make_frame(1, None), named(2), {1: (1,)}, None),
        (make_frame(1, None), named(1, 2), {}, "seg_frame_ambiguous"),
        (make_frame(1, None, sources=named(7)), named(1), {0: ()}, "seg_image_missing"),
        (
            make_frame(1, None, sources=named(2), aligned=False),
            named(2),
            {},
            "seg_frame_elsewhere",
        ),
    ],
)
def test_without_geometry_names_decide(frame, sources, expected, reason):
    found, left = placed(make_header(frame, sources=sources), FLAT, [1])
    assert found == {(at, 1): parts for at, parts in expected.items()}
    assert [one for _, _, one in left] == ([reason] if reason else [])


@pytest.mark.parametrize("plane", [None, PLANES[0]])
def test_without_geometry_sizes_have_to_agree(plane):
    frame = make_frame(1, plane, sources=named(1))
    found, left = placed(make_header(frame, rows=24), make_series([None]), [1])
    assert (found, left) == ({}, [(1, 1, "seg_other_size")])


def test_frames_of_a_segment_that_is_not_described():
    frames = [make_frame(1, PLANES[0]), make_frame(2, PLANES[1], segment=5)]
    header = make_header(*frames, sources=EVERY)
    _, left = placed(header, make_series(PLANES))
    assert left == [(5, 2, "seg_segment_not_described")]


def test_frames_of_a_segment_that_is_described_twice_are_reported_once():
    header = make_header(
        make_frame(1, PLANES[0], segment=5),
        sources=EVERY,
        left=(LeftItem(5, None, "seg_segment_twice"),),
    )
    assert placed(header, make_series(PLANES))[1] == []


def multi_frame():
    series = make_series(PLANES)
    frames = [
        dataclasses.replace(one, instance=uid("volume"), frame_number=number)
        for number, one in enumerate(series.headers, 1)
    ]
    return dataclasses.replace(series, headers=tuple(frames))


def test_frames_of_a_multi_frame_image_are_named_by_number():
    volume = uid("volume")
    frames = [make_frame(1, PLANES[2], sources=(Source(volume, 3),))]
    whole, _ = placed(make_header(*frames, sources=(Source(volume),)), multi_frame())
    assert sorted(at for at, item in whole if item == 1) == [0, 1, 2, 3]
    some = (Source(volume, 2), Source(volume, 3))
    found, left = placed(make_header(*frames, sources=some), multi_frame(), [1])
    assert (found, left) == ({(1, 1): (), (2, 1): (1,)}, [])


def test_another_grid_in_the_same_place_is_sampled_and_noted():
    other = make_plane(1, spacing=(1.2, 1.0))
    header = make_header(
        make_frame(1, other), make_frame(2, PLANES[0], segment=2), sources=EVERY
    )
    found = seg_placement.place(header, make_series(PLANES).headers, [1, 2])
    parts = {(one.frame, one.item): one.parts for one in found.matches}
    assert parts[1, 1] == (1,)
    assert parts[0, 1] == parts[2, 1] == parts[3, 1] == ()
    assert found.findings == {1: ("seg_resampled",)}


def test_equal_height_is_not_enough():
    turned = make_plane(position=(400.0, 0.0, PLANES[0].position[2]), orientation=AXIAL)
    header = make_header(make_frame(1, turned), sources=EVERY)
    found, left = placed(header, make_series(PLANES), [1])
    assert left == [(1, 1, "seg_on_no_image")]
    assert not any(found.values())


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"rows": 13}, False),
        ({"plane": None}, True),
        ({"plane": make_plane(1)}, False),
    ],
)
def test_is_same_grid(change, same):
    image = dataclasses.replace(make_series(PLANES).headers[0], **change)
    frame = make_frame(1, PLANES[0])
    assert seg_placement.is_same_grid(frame, make_header(frame), image) == same


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
