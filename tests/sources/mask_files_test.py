import io
import struct
import sys
import tracemalloc
import zlib

import hypothesis
import numpy as np
import pydicom
import pytest
import tifffile
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from tfdicom.reasons import InputSkipped
from tfdicom.sources.mask_files import read_pixels, to_labels

SHAPE = (5, 7)


def labels(dtype="uint8", high=3):
    """Every row and column differs, so that a turned or flipped mask does too."""
    rows, columns = np.indices(SHAPE)
    return ((rows * 3 + columns * columns) % (high + 1)).astype(dtype)


def by_pillow(suffix, **options):
    def write(path, values):
        Image.fromarray(values).save(path.with_suffix(suffix), **options)
        return path.with_suffix(suffix)

    return write


def by_numpy(path, values):
    np.save(path.with_suffix(".npy"), values)
    return path.with_suffix(".npy")


def by_tifffile(**options):
    def write(path, values):
        tifffile.imwrite(path.with_suffix(".tif"), values, **options)
        return path.with_suffix(".tif")

    return write


def palette_png(path, values):
    image = Image.fromarray(values)
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200, 9, 9, 9])  # makes it mode P
    image.save(path.with_suffix(".png"))
    return path.with_suffix(".png")


def gray_png(path, values, bits):
    """Written by hand: Pillow writes no grey values of 2 or 4 bits."""
    rows, columns = values.shape
    lines = b""
    for row in values:
        digits = "".join(f"{value:0{bits}b}" for value in row)
        digits += "0" * (-len(digits) % 8)
        lines += b"\0" + int(digits, 2).to_bytes(len(digits) // 8, "big")
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", columns, rows, bits, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        check = struct.pack(">I", zlib.crc32(kind + body))
        data += struct.pack(">I", len(body)) + kind + body + check
    path.with_suffix(".png").write_bytes(data)
    return path.with_suffix(".png")


def by_pydicom(path, values, photometric="MONOCHROME2", **elements):
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    bits = values.dtype.itemsize * 8
    dataset.set_pixel_data(np.ascontiguousarray(values), photometric, bits)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    ("write", "dtype", "high"),
    [
        (by_pillow(".png"), "uint8", 255),
        (by_pillow(".PNG"), "uint16", 60000),
        (by_pillow(".tif"), "uint8", 255),
        (by_pillow(".tiff"), "uint16", 60000),
        (by_pillow(".tif", compression="tiff_lzw"), "uint16", 60000),
        (by_pillow(".tif", compression="tiff_deflate"), "uint8", 3),
        (by_pillow(".tif"), "int32", 10**6),
        (by_pillow(".tif"), "float32", 9),
        (by_tifffile(byteorder=">"), ">u2", 60000),
        (by_tifffile(byteorder=">"), ">i2", 30000),
        (by_tifffile(tile=(16, 16)), "uint16", 60000),
        (palette_png, "uint8", 3),
        (lambda path, values: gray_png(path, values, 2), "uint8", 3),
        (lambda path, values: gray_png(path, values, 4), "uint8", 15),
        (lambda path, values: gray_png(path, values, 1), "uint8", 1),
        (by_numpy, "bool", 1),
        (by_numpy, "int64", 10**9),
        (by_numpy, ">f8", 9),
        (by_pydicom, "uint8", 255),
        (by_pydicom, "uint16", 60000),
        (by_pydicom, "int16", 30000),
    ],
)
def test_values_are_as_written(tmp_path, write, dtype, high):
    values = labels(dtype, high)
    pixels = read_pixels(write(tmp_path / "m", values))
    assert pixels.values.dtype.kind == "u"
    assert (pixels.pages, pixels.size) == (1, SHAPE)
    np.testing.assert_array_equal(pixels.values[0], values)
    assert pixels.numbers() == sorted(set(values.ravel().tolist()) - {0})


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(".png", "RGB"), (".png", "RGBA"), (".png", "LA"), (".tif", "RGB")],
)
def test_channels_that_agree_are_one(tmp_path, suffix, mode):
    image = Image.fromarray(labels()).convert(mode)
    image.save(tmp_path / f"m{suffix}")
    found = read_pixels(tmp_path / f"m{suffix}").values[0]
    np.testing.assert_array_equal(found, labels())


def test_pages_of_a_tiff(tmp_path):
    pages = np.stack([labels(), labels()[::-1], labels() * 0])
    tifffile.imwrite(tmp_path / "m.tif", pages, photometric="minisblack")
    np.testing.assert_array_equal(read_pixels(tmp_path / "m.tif").values, pages)


