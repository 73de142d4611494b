import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from tests import real_data, source_folders
from tfdicom import decoder_process
from tfdicom.decoder_process import Undecoded, decode

CORNERSTONE = "odd/cornerstone/packages/dicomImageLoader/testImages"
JPEG_12 = (
    f"{CORNERSTONE}/CT0012.fragmented_no_bot_jpeg_baseline.51.dcm",
    f"{CORNERSTONE}/CTImage.dcm_JPEGProcess10_12TransferSyntax_1.2.840.10008.1.2.4.55.dcm",
    f"{CORNERSTONE}/CTImage.dcm_JPEGProcess2_4TransferSyntax_1.2.840.10008.1.2.4.51.dcm",
    f"{CORNERSTONE}/CTImage.dcm_JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53.dcm",
    "odd/pylibjpeg_data/ljdata/ds/JPEGExtended/RG2_JPLY_fixed.dcm",
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "image.dcm"
    source_folders.write_image(path, "P1", 1)
    return path


@real_data.needs_shared("odd")
@pytest.mark.parametrize("name", JPEG_12, ids=lambda name: name[-30:])
def test_jpeg_of_12_bits_is_that_of_imagecodecs(name):
    imagecodecs = pytest.importorskip("imagecodecs")
    image = pydicom.dcmread(real_data.SHARED / name)
    count = int(image.get("NumberOfFrames", 1))
    frames = generate_frames(image.PixelData, number_of_frames=count)
    for index, frame in enumerate(frames):
        expected = imagecodecs.jpeg8_decode(frame)
        syntax = image.file_meta.TransferSyntaxUID
        found = decode(str(real_data.SHARED / name), index, syntax)
        assert expected.max() > 255
        # Two libraries may round the cosine transform differently.
        np.testing.assert_allclose(found.astype(int), expected, atol=1)
        assert found.shape == (image.Rows, image.Columns)


@real_data.needs_shared("odd")
def test_jpeg_of_12_bits_that_are_signed(tmp_path):
    path = shutil.copy(real_data.SHARED / JPEG_12[2], tmp_path / "x.dcm")
    image = pydicom.dcmread(path)
    unsigned = decode(str(path), 0, JPEGExtended12Bit).astype(int)
    image.PixelRepresentation = 1
    image.save_as(path)
    signed = decode(str(path), 0, JPEGExtended12Bit)
    assert signed.dtype == np.int16
    np.testing.assert_array_equal(
        signed, np.where(unsigned < 2048, unsigned, unsigned - 4096)
    )


def compressed(path, syntax):
    pixels = pydicom.dcmread(path).pixel_array
    image = pydicom.dcmread(path)
    if syntax == HTJ2KLossless:
        imagecodecs = pytest.importorskip("imagecodecs")
        encoded = imagecodecs.htj2k_encode(pixels, reversible=True)
        image.PixelData = encapsulate([encoded])
        image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True
        image.file_meta.TransferSyntaxUID = syntax
    else:
        # GDCM, which would come first, aborts here.
        plugin = {RLELossless: "pydicom"}.get(syntax, "")
        image.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    image.save_as(path)
    return pixels


@pytest.mark.parametrize(
    "syntax",
    [RLELossless, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless],
    ids=lambda uid: uid.name,
)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16"])
def test_what_was_compressed_is_decoded(path, syntax, dtype):
    random = np.random.default_rng(1)
    limits = np.iinfo(dtype)
    pixels = random.integers(limits.min, limits.max, (70, 65), endpoint=True)
    source_folders.edit(path, pixels=pixels.astype(dtype))
    compressed(path, syntax)
    np.testing.assert_array_equal(decode(str(path), 0, syntax), pixels)


def test_palette_is_looked_up(path):
    indices = np.random.default_rng(1).integers(0, 4, (6, 8)).astype(np.uint8)
    source_folders.edit(path, pixels=indices)
    image = pydicom.dcmread(path)
    table = np.array([[0, 1000, 2000, 65535], [9, 8, 7, 6], [0, 0, 500, 0]], "<u2")
    image.PhotometricInterpretation = "PALETTE COLOR"
    for name, row in zip(("Red", "Green", "Blue"), table, strict=True):
        keyword = f"{name}PaletteColorLookupTableDescriptor"
        setattr(image, keyword, [4, 0, 16])
        image[keyword].VR = "US"
        setattr(image, f"{name}PaletteColorLookupTableData", row.tobytes())
    image.save_as(path)
    found = decode(str(path), 0, ExplicitVRLittleEndian)
    np.testing.assert_array_equal(found, table.T[indices])


@pytest.mark.parametrize(
    ("syntax", "code", "detail"),
    [
        ("1.2.840.10008.1.2.4.100", "transfer_syntax_unsupported", "MPEG2"),
        ("1.2.3.4", "transfer_syntax_unsupported", "1.2.3.4"),
    ],
)
def test_syntax_that_nothing_decodes(path, syntax, code, detail):
    with pytest.raises(Undecoded) as error:
        decode(str(path), 0, syntax)
    assert error.value.code == code
    assert detail in error.value.detail


def test_decoder_that_is_not_installed(path, monkeypatch):
    decoder = decoder_process.get_decoder(JPEGLSLossless)
    monkeypatch.setattr(decoder, "_available", {})
    with pytest.raises(Undecoded) as error:
        decode(str(path), 0, JPEGLSLossless)
    assert error.value.code == "decoder_missing"
    monkeypatch.setitem(sys.modules, "gdcm", None)
    source_folders.edit(path, BitsStored=12)
    with pytest.raises(Undecoded) as error:
        decode(str(path), 0, JPEGExtended12Bit)
    assert error.value.code == "decoder_missing"


def answers(*requests):
    lines = b"".join(json.dumps(one).encode() + b"\n" for one in requests)
    sent = io.BytesIO()
    decoder_process.serve(io.BytesIO(lines), sent)
    return io.BytesIO(sent.getvalue())


def request(path, **values):
    plain = {"path": str(path), "index": 0, "syntax": ExplicitVRLittleEndian}
    return {**plain, "seconds": 60, **values}


def test_answers_are_a_line_and_pixels(path):
    pixels = pydicom.dcmread(path).pixel_array
    sent = answers(request(path), request("none"), request(path))
    assert json.loads(sent.readline())["ready"]
    for _ in range(2):
        line = json.loads(sent.readline())
        found = np.frombuffer(sent.read(line["size"]), line["dtype"])
        np.testing.assert_array_equal(found.reshape(line["shape"]), pixels)
        refused = sent.readline()
        if refused:
            assert json.loads(refused)["code"] == "pixels_unreadable"


def test_memory_that_runs_out_is_told_apart(path, monkeypatch):
    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr(decoder_process, "decode", exhausted)
    line, pixels = decoder_process.answer(request(path))
    assert (line["code"], pixels) == ("decoder_out_of_memory", b"")


def test_memory_is_limited():
    code = (
        "import numpy; from tfdicom import decoder_process;"
        "decoder_process._limit_memory(1 << 30); print('here', flush=True);"
        "numpy.ones(2 << 30, 'u1')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout == "here\n" and done.returncode == 1
    assert "MemoryError" in done.stderr


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
