import sys
import time
import zlib

import pydicom
import pytest
from pydicom.datadict import keyword_for_tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests import real_data, source_folders
from tfdicom import dicom_elements, dicom_file
from tfdicom.dicom_file import open_header
from tfdicom.reasons import InputSkipped

SYNTAXES = (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "image.dcm"
    source_folders.write_image(
        path, "P1", 3, SpecificCharacterSet="ISO_IR 100", PixelPaddingValue=-5
    )
    return path


def encoded(path, syntax):
    """Writes a file anew in a transfer syntax, with sequences of undefined length."""
    image = pydicom.dcmread(path)
    image.PatientID = "Jürgen"
    inner = pydicom.Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    outer = pydicom.Dataset()
    outer.PurposeOfReferenceCodeSequence = [inner, inner]
    outer["PurposeOfReferenceCodeSequence"].is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    image.ReferencedImageSequence = [outer]
    image["ReferencedImageSequence"].is_undefined_length = True
    image["PixelData"].VR = "OW"
    source_folders.save_as(image, path, syntax)
    return path


def assert_same(found, path):
    """Whether all elements that a header holds are those of pydicom."""
    expected = pydicom.dcmread(path, force=True)
    assert len(found) > 15
    for element in found:
        assert element == expected[element.tag], keyword_for_tag(element.tag)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
def test_elements_are_those_of_pydicom(path, syntax):
    found = open_header(encoded(path, syntax))
    assert found.raw is not None  # pydicom did not have to help
    assert_same(found, path)
    assert found.transfer_syntax == syntax
    assert found.file_size == path.stat().st_size
    assert dicom_elements.text(found, "PatientID") == "Jürgen"
    assert dicom_elements.number(found, "PixelPaddingValue") == -5
    assert dicom_elements.numbers(found, "PixelSpacing") == source_folders.SPACING


@pytest.mark.parametrize("syntax", SYNTAXES[1:], ids=lambda uid: uid.name)
def test_pixels_are_found(path, syntax):
    element = open_header(encoded(path, syntax)).pixel_element
    assert element.offset + element.length == path.stat().st_size
    stored = path.read_bytes()[element.offset :]
    assert stored == pydicom.dcmread(path).PixelData


@pytest.mark.parametrize("syntax", SYNTAXES[1:], ids=lambda uid: uid.name)
@pytest.mark.parametrize("preamble", [True, False])
def test_file_without_meta_information(path, syntax, preamble):
    encoded(path, syntax)
    whole = path.read_bytes()
    start = 144 + int.from_bytes(whole[140:144], "little")
    path.write_bytes((whole[:132] if preamble else b"") + whole[start:])
    found = open_header(path)
    assert found.transfer_syntax == syntax
    assert dicom_elements.text(found, "PatientID") == "Jürgen"
    assert dicom_elements.number(found, "Rows") == 40


def test_file_without_preamble(path):
    path.write_bytes(path.read_bytes()[132:])
    assert dicom_elements.number(open_header(path), "Rows") == 40


def test_transfer_syntax_that_is_not_the_one_used(path):
    encoded(path, ImplicitVRLittleEndian)
    implicit, explicit = (
        uid.encode().ljust(20, b"\0")
        for uid in (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
    )
    image = path.read_bytes()
    assert implicit[:18] in image
    at = image.index(implicit[:17])
    length_at = at - 2
    replaced = image[:length_at] + (20).to_bytes(2, "little") + explicit
    path.write_bytes(replaced + image[at + image[length_at] :])
    found = open_header(path)
    assert found.raw is None  # pydicom had to help
    assert dicom_elements.number(found, "Rows") == 40
    assert found.has_pixels


@pytest.mark.parametrize("size", [20 << 10, 5 << 20])
def test_header_that_is_long(path, size):
    image = pydicom.dcmread(path)
    image.add_new(0x00091010, "OB", b"\1" * size)
    image.save_as(path)
    found = open_header(path)
    assert_same(found, path)
    assert found.has_pixels


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"x y\n1 2\n" * 100,
        b"\0" * 400,
        b"\x08\0",
        b"\x08\0\0\0\xff\xff\xff\xff" * 9,
        b"\x89PNG\r\n\x1a\n" + b"\0" * 200,
    ],
)
def test_what_is_not_dicom_is_not_taken_for_it(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(InputSkipped) as error:
        open_header(path)
    assert error.value.code == "not_dicom"


def test_text_files_of_the_shared_data_are_not_dicom(tmp_path):
    for path in real_data.REPOSITORY.glob("*.*"):
        if path.is_file():
            with pytest.raises(InputSkipped):
                open_header(path)


def test_sequence_that_never_ends(path):
    encoded(path, ExplicitVRLittleEndian)
    whole = path.read_bytes()
    end = whole.rindex(b"\xfe\xff\xdd\xe0")
    path.write_bytes(whole[:end])
    found = open_header(path)
    assert found.cut_off
    assert dicom_elements.text(found, "Modality") == "MR"


def test_file_that_is_cut_short_is_no_whole_one(path):
    whole = encoded(path, ExplicitVRLittleEndian).read_bytes()
    assert not open_header(path).cut_off
    wanted = ("PatientID", "StudyInstanceUID")
    assert not dicom_file.open_elements(path, wanted).cut_off
    at = whole.index(pydicom.dcmread(path).StudyInstanceUID.encode())
    path.write_bytes(whole[: at + 9])
    for found in (open_header(path), dicom_file.open_elements(path, wanted)):
        assert found.cut_off
        assert "PatientID" in found and "StudyInstanceUID" not in found
    path.write_bytes(whole[:150])
    with pytest.raises(InputSkipped) as error:
        open_header(path)
    assert error.value.code == "object_truncated"


def test_file_that_pydicom_reads_may_be_cut_short_too(path):
    image = pydicom.dcmread(path)
    image.add_new(0x00091010, "UN", b"")
    image.save_as(path)
    whole = path.read_bytes()
    private = b"\x09\0\x10\x10UN\0\0"
    endless = private + b"\xff" * 4 + b"\xfe\xff\xdd\xe0" + bytes(4)
    changed = whole.replace(private + bytes(4), endless)
    wanted = ("PatientID", "StudyInstanceUID")
    at = changed.index(image.StudyInstanceUID.encode())
    for end, cut_off in ((len(changed), False), (at + 9, True)):
        path.write_bytes(changed[:end])
        found = dicom_file.open_elements(path, wanted)
        assert found.raw is None  # pydicom had to help
        assert found.cut_off is cut_off


def deflated(path, data):
    whole = encoded(path, DeflatedExplicitVRLittleEndian).read_bytes()
    start = 144 + int.from_bytes(whole[140:144], "little")
    stream = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    path.write_bytes(whole[:start] + stream.compress(data) + stream.flush())
    return path


def test_bomb_is_not_inflated(path):
    # An element of 1 GiB before everything else.
    header = b"\x08\0\x01\0OB\0\0" + (1 << 30).to_bytes(4, "little")
    started = time.monotonic()
    bomb = deflated(path, header + b"\0" * (200 << 20))
    inflated = dicom_file._inflated
    sizes = []

    def watched(*arguments):
        sizes.append(len(inflated(*arguments)))
        return inflated(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dicom_file, "_inflated", watched)
        found = open_header(bomb)
    assert not found.has_pixels
    assert max(sizes) <= 64 << 20
    assert time.monotonic() - started < 20


def test_directory_has_the_class_of_its_meta_information(path):
    image = pydicom.dcmread(path)
    del image.SOPClassUID
    image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    image.save_as(path)
    assert open_header(path).sop_class == "1.2.840.10008.1.3.10"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
