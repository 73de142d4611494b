import sys

import pydicom
import pytest

from tests import enhanced_images, source_folders
from tests.enhanced_images import dataset, groups
from tfdicom import dicom, reasons


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.dcm"


def attributes(path, name):
    return [header.attributes[name] for header in dicom.read_headers(path)]


def test_each_frame_has_a_rescale_of_its_own(path):
    own = [
        groups(
            PixelValueTransformationSequence={
                "RescaleSlope": slope,
                "RescaleIntercept": -10 * slope,
                "RescaleType": "HU",
            },
            FrameVOILUTSequence={"WindowCenter": 40 * slope, "WindowWidth": 400},
        )
        for slope in (1, 2, 3)
    ]
    enhanced_images.write(path, own=own, RescaleSlope="9", WindowCenter="7")
    assert attributes(path, "rescale_slope") == [1, 2, 3]
    assert attributes(path, "rescale_intercept") == [-10, -20, -30]
    assert attributes(path, "units") == ["HU"] * 3
    assert attributes(path, "window") == [(40, 400), (80, 400), (120, 400)]


def test_shared_rescale_is_that_of_all_frames(path):
    transformation = {"RescaleSlope": 2, "RescaleIntercept": 1, "RescaleType": "US"}
    shared = groups(PixelValueTransformationSequence=transformation)
    enhanced_images.write(path, shared=shared)
    assert attributes(path, "rescale_slope") == [2] * 3
    assert attributes(path, "rescale_intercept") == [1] * 3


def mapping(**elements):
    unit = dataset(CodeValue="um2/s", CodingSchemeDesignator="UCUM")
    defaults = {"RealWorldValueSlope": 0.5, "RealWorldValueIntercept": -3.0}
    unit_sequence = {"MeasurementUnitsCodeSequence": [unit]}
    return dataset(**{**defaults, **unit_sequence, **elements})


@pytest.mark.parametrize(
    ("mappings", "elements", "expected"),
    [
        ([mapping()], {}, (0.5, -3, "um2/s")),
        ([mapping(), mapping()], {}, (1, 0, None)),
        ([mapping(RealWorldValueSlope=None)], {}, (1, 0, None)),
        ([mapping()], {"RescaleSlope": "2"}, (2, 0, None)),
        ([mapping()], {"Units": "BQML"}, (1, 0, "BQML")),
        ([], {}, (1, 0, None)),
    ],
)
def test_real_world_values_stand_in_for_a_rescale(path, mappings, elements, expected):
    source_folders.write_image(
        path, "P1", 1, RealWorldValueMappingSequence=mappings, **elements
    )
    found = [
        attributes(path, name)[0]
        for name in ("rescale_slope", "rescale_intercept", "units")
    ]
    assert tuple(found) == expected


def test_real_world_values_of_each_frame(path):
    own = [
        dataset(RealWorldValueMappingSequence=[mapping(RealWorldValueSlope=slope)])
        for slope in (0.1, 0.2, 0.3)
    ]
    enhanced_images.write(path, own=own)
    assert attributes(path, "rescale_slope") == [0.1, 0.2, 0.3]


def test_cardiac_phase_of_each_frame(path):
    own = [
        groups(
            CardiacSynchronizationSequence={"NominalCardiacTriggerDelayTime": delay},
            FrameContentSequence={"TemporalPositionIndex": index},
        )
        for index, delay in ((2, 40.0), (1, 0.0), (3, 80.5))
    ]
    headers = dicom.read_headers(enhanced_images.write(path, own=own))
    assert attributes(path, "trigger_time") == [40, 0, 80.5]
    in_time = sorted(headers, key=lambda header: header.temporal_order)
    assert [header.frame_number for header in in_time] == [2, 1, 3]


@pytest.mark.parametrize(
    ("dtype", "kind", "value", "expected"),
    [
        ("int16", "SS", -2000, -2000),
        ("int16", "US", 63536, -2000),
        ("uint16", "US", 63536, 63536),
        ("uint16", "SS", -2000, 63536),
    ],
)
def test_padding_has_the_sign_of_the_pixels(path, dtype, kind, value, expected):
    pixels = source_folders.draw_pixels(1).astype(dtype)
    source_folders.write_image(path, "P1", 1, pixels=pixels)
    image = pydicom.dcmread(path)
    image.add_new("PixelPaddingValue", kind, value)
    image.save_as(path)
    assert attributes(path, "padding") == [(expected, expected)]


def test_padding_of_floats(path):
    source_folders.write_image(
        path,
        "P1",
        1,
        FloatPixelPaddingValue=-1.5,
        FloatPixelPaddingRangeLimit=-2.5,
    )
    assert attributes(path, "padding") == [(-2.5, -1.5)]


def test_modality_lut_is_a_finding(path):
    table = dataset(LUTDescriptor=[2, 0, 16], LUTData=b"\0\0\1\0", ModalityLUTType="US")
    source_folders.write_image(path, "P1", 1, ModalityLUTSequence=[table])
    (header,) = dicom.read_headers(path)
    assert header.findings == ("modality_lut",)
    assert set(header.findings) <= set(reasons.FINDINGS)


def test_field_names_are_those_of_the_record(path):
    from tfdicom.example_schema import FrameExample

    source_folders.write_image(path, "P1", 1)
    (header,) = dicom.read_headers(path)
    assert set(header.attributes) <= set(FrameExample.__dataclass_fields__)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
