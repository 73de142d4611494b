import dataclasses
import gzip
import pathlib
import sys
import warnings

import highdicom
import highdicom.io
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import real_data
from tests.seg_files import (
    OBLIQUE,
    edit,
    make_plane,
    make_series,
    write_segmentation,
)
from tfdicom import decoder_supervisor, dicom, reasons
from tfdicom.reasons import InputSkipped
from tfdicom.sources import seg
from tfdicom.sources.annotation_objects import DrawingRules

SEG = real_data.SHARED / "seg"
HIGHDICOM, DCMQI = SEG / "highdicom", SEG / "dcmqi"
HALF = DrawingRules("center", fractional_threshold=0.5)
RULES = DrawingRules("center")


def images_below(*folders):
    paths = [path for folder in folders for path in sorted(folder.rglob("*"))]
    headers = []
    for path in filter(pathlib.Path.is_file, paths):
        try:
            headers += dicom.read_headers(path)
        except InputSkipped:
            continue
    return tuple(one for one in headers if one.modality != "SEG")


def masks_of(path, headers, rules=RULES):
    """Masks by segment and SOP Instance UID, as all three functions give them."""
    described = seg.read_object(path, path.name)
    items = [item.number for item in described.items]
    found = seg.match(path, described, headers, items)
    assert {one.reason for one in found.left} == set()
    masks = {}
    for one in found.matches:
        image = headers[one.frame]
        drawing = seg.draw(path, one.item, one.parts, image, rules)
        assert drawing.plane.shape == (image.rows, image.columns)
        masks[one.item, image.instance] = drawing
    return masks


@pytest.mark.parametrize(
    "name",
    [
        "seg_image_cr_binary",
        "seg_image_ct_binary",
        "seg_image_ct_binary_fractional",
        "seg_image_ct_binary_overlap",
        "seg_image_ct_binary_single_frame",
        "seg_image_ct_true_fractional",
    ],
)
@real_data.needs_shared("seg")
def test_masks_are_those_of_highdicom(name):
    path = HIGHDICOM / f"{name}.dcm"
    masks = masks_of(path, images_below(HIGHDICOM), HALF)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = highdicom.seg.segread(path)
    instances = [source[2] for source in reference.get_source_image_uids()]
    expected = reference.get_pixels_by_source_instance(
        instances, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
    )
    assert masks.keys() == {
        (number, instance)
        for number in reference.segment_numbers
        for instance in instances
    }
    for place, instance in enumerate(instances):
        for number in reference.segment_numbers:
            plane = masks[number, instance].plane
            np.testing.assert_array_equal(
                plane, expected[place, ..., number - 1] >= 0.5
            )


def read_nrrd(path):
    """Labels ``[slices, rows, columns]`` of a small NRRD file."""
    header, _, data = path.read_bytes().partition(b"\n\n")
    fields = dict(
        line.split(": ", 1) for line in header.decode().splitlines() if ": " in line
    )
    sizes = [int(size) for size in fields["sizes"].split()]
    if fields["encoding"] == "gzip":
        data = gzip.decompress(data)
    kind = {"unsigned char": np.uint8, "short": "<i2", "unsigned short": "<u2"}
    return np.frombuffer(data, kind[fields["type"]]).reshape(sizes[::-1])


@real_data.needs_shared("seg")
def test_rows_that_end_inside_a_byte():
    folder = DCMQI / "23x38x3"
    headers = images_below(folder / "image")
    masks = masks_of(folder / "seg" / "label.seg", headers)
    expected = read_nrrd(folder / "nrrd" / "label.nrrd")
    for header, plane in zip(headers, expected, strict=True):
        np.testing.assert_array_equal(masks[1, header.instance].plane, plane == 1)


@real_data.needs_shared("seg")
def test_a_liver():
    masks = masks_of(DCMQI / "liver.dcm", images_below(DCMQI / "ct-3slice"))
    assert len(masks) == 3
    assert sum(drawing.plane.sum() for drawing in masks.values()) == 107_098


