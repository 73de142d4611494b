import io
import sys

import pydicom
import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tfdicom import dicom_elements
from tfdicom.dicom_elements import HeaderDataset, item, items, number, numbers, text
from tfdicom.reasons import InputSkipped


def read(keyword, value, *, kept=True, little=True, charset=b""):
    """A data set with one element as a file has it, with its bytes kept or not."""
    elements = {}
    for name, data in (("SpecificCharacterSet", charset), (keyword, value)):
        tag = Tag(tag_for_keyword(name))
        kind = dictionary_VR(tag)
        raw = RawDataElement(tag, kind, len(data), data, 0, False, little)
        elements[tag] = raw
    dataset = HeaderDataset(dict(elements))
    dataset.raw = elements if kept else None
    return dataset


both = pytest.mark.parametrize("kept", [True, False])


@both
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b" P1 ", "P1"),
        (b"P1\0", "P1"),
        (b"", ""),
        (b"J\xfcrgen", "Jürgen"),
        (b"a\\b", "['a', 'b']"),
    ],
)
def test_text(kept, value, expected):
    with dicom_elements.quiet():
        dataset = read("PatientID", value, kept=kept, charset=b"ISO_IR 100")
        assert text(dataset, "PatientID") == expected
        assert text(dataset, "Modality") == ""


@both
def test_text_with_code_extensions(kept):
    japanese = "\u5c71\u7530".encode("iso2022_jp")
    assert japanese.isascii()
    dataset = read(
        "PatientID", japanese, kept=kept, charset=b"ISO 2022 IR 6\\ISO 2022 IR 87"
    )
    assert text(dataset, "PatientID") == "\u5c71\u7530"


@both
@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("PixelSpacing", rb"1.5\ 2 ", (1.5, 2)),
        ("PixelSpacing", b"", None),
        ("PixelSpacing", b"  ", None),
        ("NumberOfFrames", b"12\0", (12,)),
        ("Rows", b"\x01\x02", (513,)),
        ("Rows", b"\1\0\2\0", (1, 2)),
        ("Rows", b"", None),
        ("FloatPixelPaddingValue", b"\0\0\xc0\x3f", (1.5,)),
    ],
)
def test_numbers(kept, keyword, value, expected):
    with dicom_elements.quiet():
        assert numbers(read(keyword, value, kept=kept), keyword) == expected


@both
def test_number_of_a_big_endian_file(kept):
    assert number(read("Rows", b"\1\2", kept=kept, little=False), "Rows") == 258


@both
@pytest.mark.parametrize(
    ("keyword", "value", "problem"),
    [
        ("PixelSpacing", rb"1\wide", "wide"),
        ("PixelSpacing", rb"1\\2", "could not convert"),
        ("PixelSpacing", rb"1\nan", "finite numbers are wanted, got 1, nan"),
        ("PixelSpacing", rb"1", "2 values are wanted, got 1"),
    ],
)
def test_numbers_that_are_none(kept, keyword, value, problem):
    with dicom_elements.quiet(), pytest.raises(InputSkipped) as error:
        numbers(read(keyword, value, kept=kept), keyword, 2)
    assert error.value.code == "header_invalid"
    assert error.value.detail.startswith("(0028,0030) 'Pixel Spacing': ")
    assert problem in error.value.detail


def test_half_a_number():
    with pytest.raises(InputSkipped) as error:
        number(read("Rows", b"\1\2\3"), "Rows")
    assert "'Rows': 3 bytes, where each value has 2" in error.value.detail


def test_sequences():
    dataset = pydicom.Dataset()
    assert items(dataset, "ModalityLUTSequence") == []
    assert item(dataset, "ModalityLUTSequence") is None
    inner = [pydicom.Dataset(), pydicom.Dataset()]
    dataset.ModalityLUTSequence = inner
    assert items(dataset, "ModalityLUTSequence") == inner
    assert item(dataset, "ModalityLUTSequence") is inner[0]


@both
@pytest.mark.parametrize("little", [True, False])
def test_sequence_of_an_empty_item(kept, little):
    delimiter = b"\xfe\xff\x00\xe0" if little else b"\xff\xfe\xe0\x00"
    value = delimiter + bytes(4)
    dataset = read("ModalityLUTSequence", value, kept=kept, little=little)
    (found,) = items(dataset, "ModalityLUTSequence")
    assert len(found) == 0
    assert text(found, "LUTExplanation") == "" and number(found, "LUTData") is None


@pytest.mark.parametrize("value", [b"no sequence", b"\0" * 8, b"\xfe\xff\0\xe0"])
def test_sequence_that_cannot_be_read(value):
    dataset = read("ModalityLUTSequence", value)
    with pytest.raises(InputSkipped) as error:
        items(dataset, "ModalityLUTSequence")
    assert "(0028,3000)" in error.value.detail


def _nested(syntax, characters):
    """Bytes of a sequence whose items have texts, numbers and items, and its data set.

    The inner item has character sets of its own where ``characters`` says so.
    """
    inner = pydicom.Dataset()
    if characters:
        inner.SpecificCharacterSet = characters
    inner.PatientComments = "Übung"
    outer = pydicom.Dataset()
    outer.PatientID, outer.Rows, outer.PixelSpacing = "Jürgen", 7, [1.5, 2]
    outer.PurposeOfReferenceCodeSequence = [inner, inner]
    outer.is_undefined_length_sequence_item = True
    whole = pydicom.Dataset()
    whole.file_meta = pydicom.dataset.FileMetaDataset()
    whole.file_meta.TransferSyntaxUID = syntax
    whole.SpecificCharacterSet = "ISO_IR 100"
    whole.ReferencedImageSequence = [outer, pydicom.Dataset(), outer]
    with io.BytesIO() as buffer:
        whole.save_as(buffer)
        buffer.seek(0)
        return pydicom.dcmread(buffer, force=True)


@pytest.mark.parametrize("characters", ["", "ISO_IR 192"])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_items_are_read_without_pydicom(syntax, characters, monkeypatch):
    whole = _nested(syntax, characters)
    raw = {
        tag: element._replace(VR=element.VR or dictionary_VR(tag))
        for tag, element in whole._dict.items()
        if isinstance(element, RawDataElement)
    }
    dataset = HeaderDataset({**whole._dict, **raw})
    dataset.raw = raw
    monkeypatch.setattr(dicom_elements, "_value", None)  # not even once, until below
    outer, empty, same = items(dataset, "ReferencedImageSequence")
    assert number(outer, "Rows") == number(same, "Rows") == 7
    assert numbers(outer, "PixelSpacing", 2) == (1.5, 2)
    assert text(empty, "PatientID") == "" and items(empty, "PixelDataSequence") == []
    inner, _ = items(outer, "PurposeOfReferenceCodeSequence")
    monkeypatch.undo()
    # Texts in other characters are left to pydicom, which has to know which they are.
    assert text(outer, "PatientID") == "Jürgen"
    assert text(inner, "PatientComments") == "Übung"


@both
@pytest.mark.parametrize("kind", [b"LO\x04\0", b"??\x02\0"], ids=["short", "unknown"])
def test_items_that_only_pydicom_understands(kept, kind):
    value = b"\xfe\xff\x00\xe0\x0a\0\0\0" + b"\x10\0\x20\0" + kind + b"P1"
    dataset = read("ReferencedImageSequence", value, kept=kept)
    with dicom_elements.quiet():
        (found,) = items(dataset, "ReferencedImageSequence")
        assert text(found, "PatientID") == "P1"
    assert getattr(found, "raw", None) is None  # it did have to help


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