def planes(count):
    return np.stack([labels() == number for number in range(1, count + 1)], axis=-1)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (planes(3), planes(3)[None]),
        (planes(3).astype("float32"), planes(3)[None]),
        (np.moveaxis(planes(3), -1, 0), planes(3)[None]),
        (labels()[..., None], labels()[None]),
        (labels()[None], labels()[None]),
        (np.stack([planes(2)] * 2), np.stack([planes(2)] * 2)),
        (np.stack([labels()] * 9)[..., None], np.stack([labels()] * 9)),
    ],
)
def test_axes_of_arrays(tmp_path, values, wanted):
    np.save(tmp_path / "m.npy", values)
    pixels = read_pixels(tmp_path / "m.npy")
    np.testing.assert_array_equal(pixels.values, wanted)
    assert pixels.values.ndim == wanted.ndim


def test_planes_may_overlap(tmp_path):
    values = np.ones((4, 5, 2), bool)
    values[0, :, 0] = False
    np.save(tmp_path / "m.npy", values)
    pixels = read_pixels(tmp_path / "m.npy")
    assert pixels.numbers() == [1, 2]
    assert [int(pixels.plane(0, number).sum()) for number in (0, 1, 2)] == [20, 15, 20]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (np.array([[0.0, np.nan]]), "mask_values_invalid"),
        (np.array([[0.0, np.inf]]), "mask_values_invalid"),
        (np.array([[0.0, 0.5]]), "mask_values_invalid"),
        (np.array([[0, -1]]), "mask_values_invalid"),
        (np.array([[0, 2**32]]), "mask_values_invalid"),
        (np.array([[0, 1j]]), "mask_unsupported"),
        (np.array([["a", "b"]]), "mask_unsupported"),
        (np.zeros((0, 4)), "mask_unsupported"),
        (np.zeros(4, int), "mask_axes_unclear"),
        (np.zeros((3, 5, 3), int), "mask_axes_unclear"),
        (np.zeros((9, 2, 7), int), "mask_axes_unclear"),
        (np.full((3, 5, 6), 2), "mask_axes_unclear"),
        (np.zeros((1, 1, 1, 5, 5), int), "mask_axes_unclear"),
    ],
)
def test_arrays_that_are_no_masks(tmp_path, values, code):
    np.save(tmp_path / "m.npy", values)
    with pytest.raises(InputSkipped) as skipped:
        read_pixels(tmp_path / "m.npy")
    assert skipped.value.code == code


class Pickled:
    def __reduce__(self):
        return sys.exit, ("a pickle was run",)


def test_no_object_is_unpickled(tmp_path):
    np.save(tmp_path / "m.npy", np.array([[Pickled()]]), allow_pickle=True)
    with pytest.raises(InputSkipped, match="object"):
        read_pixels(tmp_path / "m.npy")


def numpy_header(shape):
    file = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        ((2**20, 2**20), "mask_too_large"),
        ((2**40, 2**40), "mask_too_large"),
        ((-5, 3), "mask_too_large"),
        ((2**15, 2**14), "mask_unreadable"),
    ],
)
def test_headers_that_claim_too_much_cost_nothing(tmp_path, shape, code):
    (tmp_path / "m.npy").write_bytes(numpy_header(shape) + b"\0" * 100)
    tracemalloc.start()
    try:
        with pytest.raises(InputSkipped) as skipped:
            read_pixels(tmp_path / "m.npy")
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    assert skipped.value.code == code


def png_header(rows, columns):
    body = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + body
    size = struct.pack(">I", len(body))
    check = struct.pack(">I", zlib.crc32(chunk))
    data = zlib.compress(b"\0" * 100)
    end = struct.pack(">I", len(data)) + b"IDAT" + data
    end += struct.pack(">I", zlib.crc32(b"IDAT" + data))
    return b"\x89PNG\r\n\x1a\n" + size + chunk + check + end


@pytest.mark.parametrize("side", [10_000, 30_000, 65_535])
def test_decompression_bombs(tmp_path, side):
    (tmp_path / "m.png").write_bytes(png_header(side, side))
    with pytest.raises(InputSkipped) as skipped:
        read_pixels(tmp_path / "m.png")
    assert skipped.value.code == "mask_too_large"


