import copy
import sys

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.seg_files import edit, make_plane, make_series, uid, write_segmentation
from tfdicom import reasons
from tfdicom.reasons import InputSkipped
from tfdicom.sources import seg_header
from tfdicom.sources.seg_frames import Source

MASKS = np.random.default_rng(0).random((3, 12, 10, 2)) < 0.5


@pytest.fixture
def path(tmp_path):
    source = make_series([make_plane(index) for index in range(3)])
    write_segmentation(tmp_path / "seg.dcm", source, MASKS.astype(np.uint8))
    return tmp_path / "seg.dcm"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    file = tmp_path_factory.mktemp("seg") / "seg.dcm"
    source = make_series([make_plane(index) for index in range(3)])
    write_segmentation(file, source, MASKS.astype(np.uint8))
    return file.read_bytes()


def delete(*keywords):
    def change(dataset):
        for keyword in keywords:
            del dataset[keyword]

    return change


def put(**elements):
    def change(dataset):
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)

    return change


def frame(number):
    return lambda dataset: dataset.PerFrameFunctionalGroupsSequence[number - 1]


DEFECTS = [
    ("seg_malformed", "0062,0002", delete("SegmentSequence")),
    ("seg_malformed", "0062,0002", put(SegmentSequence=[])),
    ("seg_malformed", "0062,0001", delete("SegmentationType")),
    ("seg_malformed", "0062,0001", put(SegmentationType="SURFACE")),
    ("seg_malformed", "5200,9230", delete("PerFrameFunctionalGroupsSequence")),
    ("seg_malformed", "0028,0100", put(BitsAllocated=8)),
    ("seg_malformed", "0028,0100", put(SegmentationType="LABELMAP")),
    ("seg_malformed", "0028,0002", put(SamplesPerPixel=3)),
    ("seg_malformed", "0028,0010", delete("Rows")),
    ("seg_malformed", "0028,0011", put(Columns=0)),
    ("seg_malformed", "65535 rows", put(Rows=65535, Columns=65535)),
    ("seg_malformed", "0028,0008", delete("NumberOfFrames")),
    (
        "seg_malformed",
        "0062,0004",
        lambda dataset: delete("SegmentNumber")(dataset.SegmentSequence[1]),
    ),
    (
        "seg_malformed",
        "0062,0004",
        lambda dataset: put(SegmentNumber=0)(dataset.SegmentSequence[1]),
    ),
    (
        "seg_malformed",
        "0062,0010",
        put(SegmentationType="FRACTIONAL", BitsAllocated=8, MaximumFractionalValue=1),
    ),
    (
        "seg_malformed",
        "0062,000E",
        put(
            SegmentationType="FRACTIONAL",
            BitsAllocated=8,
            SegmentationFractionalType="OCCUPANCY",
        ),
    ),
    ("seg_frames_differ", "5 frames, 6", put(NumberOfFrames=5)),
    (
        "seg_frame_without_segment",
        "frame 2 has no (0062,000B)",
        lambda dataset: delete("SegmentIdentificationSequence")(frame(2)(dataset)),
    ),
    ("seg_pixels_too_short", "90 bytes", put(PixelData=b"\0" * 88)),
    ("seg_pixels_too_short", "got 0", delete("PixelData")),
    ("seg_unsupported", "slide", put(DimensionOrganizationType="TILED_FULL")),
]


@pytest.mark.parametrize(("code", "detail", "change"), DEFECTS)
def test_a_defect_is_refused_with_the_element(path, code, detail, change):
    edit(path, change)
    with pytest.raises(InputSkipped) as refused:
        seg_header.read(path)
    assert refused.value.code == code
    assert detail in refused.value.detail


def test_files_that_are_none(tmp_path):
    file = tmp_path / "seg.dcm"
    with pytest.raises(InputSkipped) as refused:
        seg_header.read(file)
    assert refused.value.code == "file_unreadable"
    file.write_bytes(b"no DICOM")
    with pytest.raises(InputSkipped) as refused:
        seg_header.read(file)
    assert refused.value.code == "not_dicom"


