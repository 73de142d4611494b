import sys

import pydicom
import pytest

from tests.rtstruct_objects import Outline, headers, save, structure_set
from tests.source_folders import uid
from tfdicom.reasons import REASONS, InputSkipped
from tfdicom.sources import rtstruct
from tfdicom.sources.annotation_objects import AnnotatedItem

SQUARE = [(5.0, 5), (20, 5), (20, 20), (5, 20)]


def described(tmp_path, dataset):
    return rtstruct.read_object(save(dataset, tmp_path / "rt.dcm"), "folder/rt.dcm")


def outline(frame, **fields):
    return Outline(SQUARE, frame, **fields)


def item(**elements):
    found = pydicom.Dataset()
    for keyword, value in elements.items():
        setattr(found, keyword, value)
    return found


def test_what_the_header_says(tmp_path):
    frames = headers([0, 3])
    dataset = structure_set(
        [(4, "Heart", [outline(frames[0])]), (2, "Lung_L", [outline(frames[1])])],
        frames,
        StructureSetDate="20200304",
        StructureSetTime="101112.5",
        OperatorsName="Doe^Jane",
    )
    found = described(tmp_path, dataset)
    assert found.path == "folder/rt.dcm"
    assert found.kind == "rtstruct"
    assert found.patient_id == "P1"
    assert found.instance == uid("structure set")
    assert found.study == uid("study")
    assert found.created == "20200304101112500000"
    assert found.rater == "Doe^Jane"
    assert found.frame_of_reference == frames[0].frame_of_reference
    assert found.referenced_series == (frames[0].series,)
    assert found.referenced_instances == tuple(one.instance for one in frames)
    assert found.items == (
        AnnotatedItem(4, ("Heart", "#4"), parts=1),
        AnnotatedItem(2, ("Lung_L", "#2"), parts=1),
    )
    assert found.left == ()


def test_images_that_only_contours_name(tmp_path):
    frames = headers([0, 3])
    found = described(tmp_path, structure_set([(1, "a", map(outline, frames))]))
    assert found.referenced_series == ()
    assert found.referenced_instances == tuple(one.instance for one in frames)


def test_later_objects_sort_behind_earlier_ones(tmp_path):
    times = [
        {"InstanceCreationDate": "20190101", "InstanceCreationTime": "235959"},
        {"StructureSetDate": "20200101"},
        {"StructureSetDate": "20200101", "StructureSetTime": "0930"},
        {"StructureSetDate": "2020.01.01", "StructureSetTime": "09:30:01"},
        {"StructureSetDate": "20200101", "StructureSetTime": "093001.25"},
    ]
    outlines = [outline(headers([0])[0])]
    found = [
        described(tmp_path, structure_set([(1, "a", outlines)], **one)).created
        for one in times
    ]
    assert found == sorted(set(found))
    for wrong in ({}, {"StructureSetDate": "2020"}, {"StructureSetTime": "12"}):
        dataset = structure_set([(1, "a", outlines)], **wrong)
        assert described(tmp_path, dataset).created == ""


def test_coded_names_and_interpreters(tmp_path):
    frames = headers([0])
    code = item(CodeValue="80891009", CodingSchemeDesignator="SCT", CodeMeaning="Heart")
    observations = [
        item(
            ReferencedROINumber=1,
            ROIInterpreter="Roe^Ann",
            RTROIIdentificationCodeSequence=pydicom.Sequence([code]),
        ),
        item(ReferencedROINumber=2, ROIInterpreter=""),
    ]
    dataset = structure_set(
        [(1, "cor", [outline(frames[0])]), (2, "", [outline(frames[0])])],
        frames,
        RTROIObservationsSequence=pydicom.Sequence(observations),
        OperatorsName="Doe^Jane",
    )
    found = described(tmp_path, dataset)
    assert found.items == (
        AnnotatedItem(1, ("cor", "#1", "Heart", "SCT:80891009"), parts=1),
        AnnotatedItem(2, ("#2",), parts=1),
    )
    assert found.rater == "Roe^Ann"
    observations[1].ROIInterpreter = "Poe^Edgar"
    assert described(tmp_path, dataset).rater == "Doe^Jane"


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        ([], "roi_without_contours"),
        (["POINT"], "roi_of_points"),
        (["POINT", "POINT"], "roi_of_points"),
        (["OPEN_PLANAR"], "roi_not_closed"),
        (["OPEN_NONPLANAR", "POINT"], "roi_not_closed"),
        ([None], "roi_not_closed"),
        (["POINT", "CLOSED_PLANAR"], None),
        (["CLOSEDPLANAR_XOR"], None),
    ],
)
def test_rois_of_no_use(tmp_path, roles, reason):
    frame = headers([0])[0]
    rois = [
        (1, "a", [outline(frame)]),
        (2, "b", [outline(frame, role=role) for role in roles]),
    ]
    found = described(tmp_path, structure_set(rois))
    assert [one.number for one in found.items] == ([1] if reason else [1, 2])
    left = [(one.item, one.part, one.reason, one.detail) for one in found.left]
    assert left == ([(2, None, reason, "ROI 'b'")] if reason else [])