@real_data.needs_shared("seg")
def test_what_an_object_says_of_itself():
    found = seg.read_object(DCMQI / "23x38x3" / "seg" / "label.seg", "a/label.seg")
    assert (found.path, found.kind) == ("a/label.seg", "seg")
    assert found.created.startswith("20180410183328")
    assert found.rater == "Doe^John"
    assert len(found.referenced_instances) == 3
    names = found.items[0].names
    assert names == ("Liver", "#1", "SRT:T-62000", "Tissue", "SRT:T-D0050")


def random_masks(*shape, seed=0):
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.uint8)


def series_of(count, shape, **more):
    return make_series(
        [make_plane(index) for index in range(count)], shape=shape, **more
    )


@pytest.mark.parametrize("shape", [(5, 5), (7, 9), (15, 15), (8, 8), (23, 38)])
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_frames_of_any_size(tmp_path, shape, kind):
    source = series_of(9, shape)
    masks = random_masks(9, *shape, 1)
    pixels = masks if kind == "BINARY" else masks[..., 0]
    write_segmentation(tmp_path / "seg.dcm", source, pixels, kind=kind)
    found = masks_of(tmp_path / "seg.dcm", source.headers)
    for header, mask in zip(source.headers, masks[..., 0], strict=True):
        np.testing.assert_array_equal(found[1, header.instance].plane, mask)


def test_without_parts_the_mask_is_empty(tmp_path):
    (image,) = series_of(1, (4, 6)).headers
    drawing = seg.draw(tmp_path / "not there", 1, (), image, RULES)
    assert drawing.plane.shape == (4, 6)
    assert drawing.plane.dtype == bool
    assert not drawing.plane.any()


VALUES = np.array([0, 25, 26, 127, 128, 254, 255], np.uint8)


def write_fractions(path, kind):
    source = series_of(1, (1, 7))
    write_segmentation(
        path,
        source,
        (VALUES / 255.0).reshape(1, 1, 7, 1),
        kind="FRACTIONAL",
        fractional_type=kind,
    )
    return source.headers[0]


@pytest.mark.parametrize(
    ("threshold", "inside"), [(0.1, 5), (0.5, 3), (1.0, 1), (128 / 255, 3)]
)
def test_the_threshold_is_a_part_of_the_largest_value(tmp_path, threshold, inside):
    image = write_fractions(tmp_path / "seg.dcm", "PROBABILITY")
    rules = DrawingRules("center", fractional_threshold=threshold)
    drawing = seg.draw(tmp_path / "seg.dcm", 1, (1,), image, rules)
    np.testing.assert_array_equal(drawing.plane[0], np.arange(7) >= 7 - inside)


def test_the_threshold_holds_whatever_the_last_digit(tmp_path):
    # 0.07 x 100 is 7.000000000000001.
    image = write_fractions(tmp_path / "seg.dcm", "PROBABILITY")

    def change(dataset):
        dataset.MaximumFractionalValue = 100
        dataset.PixelData = bytes([0, 6, 7, 8, 50, 99, 100, 0])

    edit(tmp_path / "seg.dcm", change)
    rules = DrawingRules("center", fractional_threshold=0.07)
    drawing = seg.draw(tmp_path / "seg.dcm", 1, (1,), image, rules)
    assert drawing.plane[0].tolist() == [False, False] + [True] * 5


@pytest.mark.parametrize("kind", ["OCCUPANCY", "PROBABILITY"])
@pytest.mark.parametrize("wanted", [True, False])
def test_only_occupancy_is_how_much_is_covered(tmp_path, kind, wanted):
    image = write_fractions(tmp_path / "seg.dcm", kind)
    rules = dataclasses.replace(HALF, covered_fraction=wanted)
    drawing = seg.draw(tmp_path / "seg.dcm", 1, (1,), image, rules)
    if kind == "OCCUPANCY" and wanted:
        np.testing.assert_allclose(drawing.fraction[0], VALUES / 255, atol=1e-7)
    else:
        assert drawing.fraction is None


