import sys

import numpy as np
import pytest
from pydicom.uid import RTDoseStorage

from tests import enhanced_images
from tests.enhanced_images import ORIENTATION, POSITIONS, SPACING, groups
from tfdicom import dicom
from tfdicom.reasons import InputSkipped

NORMAL = np.cross(ORIENTATION[:3], ORIENTATION[3:])
OTHER = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.dcm"


def planes(path):
    return [header.plane for header in dicom.read_headers(path)]


def test_each_frame_has_a_plane_of_its_own(path):
    found = planes(enhanced_images.write_enhanced(path))
    assert [plane.position for plane in found] == list(POSITIONS)
    assert {plane.orientation for plane in found} == {ORIENTATION}
    assert {plane.pixel_spacing for plane in found} == {SPACING}


def test_planes_are_those_of_highdicom(path):
    spatial = pytest.importorskip("highdicom.spatial")
    image = pytest.importorskip("highdicom").imread(
        enhanced_images.write_enhanced(path)
    )
    points = np.array([(0, 0), (4, 6), (2, 5)])
    for frame, plane in enumerate(planes(path), start=1):
        transformer = spatial.PixelToReferenceTransformer.for_image(
            image, frame_number=frame
        )
        np.testing.assert_allclose(
            plane.to_patient(points.astype(float)), transformer(points), atol=1e-3
        )


def test_planes_are_those_of_simpleitk(path):
    sitk = pytest.importorskip("SimpleITK")
    from tests import source_folders

    source_folders.write_image(path, "P1", 4)
    (plane,) = planes(path)
    image = sitk.ReadImage(str(path))
    points = np.array([(0, 0), (47, 0), (0, 39), (13, 5)], float)
    expected = [image.TransformContinuousIndexToPhysicalPoint((*p, 0)) for p in points]
    np.testing.assert_allclose(plane.to_patient(points), expected, atol=1e-3)


def test_what_a_frame_says_goes_before_what_all_share(path):
    shared = groups(
        PlaneOrientationSequence={"ImageOrientationPatient": list(ORIENTATION)},
        PixelMeasuresSequence={"PixelSpacing": list(SPACING)},
        PlanePositionSequence={"ImagePositionPatient": [9, 9, 9]},
    )
    own = [
        groups(PlaneOrientationSequence={"ImageOrientationPatient": list(OTHER)}),
        groups(PixelMeasuresSequence={"PixelSpacing": [2, 3]}),
        groups(PlanePositionSequence={"ImagePositionPatient": [1, 2, 3]}),
    ]
    first, second, third = planes(enhanced_images.write(path, own=own, shared=shared))
    assert (first.orientation, second.orientation) == (OTHER, ORIENTATION)
    assert (first.pixel_spacing, second.pixel_spacing) == (SPACING, (2, 3))
    assert (second.position, third.position) == ((9, 9, 9), (1, 2, 3))


def test_place_that_is_said_once_is_not_that_of_every_frame(path):
    elements = {
        "ImagePositionPatient": [1, 2, 3],
        "ImageOrientationPatient": list(ORIENTATION),
        "PixelSpacing": list(SPACING),
    }
    headers = dicom.read_headers(enhanced_images.write(path, **elements))
    assert [header.plane for header in headers] == [None] * 3
    assert [one.attributes["pixel_spacing"] for one in headers] == [SPACING] * 3
    (only,) = planes(enhanced_images.write(path, frames=1, **elements))
    assert only.position == (1, 2, 3)


@pytest.mark.parametrize("spacing", [4.0, -4.0])
def test_reconstructions_of_nuclear_medicine_are_stacks(path, spacing):
    found = planes(enhanced_images.write_nuclear(path, spacing))
    for slice_number, plane in enumerate(found):
        expected = np.array([1, 2, 3]) + slice_number * spacing * NORMAL
        np.testing.assert_allclose(plane.position, expected, atol=1e-9)


@pytest.mark.parametrize(
    "elements",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "TOMO", "EMISSION"]},
        {"SliceVector": [1, 2]},
        {"SpacingBetweenSlices": None},
    ],
)
def test_nuclear_medicine_without_a_stack_has_no_places(path, elements):
    enhanced_images.write_nuclear(path, 4.0, **elements)
    assert planes(path) == [None] * 3


@pytest.mark.parametrize(
    ("offsets", "known"), [([0, 2.5, 10], True), ([5, 7.5, 15], False), ([0, 1], False)]
)
def test_doses_say_how_far_from_the_first_plane_others_are(path, offsets, known):
    elements = {
        "ImagePositionPatient": [1, 2, 3],
        "ImageOrientationPatient": list(ORIENTATION),
        "PixelSpacing": list(SPACING),
        "GridFrameOffsetVector": offsets,
    }
    enhanced_images.write(path, sop_class=RTDoseStorage, **elements)
    for distance, plane in zip(offsets, planes(path), strict=False):
        if known:
            expected = np.array([1, 2, 3]) + distance * NORMAL
            np.testing.assert_allclose(plane.position, expected, atol=1e-9)
        else:
            assert plane is None


def test_groups_for_another_number_of_frames_are_refused(path):
    enhanced_images.write(path, own=[groups()] * 2)
    with pytest.raises(InputSkipped) as error:
        dicom.read_headers(path)
    assert error.value.code == "header_invalid"
    assert "(5200,9230)" in error.value.detail
    assert "3 items are wanted, one for each frame; got 2" in error.value.detail


def test_senseless_plane_is_a_finding_of_its_frame(path):
    own = [
        groups(
            PlanePositionSequence={"ImagePositionPatient": [0, 0, 0]},
            PlaneOrientationSequence={"ImageOrientationPatient": list(orientation)},
            PixelMeasuresSequence={"PixelSpacing": list(SPACING)},
        )
        for orientation in (ORIENTATION, (1, 0, 0, 1, 0, 0), ORIENTATION)
    ]
    headers = dicom.read_headers(enhanced_images.write(path, own=own))
    assert [one.findings for one in headers] == [(), ("geometry_invalid",), ()]
    assert headers[1].plane is None


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
