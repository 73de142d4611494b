import io
import sys

import pydicom
import pytest

from tests import source_folders
from tfdicom import deidentify, source_values
from tfdicom.identifying_values import IdentifyingValues


def _values(**elements):
    dataset = pydicom.Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return _values_of(dataset)


def _values_of(dataset):
    values = IdentifyingValues()
    source_values.add_dataset(dataset, values)
    return {pattern: value.kind for pattern, value in values.patterns.items()}


def test_names_in_every_order_and_part():
    found = _values(PatientName="Zwingli^Ulrike^Anna")
    for spelling in ("zwingli^ulrike^anna", "zwingli", "ulrike", "anna"):
        assert found[spelling.encode()] == "name"
    for spelling in ("ulrike zwingli", "zwingli, ulrike", "zwingli_ulrike"):
        assert spelling.encode() in found


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_names_in_other_character_sets(charset):
    found = _values(SpecificCharacterSet="ISO_IR 192", PatientName="Müßiggang^Jörg")
    for spelling in ("Müßiggang", "müßiggang", "JÖRG", "jörg"):
        assert spelling.encode(charset).lower() in found


def test_names_of_two_ideographs(tmp_path):
    path = tmp_path / "1.dcm"
    source_folders.write_image(path, "P1", 1)
    name = "Yamada^Tarou=山田^太郎"
    source_folders.edit(
        path, SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=name
    )
    values, count = source_values.collect(tmp_path)
    assert count == 1
    assert "山田".encode() in values.patterns
    assert "山田".encode("iso2022_jp").lower() in values.patterns


@pytest.mark.parametrize(
    "spelling",
    ["19450823", "1945-08-23", "23.08.1945", "08/23/1945", "1945/08/23"],
)
def test_dates_in_every_form(spelling):
    assert _values(PatientBirthDate="19450823")[spelling.encode()] == "date"
    moment = _values(AcquisitionDateTime="19450823101500.25")
    assert moment[spelling.encode()] == "date"


def test_private_tags_and_sequences():
    dataset = pydicom.Dataset()
    block = dataset.private_block(0x0009, "MAKER", create=True)
    block.add_new(0x01, "LO", "Geheim Zwetschge")
    block.add_new(0x02, "UN", b"\0\1Huber^Vreni\0\0")
    block.add_new(0x03, "DS", "12.5")
    item = pydicom.Dataset()
    item.RequestedProcedureDescription = "for Dr. Quitte"
    inner = pydicom.Dataset()
    inner.PersonName = "Quitte^Xaver"
    item.RequestingPhysicianIdentificationSequence = [inner]
    dataset.RequestAttributesSequence = [item]
    found = _values_of(dataset)
    assert found[b"geheim zwetschge"] == "private value"
    assert b"huber^vreni" in found and b"vreni" in found
    assert found[b"for dr. quitte"] == "description"
    assert found[b"quitte^xaver"] == "name"
    assert b"12.5" not in found and b"maker" not in found