def test_big_endian_is_refused(path):
    dataset = pydicom.Dataset(pydicom.dcmread(path))
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    dataset.save_as(path, enforce_file_format=True)
    with pytest.raises(InputSkipped) as refused:
        seg_header.read(path)
    assert refused.value.code == "seg_unsupported"


def test_names_of_segments(path):
    header, _ = seg_header.read(path)
    assert [one.number for one in header.segments] == [1, 2]
    assert header.segments[1].names == (
        "label 2",
        "#2",
        "Heart",
        "SCT:80891009",
        "Tissue",
        "SCT:85756007",
    )


def test_a_segment_without_label_or_codes_has_its_number(path):
    def change(dataset):
        dataset.SegmentSequence[0] = pydicom.Dataset()
        dataset.SegmentSequence[0].SegmentNumber = 1

    edit(path, change)
    assert seg_header.read(path)[0].segments[0].names == ("#1",)


def test_two_descriptions_of_one_number_are_of_no_use(path):
    edit(path, lambda dataset: put(SegmentNumber=1)(dataset.SegmentSequence[1]))
    header, _ = seg_header.read(path)
    assert header.segments == ()
    assert [(one.item, one.reason) for one in header.left] == [(1, "seg_segment_twice")]


def test_what_it_names(path):
    header, _ = seg_header.read(path)
    assert header.series == (uid("series", "series"),)
    assert header.frame_of_reference == uid("space", "space")
    assert set(header.every_source) == {Source(uid("series", n)) for n in (1, 2, 3)}


def test_frame_numbers_of_source_images_count_more_than_the_series(path):
    def change(dataset):
        references = dataset.SourceImageSequence
        references[0].ReferencedFrameNumber = [2, 5]
        dataset.SourceImageSequence = references[:1]

    edit(path, change)
    header, _ = seg_header.read(path)
    instances = {uid("series", n) for n in (1, 2, 3)}
    named = header.sources[0].instance
    assert header.sources[:2] == (Source(named, 2), Source(named, 5))
    rest = {(one.instance, one.frame_number) for one in header.sources[2:]}
    assert rest == {(one, None) for one in instances - {named}}


@pytest.mark.parametrize(
    ("spacing", "thickness", "expected"),
    [(None, None, None), (2.0, None, 2.0), (9.0, None, 3.0), (9.0, 1.0, 1.0)],
)
def test_a_slice_is_as_thick_as_it_says_and_no_thicker_than_the_gap(
    path, spacing, thickness, expected
):
    def change(dataset):
        measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        values = {"SpacingBetweenSlices": spacing, "SliceThickness": thickness}
        for keyword, value in values.items():
            if keyword in measures:
                del measures[keyword]
            if value:
                setattr(measures, keyword, value)

    edit(path, change)
    header, _ = seg_header.read(path)
    found = header.slice_thickness(header.frames[0])
    assert found == (expected and pytest.approx(expected, abs=1e-4))


def _leaves(dataset):
    """Each sequence item and element, to be broken."""
    for element in list(dataset):
        yield dataset, element.keyword
        if element.VR == "SQ":
            for item in element.value:
                yield from _leaves(item)


def test_any_one_element_may_be_missing(path):
    original = pydicom.dcmread(path)
    del original.PixelData
    count = len(list(_leaves(original)))
    for index in range(0, count, 2):
        broken = copy.deepcopy(original)
        holder, keyword = list(_leaves(broken))[index]
        del holder[keyword]
        try:
            header = seg_header.of_dataset(broken)
        except InputSkipped as refused:
            assert refused.code in reasons.REASONS
        else:
            assert len(header.frames) == 6


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    changes=st.lists(st.tuples(st.integers(132), st.integers(0, 255)), max_size=6),
    length=st.floats(0.05, 1),
)
def test_damaged_bytes_are_refused_or_read(whole, tmp_path, changes, length):
    data = bytearray(whole)
    for at, value in changes:
        data[132 + at % (len(data) - 132)] = value
    file = tmp_path / "damaged.dcm"
    file.write_bytes(data[: int(len(data) * length)])
    try:
        header, _ = seg_header.read(file)
    except InputSkipped as refused:
        assert refused.code in reasons.REASONS
    else:
        assert header.frames


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
