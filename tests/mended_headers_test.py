import sys

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.seg_files import make_plane, make_series
from tfdicom.mended_headers import mended


def make_header(**elements):
    (header,) = make_series([make_plane(0)]).datasets
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    return header


@pytest.mark.parametrize(
    ("keyword", "value", "kept"),
    [
        ("StudyDate", "20120000", False),
        ("StudyDate", "20120229", True),
        ("PatientBirthDate", "00000000", False),
        ("StudyTime", "256000", False),
        ("StudyTime", "083237.000000", True),
        ("PatientSex", "X", False),
        ("PatientSex", "F", True),
        ("PatientID", "", True),
    ],
)
def test_what_makes_no_sense_is_blanked_and_reported(keyword, value, kept):
    with pydicom.config.disable_value_validation():
        header = make_header(**{keyword: value})
        found, changes = mended(header, multi_frame=False)
        assert str(found[keyword].value) == (value if kept else "")
        assert str(header[keyword].value) == value
    assert len(changes) == (0 if kept else 1)
    assert all("was invalid, now empty" in note for note in changes)
    assert not any(value and value in note for note in changes)


def test_dates_that_no_segmentation_takes_over_are_blanked_silently():
    with pydicom.config.disable_value_validation():
        header = make_header(AcquisitionDate="20120000")
        found, changes = mended(header, multi_frame=False)
    assert (found.AcquisitionDate, changes) == ("", [])


def test_what_is_missing_is_empty():
    header = make_header(SpecificCharacterSet="")
    for keyword in ("PatientName", "AccessionNumber", "SliceThickness"):
        del header[keyword]
    found, changes = mended(header, multi_frame=False)
    assert found.PatientName == found.AccessionNumber == ""
    assert found.SliceThickness is None
    assert "SpecificCharacterSet" not in found
    assert changes == []


@pytest.mark.parametrize("multi_frame", [True, False])
def test_private_elements_go_and_groups_of_single_frames(multi_frame):
    header = make_header(PerFrameFunctionalGroupsSequence=[Dataset()])
    header.private_block(0x0009, "ACME", create=True).add_new(0x01, "LO", "private")
    found, _ = mended(header, multi_frame=multi_frame)
    assert not any(element.tag.is_private for element in found)
    assert ("PerFrameFunctionalGroupsSequence" in found) == multi_frame


def test_a_value_that_cannot_be_read_is_as_one_that_makes_no_sense():
    header = make_header()
    tag = pydicom.datadict.tag_for_keyword("StudyDate")
    raw = pydicom.dataelem.RawDataElement(
        pydicom.tag.Tag(tag), "US", 3, b"abc", 0, False, True
    )
    header._dict[pydicom.tag.Tag(tag)] = raw
    found, changes = mended(header, multi_frame=False)
    assert found.StudyDate == ""
    assert changes == ["(0008,0020) 'Study Date' was invalid, now empty"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