@pytest.mark.parametrize(
    "elements",
    [
        {"PatientID": "123"},
        {"PatientSex": "M", "PatientAge": "045Y"},
        {"PatientName": "Anonymous"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"},
        {"PatientWeight": "71.5"},
        {"Modality": "MRXY", "Manufacturer": "Some Maker"},
    ],
)
def test_what_identifies_nobody(elements):
    assert _values(**elements) == {}


@pytest.mark.parametrize("number", ["756.1234.5678.97", "12.34", "E123.4"])
def test_identifiers_may_look_like_measures(number):
    assert number.lower().encode() in _values(PatientID=number)
    assert number.lower().encode() in _values(AccessionNumber=number)


def test_private_numbers_with_several_points_are_no_measures():
    dataset = pydicom.Dataset()
    block = dataset.private_block(0x0009, "MAKER", create=True)
    block.add_new(0x01, "LO", "756.1234.5678.97")
    block.add_new(0x02, "LO", "1.25\\-0.5")
    found = _values_of(dataset)
    assert b"756.1234.5678.97" in found
    assert not any(b"1.25" in one for one in found)


def test_numbers_in_texts():
    found = _values(StudyDescription="see MRN 00778812, seen 19450823")
    assert b"00778812" in found and b"1945-08-23" in found


def test_names_of_files_and_folders(tmp_path):
    path = tmp_path / "KRAUSE_Hilde" / "visit 20031205" / "mr-778812.dcm"
    source_folders.write_image(path, "P1", 1)
    (tmp_path / "notes.txt").write_text("x")
    values, count = source_values.collect(tmp_path)
    assert count == 1
    for spelling in ("krause_hilde", "krause", "hilde", "20031205", "mr-778812"):
        assert values.patterns[spelling.encode()].kind == "file or folder name"


@pytest.mark.parametrize("vr", ["UN", "OB"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "latin-1"])
@pytest.mark.parametrize("around", [b"", b"\2\0\0\0"])
def test_private_bytes_in_other_character_sets(vr, encoding, around):
    dataset = pydicom.Dataset()
    block = dataset.private_block(0x0009, "MAKER", create=True)
    block.add_new(0x01, vr, around + "Zwingli^Jürg".encode(encoding) + around + b"\0")
    found = _values_of(dataset)
    for spelling in ("zwingli^jürg", "zwingli", "jürg", "jürg zwingli"):
        assert found[spelling.encode()] == "private value"


@pytest.mark.parametrize(
    ("charset", "encoding", "name"),
    [
        ("ISO_IR 144", "iso8859_5", "Люкceмбypг^Роза"),
        ("ISO_IR 192", "utf-8", "Люкceмбypг^Роза"),
        ("GB18030", "gb18030", "王^小东"),
        ("ISO_IR 100", "utf-16-le", "王^小东"),
    ],
)
def test_private_bytes_in_the_character_set_of_the_data_set(charset, encoding, name):
    dataset = pydicom.Dataset()
    dataset.SpecificCharacterSet = charset
    block = dataset.private_block(0x0009, "MAKER", create=True)
    block.add_new(0x01, "UN", name.encode(encoding))
    dataset = pydicom.dcmread(_written(dataset), force=True)
    assert _values_of(dataset)[name.lower().encode()] == "private value"


def _written(dataset):
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset, implicit_vr=False, little_endian=True)
    return io.BytesIO(file.getvalue())


def test_long_texts_are_looked_for_in_parts():
    words = [f"word{number} of Dr. Quitte" for number in range(60)]
    found = _values(ImageComments=" ".join(words))
    assert len(max(found, key=len)) <= 64
    text = " ".join(words).lower().encode()
    assert all(one in text for one in found) and sum(map(len, found)) > 0.9 * len(text)


def test_dicom_is_told_by_its_content(tmp_path):
    source_folders.write_image(tmp_path / "1.csv", "MRN778812", 1)
    values, count = source_values.collect(tmp_path)
    assert count == 1 and b"mrn778812" in values.patterns


def test_crosswalk_in_the_input_gives_its_source_columns(tmp_path):
    row = ("0" * 32, "1" * 32, "MRN778812", "Quitte Xaver/1.dcm")
    deidentify.write_crosswalk(tmp_path / "any.csv", [row])
    values, _ = source_values.collect(tmp_path)
    assert values.patterns[b"mrn778812"].kind == "identifier"
    assert values.patterns[b"quitte xaver"].kind == "file or folder name"
    assert not [one for one in values.patterns if b"0" * 8 in one or b"1" * 8 in one]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("PatientID,OriginalID\nMRN778812,x", "MRN778812"),
        ("grade;Patient Name\n1;Müller", "Müller"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_tables_of_other_programs(tmp_path, text, value, encoding):
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    values, _ = source_values.collect(tmp_path)
    assert value.lower().encode() in values.patterns


def test_tables_that_name_patients(tmp_path):
    table = "patient_id,grade\nMRN778812,severe\n"
    (tmp_path / "links.csv").write_text(table)
    values, _ = source_values.collect(tmp_path)
    assert values.patterns[b"mrn778812"].kind == "identifier"
    assert b"severe" not in values.patterns


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
