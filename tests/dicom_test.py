import functools
import re
import sys
import warnings

import numpy as np
import pydicom
import pytest

from tests import real_data, source_folders
from tfdicom import dicom, dicom_file
from tfdicom.dicom import PixelRules
from tfdicom.dicom_elements import element_name
from tfdicom.reasons import REASONS, InputSkipped

CORNERSTONE = "odd/cornerstone/packages/dicomImageLoader/testImages"


@pytest.fixture
def image(tmp_path):
    """Writes an image with other elements or pixels and returns its path."""

    def write(**elements):
        path = tmp_path / "image.dcm"
        source_folders.write_image(path, "P1", 3)
        source_folders.edit(path, **elements)
        return path

    return write


def skipped(read, path):
    with pytest.raises(InputSkipped) as error:
        read(path)
    return error.value


def test_header_holds_what_a_plan_needs(image):
    header = dicom.read_header(image(PatientID=" P1 ", TriggerTime="12.5"))
    assert header.patient_id == "P1"
    assert header.study == source_folders.uid("P1", "study")
    assert header.series == source_folders.uid("P1", "series")
    assert header.instance == source_folders.uid("P1", 3)
    assert (header.rows, header.columns) == (40, 48)
    assert header.bytes_per_pixel == 2
    assert header.plane.orientation == source_folders.ORIENTATION
    assert header.plane.pixel_spacing == source_folders.SPACING
    assert header.temporal_order == (0, 12.5, 3)
    assert not header.burned_in
    assert header.findings == ()


@pytest.mark.parametrize(
    ("elements", "findings"),
    [
        ({"ImagePositionPatient": None}, ()),
        ({"ImageOrientationPatient": None}, ()),
        ({"PixelSpacing": None}, ()),
        ({"PixelSpacing": ""}, ()),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, ("geometry_invalid",)),
        ({"PixelSpacing": [0, 0]}, ("geometry_invalid",)),
    ],
)
def test_geometry_that_is_absent_or_senseless_is_absent(image, elements, findings):
    header = dicom.read_header(image(**elements))
    assert header.plane is None
    assert header.findings == findings


@pytest.mark.parametrize(
    ("elements", "spacing"),
    [
        ({}, source_folders.SPACING),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, source_folders.SPACING),
        ({"PixelSpacing": None}, None),
        ({"PixelSpacing": [0, 0]}, None),
        ({"PixelSpacing": [-1, 1]}, None),
    ],
)
def test_spacing_is_kept_where_it_makes_sense(image, elements, spacing):
    frame = dicom.read_frame(image(**elements))
    assert frame.attributes["pixel_spacing"] == spacing


@pytest.mark.parametrize(
    ("elements", "code", "detail"),
    [
        ({"Rows": None}, "no_pixel_data", r"\(0028,0010\)"),
        ({"Columns": 0}, "no_pixel_data", r"\(0028,0010\)"),
        ({"SOPInstanceUID": None}, "no_instance", ""),
        ({"SOPInstanceUID": ""}, "no_instance", ""),
        ({"PixelSpacing": [1]}, "header_invalid", r"\(0028,0030\) 'Pixel Spacing': 2"),
        (
            {"ImageOrientationPatient": [1, 0, 0]},
            "header_invalid",
            r"\(0020,0037\) 'Image Orientation \(Patient\)': 6 .* got 3",
        ),
    ],
)
def test_header_is_refused_by_its_element(image, elements, code, detail):
    error = skipped(dicom.read_header, image(**elements))
    assert error.code == code
    assert re.search(detail, error.detail)


def test_number_that_is_none_is_refused_by_its_element(image):
    path = image()
    path.write_bytes(path.read_bytes().replace(rb"1.5\1.25", rb"1.5\wide"))
    error = skipped(dicom.read_header, path)
    assert error.code == "header_invalid"
    assert "(0028,0030) 'Pixel Spacing'" in error.detail and "wide" in error.detail


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 400, b"\0" * 128 + b"DICM"])
@pytest.mark.parametrize("read", [dicom.read_header, dicom.read_frame])
def test_file_that_is_no_image(tmp_path, content, read):
    path = tmp_path / "x.dcm"
    path.write_bytes(content)
    assert skipped(read, path).code in ("not_dicom", "no_pixel_data")


def test_file_that_ends_within_its_header(image):
    path = image()
    whole = path.read_bytes()
    rows = whole.index(b"\x28\0\x10\0US")
    ends = {}
    for end in range(132, rows + 8):
        path.write_bytes(whole[:end])
        error = skipped(dicom.read_header, path)
        assert error.code in ("object_truncated", "not_dicom")
        # Behind a whole element nothing tells that more should come.
        ends.setdefault(error.code, []).append(error.detail)
    assert set(ends["not_dicom"]) == {"it ends before Rows (0028,0010)"}
    assert len(ends["not_dicom"]) < 50 < len(ends["object_truncated"])
    pixels = whole.index(b"\xe0\x7f\x10\0")
    for end in (rows + 9, pixels - 1):
        path.write_bytes(whole[:end])
        assert skipped(dicom.read_header, path).code == "object_truncated"


