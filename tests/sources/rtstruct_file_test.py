import sys

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from tests.rtstruct_objects import Outline, headers, save, structure_set
from tfdicom.reasons import InputSkipped
from tfdicom.sources import rtstruct_file

TRIANGLE = np.array([[1.5, -2.25, 3.0], [4.0, 5.125, 3.0], [-6.5, 7.0, 3.0]])


def contours_of(tmp_path, *outlines, change=None):
    dataset = structure_set([(1, "a", outlines)])
    if change:
        change(dataset.ROIContourSequence[0].ContourSequence[0])
    path = save(dataset, tmp_path / "rt.dcm")
    return rtstruct_file.read_contours(path).contours[1]


def write_data(value, kind="DS"):
    """Puts bytes into Contour Data."""

    def change(contour):
        tag = pydicom.tag.Tag("ContourData")
        contour[tag] = RawDataElement(tag, kind, len(value), value, 0, False, True)

    return change


@pytest.mark.parametrize(
    "syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian], ids=str
)
def test_points_as_written(tmp_path, syntax):
    dataset = structure_set([(1, "a", [Outline(TRIANGLE)])])
    if syntax:
        dataset.file_meta.TransferSyntaxUID = syntax
    path = save(dataset, tmp_path / "rt.dcm")
    (contour,) = rtstruct_file.read_contours(path).contours[1]
    assert contour.points.dtype == np.float64
    np.testing.assert_array_equal(contour.points, TRIANGLE)
    assert (contour.part, contour.role, contour.problem) == (1, "CLOSED_PLANAR", "")
    assert contour.images == ()


def test_a_contour_too_long_for_its_value_representation(tmp_path):
    # Over 65534 bytes the writer says UN, in an explicit transfer syntax.
    points = np.random.default_rng(0).uniform(-400, 400, (4000, 3)).round(6)
    (contour,) = contours_of(tmp_path, Outline(points))
    np.testing.assert_array_equal(contour.points, points)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"1\\2\\3\\4 ", "4 values are not triplets"),
        (b"1\\2\\nan ", "not finite"),
        (b"1\\2\\1e999 ", "not finite"),
        (b"1\\2\\3,5 ", "3,5"),
        (b"1\\2\\1_0 ", "is no number"),
        (b"1\\\\3", "convert"),
        (b"", "no points"),
        (b"1\\2\\3\\4\\5\\6 ", r"2 points, but \(3006,0046\) 'Number of Contour Poi"),
    ],
)
def test_points_that_cannot_be_read(tmp_path, value, problem):
    good, bad = Outline(TRIANGLE), Outline(TRIANGLE)
    read = contours_of(tmp_path, bad, good, change=write_data(value))
    assert read[0].points is None
    assert read[0].problem.startswith("(3006,0050) 'Contour Data': ")
    with pytest.raises(ValueError, match=problem):
        raise ValueError(read[0].problem)
    np.testing.assert_array_equal(read[1].points, TRIANGLE)


@pytest.mark.parametrize("count", [None, 3])
def test_padding_and_blanks_are_no_matter(tmp_path, count):
    def change(contour):
        write_data(b" 1 \\ 2.0\\+3e0\\4\\5\\6\\7\\8\\9 \0")(contour)
        contour.NumberOfContourPoints = count

    (contour,) = contours_of(tmp_path, Outline(TRIANGLE), change=change)
    expected = np.arange(1.0, 10).reshape(3, 3)
    np.testing.assert_array_equal(contour.points, expected)


def test_values_in_another_representation(tmp_path):
    doubles = write_data(TRIANGLE.astype("<f8").tobytes(), "FD")
    (contour,) = contours_of(tmp_path, Outline(TRIANGLE), change=doubles)
    np.testing.assert_array_equal(contour.points, TRIANGLE)


def test_images_and_parts(tmp_path):
    frame = headers([0])[0]
    names = [("1.2", None), ("1.3", 4)]
    dataset = structure_set([(1, "a", [Outline(TRIANGLE, names=names)] * 2)])
    # The contours of one ROI may come in two items.
    dataset.ROIContourSequence.append(dataset.ROIContourSequence[0])
    path = save(dataset, tmp_path / "rt.dcm")
    found = rtstruct_file.read_contours(path).contours[1]
    assert [one.part for one in found] == [1, 2, 3, 4]
    assert found[0].images == (("1.2", None), ("1.3", 4))
    dataset = structure_set([(7, "a", [Outline(TRIANGLE)])], [frame])
    found = rtstruct_file.read_contours(save(dataset, tmp_path / "rt.dcm"))
    assert found.series == {frame.frame_of_reference: (frame.series,)}
    assert found.frames_of_reference == {7: frame.frame_of_reference}


def test_sequences_that_are_none(tmp_path):
    dataset = structure_set([(1, "a", [Outline(TRIANGLE)])])
    tag = pydicom.tag.Tag("ROIContourSequence")
    dataset[tag] = RawDataElement(tag, "LO", 4, b"none", 0, False, True)
    assert rtstruct_file.read_contours(save(dataset, tmp_path / "a")).contours == {}
    with pytest.raises(InputSkipped) as caught:
        rtstruct_file.read_contours(tmp_path / "absent")
    assert caught.value.code == "file_unreadable"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
