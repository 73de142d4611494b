import sys

import pytest
from pydicom.datadict import tag_for_keyword

from tfdicom import identifying_attributes


@pytest.mark.parametrize(
    "keyword",
    [
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "StudyInstanceUID",
        "SOPInstanceUID",
        "AccessionNumber",
        "InstitutionName",
        "ReferringPhysicianName",
        "OperatorsName",
        "StationName",
        "DeviceSerialNumber",
        "StudyDescription",
        "RequestAttributesSequence",
        "ROIName",
        "ImageComments",
        "OtherPatientIDsSequence",
    ],
)
def test_protected(keyword):
    assert identifying_attributes.is_protected(tag_for_keyword(keyword))


@pytest.mark.parametrize("tag", [0x00091001, 0x00110010, 0x50000005, 0x60024000])
def test_private_attributes_and_repeating_groups_are_protected(tag):
    assert identifying_attributes.is_protected(tag)


@pytest.mark.parametrize(
    "keyword",
    ["Modality", "Manufacturer", "Rows", "PixelSpacing", "SliceThickness", "PixelData"],
)
def test_not_protected(keyword):
    assert not identifying_attributes.is_protected(tag_for_keyword(keyword))


def test_the_table_is_whole():
    assert len(identifying_attributes.PROTECTED_TAGS) == 652  # its rows, as of 2026c


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