@pytest.mark.parametrize("kind", ["OCCUPANCY", "PROBABILITY"])
def test_fractions_without_a_threshold_are_refused(tmp_path, kind):
    image = write_fractions(tmp_path / "seg.dcm", kind)
    with pytest.raises(InputSkipped, match=kind) as refused:
        seg.draw(tmp_path / "seg.dcm", 1, (1,), image, RULES)
    assert refused.value.code == "seg_fractional_without_threshold"
    assert "--fractional_threshold" in reasons.REASONS[refused.value.code].hint


def test_fractions_above_the_largest_are_refused(tmp_path):
    image = write_fractions(tmp_path / "seg.dcm", "OCCUPANCY")
    change = {"MaximumFractionalValue": 200}
    edit(tmp_path / "seg.dcm", lambda dataset: dataset.update(change))
    with pytest.raises(InputSkipped, match="255, at most 200") as refused:
        seg.draw(tmp_path / "seg.dcm", 1, (1,), image, HALF)
    assert refused.value.code == "seg_malformed"


LABELS = np.array([[[0, 1, 2, 3], [3, 2, 1, 0]]], np.uint8)


def test_a_label_map_gives_a_mask_for_each_label(tmp_path):
    source = series_of(1, (2, 4))
    write_segmentation(tmp_path / "seg.dcm", source, LABELS, kind="LABELMAP")
    for (item, _), drawing in masks_of(tmp_path / "seg.dcm", source.headers).items():
        np.testing.assert_array_equal(drawing.plane, LABELS[0] == item)
        assert drawing.findings == ()


@pytest.mark.parametrize(("padding", "odd"), [(9, False), (0, True)])
def test_values_of_a_label_map_that_are_neither_segment_nor_background(
    tmp_path, padding, odd
):
    source = series_of(1, (2, 4))
    write_segmentation(tmp_path / "seg.dcm", source, LABELS, kind="LABELMAP")

    def change(dataset):
        dataset.PixelPaddingValue = padding
        dataset.PixelData = bytes([padding, 1, 2, 3, 9, 9, 1, 1])

    edit(tmp_path / "seg.dcm", change)
    drawing = seg.draw(tmp_path / "seg.dcm", 1, (1,), source.headers[0], RULES)
    assert drawing.findings == (("seg_value_not_described",) if odd else ())
    assert drawing.plane.sum() == 3


def test_the_background_of_a_label_map_is_no_segment(tmp_path):
    source = series_of(1, (2, 4))
    path = tmp_path / "seg.dcm"
    written = write_segmentation(path, source, LABELS, kind="LABELMAP")
    assert [one.SegmentNumber for one in written.SegmentSequence] == [0, 1, 2, 3]
    assert [one.number for one in seg.read_object(path, "").items] == [1, 2, 3]
    edit(path, lambda dataset: dataset.pop("PixelPaddingValue"))
    assert [one.number for one in seg.read_object(path, "").items] == [0, 1, 2, 3]


def test_the_order_of_frames_is_free(tmp_path):
    source = series_of(4, (6, 8))
    masks = random_masks(4, 6, 8, 2)
    path = tmp_path / "seg.dcm"
    write_segmentation(path, source, masks)
    order = np.random.default_rng(3).permutation(8)

    def change(dataset):
        frames = np.unpackbits(
            np.frombuffer(dataset.PixelData, np.uint8), bitorder="little"
        ).reshape(8, 48)
        dataset.PixelData = np.packbits(frames[order], bitorder="little").tobytes()
        groups = dataset.PerFrameFunctionalGroupsSequence
        dataset.PerFrameFunctionalGroupsSequence = [groups[place] for place in order]

    edit(path, change)
    found = masks_of(path, source.headers[::-1])
    for header, mask in zip(source.headers, masks, strict=True):
        for item in (1, 2):
            plane = found[item, header.instance].plane
            np.testing.assert_array_equal(plane, mask[..., item - 1])


