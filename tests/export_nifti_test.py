import collections
import dataclasses
import sys

import nibabel
import numpy as np
import pytest

from tests.export_volumes_test import frame
from tfdicom import export_nifti
from tfdicom.export_options import ExportOptions

NIFTI = ExportOptions(format="nifti")


def written(folder, frames, options=NIFTI):
    """Rows by key, and notes."""
    notes = collections.Counter()
    rows = export_nifti.write(folder, frames, ["inner", "outer"], options, notes)
    return {one.key: row for one, row in rows}, +notes


def load(folder, name):
    return nibabel.load(folder / name)


def test_phases_are_the_fourth_axis(tmp_path):
    frames = [
        frame(at, phase=t, phases=3, slice_count=2, trigger_time=25.0 * t)
        for t in range(3)
        for at in range(2)
    ]
    rows, notes = written(tmp_path, frames)
    assert not notes
    (name,) = {row["image"] for row in rows.values()}
    image = load(tmp_path, name)
    assert image.shape == (16, 12, 2, 3)
    assert image.header.get_zooms()[3] == 25.0
    assert image.header.get_xyzt_units() == ("mm", "msec")
    for one in frames:
        row = rows[one.key]
        plane = np.asarray(image.dataobj)[..., row["k"], row["t"]].T
        np.testing.assert_array_equal(plane, one.image[..., 0])
        mask = load(tmp_path, row["mask outer"])
        np.testing.assert_array_equal(mask.affine, image.affine)
        plane = np.asarray(mask.dataobj)[..., row["k"], row["t"]].T
        np.testing.assert_array_equal(plane, one.masks[1])


def test_what_was_not_annotated_is_in_no_mask(tmp_path):
    patterns = ("10", "11", "11", "10")
    frames = [frame(at, annotated=p, slice_count=4) for at, p in enumerate(patterns)]
    rows, notes = written(tmp_path, frames)
    assert notes == {export_nifti.PARTLY: 1}
    image = load(tmp_path, rows[frames[0].key]["image"])
    inner = load(tmp_path, rows[frames[0].key]["mask inner"])
    outer = load(tmp_path, rows[frames[1].key]["mask outer"])
    assert "mask outer" not in rows[frames[0].key]
    assert (
        rows[frames[1].key]["mask outer"] == "series-p0_of_s001-002_mask_outer.nii.gz"
    )
    assert (inner.shape[2], outer.shape[2]) == (4, 2)
    np.testing.assert_array_equal(inner.affine, image.affine)
    # Its first voxel lies where the second slice of the image does.
    np.testing.assert_allclose(
        outer.affine[:, 3], image.affine @ [0, 0, 1, 1], atol=1e-4
    )
    found = np.asarray(outer.dataobj)
    np.testing.assert_array_equal(found[..., 0].T, frames[1].masks[1])


def test_masks_of_single_phases(tmp_path):
    frames = [
        frame(at, phase=t, phases=2, slice_count=2, annotated="10" if t else "11")
        for t in range(2)
        for at in range(2)
    ]
    rows, _ = written(tmp_path, frames)
    names = {row.get("mask outer") for row in rows.values()}
    assert names == {None, "series-p0_p000-001_of_s000-001_p000_mask_outer.nii.gz"}


def test_slope_and_intercept(tmp_path):
    frames = [
        frame(at, rescale_slope=2.0, rescale_intercept=-1024.0) for at in range(2)
    ]
    rows, _ = written(tmp_path, frames)
    image = load(tmp_path, rows[frames[0].key]["image"])
    assert (image.dataobj.slope, image.dataobj.inter) == (2.0, -1024.0)
    assert image.get_data_dtype() == np.int16
    np.testing.assert_array_equal(
        image.get_fdata()[..., 1].T, frames[1].image[..., 0] * 2.0 - 1024
    )


def test_slopes_that_differ_become_values(tmp_path):
    frames = [frame(at, rescale_slope=1.5 + at) for at in range(2)]
    rows, _ = written(tmp_path, frames)
    image = load(tmp_path, rows[frames[0].key]["image"])
    assert image.get_data_dtype() == np.float32
    for at, one in enumerate(frames):
        np.testing.assert_allclose(
            image.get_fdata()[..., at].T, one.image[..., 0] * (1.5 + at)
        )


def test_a_tilted_gantry_has_only_an_sform(tmp_path):
    tilted = [frame(at, step=(1.0, 2.0, 8.0), series="t") for at in range(3)]
    straight = [frame(at + 5, series="s") for at in range(3)]
    rows, _ = written(tmp_path, tilted + straight)
    header = load(tmp_path, rows[tilted[0].key]["image"]).header
    assert (header["qform_code"], header["sform_code"]) == (0, 1)
    header = load(tmp_path, rows[straight[0].key]["image"]).header
    assert (header["qform_code"], header["sform_code"]) == (1, 1)
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-3)


def test_colours(tmp_path):
    pixels = np.arange(12 * 16 * 3).astype(np.uint8)
    colours = {"pixels": pixels.tobytes(), "shape": (12, 16, 3), "dtype": "uint8"}
    frames = [frame(at, **colours) for at in range(2)]
    rows, _ = written(tmp_path, frames)
    found = np.asarray(load(tmp_path, rows[frames[0].key]["image"]).dataobj)
    plane = found[..., 1].T
    shown = np.stack([plane[name] for name in "RGB"], axis=-1)
    np.testing.assert_array_equal(shown, frames[1].image)


def test_notes_say_what_is_odd(tmp_path):
    nowhere = dataclasses.replace(frame(9), position=None)
    frames = [frame(0), frame(2, slice_spacing=8.0), nowhere]
    rows, notes = written(tmp_path, frames)
    assert nowhere.key not in rows and len(rows) == 2
    assert notes == {
        export_nifti.NO_PLACE: 1,
        export_nifti.PARTS: 2,
        export_nifti.UNKNOWN_STEP: 1,
    }


def test_two_volumes_never_share_a_file(tmp_path):
    frames = [frame(at, slice_index=None) for at in (0, 1, 5)]
    rows, _ = written(tmp_path, frames)
    assert len({row["image"] for row in rows.values()}) == 2


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