def test_file_that_ends_before_its_pixels(image):
    path = image()
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\xe0\x7f\x10\0")])
    error = skipped(dicom.read_frame, path)
    assert error.code == "no_pixel_data"
    assert "(7FE0,0010)" in error.detail and "cut off" in error.detail


@pytest.mark.parametrize(
    ("sop_class", "code"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.11", "not_an_image"),  # a report
        ("1.2.840.10008.1.3.10", "not_an_image"),  # a directory
        ("1.2.840.10008.5.1.4.1.1.2", "no_pixel_data"),  # CT
        ("1.2.3.4", "no_pixel_data"),
    ],
)
def test_object_without_pixels(image, sop_class, code):
    path = image(Rows=None, Columns=None, SOPClassUID=sop_class)
    assert skipped(dicom.read_header, path).code == code
    assert REASONS["not_an_image"].fault is False


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize(
    "keyword", ["RescaleSlope", "RescaleIntercept", "TriggerTime", "WindowCenter"]
)
def test_number_that_is_not_finite_is_refused_by_its_element(image, keyword, value):
    path = image(**{keyword: "12345"})
    path.write_bytes(path.read_bytes().replace(b"12345 ", value.encode().ljust(6)))
    error = skipped(dicom.read_frame, path)
    assert error.code == "header_invalid"
    assert element_name(keyword) in error.detail
    assert "finite" in error.detail


def test_missing_file_is_not_a_bad_one(tmp_path):
    broken_link = tmp_path / "link.dcm"
    broken_link.symlink_to(tmp_path / "none.dcm")
    for path in (tmp_path / "none.dcm", broken_link):
        assert skipped(dicom.read_header, path).code == "file_unreadable"


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32"])
def test_pixels_are_the_stored_ones(image, dtype):
    limits = np.iinfo(dtype)
    random = np.random.default_rng(1)
    pixels = random.integers(limits.min, limits.max, (7, 9), endpoint=True)
    frame = dicom.read_frame(image(pixels=pixels.astype(dtype)))
    assert frame.pixels.dtype == dtype
    np.testing.assert_array_equal(frame.pixels, pixels)


def test_colour_has_three_samples(image):
    pixels = np.random.default_rng(2).integers(0, 255, (7, 9, 3)).astype(np.uint8)
    frame = dicom.read_frame(image(pixels=pixels))
    np.testing.assert_array_equal(frame.pixels, pixels)
    assert frame.attributes["photometric_interpretation"] == "RGB"


@pytest.mark.parametrize(
    ("elements", "attribute", "value"),
    [
        ({}, "rescale_slope", 1.0),
        ({}, "rescale_intercept", 0.0),
        ({"RescaleSlope": "0.5"}, "rescale_slope", 0.5),
        ({"RescaleIntercept": "-1024"}, "rescale_intercept", -1024.0),
        ({}, "units", None),
        ({"RescaleType": "HU"}, "units", "HU"),
        ({"Units": "BQML"}, "units", "BQML"),
        ({}, "padding", None),
        ({"PixelPaddingValue": -2000}, "padding", (-2000, -2000)),
        (
            {"PixelPaddingValue": -1, "PixelPaddingRangeLimit": -2000},
            "padding",
            (-2000, -1),
        ),
        ({}, "window", None),
        ({"WindowCenter": [40, 300], "WindowWidth": [400, 1500]}, "window", (40, 400)),
        ({"WindowCenter": 40}, "window", None),
        ({"MagneticFieldStrength": "1.5"}, "field_strength", 1.5),
        ({"MagneticFieldStrength": ""}, "field_strength", None),
        ({}, "manufacturer", "Acme"),
        ({"ManufacturerModelName": "X1"}, "model", "X1"),
        ({"TriggerTime": "33.25"}, "trigger_time", 33.25),
        (
            {"PhotometricInterpretation": "MONOCHROME1"},
            "photometric_interpretation",
            "MONOCHROME1",
        ),
    ],
)
def test_attributes(image, elements, attribute, value):
    assert dicom.read_frame(image(**elements)).attributes[attribute] == value


def _cut(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("elements", "damage", "code"),
    [
        ({"PixelData": None}, None, "no_pixel_data"),
        ({}, _cut, "pixels_unreadable"),
        ({"Rows": 41}, None, "pixels_unreadable"),
        ({"RescaleSlope": [1, 2]}, None, None),
    ],
)
def test_frame_that_cannot_be_used(image, elements, damage, code):
    path = image(**elements)
    if damage:
        damage(path)
    if code is None:
        assert dicom.read_frame(path).attributes["rescale_slope"] == 1
    else:
        assert skipped(dicom.read_frame, path).code == code


