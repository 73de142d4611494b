"""Odd and broken files, real and made: all end as pixels or as a reason, in time."""

import pathlib
import random
import sys
import time

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.pixels import apply_color_lut, pixel_array
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from tests import enhanced_images, real_data, source_folders
from tfdicom import dicom, dicom_elements
from tfdicom.dicom import PixelRules
from tfdicom.reasons import InputSkipped

ODD = real_data.SHARED / "odd"
PYDICOM = pathlib.Path(pydicom.__file__).parent / "data" / "test_files"
CORNERSTONE = ODD / "cornerstone/packages/dicomImageLoader/testImages"
ENCAPSULATED = ODD / "dicomparser/testImages/encapsulated"
LONGEST_SECONDS = 20

# What ends as another reason, or is decoded, though pydicom decodes it or does not.
REFUSED = {
    "decimal_rescale.dcm": "no_instance",
    "JPEGLosslessP14SV1_1s_1f_u_16_16.dcm": "no_instance",
    "liver_1frame.dcm": "header_invalid",  # groups for three frames
    "liver_expb_1frame.dcm": "header_invalid",
}
DECODED = {  # JPEG of 12 bits
    "CT0012.fragmented_no_bot_jpeg_baseline.51.dcm",
    "JPEG-lossy.dcm",
    "JPGExtended.dcm",
    "RG2_JPLY.dcm",
    "RG2_JPLY_fixed.dcm",
}


def files(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def by_pydicom(path, index):
    """A frame as pydicom decodes it, colors as RGB; None if it does not."""
    try:
        with dicom_elements.quiet():
            image = pydicom.dcmread(path, force=True)
            pixels = pixel_array(image, index=index)
            if image.PhotometricInterpretation == "PALETTE COLOR":
                pixels = apply_color_lut(pixels, image)
            return pixels
    except Exception:
        return None


def by_tfdicom(path):
    """First and last frame, or the reason why there are none."""
    try:
        headers = dicom.read_headers(path)
        chosen = {one.frame_number: one for one in (headers[0], headers[-1])}
        return {
            number - 1: dicom.read_frame(path, header).pixels
            for number, header in chosen.items()
        }
    except InputSkipped as skipped:
        return skipped


def assert_as_pydicom(path):
    started = time.monotonic()
    found = by_tfdicom(path)
    assert time.monotonic() - started < LONGEST_SECONDS
    if isinstance(found, InputSkipped):
        assert by_pydicom(path, 0) is None or REFUSED[path.name] == found.code
        return
    for index, pixels in found.items():
        expected = by_pydicom(path, index)
        if expected is None:
            is_jpeg_12 = path.name in DECODED or ".dcm_JPEGProcess" in path.name
            assert is_jpeg_12 and pixels.std() > 0
        else:
            np.testing.assert_array_equal(pixels, expected)
            assert pixels.dtype == expected.dtype.newbyteorder("=")


@real_data.needs_shared("odd")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", files(ODD), ids=lambda path: path.name)
def test_odd_file(path):
    assert_as_pydicom(path)


@pytest.mark.filterwarnings("ignore")
def test_small_files_of_pydicom():
    paths = [path for path in files(PYDICOM) if path.stat().st_size < 1 << 20]
    assert len(paths) > 100
    for path in paths:
        assert_as_pydicom(path)


@real_data.needs_shared("odd")
@pytest.mark.parametrize(
    "paths",
    [
        sorted(CORNERSTONE.glob("CTImage.dcm_*")),
        sorted((ODD / "dicomparser/testImages").rglob("CT1_UNC.*")),
        sorted(ENCAPSULATED.rglob("CT0012.*")),
    ],
    ids=["CTImage", "CT1_UNC", "CT0012"],
)
def test_files_of_a_family_hold_the_same_pixels(paths):
    lossy = ("JPEGProcess1T", "JPEGProcess10", "Process2_4", "Process6_8", "LSLossy")
    lossy += ("JPEG2000T", "jpeg_ls.81")
    lossless = [one for one in paths if not any(part in one.name for part in lossy)]
    assert len(lossless) >= 6
    expected = by_tfdicom(lossless[0])
    for path in lossless[1:]:
        found = by_tfdicom(path)
        assert found.keys() == expected.keys()
        for index, pixels in found.items():
            np.testing.assert_array_equal(pixels, expected[index], err_msg=path.name)


def _seeds(folder):
    """Files of several kinds, small, to be damaged."""
    made = {}
    for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian):
        path = folder / syntax.name
        source_folders.write_image(path, "P1", 1)
        source_folders.save_as(pydicom.dcmread(path), path, syntax)
        made[syntax.name] = path.read_bytes()
    for syntax in (RLELossless, JPEGLSLossless):
        path = folder / syntax.name
        source_folders.write_image(path, "P1", 1)
        image = pydicom.dcmread(path)
        plugin = {RLELossless: "pydicom"}.get(syntax, "")
        image.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
        image.save_as(path)
        made[syntax.name] = path.read_bytes()
    made["enhanced"] = enhanced_images.write_enhanced(folder / "enhanced").read_bytes()
    return made


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    return _seeds(tmp_path_factory.mktemp("seeds"))


def damaged(data, seed):
    """Bytes of which some are other ones, most of them in the header; or cut off."""
    dice = random.Random(seed)
    changed = bytearray(data)
    for _ in range(dice.choice((0, 1, 2, 5, 30))):
        end = len(changed) if dice.random() < 0.3 else min(len(changed), 1400)
        changed[dice.randrange(end)] = dice.choice(
            (0, 1, 0x7F, 0xFF, dice.randrange(256))
        )
    if dice.random() < 0.3:
        del changed[dice.randrange(len(changed)) :]
    return bytes(changed)


@pytest.mark.filterwarnings("ignore")
@settings(
    max_examples=120,
    deadline=LONGEST_SECONDS * 1000,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(kind=st.integers(0, 5), seed=st.integers(0, 2**32))
def test_damaged_file_ends_as_pixels_or_as_a_reason(seeds, tmp_path, kind, seed):
    path = tmp_path / "damaged"
    name = sorted(seeds)[kind]
    path.write_bytes(damaged(seeds[name], seed))
    rules = PixelRules(max_frame_pixels=1 << 22, decode_seconds=10)
    try:
        for header in dicom.read_headers(path)[:4]:
            frame = dicom.read_frame(path, header, rules)
            assert frame.pixels.shape[:2] == (header.rows, header.columns)
    except InputSkipped as skipped:
        assert skipped.code != "file_unreadable"


def test_undamaged_files_are_read(seeds, tmp_path):
    for name, data in seeds.items():
        path = tmp_path / "whole"
        path.write_bytes(data)
        assert not isinstance(by_tfdicom(path), InputSkipped), name


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=100, deadline=LONGEST_SECONDS * 1000)
@given(
    st.binary(max_size=400), st.sampled_from([b"", b"\0" * 128 + b"DICM", b"\x08\0"])
)
def test_any_bytes_end_as_a_reason(tmp_path_factory, data, begin):
    path = tmp_path_factory.getbasetemp() / "any bytes"
    path.write_bytes(begin + data)
    assert isinstance(by_tfdicom(path), InputSkipped)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