def test_numbers_that_link_nothing(tmp_path):
    frame = headers([0])[0]
    rois = [(n, name, [outline(frame)]) for n, name in enumerate("abcdef", 1)]
    dataset = structure_set(rois)
    described_rois = dataset.StructureSetROISequence
    described_rois[2].ROINumber = 2  # twice; 3 is not described then
    del described_rois[3].ROINumber
    del dataset.ROIContourSequence[1]  # that of 5
    del dataset.ROIContourSequence[0].ReferencedROINumber  # that of 6
    found = described(tmp_path, dataset)
    assert [one.number for one in found.items] == [1]
    assert {(one.item, one.reason) for one in found.left} == {
        (2, "roi_number_twice"),
        (None, "roi_without_number"),
        (5, "roi_without_contours"),
        (6, "roi_without_contours"),
        (3, "roi_not_described"),
        (4, "roi_not_described"),
        (None, "roi_not_described"),
    }
    assert {one.reason for one in found.left} <= set(REASONS)


@pytest.mark.parametrize("endless", [False, True])
def test_file_that_was_cut_short_is_of_no_use(tmp_path, endless):
    frames = headers([0, 3, 6])
    rois = [(1, "a", map(outline, frames)), (2, "b", map(outline, frames[:2]))]
    dataset = structure_set(rois, frames)  # the contours of b come first
    for one in dataset.iterall():
        one.is_undefined_length = endless and one.VR == "SQ"
    path = save(dataset, tmp_path / "rt.dcm")
    whole = path.read_bytes()
    seen = set()
    for end in range(len(whole) - 3, 400, -61):
        path.write_bytes(whole[:end])
        found = rtstruct.read_object(path, "rt.dcm")
        assert found.problem.reason == "object_truncated"
        assert found.left == ()
        seen.add(tuple((one.names, one.parts) for one in found.items))
        if found.items:
            with pytest.raises(InputSkipped) as error:
                rtstruct.match(path, found, frames, [1])
            assert error.value.code == "object_truncated"
    # From the whole list of ROIs on, what is lost is known, and how much at least.
    assert {names for one in seen for names, _ in one} == {("a", "#1"), ("b", "#2")}
    counts = {tuple(parts for _, parts in one) for one in seen if one}
    assert {(0, 0), (2, 2), (3, 2)} <= counts
    assert all(ours <= 3 and theirs <= 2 for ours, theirs in counts)
    assert () in seen


STRAY = [b"\n", b"hello", b"a line of text\n", b"\xff" * 40]


@pytest.mark.parametrize("stray", [*map(bytes, (1, 2, 4, 7, 12, 512)), *STRAY])
@pytest.mark.parametrize("implicit", [False, True])
def test_stray_bytes_behind_the_last_element_are_no_harm(tmp_path, stray, implicit):
    frames = headers([0])
    dataset = structure_set([(1, "a", [outline(frames[0])])], frames)
    dataset.RTROIObservationsSequence = pydicom.Sequence([item(ReferencedROINumber=1)])
    if implicit:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    path = save(dataset, tmp_path / "rt.dcm")
    whole = path.read_bytes()
    path.write_bytes(whole + stray)
    found = rtstruct.read_object(path, "rt.dcm")
    assert (found.problem, len(found.items)) == (None, 1)
    rtstruct.match(path, found, frames, [1])
    path.write_bytes(whole[:-3])
    found = rtstruct.read_object(path, "rt.dcm")
    assert found.problem.reason == "object_truncated"


def test_file_that_ends_before_its_contours(tmp_path):
    dataset = structure_set([(1, "a", [outline(headers([0])[0])])])
    del dataset.ROIContourSequence
    found = described(tmp_path, dataset)
    assert found.problem.reason == "object_truncated"
    assert "(3006,0039) 'ROI Contour Sequence'" in found.problem.detail
    assert found.items == (AnnotatedItem(1, ("a", "#1")),)
    dataset.RTROIObservationsSequence = pydicom.Sequence([item(ReferencedROINumber=1)])
    found = described(tmp_path, dataset)
    assert (found.problem, found.items) == (None, ())
    assert found.left[0].reason == "roi_without_contours"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
