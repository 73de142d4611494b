import gzip
import itertools
import sys

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from tfdicom.reasons import InputSkipped
from tfdicom.sources import nifti
from tfdicom.spatial import ImagePlane

nibabel = pytest.importorskip("nibabel")

SHAPE = (4, 5, 6)  # i along a row, j along a column, k from slice to slice
SPACING = np.array([0.5, 0.75, 3.0])
ORIGIN = np.array([-12.25, 30.5, -7.0])
LABELS = (np.arange(120).reshape(SHAPE) % 7).astype("uint8")
AXES = np.eye(3)


def rotation(seed):
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return turn * np.sign(np.linalg.det(turn))


def lps_affine(axes=AXES, origin=ORIGIN):
    """From voxels of LABELS to LPS; columns of axes are directions of i, j, k."""
    affine = np.eye(4)
    affine[:3, :3] = axes * SPACING
    affine[:3, 3] = origin
    return affine


def to_ras(affine):
    return np.diag([-1, -1, 1, 1]) @ affine


def plane(k=0.0, axes=AXES, shift=0.0):
    """Of the frame whose row runs along i and whose column runs along j."""
    position = ORIGIN + axes @ (SPACING * [shift, shift, k])
    return ImagePlane(
        tuple(position),
        (*axes[:, 0], *axes[:, 1]),
        (SPACING[1], SPACING[0]),
    )


def save(path, labels=LABELS, affine=None, *, kind=nibabel.Nifti1Image, **header):
    image = kind(labels, to_ras(lps_affine() if affine is None else affine))
    image.set_sform(image.affine, code=1)
    image.set_qform(image.affine, code=0, strip_shears=True)
    image.header.set_xyzt_units("mm")
    for name, value in header.items():
        image.header[name] = value
    image.to_filename(path)
    return path


def patch(path, at, values, dtype):
    data = bytearray(path.read_bytes())
    new = np.array(values, dtype).tobytes()
    data[at : at + len(new)] = new
    path.write_bytes(data)


def slices(volume, planes, sizes):
    where = nifti.place(volume, planes, sizes)
    return where, [
        nifti.sample(volume, steps, size, on_grid=bool(exact))
        for steps, size, exact in zip(where.steps, sizes, where.on_grid, strict=True)
    ]


ORDERS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def stored(order, signs, affine):
    """The same labels in the same place, with axes in another order or direction."""
    labels = LABELS.transpose(order)
    affine = affine.copy()
    affine[:3, :3] = affine[:3, order]
    for axis, sign in enumerate(signs):
        if sign < 0:
            labels = np.flip(labels, axis)
            affine[:3, 3] += affine[:3, axis] * (labels.shape[axis] - 1)
            affine[:3, axis] *= -1
    return labels, affine


@pytest.mark.parametrize("axes", [AXES, rotation(1)], ids=["axial", "oblique"])
@pytest.mark.parametrize(("order", "signs"), ORDERS)
def test_every_order_and_direction_of_axes(tmp_path, order, signs, axes):
    labels, affine = stored(order, signs, lps_affine(axes))
    volume = nifti.read_volume(save(tmp_path / "m.nii", labels, affine))
    planes = [plane(k, axes) for k in range(6)]
    where, found = slices(volume, planes, [(5, 4)] * 6)
    assert where.on_grid.all() and where.covered.all()
    assert set(where.across) == {order.index(2)}
    np.testing.assert_array_equal(found, LABELS.T)


def test_the_orders_are_48_and_all_differ():
    assert len(ORDERS) == 48
    assert len({stored(*one, lps_affine())[1].tobytes() for one in ORDERS}) == 48


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ((0, 1), LABELS[:, :, 2].T),  # axial
        ((0, 2), LABELS[:, 2, :].T),  # coronal
        ((1, 2), LABELS[2, :, :].T),  # sagittal
        ((2, 1), LABELS[2, :, :]),
    ],
)
def test_frames_along_any_two_axes(tmp_path, direction, expected):
    along, down = direction
    (across,) = {0, 1, 2} - set(direction)
    here = ImagePlane(
        tuple(ORIGIN + AXES[across] * SPACING * 2),
        (*AXES[along], *AXES[down]),
        (SPACING[down], SPACING[along]),
    )
    volume = nifti.read_volume(save(tmp_path / "m.nii"))
    where, found = slices(volume, [here], [expected.shape])
    assert where.on_grid.all() and where.covered.all()
    np.testing.assert_array_equal(found[0], expected)


@pytest.mark.parametrize(
    ("k", "shift", "size", "on_grid", "covered", "touched"),
    [
        (5, 0, (5, 4), True, True, True),
        (6, 0, (5, 4), True, False, False),
        (5.4, 0, (5, 4), False, True, True),
        (5.6, 0, (5, 4), False, False, False),
        (2, 0, (6, 4), True, False, True),
        (2, 0, (3, 3), True, True, True),
        (2, 1, (4, 3), True, True, True),
        (2, 1, (5, 3), True, False, True),
        (2, -1, (5, 4), True, False, True),
        (2, 0.001, (5, 4), True, True, True),
        (2.02, 0, (5, 4), True, True, True),
        (2, 0.25, (5, 4), False, True, True),
        (2, 20, (5, 4), True, False, False),
    ],
)
def test_where_a_frame_lies(tmp_path, k, shift, size, on_grid, covered, touched):
    volume = nifti.read_volume(save(tmp_path / "m.nii"))
    where = nifti.place(volume, [plane(k, shift=shift)], [size])
    found = where.on_grid[0], where.covered[0], where.touched[0]
    assert found == (on_grid, covered, touched)


