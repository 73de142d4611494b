"""SUV factors against the definition, worked out by hand."""

import sys

import pytest
from pydicom.dataset import Dataset

from tfdicom.pet import suv_factor


def _pet(**changes):
    dose = Dataset()
    dose.RadionuclideTotalDose = "400000000"  # Bq
    dose.RadionuclideHalfLife = "6600"  # s
    dose.RadiopharmaceuticalStartTime = "100000"
    dataset = Dataset()
    dataset.Modality, dataset.Units = "PT", "BQML"
    dataset.DecayCorrection = "START"
    dataset.CorrectedImage = ["DECY", "ATTN"]
    dataset.PatientWeight = "80"
    dataset.SeriesDate = dataset.AcquisitionDate = "20200101"
    dataset.SeriesTime = dataset.AcquisitionTime = "115000"  # a half-life later
    dataset.RadiopharmaceuticalInformationSequence = [dose]
    for keyword, value in changes.items():
        target = (
            dose if keyword in dose or keyword.endswith("StartDateTime") else dataset
        )
        if value is None:
            delattr(target, keyword)
        else:
            setattr(target, keyword, value)
    return dataset


def test_dose_is_decayed_to_the_scan():
    # 80,000 g / (400 MBq halved once)
    assert suv_factor(_pet()) == pytest.approx(80_000 / 200e6)


def test_a_series_made_later_uses_the_acquisition():
    assert suv_factor(_pet(SeriesTime="180000")) == pytest.approx(80_000 / 200e6)


def test_date_and_time_of_injection_win():
    moment = "20200101092000"  # 9,000 s before the scan
    factor = suv_factor(_pet(RadiopharmaceuticalStartDateTime=moment))
    assert factor == pytest.approx(80_000 / (400e6 * 2 ** (-9000 / 6600)))


@pytest.mark.parametrize(
    "changes",
    [
        {"Modality": "CT"},
        {"Units": "CNTS"},
        {"DecayCorrection": "NONE"},
        {"CorrectedImage": ["DECY"]},
        {"PatientWeight": None},
        {"PatientWeight": "0"},
        {"RadionuclideTotalDose": None},
        {"RadionuclideHalfLife": "0"},
        {"SeriesTime": "090000", "AcquisitionTime": "090000"},  # before the injection
        {"RadiopharmaceuticalInformationSequence": []},
    ],
    ids=str,
)
def test_unknown_where_something_is_missing(changes):
    assert suv_factor(_pet(**changes)) is None


def test_suv_images_are_unchanged():
    assert suv_factor(_pet(Units="GML")) == 1.0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