def colored(path):
    values = np.stack([labels(), labels(), labels() // 2], axis=-1)
    Image.fromarray(values).save(path / "m.png")


def transparent(path):
    Image.fromarray(np.stack([labels(), labels()], axis=-1)).save(path / "m.png")


def turned(path):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[274] = 6
    Image.fromarray(labels()).save(path / "m.tif", tiffinfo=tags)


def white_is_zero(path):
    tifffile.imwrite(path / "m.tif", labels(), photometric="miniswhite")


def signed(path):
    tifffile.imwrite(path / "m.tif", labels().astype("int8"))


def lossy(path):
    Image.fromarray(labels()).save(path / "m.tif", compression="jpeg")


def cut_off_tiff(path):
    tifffile.imwrite(path / "m.tif", np.stack([labels()] * 3), photometric="minisblack")
    (path / "m.tif").write_bytes((path / "m.tif").read_bytes()[:-20])


def deep_color(path):
    values = np.repeat(labels("uint16")[..., None], 3, axis=-1)
    tifffile.imwrite(path / "m.tif", values, photometric="rgb")


def unlike_pages(path):
    with tifffile.TiffWriter(path / "m.tif") as file:
        file.write(labels())
        file.write(labels()[:3])


def animated(path):
    frames = [Image.fromarray(labels()), Image.fromarray(labels()[::-1].copy())]
    frames[0].save(path / "m.png", save_all=True, append_images=frames[1:])


def cut_off(path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(noise).save(path / "m.png")
    (path / "m.png").write_bytes((path / "m.png").read_bytes()[:-900])


def another_format(path):
    Image.fromarray(labels()).save(path / "m.png", format="JPEG")


def dicom_color(path):
    gray = np.repeat(labels()[..., None], 3, axis=-1)
    by_pydicom(path / "m.dcm", gray, photometric="RGB")


def text(path):
    (path / "m.dcm").write_text("no mask")


def absent(path):
    (path / "m.png").symlink_to(path / "nowhere.png")


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (colored, "mask_colored"),
        (transparent, "mask_colored"),
        (turned, "mask_unsupported"),
        (white_is_zero, "mask_unsupported"),
        (signed, "mask_unsupported"),
        (lossy, "mask_lossy"),
        (cut_off_tiff, "mask_unreadable"),
        (deep_color, "mask_unsupported"),
        (unlike_pages, "mask_unsupported"),
        (animated, "mask_unsupported"),
        (cut_off, "mask_unreadable"),
        (another_format, "mask_unreadable"),
        (dicom_color, "mask_colored"),
        (text, "not_dicom"),
        (absent, "file_unreadable"),
    ],
)
def test_files_that_cannot_be_trusted(tmp_path, make, code):
    make(tmp_path)
    (path,) = tmp_path.iterdir()
    with pytest.raises(InputSkipped) as skipped:
        read_pixels(path)
    assert skipped.value.code == code


def test_a_rescale_changes_no_label(tmp_path):
    path = by_pydicom(tmp_path / "m", labels(), RescaleSlope="2", RescaleIntercept="1")
    np.testing.assert_array_equal(read_pixels(path).values[0], labels())


def test_frames_of_a_dicom_mask(tmp_path):
    frames = np.stack([labels(), labels()[::-1], labels() * 0]).astype("uint16")
    path = by_pydicom(tmp_path / "m.dcm", frames)
    np.testing.assert_array_equal(read_pixels(path).values, frames)


def test_floats_that_a_scale_has_rounded():
    values = np.arange(256, dtype="float32") / np.float32(255) * 255
    assert to_labels(values[None]).tolist() == [list(range(256))]


@pytest.mark.parametrize("high", [1, 255, 256, 65535, 65536, 2**32 - 1])
def test_the_smallest_dtype_that_holds_all(high):
    found = to_labels(np.array([[0, high]], "float64"))
    assert found.tolist() == [[0, high]]
    assert found.dtype == np.min_scalar_type(high)


def encoded(write):
    file = io.BytesIO()
    write(file)
    return file.getvalue()


WHOLE_FILES = {
    ".png": encoded(lambda file: Image.fromarray(labels()).save(file, "PNG")),
    ".tif": encoded(lambda file: Image.fromarray(labels("uint16")).save(file, "TIFF")),
    ".npy": encoded(lambda file: np.save(file, planes(3))),
}


@pytest.mark.parametrize("suffix", WHOLE_FILES)
@hypothesis.settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(data=st.data())
def test_damaged_files_end_in_a_reason_or_in_labels(tmp_path, suffix, data):
    whole = bytearray(WHOLE_FILES[suffix])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(whole)) | st.just(len(whole)))
    path = tmp_path / f"m{suffix}"
    path.write_bytes(whole[:end])
    try:
        pixels = read_pixels(path)
    except InputSkipped:
        return
    assert pixels.values.dtype.kind in "bu"
    assert pixels.values.ndim in (3, 4)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