def test_rows_that_run_the_other_way_are_turned(tmp_path):
    # The same pixels, written from the last row to the first.
    source = series_of(1, (6, 8))
    (image,) = source.headers
    last = image.plane.to_patient(np.array([[0.0, 5.0]]))[0]
    upwards = make_plane(
        position=last, orientation=(*OBLIQUE[:3], *(-np.array(OBLIQUE[3:])))
    )
    masks = random_masks(1, 6, 8, 1)
    write_segmentation(tmp_path / "seg.dcm", source, masks, planes=[upwards])
    (drawing,) = masks_of(tmp_path / "seg.dcm", source.headers).values()
    np.testing.assert_array_equal(drawing.plane, masks[0, ::-1, :, 0])
    assert drawing.findings == ("seg_resampled",)


def sphere(points):
    return np.linalg.norm(points - (9.0, 8.0, 8.0), axis=-1) < 6.0


def test_a_sphere_on_another_grid(tmp_path):
    # Slices of 1 mm along z; images are oblique to them, of pixels that are not square.
    rows, columns = np.indices((20, 22))
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    planes = [
        make_plane(
            index,
            orientation=(1, 0, 0, 0, 1, 0),
            spacing=(0.9, 0.8),
            position=(0, 0, 0),
        )
        for index in range(17)
    ]
    planes = [
        dataclasses.replace(plane, position=(0.0, 0.0, float(index)))
        for index, plane in enumerate(planes)
    ]
    masks = np.stack([sphere(one.to_patient(pixels)).reshape(20, 22) for one in planes])
    tilted = [
        make_plane(
            index,
            orientation=(0.96, 0.0, 0.28, 0.0, 1.0, 0.0),
            spacing=(1.1, 0.7),
            position=(4.0, 0.0, 1.0),
            step=2.5,
        )
        for index in range(4)
    ]
    source = make_series(tilted, shape=(16, 18))
    path = tmp_path / "seg.dcm"
    write_segmentation(path, source, masks[..., None].astype(np.uint8), planes=planes)
    described = seg.read_object(path, "")
    found = seg.match(path, described, source.headers, [1])
    assert found.findings == {1: ("seg_resampled",)}
    rows, columns = np.indices((16, 18))
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1)
    drawn = 0
    for one in found.matches:
        image = source.headers[one.frame]
        plane = seg.draw(path, 1, one.parts, image, RULES).plane
        points = image.plane.to_patient(pixels)
        # Where the nearest voxel's centre lies; PS3.3 C.7.6.2.1.1.
        nearest = np.rint(points / (0.8, 0.9, 1.0)) * (0.8, 0.9, 1.0)
        np.testing.assert_array_equal(plane.ravel(), sphere(nearest))
        drawn += plane.sum()
    assert drawn > 200


def test_a_file_that_changes_is_read_again(tmp_path):
    source = series_of(1, (8, 8))
    for seed in (1, 2):
        masks = random_masks(1, 8, 8, 1, seed=seed)
        write_segmentation(tmp_path / "seg.dcm", source, masks)
        (drawing,) = masks_of(tmp_path / "seg.dcm", source.headers).values()
        np.testing.assert_array_equal(drawing.plane, masks[0, ..., 0])


