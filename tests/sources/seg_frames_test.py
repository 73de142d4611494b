import math
import sys

import pytest
from pydicom.dataset import Dataset

from tfdicom.reasons import InputSkipped
from tfdicom.sources import seg_frames
from tfdicom.sources.seg_frames import Source

POSITION, ORIENTATION, SPACING = [1.0, 2.0, 3.0], [1.0, 0, 0, 0, 1, 0], [2.0, 1.5]


def item(**elements):
    dataset = Dataset()
    for keyword, value in elements.items():
        dataset.__setattr__(keyword, value)
    return dataset


def groups(position=POSITION, orientation=None, spacing=None, segment=1, **more):
    found = item(**more)
    if position is not None:
        found.PlanePositionSequence = [item(ImagePositionPatient=position)]
    if orientation is not None:
        found.PlaneOrientationSequence = [item(ImageOrientationPatient=orientation)]
    if spacing is not None:
        found.PixelMeasuresSequence = [item(PixelSpacing=spacing)]
    if segment is not None:
        found.SegmentIdentificationSequence = [item(ReferencedSegmentNumber=segment)]
    return found


def read(*frames, shared=None, name_segments=True):
    dataset = item(
        NumberOfFrames=len(frames),
        PerFrameFunctionalGroupsSequence=list(frames),
        SharedFunctionalGroupsSequence=[shared] if shared is not None else [],
    )
    return seg_frames.read_frames(dataset, name_segments=name_segments)


def shared(**more):
    return groups(None, ORIENTATION, SPACING, None, **more)


def test_groups_of_the_frame_come_before_shared_ones():
    own = groups([4.0, 5, 6], spacing=[1.0, 1.0], segment=7)
    one, two = read(groups(), own, shared=shared())
    assert one.plane.position == (1, 2, 3)
    assert one.plane.pixel_spacing == (2, 1.5)
    assert two.plane.pixel_spacing == (1, 1)
    assert (one.segment, two.segment) == (1, 7)
    assert (one.number, two.number) == (1, 2)


def test_a_shared_segment_is_that_of_every_frame():
    common = shared()
    common.SegmentIdentificationSequence = [item(ReferencedSegmentNumber=3)]
    frames = read(groups(segment=None), groups(segment=None), shared=common)
    assert [one.segment for one in frames] == [3, 3]


def test_a_label_map_names_no_segment():
    (frame,) = read(groups(segment=None), shared=shared(), name_segments=False)
    assert frame.segment is None
    with pytest.raises(InputSkipped) as refused:
        read(groups(segment=None), shared=shared())
    assert refused.value.code == "seg_frame_without_segment"


@pytest.mark.parametrize("spacing", [None, SPACING])
def test_a_frame_without_a_place_is_a_flat_image(spacing):
    (frame,) = read(groups(None, spacing=spacing))
    assert (frame.plane, frame.problem) == (None, "")


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (groups(None, ORIENTATION, SPACING), "0020,0032"),
        (groups(POSITION, None, SPACING), "0020,0037"),
        (groups(POSITION, ORIENTATION, None), "0028,0030"),
        (groups([1.0, 2.0], ORIENTATION, SPACING), "0020,0032"),
        (groups(POSITION, [1.0, 0, 0, 1, 0, 0], SPACING), "0020,0037"),
        (groups(POSITION, ORIENTATION, [0.0, 1.0]), "0028,0030"),
        (groups(POSITION, ORIENTATION, [-1.0, 1.0]), "0028,0030"),
    ],
)
def test_impossible_or_incomplete_geometry_is_a_problem(frame, problem):
    (found,) = read(frame)
    assert found.plane is None
    assert problem in found.problem


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_position_that_is_no_number_is_a_problem(value):
    frame = groups(None, ORIENTATION, SPACING)
    position = item()
    position.add_new("ImagePositionPatient", "FD", [value, 0.0, 0.0])
    frame.PlanePositionSequence = [position]
    assert "0020,0032" in read(frame)[0].problem


@pytest.mark.parametrize(
    ("measures", "thickness"),
    [
        ({}, None),
        ({"SliceThickness": 2.5}, 2.5),
        ({"SliceThickness": 2.5, "SpacingBetweenSlices": 2.0}, 2.0),
        ({"SpacingBetweenSlices": -3.0}, 3.0),
        ({"SliceThickness": 0.0}, None),
    ],
)
def test_thickness(measures, thickness):
    frame = groups(POSITION, ORIENTATION)
    frame.PixelMeasuresSequence = [item(PixelSpacing=SPACING, **measures)]
    assert read(frame)[0].thickness == thickness


def derived(*sources):
    return groups(DerivationImageSequence=[item(SourceImageSequence=list(sources))])


def test_sources_of_a_frame():
    frame = derived(
        item(ReferencedSOPInstanceUID="1.2"),
        item(ReferencedSOPInstanceUID="1.3", ReferencedFrameNumber=4),
        item(ReferencedSOPInstanceUID="1.4", ReferencedFrameNumber=[5, 6]),
        item(),
    )
    (found,) = read(frame, shared=shared())
    expected = Source("1.2"), Source("1.3", 4), Source("1.4", 5), Source("1.4", 6)
    assert found.sources == expected
    assert found.aligned


@pytest.mark.parametrize(
    ("value", "aligned"), [("YES", True), ("NO", False), ("REORIENTED_ONLY", False)]
)
def test_spatial_locations_preserved(value, aligned):
    source = item(ReferencedSOPInstanceUID="1.2", SpatialLocationsPreserved=value)
    assert read(derived(source), shared=shared())[0].aligned == aligned


@pytest.mark.parametrize("value", [None, [1, 2], -1])
def test_whole_number_names_the_element(value):
    dataset = item() if value is None else item(NumberOfFrames=value)
    with pytest.raises(InputSkipped, match=r"0028,0008.*from 1 on is wanted, got"):
        seg_frames.whole_number(dataset, "NumberOfFrames", 1)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
