import sys

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests import source_folders
from tfdicom import dicom, native_pixels
from tfdicom.reasons import InputSkipped

SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
}


@pytest.fixture
def write(tmp_path):
    """Writes bytes as the pixels of an image of 7 x 5, and returns its path."""

    def write(data, *, syntax="explicit", keyword="PixelData", vr="", **elements):
        path = tmp_path / "image.dcm"
        source_folders.write_image(path, "P1", 1, PixelData=None)
        image = pydicom.dcmread(path)
        image.Rows, image.Columns = 7, 5
        setattr(image, keyword, data)
        for name, value in elements.items():
            setattr(image, name, value)
        if keyword == "PixelData":
            usual = "OW" if image.BitsAllocated > 8 else "OB"
            image["PixelData"].VR = vr or usual
        uid = (
            DeflatedExplicitVRLittleEndian if syntax == "deflated" else SYNTAXES[syntax]
        )
        image.file_meta.TransferSyntaxUID = uid
        source_folders.save_as(image, path, uid)
        return path

    return write


def noise(size):
    return np.random.default_rng(5).integers(0, 256, size, dtype=np.uint8).tobytes()


def integers(allocated, stored, signed):
    elements = {"BitsAllocated": allocated, "BitsStored": stored}
    return {**elements, "HighBit": stored - 1, "PixelRepresentation": int(signed)}


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("allocated", "stored"), [(8, 8), (8, 5), (16, 16), (16, 12), (32, 32), (32, 20)]
)
def test_integers_are_those_of_pydicom(write, syntax, signed, allocated, stored):
    # The bits that mean nothing are set as they fall.
    data = noise(35 * allocated // 8 + allocated % 16 // 8)
    path = write(data, syntax=syntax, **integers(allocated, stored, signed))
    expected = pydicom.dcmread(path).pixel_array
    frame = dicom.read_frame(path)
    np.testing.assert_array_equal(frame.pixels, expected)
    assert frame.pixels.dtype == expected.dtype.newbyteorder("=")
    assert frame.pixels.flags.writeable
    is_bytes_of_words = syntax == "big endian" and allocated == 8
    assert (dicom.read_header(path).native is None) == is_bytes_of_words


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("keyword", "dtype"),
    [("FloatPixelData", "f4"), ("DoubleFloatPixelData", "f8")],
)
def test_floats_are_those_of_pydicom(write, syntax, keyword, dtype):
    order = "<>"[syntax == "big endian"]
    values = np.random.default_rng(1).normal(size=(7, 5)).astype(order + dtype)
    bits = values.dtype.itemsize * 8
    path = write(values.tobytes(), syntax=syntax, keyword=keyword, BitsAllocated=bits)
    np.testing.assert_array_equal(dicom.read_frame(path).pixels, values)
    np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array, values)
    assert dicom.read_header(path).native is not None


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("allocated", [8, 16])
def test_colors_in_planes_or_not_are_those_of_pydicom(write, planar, allocated):
    color = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}
    color |= {"PlanarConfiguration": planar}
    data = noise(35 * 3 * allocated // 8 + allocated % 16 // 8)
    path = write(data, **color, **integers(allocated, allocated, False))
    expected = pydicom.dcmread(path).pixel_array
    np.testing.assert_array_equal(dicom.read_frame(path).pixels, expected)
    assert dicom.read_header(path).native is not None


@pytest.mark.parametrize(
    ("allocated", "samples"), [(1, 1), (8, 1), (16, 1), (8, 3), (32, 1)]
)
def test_every_frame_is_that_of_pydicom(write, allocated, samples):
    size = -(-35 * samples * allocated * 3 // 8)
    elements = integers(allocated, allocated, False)
    elements |= {"SamplesPerPixel": samples, "NumberOfFrames": 3}
    if samples == 3:
        elements |= {"PhotometricInterpretation": "RGB", "PlanarConfiguration": 1}
    path = write(noise(size + size % 2), **elements)
    expected = pydicom.dcmread(path).pixel_array
    assert len(expected) == 3
    headers = dicom.read_headers(path)
    assert [header.frame_number for header in headers] == [1, 2, 3]
    for header, frame in zip(headers, expected, strict=True):
        np.testing.assert_array_equal(dicom.read_frame(path, header).pixels, frame)
        assert header.native is not None


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "big endian", "deflated"])
@pytest.mark.parametrize("vr", ["OW", "OB"])
@pytest.mark.parametrize(("rows", "columns"), [(7, 9), (7, 5), (5, 8), (4, 4)])
def test_every_frame_of_one_bit_is_that_of_pydicom(write, syntax, vr, rows, columns):
    # 63 and 35 pixels: frames begin within a byte, and some need one byte more.
    size = -(-rows * columns * 3 // 8)
    elements = integers(1, 1, False) | {"NumberOfFrames": 3}
    elements |= {"Rows": rows, "Columns": columns}
    path = write(noise(size + size % 2), syntax=syntax, vr=vr, **elements)
    expected = pydicom.dcmread(path).pixel_array
    assert expected.shape == (3, rows, columns)
    for header, frame in zip(dicom.read_headers(path), expected, strict=True):
        pixels = dicom.read_frame(path, header).pixels
        np.testing.assert_array_equal(pixels, frame)
        assert (pixels.dtype, pixels.flags.writeable) == (frame.dtype, True)
        assert (header.native is None) == (syntax in ("big endian", "deflated"))


def test_more_pixels_than_are_claimed_are_left_alone(write):
    path = write(noise(100), **integers(16, 16, False))
    expected = np.frombuffer(noise(100)[:70], "<u2").reshape(7, 5)
    np.testing.assert_array_equal(dicom.read_frame(path).pixels, expected)


def test_file_that_ends_within_the_frame(write):
    path = write(noise(70), **integers(16, 16, False))
    header = dicom.read_header(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputSkipped) as error:
        native_pixels.read(path, header.native)
    assert error.value.code == "pixels_unreadable"
    assert error.value.detail == "70 bytes of pixels are wanted, 40 are there"


def test_file_that_is_gone(write):
    path = write(noise(70), **integers(16, 16, False))
    header = dicom.read_header(path)
    path.unlink()
    with pytest.raises(InputSkipped) as error:
        native_pixels.read(path, header.native)
    assert error.value.code == "file_unreadable"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
