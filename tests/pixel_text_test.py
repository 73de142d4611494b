import sys

import pydicom
import pytest
from pydicom import uid

from tests import source_folders
from tfdicom import dicom_file, pixel_text
from tfdicom.conversion import conversion_summary
from tfdicom.convert_options import ConvertOptions


def _has_risk(sop_class, modality="MR", burned_in=None, **elements):
    dataset = pydicom.Dataset()
    dataset.SOPClassUID, dataset.Modality = sop_class, modality
    if burned_in is not None:
        dataset.BurnedInAnnotation = burned_in
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
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


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, True),
        ({"ImageType": ["DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"]}, True),
        ({"ImageType": ["DERIVED", "SECONDARY", "Screenshot"]}, True),
        (
            {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"], "burned_in": "NO"},
            True,
        ),
        ({"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED"]}, False),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]}, False),
        ({"ImageType": ""}, False),
        ({"ConversionType": "WSD"}, True),
        ({"ConversionType": "SI", "burned_in": "NO"}, True),
        ({"ConversionType": ""}, False),
        ({"burned_in": "NO"}, False),
        ({"burned_in": "N"}, False),
        ({"burned_in": "MAYBE"}, True),
        ({"burned_in": "Y"}, True),
    ],
)
def test_what_an_image_of_any_class_says_of_itself(elements, expected):
    with pydicom.config.disable_value_validation():
        assert _has_risk(uid.CTImageStorage, "CT", **elements) is expected


@pytest.mark.parametrize("said", ["YES", "yes", "Y", "True", "1"])
def test_text_that_is_burned_in_by_any_word(tmp_path, said):
    path = tmp_path / "1.dcm"
    with pydicom.config.disable_value_validation():
        source_folders.write_image(path, "P1", 1, BurnedInAnnotation=said)
    assert pixel_text.says_burned_in(dicom_file.open_header(path))


def test_files(tmp_path):
    path = tmp_path / "1.dcm"
    source_folders.write_image(path, "P1", 1)
    assert not pixel_text.has_text_risk(dicom_file.open_header(path))
    source_folders.edit(path, SOPClassUID=uid.SecondaryCaptureImageStorage)
    assert pixel_text.has_text_risk(dicom_file.open_header(path))
    source_folders.write_image(path, "P1", 1, ConversionType="WSD")
    assert pixel_text.has_text_risk(dicom_file.open_header(path))
    source_folders.write_image(path, "P1", 1, ImageType=["DERIVED", "X", "SCREEN SAVE"])
    assert pixel_text.has_text_risk(dicom_file.open_header(path))


def _capture(path):
    source_folders.edit(path, SOPClassUID=uid.SecondaryCaptureImageStorage)


def test_a_conversion_leaves_them_out_by_policy(source, tmp_path):
    _capture(source.image(source.patients[0], 1))  # which has two contours
    cache = str(tmp_path / "cache")
    options = {"split": "train", "header_cache": cache, "max_error_rate": 0.0}
    for output in ("one", "two"):  # the second knows the headers already
        result = source_folders.convert(source.root, tmp_path / output, **options)
        counts = result.ledger.counts()
        assert counts["reasons"]["pixel_text_risk"] == 1
        assert counts["reasons"]["image_left_out"] == 2
        assert all(not each.get("skipped") for each in counts.values())
        assert len(source_folders.examples(tmp_path / output)) == 5
    summary = conversion_summary(result, ConvertOptions(output_dir="two"))
    assert summary.count("pixel_text_risk") == 1
    result = source_folders.convert(
        source.root, tmp_path / "all", allow_pixel_text_risk=True, **options
    )
    assert len(source_folders.examples(tmp_path / "all")) == 6


def test_nothing_else_there_is_an_error_that_says_so(source, tmp_path):
    for path in source.root.rglob("*.dcm"):
        _capture(path)
    words = "no.* usable image; 9 may have text in their pixels.*--allow_pixel_text"
    with pytest.raises(ValueError, match=words):
        source_folders.convert(source.root, tmp_path / "out")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