def test_overlays_are_not_looked_at(tmp_path):
    path = tmp_path / "image.dcm"
    pixels = np.arange(40 * 48, dtype=np.uint16).reshape(40, 48) % 4096
    drawn = np.where(np.arange(48) % 2, 0x8000, 0).astype(np.uint16)
    source_folders.write_image(
        path, "P1", 3, pixels=pixels | drawn
    )  # bit 15, PS3.3 C.9
    dataset = pydicom.dcmread(path)
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.add_new(0x60000010, "US", 40)
    dataset.add_new(0x60000011, "US", 48)
    dataset.add_new(0x60000102, "US", 15)  # Overlay Bit Position
    dataset.add_new(0x60020010, "US", 40)
    dataset.add_new(0x60020011, "US", 48)
    dataset.add_new(0x60023000, "OW", b"\xff" * 240)  # Overlay Data
    dataset.save_as(path)
    np.testing.assert_array_equal(dicom.read_frame(path).pixels, pixels)


@pytest.mark.parametrize("rows", [65535, 8193])
def test_frame_that_is_too_large_is_refused_before_it_is_read(image, rows):
    path = image(Rows=rows, Columns=65535 if rows == 65535 else 8192)
    header = dicom.read_header(path)
    for check in (dicom.check_frame, lambda one: dicom.read_frame(path, one)):
        error = skipped(check, header)
        assert error.code == "frame_too_large"
        assert f"{rows} rows" in error.detail and "67108864" in error.detail
    larger = PixelRules(max_frame_pixels=1 << 33)
    dicom.check_frame(header, larger)
    with pytest.raises(InputSkipped) as broken:
        dicom.read_frame(path, header, larger)
    assert broken.value.code in ("pixels_unreadable", "decoder_out_of_memory")


@pytest.mark.parametrize("frames", [3, 10**9, 2**31 - 1])
def test_more_frames_than_the_file_has_room_for(image, frames):
    error = skipped(dicom.read_headers, image(NumberOfFrames=str(frames)))
    assert error.code == "pixels_unreadable"
    assert f"(0028,0008) 'Number of Frames' is {frames}" in error.detail


def test_color_can_be_refused(image):
    grey = image()
    assert dicom.read_frame(grey, rules=PixelRules(color="refuse")).pixels.ndim == 2
    path = image(pixels=np.zeros((7, 9, 3), np.uint8))
    header = dicom.read_header(path)
    refused = functools.partial(dicom.check_frame, rules=PixelRules(color="refuse"))
    assert skipped(refused, header).code == "color_image"


@pytest.mark.parametrize("samples", [2, 4])
def test_samples_that_no_record_holds(image, samples):
    error = skipped(dicom.read_frame, image(SamplesPerPixel=samples))
    assert error.code == "pixels_unsupported"
    assert error.detail == f"{samples} samples per pixel"


def test_ybr_becomes_rgb(image):
    ybr = np.random.default_rng(2).integers(0, 255, (8, 9, 3)).astype(np.uint8)
    path = image(pixels=ybr, PhotometricInterpretation="YBR_FULL")
    frame = dicom.read_frame(path)
    y, blue, red = np.moveaxis(ybr.astype(float) - [0, 128, 128], 2, 0)
    green = y - 0.114 * 1.772 / 0.587 * blue - 0.299 * 1.402 / 0.587 * red
    rgb = np.stack([y + 1.402 * red, green, y + 1.772 * blue], 2)  # ITU-R BT.601
    np.testing.assert_allclose(frame.pixels, np.clip(rgb, 0, 255), atol=1)
    assert frame.attributes["photometric_interpretation"] == "RGB"
    assert dicom.read_header(path).samples == 3


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ({"max_frame_pixels": 0}, "greater than 0"),
        ({"decode_seconds": -1}, "greater than 0"),
        ({"decode_bytes": 0}, "greater than 0"),
        ({"color": "grey"}, "convert"),
    ],
)
def test_rule_that_makes_no_sense(rule, allowed):
    ((name, got),) = rule.items()
    with pytest.raises(ValueError, match=f"{name}.*{allowed}.*{got}"):
        PixelRules(**rule)


@real_data.needs_sunnybrook
def test_sunnybrook_is_as_pydicom_has_it():
    paths = sorted((real_data.SUNNYBROOK / "dicoms").rglob("*.dcm"))[::70]
    for path in paths:
        header = dicom.read_header(path)
        assert header.native is not None
        expected = pydicom.dcmread(path)
        np.testing.assert_array_equal(
            dicom.read_frame(path, header).pixels, expected.pixel_array
        )
        assert header.plane.position == tuple(expected.ImagePositionPatient)


@real_data.needs_sunnybrook
def test_identifiers_that_break_the_rules_are_read_without_a_word():
    # Their UIDs have components that begin with 0.
    path = real_data.SUNNYBROOK / "dicoms/SCD0000101/48.dcm"
    before = pydicom.config.settings.reading_validation_mode
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        header = dicom.read_header(path)
        dicom.read_frame(path)
        str(dicom_file.open_header(path).sop_class)
    assert header.instance == "2.16.124.113543.6006.99.3391139613699913089"
    assert pydicom.config.settings.reading_validation_mode == before


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