def test_other_spacing_or_direction_is_no_grid(tmp_path):
    volume = nifti.read_volume(save(tmp_path / "m.nii"))
    here = plane(2)
    others = [
        ImagePlane(here.position, here.orientation, (0.75, 0.5001)),
        ImagePlane(here.position, here.orientation, (0.75, 0.6)),
        ImagePlane(here.position, here.orientation, (1.5, 0.5)),
        ImagePlane(here.position, (0.8, 0.6, 0, -0.6, 0.8, 0), (0.75, 0.5)),
    ]
    where = nifti.place(volume, others, [(3, 4)] * 4)
    assert where.on_grid.tolist() == [True, False, False, False]


def test_the_nearest_voxel_is_taken(tmp_path):
    """Against all voxels, each asked for its distance."""
    axes = rotation(3)
    volume = nifti.read_volume(save(tmp_path / "m.nii"))
    center = ORIGIN + SPACING * [1.5, 2, 2.5]
    here = ImagePlane(tuple(center), (*axes[:, 0], *axes[:, 1]), (0.08, 0.06))
    where, found = slices(volume, [here], [(9, 8)])
    assert where.covered[0] and not where.on_grid[0]
    rows, columns = np.indices((9, 8))
    points = here.to_patient(np.stack([columns.ravel(), rows.ravel()], 1) * 1.0)
    voxels = np.indices(SHAPE).reshape(3, -1).T
    # In voxels, so that the nearest is the one whose box the point lies in.
    away = (points - ORIGIN)[:, None] / SPACING - voxels
    nearest = np.abs(away).max(axis=2).argmin(axis=1)
    expected = LABELS.reshape(-1)[nearest].reshape(9, 8)
    np.testing.assert_array_equal(found[0], expected)


@pytest.mark.parametrize(("k", "expected"), [(2.5, 2), (-0.5, 0), (5.5, 5), (2.6, 3)])
def test_midway_the_first_is_taken(tmp_path, k, expected):
    volume = nifti.read_volume(save(tmp_path / "m.nii"))
    for noise in (-1e-9, 0, 1e-9):
        _, found = slices(volume, [plane(k + noise)], [(5, 4)])
        np.testing.assert_array_equal(found[0], LABELS[:, :, expected].T)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float64", ">f4", ">i2"])
def test_formats(tmp_path, suffix, kind, dtype):
    path = save(tmp_path / f"m{suffix}", LABELS.astype(dtype), kind=kind)
    _, found = slices(nifti.read_volume(path), [plane(3)], [(5, 4)])
    np.testing.assert_array_equal(found[0], LABELS[:, :, 3].T)


def test_big_endian_headers(tmp_path):
    header = nibabel.Nifti1Header(endianness=">")
    image = nibabel.Nifti1Image(LABELS, to_ras(lps_affine()), header)
    image.to_filename(tmp_path / "m.nii")
    assert (tmp_path / "m.nii").read_bytes()[:4] == b"\0\0\x01\x5c"
    _, found = slices(nifti.read_volume(tmp_path / "m.nii"), [plane(3)], [(5, 4)])
    np.testing.assert_array_equal(found[0], LABELS[:, :, 3].T)


def test_voxels_lie_where_simpleitk_puts_them(tmp_path):
    simpleitk = pytest.importorskip("SimpleITK")
    axes = rotation(5)
    path = save(tmp_path / "m.nii", affine=lps_affine(axes))
    # SimpleITK takes the qform or refuses directions that are not orthogonal.
    image = simpleitk.ReadImage(str(path))
    volume = nifti.read_volume(path)
    for voxel in ((0, 0, 0), (3, 4, 5), (1, 0, 2)):
        point = image.TransformIndexToPhysicalPoint(voxel)
        found = volume.to_voxel @ [*point, 1]
        np.testing.assert_allclose(found[:3], voxel, atol=1e-4)
        assert image[voxel] == LABELS[voxel]


def test_only_the_box_around_labels_is_kept(tmp_path):
    labels = np.zeros((40, 50, 60), "uint8")
    labels[10:12, 20, 30:33] = 4
    volume = nifti.read_volume(save(tmp_path / "m.nii.gz", labels))
    assert volume.labels.shape == (2, 1, 3) and volume.start == (10, 20, 30)
    assert (volume.shape, volume.numbers()) == ((40, 50, 60), [4])
    _, found = slices(volume, [plane(k) for k in (29, 30)], [(50, 40)] * 2)
    assert not found[0].any()
    np.testing.assert_array_equal(found[1], labels[:, :, 30].T)


