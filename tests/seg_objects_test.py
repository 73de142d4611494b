import dataclasses
import sys

import numpy as np
import pytest
from pydicom.dataset import Dataset

from tests.seg_files import make_plane, make_series
from tfdicom import seg_objects
from tfdicom.seg_objects import Segments
from tfdicom.source_images import SourceFrame


def frames_of(*planes, **options):
    series = make_series(planes, **options)
    return [SourceFrame(dataset, 1, 1) for dataset in series.datasets]


def build(frames, classes=("a",), kind="BINARY"):
    rows, columns = frames[0].shape
    masks = np.ones((len(frames), rows, columns, len(classes)), bool)
    segments = Segments(classes, {}, kind, None)
    return seg_objects.build(frames, masks, segments, [True] * len(classes))


def test_frames_fit_by_grid_and_then_by_place():
    planes = [
        make_plane(0),
        make_plane(1),
        make_plane(0),
        make_plane(2, spacing=(2.0, 2.0)),
        make_plane(0),
        make_plane(1, orientation=(1, 0, 0, 0, 1, 0)),
    ]
    found = seg_objects.places(frames_of(*planes))
    assert found == [(0, 0), (0, 0), (0, 1), (1, 0), (0, 2), (2, 0)]


def test_the_last_digit_of_an_orientation_does_not_split():
    orientation = (0.712221, 0.701112, -0.0343949, -0.307716, 0.267798, -0.913015)
    other = (0.712221, 0.701112, -0.0343949, -0.307715, 0.267798, -0.913015)
    frames = frames_of(
        make_plane(0, orientation=orientation), make_plane(1, orientation=other)
    )
    assert seg_objects.places(frames) == [(0, 0), (0, 0)]
    dataset, notes = build(frames)
    shared = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    np.testing.assert_allclose(shared.ImageOrientationPatient, orientation)
    assert notes == []


def test_frames_of_a_file_or_without_a_place_stay_with_their_file():
    flat = frames_of(None, None)
    assert seg_objects.series_key(flat[0]) != seg_objects.series_key(flat[1])
    slices = frames_of(make_plane(0), make_plane(1))
    assert seg_objects.series_key(slices[0]) == seg_objects.series_key(slices[1])
    volume = [SourceFrame(slices[0].header, number, 2) for number in (1, 2)]
    # A frame of a file that is not enhanced has an object of its own.
    assert seg_objects.series_key(volume[0]) != seg_objects.series_key(volume[1])
    groups = [Dataset()]
    groups[0].FrameContentSequence = [Dataset()]
    volume[0].header.SharedFunctionalGroupsSequence = groups
    volume[0].header.PerFrameFunctionalGroupsSequence = groups
    assert seg_objects.series_key(volume[0]) == seg_objects.series_key(volume[1])
    assert seg_objects.series_key(volume[0]) != seg_objects.series_key(slices[0])


def test_raters_and_temporal_positions_share_no_object():
    one, other = frames_of(make_plane(0), make_plane(1))
    raters = [dataclasses.replace(one, rater=rater) for rater in ("", "a", "b")]
    assert len({seg_objects.series_key(frame) for frame in raters}) == 3
    assert seg_objects.series_key(one) == seg_objects.series_key(other)
    other.header.TemporalPositionIdentifier = 2
    assert seg_objects.series_key(one) != seg_objects.series_key(other)


def test_a_label_map_of_more_than_255_classes():
    frames = frames_of(make_plane(0))
    rows, columns = frames[0].shape
    classes = tuple(str(number) for number in range(300))
    masks = np.zeros((1, rows, columns, 300), bool)
    masks[0, 0, 0, 255] = masks[0, 0, 1, 299] = True
    segments = Segments(classes, {}, "LABELMAP", None)
    dataset, _ = seg_objects.build(frames, masks, segments, [True] * 300)
    assert dataset.pixel_array[..., 0, :2].ravel().tolist() == [256, 300]


def test_what_highdicom_refuses_is_told_with_the_kind_of_image():
    frames = frames_of(make_plane(0))
    del frames[0].header.SOPInstanceUID
    with pytest.raises(ValueError, match=r"\(0008,0016\).*SOPInstanceUID.*leave its"):
        build(frames)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_an_image_has_to_be_of_a_study_and_a_series(keyword):
    (frame,) = frames_of(make_plane(0))
    del frame.header[keyword]
    with pytest.raises(ValueError, match=r"0020,000[DE]"):
        seg_objects.series_key(frame)


def test_one_frame_of_reference_is_kept():
    frames = frames_of(make_plane(0), make_plane(1))
    dataset, notes = build(frames)
    assert dataset.FrameOfReferenceUID == frames[0].header.FrameOfReferenceUID
    assert notes == []


def test_several_become_one_that_is_new_and_the_same_each_time():
    frames = frames_of(make_plane(0), make_plane(1))
    frames[1].header.FrameOfReferenceUID = "1.2.3"
    before = {frame.header.FrameOfReferenceUID for frame in frames}
    first, notes = build(frames)
    second, _ = build(frames[::-1])
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID
    assert first.FrameOfReferenceUID not in before
    assert "different Frames of Reference" in notes[0]
    # The headers that were given are as they were.
    assert {frame.header.FrameOfReferenceUID for frame in frames} == before


def test_what_is_missing_is_written_empty():
    frames = frames_of(make_plane(0))
    for keyword in ("PatientName", "StudyDate", "AccessionNumber", "SliceThickness"):
        del frames[0].header[keyword]
    dataset, notes = build(frames)
    assert dataset.PatientName == ""
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert "SliceThickness" not in measures
    assert notes == []


def test_private_elements_and_values_that_break_do_not_matter():
    frames = frames_of(make_plane(0))
    block = frames[0].header.private_block(0x0009, "ACME", create=True)
    block.add_new(0x01, "LO", "private")
    frames[0].header.PerFrameFunctionalGroupsSequence = [Dataset()]
    dataset, _ = build(frames)
    assert not any(element.tag.is_private for element in dataset)
    assert len(dataset.PerFrameFunctionalGroupsSequence) == 1


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
