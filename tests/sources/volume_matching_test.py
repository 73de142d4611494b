import dataclasses
import sys

import numpy as np
import pytest

from tests import real_data
from tfdicom import dicom
from tfdicom.frame_headers import FrameHeader
from tfdicom.reasons import InputSkipped
from tfdicom.sources import nifti
from tfdicom.sources.annotation_objects import AnnotationObject, Match
from tfdicom.sources.nifti import Volume
from tfdicom.sources.volume_matching import draw_volume, match_volume
from tfdicom.spatial import ImagePlane

# Voxels of 1 x 1 x 2 mm from the origin on; label 1 in slices 1 and 2, 3 in slice 2.
LABELS = np.zeros((5, 4, 6), "uint8")
LABELS[1:4, 1:3, 1:3] = 1
LABELS[4, 3, 2] = 3
VOLUME = Volume(LABELS, (0, 0, 0), LABELS.shape, np.diag([1, 1, 0.5, 1]))
ITEMS = (1, 3)


def header(z, *, series="s", instance=None, shift=0.0, spacing=1.0, size=(4, 5)):
    plane = None
    if z is not None:
        plane = ImagePlane((shift, 0, z), (1, 0, 0, 0, 1, 0), (1.0, spacing))
    return FrameHeader(
        patient_id="p",
        study="t",
        series=series,
        instance=instance or f"{series}.{z}",
        modality="CT",
        rows=size[0],
        columns=size[1],
        bytes_per_pixel=2,
        plane=plane,
        temporal_order=(0, 0, 0),
        burned_in=False,
    )


def described(series=(), instances=()):
    return AnnotationObject(
        "m.nii", "masks", "", "m.nii", "", "", "", "", series, instances, ()
    )


def match(frames, items=ITEMS, volume=VOLUME, **named):
    return match_volume(volume, described(**named), frames, items)


def reasons(matches):
    return [one.reason for one in matches.left]


def test_frames_on_the_grid_and_what_is_absent_there():
    matches = match([header(4), header(2), header(0), header(10), header(12)])
    assert matches.matches == (
        Match(0, 1, (3,)),
        Match(0, 3, (3,)),
        Match(1, 1, (2,)),
        Match(1, 3),
        Match(2, 1),
        Match(2, 3),
        Match(3, 1),
        Match(3, 3),
    )
    assert (matches.left, matches.findings) == ((), {})


def test_item_0_is_any_label():
    matches = match([header(0), header(2), header(4)], items=(0, 3))
    parts = {(one.frame, one.item): one.parts for one in matches.matches}
    assert [parts[frame, 0] for frame in range(3)] == [(), (2,), (3,)]
    assert [parts[frame, 3] for frame in range(3)] == [(), (), (3,)]


def test_the_series_is_the_one_on_the_grid():
    others = [header(2, series="o", shift=0.3), header(None, series="n")]
    matches = match([*others, header(2)])
    assert [(one.frame, one.item) for one in matches.matches] == [(2, 1), (2, 3)]
    assert (matches.left, matches.findings) == ((), {})


def test_frames_of_the_series_off_the_grid_take_the_nearest_slice():
    matches = match([header(0), header(2.6), header(4)], items=(1,))
    assert matches.matches == (Match(0, 1), Match(1, 1, (2,)), Match(2, 1, (3,)))
    assert matches.findings == {1: ("mask_resampled",)}


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "mask_off_images"),
        ([header(None)], "mask_off_images"),
        ([header(20)], "mask_off_images"),
        ([header(2, shift=0.4)], "mask_off_images"),
        ([header(2, spacing=0.5)], "mask_off_images"),
        ([header(2, size=(5, 5))], "mask_too_small"),
        ([header(2, shift=-1)], "mask_too_small"),
        ([header(2), header(2, series="o")], "mask_series_unclear"),
        ([header(2), header(2, instance="phase 2")], "mask_frames_unclear"),
    ],
)
def test_nothing_is_guessed(frames, reason):
    matches = match(frames)
    assert (matches.matches, reasons(matches)) == ((), [reason])


def test_frames_that_reach_over_the_edge_are_told():
    frames = [header(2), header(4, size=(9, 9))]
    matches = match(frames, items=(1,))
    assert matches.matches == (Match(0, 1, (2,)),)
    assert reasons(matches) == ["mask_too_small"]
    assert matches.left[0].detail == "1 frames reach over its edge"


def test_a_series_that_was_named_is_resampled():
    frames = [header(2, shift=0.4, size=(4, 4)), header(2, series="o")]
    matches = match(frames, items=(1,), series=("s",), instances=("s.2",))
    assert matches.matches == (Match(0, 1, (2,)),)
    assert matches.findings == {1: ("mask_resampled",)}
    assert not match(frames, items=(1,), series=("n",)).matches


@pytest.mark.parametrize(
    ("instances", "expected", "left"),
    [
        (("s.2",), [0], []),
        (("phase 2",), [1], []),
        (("s.2", "phase 2"), [0, 1], []),
        (("s.4",), [2], ["mask_frames_unclear"]),
    ],
)
def test_phases_that_were_named(instances, expected, left):
    frames = [header(2), header(2, instance="phase 2"), header(4)]
    matches = match(frames, items=(1,), series=("s",), instances=instances)
    found = [one.frame for one in matches.matches]
    assert found == sorted({*expected, 2})
    assert reasons(matches) == left


def test_findings_of_the_volume_are_told_for_each_item():
    odd = dataclasses.replace(VOLUME, findings=("mask_two_places",))
    matches = match([header(2)], volume=odd)
    assert matches.findings == {item: ("mask_two_places",) for item in ITEMS}


def test_drawing():
    for item, expected in ((1, LABELS == 1), (3, LABELS == 3), (0, LABELS > 0)):
        plane = draw_volume(VOLUME, item, header(4))
        assert plane.dtype == bool
        np.testing.assert_array_equal(plane, expected[:, :, 2].T)
    with pytest.raises(InputSkipped, match="no plane"):
        draw_volume(VOLUME, 1, header(None))


@real_data.needs_shared("rtstruct/ibsi_sts")
@pytest.mark.parametrize(
    ("images", "mask"),
    [
        ("STS_025/MR_T1", "STS_025/MR_T1_mask.nii.gz"),
        ("STS_042/CT", "STS_042/CT_mask.nii.gz"),
    ],
)
def test_real_volumes_voxel_for_voxel(images, mask):
    nibabel = pytest.importorskip("nibabel")
    root = real_data.SHARED / "rtstruct" / "ibsi_sts"
    paths = sorted((root / "dicom").glob("*/*/image/*.dcm"))
    frames = [dicom.read_header(path) for path in paths]
    volume = nifti.read_volume(root / "nifti" / mask)
    matches = match_volume(volume, described(), frames, (1,))
    assert (matches.left, matches.findings) == ((), {})
    named = [images in path.as_posix() for path in paths]
    assert [one.frame for one in matches.matches] == np.flatnonzero(named).tolist()
    # The axes of these files are those of the images, from the first slice on.
    truth = np.asarray(nibabel.load(root / "nifti" / mask).dataobj)
    ordered = sorted(
        matches.matches, key=lambda one: frames[one.frame].plane.position[2]
    )
    assert [bool(one.parts) for one in ordered] == truth.any(axis=(0, 1)).tolist()
    planes = [draw_volume(volume, 1, frames[one.frame]) for one in ordered]
    np.testing.assert_array_equal(np.stack(planes), truth.T)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
