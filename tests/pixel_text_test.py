import sys

import pydicom
import pytest
from pydicom import uid

from tests import source_folders
from tfdicom import dicom_file, pixel_text


def _has_risk(sop_class, modality="MR", burned_in=None):
    dataset = pydicom.Dataset()
    dataset.SOPClassUID, dataset.Modality = sop_class, modality
    if burned_in is not None:
        dataset.BurnedInAnnotation = burned_in
    return pixel_text.has_text_risk(dataset)


@pytest.mark.parametrize(
    ("sop_class", "modality", "burned_in", "expected"),
    [
        (uid.MRImageStorage, "MR", None, False),
        (uid.CTImageStorage, "CT", None, False),
        (uid.PositronEmissionTomographyImageStorage, "PT", None, False),
        (uid.DigitalXRayImageStorageForPresentation, "DX", None, False),
        (uid.SecondaryCaptureImageStorage, "MR", None, True),
        (uid.SecondaryCaptureImageStorage, "MR", "NO", True),
        (uid.UltrasoundImageStorage, "US", None, True),
        (uid.UltrasoundImageStorage, "US", "NO", False),
        (uid.VLPhotographicImageStorage, "XC", "", True),
        (uid.CTImageStorage, "SC", None, True),
        ("1.2.840.10008.5.1.4.1.1.6", "", None, True),
    ],
)
def test_kinds(sop_class, modality, burned_in, expected):
    assert _has_risk(sop_class, modality, burned_in) is expected


def test_files(tmp_path):
    path = tmp_path / "1.dcm"
    source_folders.write_image(path, "P1", 1)
    assert not pixel_text.has_text_risk(dicom_file.open_header(path))
    source_folders.edit(path, SOPClassUID=uid.SecondaryCaptureImageStorage)
    assert pixel_text.has_text_risk(dicom_file.open_header(path))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
