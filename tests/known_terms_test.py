import sys

import pytest

from tfdicom import known_terms


@pytest.mark.parametrize(
    "value",
    [
        "GE MEDICAL SYSTEMS",
        "SIEMENS",
        "Philips Medical Systems",
        "TOSHIBA_MEC",
        "Agfa-Gevaert AG",
        "FUJI PHOTO FILM Co. Ltd.".replace("PHOTO ", ""),
        "SIGNA HDx",
        "SOMATOM Definition AS+",
        "Genesis_Signa",
        "MR750w",
        "Biograph128_mCT",
        "Brilliance 64",
        "6100",
    ],
)
def test_devices_that_are_kept(value):
    assert known_terms.known_device(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Doe^John",
        "GE Doe",
        "SIGNA HDx of Dr. Smith",
        "19450823",
        "SIGNA 19450823",
        "Smith45",
        "Müller",
        "GE MEDICAL SYSTEMS 山田",
        "A-12345",
        "1945-08-23",
        "1.2.840.113619.2.55",
        "---",
    ],
)
def test_devices_that_are_left_out(value):
    assert known_terms.known_device(value) == ""


@pytest.mark.parametrize(
    "value",
    ["HU", "BQML", "mm2/s", "10-6.mm2/s", "[hnsf'U]", "Bq/ml", "g/ml{SUVbw}", "ms"]
    + ["{SUVbw}g/ml", "1", "%", "OD", "US"],
)
def test_units_that_are_kept(value):
    assert known_terms.known_units(value) == value


@pytest.mark.parametrize(
    "value", ["Smith", "Doe^Jane", "20040119", "HU of Doe", "Al", "1.2.3.4", "{Doe}"]
)
def test_units_that_are_left_out(value):
    assert known_terms.known_units(value) == ""


def test_modality_and_colour_are_defined_terms():
    assert known_terms.known_modality("MR") == "MR"
    assert known_terms.known_modality("DOE JOHN") == ""
    assert known_terms.known_photometric("MONOCHROME2") == "MONOCHROME2"
    assert known_terms.known_photometric("DOE") == ""


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