def test_a_volume_without_labels(tmp_path):
    volume = nifti.read_volume(save(tmp_path / "m.nii", LABELS * 0))
    assert volume.numbers() == []
    _, found = slices(volume, [plane(2)], [(5, 4)])
    assert found[0].shape == (5, 4) and not found[0].any()


def test_scaled_values(tmp_path):
    path = save(tmp_path / "m.nii", scl_slope=2, scl_inter=1)
    volume = nifti.read_volume(path)
    reference = np.asarray(nibabel.load(path).dataobj)
    assert volume.numbers() == [1, 3, 5, 7, 9, 11, 13]
    np.testing.assert_array_equal(volume.labels, reference)


@pytest.mark.parametrize(
    ("unit", "scale"), [("mm", 1), ("meter", 1000), ("micron", 0.001), ("unknown", 1)]
)
def test_units(tmp_path, unit, scale):
    affine = to_ras(lps_affine())
    affine[:3] /= scale
    image = nibabel.Nifti1Image(LABELS, affine)
    image.header.set_xyzt_units(unit)
    image.to_filename(tmp_path / "m.nii")
    volume = nifti.read_volume(tmp_path / "m.nii")
    where = nifti.place(volume, [plane(3)], [(5, 4)])
    assert where.on_grid[0] and where.covered[0]


def two_forms(path, other, sform_code=1):
    image = nibabel.Nifti1Image(LABELS, to_ras(lps_affine()))
    image.set_sform(to_ras(lps_affine()), code=sform_code)
    image.set_qform(to_ras(other), code=1)
    image.to_filename(path)
    return nifti.read_volume(path)


def test_the_sform_comes_first_and_a_difference_is_told(tmp_path):
    elsewhere = lps_affine(origin=ORIGIN + [1, 0, 0])
    volume = two_forms(tmp_path / "m.nii", elsewhere)
    assert volume.findings == ("mask_two_places",)
    np.testing.assert_allclose(volume.to_voxel @ [*ORIGIN, 1], [0, 0, 0, 1], atol=1e-5)
    assert two_forms(tmp_path / "m.nii", lps_affine()).findings == ()
    volume = two_forms(tmp_path / "m.nii", elsewhere, sform_code=0)
    assert volume.findings == ()
    voxel = volume.to_voxel @ [*ORIGIN, 1]
    np.testing.assert_allclose(voxel, [-2, 0, 0, 1], atol=1e-5)


def four_axes(path):
    save(path, np.stack([LABELS] * 2, axis=-1))


def colors(path):
    save(path, np.zeros(SHAPE, [(name, "u1") for name in "RGB"]))


def placeless(path):
    image = nibabel.Nifti1Image(LABELS, None)
    image.to_filename(path)


def flat(path):
    save(path)
    patch(path, 312, [0, 0, 0, 5], "<f4")  # srow_z


def nowhere(path):
    save(path)
    patch(path, 280, [np.nan, 0, 0, 5], "<f4")  # srow_x


def probabilities(path):
    save(path, LABELS / 7)


def huge(path):
    save(path)
    patch(path, 40, [3, 30000, 30000, 30000], "<i2")  # dim


def cut_off(path):
    save(path)
    path.write_bytes(path.read_bytes()[:-10])


def cut_off_packed(path):
    save(path)
    path.write_bytes(gzip.compress(path.read_bytes())[:-30])


def text(path):
    path.write_text("no volume")


def absent(path):
    pass


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (four_axes, "mask_unsupported"),
        (colors, "mask_unsupported"),
        (placeless, "mask_geometry_missing"),
        (flat, "mask_geometry_missing"),
        (nowhere, "mask_geometry_missing"),
        (probabilities, "mask_values_invalid"),
        (huge, "mask_too_large"),
        (cut_off, "mask_unreadable"),
        (cut_off_packed, "mask_unreadable"),
        (text, "mask_unreadable"),
        (absent, "file_unreadable"),
    ],
)
def test_volumes_that_cannot_be_used(tmp_path, make, code):
    make(tmp_path / "m.nii")
    with pytest.raises(InputSkipped) as skipped:
        nifti.read_volume(tmp_path / "m.nii")
    assert skipped.value.code == code


def test_without_nibabel_a_hint_says_what_to_install(tmp_path, monkeypatch):
    path = save(tmp_path / "m.nii")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(InputSkipped) as skipped:
        nifti.read_volume(path)
    assert skipped.value.code == "nifti_not_installed"


@hypothesis.settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), max_size=4),
    st.integers(0, 472),
)
def test_damaged_volumes_end_in_a_reason_or_in_labels(tmp_path, changes, end):
    path = save(tmp_path / "m.nii")
    whole = bytearray(path.read_bytes())
    for at, value in changes:
        whole[at] = value
    path.write_bytes(whole[: end if end % 3 == 0 else len(whole)])
    try:
        volume = nifti.read_volume(path)
    except InputSkipped:
        return
    assert volume.labels.dtype.kind == "u" and volume.labels.ndim == 3


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