def test_a_file_is_opened_once_for_all_its_frames(tmp_path, monkeypatch):
    source = series_of(6, (8, 8))
    write_segmentation(tmp_path / "seg.dcm", source, random_masks(6, 8, 8, 1))
    calls = []
    opened = highdicom.io.ImageFileReader
    monkeypatch.setattr(
        highdicom.io,
        "ImageFileReader",
        lambda *arguments: calls.append(arguments) or opened(*arguments),
    )
    masks_of(tmp_path / "seg.dcm", source.headers)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("shape", "keyword", "code"),
    [
        ((8, 8), "SamplesPerPixel", "pixels_unreadable"),
        ((7, 7), "SamplesPerPixel", "pixels_unreadable"),
        ((7, 7), "SOPClassUID", "seg_unreadable"),
    ],
)
def test_what_highdicom_does_not_read_is_refused(tmp_path, shape, keyword, code, capfd):
    source = series_of(1, shape)
    path = tmp_path / "seg.dcm"
    write_segmentation(path, source, random_masks(1, *shape, 1))
    edit(path, lambda dataset: dataset.pop(keyword))
    with pytest.raises(InputSkipped, match=keyword) as refused:
        seg.draw(path, 1, (1,), source.headers[0], RULES)
    assert refused.value.code == code
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "keyword", ["SliceThickness", "SegmentedPropertyTypeCodeSequence", "SegmentLabel"]
)
def test_elements_that_masks_do_not_need_may_be_missing(tmp_path, keyword):
    source = series_of(2, (8, 8))
    path = tmp_path / "seg.dcm"
    masks = random_masks(2, 8, 8, 1)
    write_segmentation(path, source, masks)

    def change(dataset):
        groups = dataset.SharedFunctionalGroupsSequence[0]
        for holder in (groups.PixelMeasuresSequence[0], dataset.SegmentSequence[0]):
            holder.pop(keyword, None)

    edit(path, change)
    for header, mask in zip(source.headers, masks, strict=True):
        drawing = masks_of(path, source.headers)[1, header.instance]
        np.testing.assert_array_equal(drawing.plane, mask[..., 0])


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEG2000Lossless"])
def test_compressed_pixels(tmp_path, monkeypatch, syntax):
    asked = []
    child = decoder_supervisor.DecoderSupervisor.decode

    def counted(supervisor, path, index, **limits):
        asked.append(index)
        return child(supervisor, path, index, **limits)

    monkeypatch.setattr(decoder_supervisor.DecoderSupervisor, "decode", counted)
    source = series_of(3, (32, 40))
    masks = random_masks(3, 32, 40)
    path = tmp_path / "seg.dcm"
    write_segmentation(
        path,
        source,
        masks,
        kind="LABELMAP",
        transfer_syntax_uid=getattr(pydicom.uid, syntax),
    )
    for header, mask in zip(source.headers, masks, strict=True):
        drawing = masks_of(path, source.headers)[1, header.instance]
        np.testing.assert_array_equal(drawing.plane, mask)
    assert set(asked) == {0, 1, 2}  # by the process that may crash
    # A frame that is damaged is refused; the file is not.
    data = path.read_bytes()
    at = data.index(b"\xe0\x7f\x10\x00")
    path.write_bytes(data[: at + 60] + b"\xff" * (len(data) - at - 60))
    with pytest.raises(InputSkipped) as refused:
        seg.draw(path, 1, (3,), source.headers[0], RULES)
    assert refused.value.code in (
        "decoder_crashed",
        "pixels_unreadable",
        "seg_unreadable",
        "not_dicom",
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    file = tmp_path_factory.mktemp("seg") / "seg.dcm"
    source = series_of(2, (6, 7))
    write_segmentation(file, source, random_masks(2, 6, 7, 2))
    return file.read_bytes(), source.headers


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    changes=st.lists(
        st.tuples(st.integers(300, 5000), st.integers(0, 255)), min_size=1, max_size=4
    )
)
def test_damage_is_refused_never_crashed_on(whole, tmp_path, changes):
    data, headers = bytearray(whole[0]), whole[1]
    for at, value in changes:
        data[at % len(data)] = value
    path = tmp_path / "seg.dcm"
    path.write_bytes(data)
    try:
        described = seg.read_object(path, "")
        items = [item.number for item in described.items]
        found = seg.match(path, described, headers, items)
    except InputSkipped:
        return
    for one in found.left:
        assert one.reason in reasons.REASONS
    for one in found.matches:
        try:
            seg.draw(path, one.item, one.parts, headers[one.frame], HALF)
        except InputSkipped as refused:
            assert refused.code in reasons.REASONS


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
