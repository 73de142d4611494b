"""The factor that turns PET activity into a standardised uptake value.

Body-weight SUV as the Quantitative Imaging Biomarkers Alliance defines it for DICOM:
activity concentration x weight / injected dose, the dose decayed to the time that the
pixels were corrected to (PS3.3 C.8.9.1, Decay Correction (0054,1102)).
"""

from __future__ import annotations

import datetime
import math

import pydicom
from pydicom.valuerep import DA, DT, TM


def suv_factor(dataset: pydicom.Dataset) -> float | None:
    """Body-weight SUV (g/ml) of a modality value of 1; None where it cannot be known.

    Known are images whose Units (0054,1001) are GML, and those in BQML that are
    corrected for attenuation and decay to the start of the scan and say weight, dose,
    half-life and both times.
    """
    if dataset.get("Modality") != "PT":
        return None
    if dataset.get("Units") == "GML":
        return 1.0
    if not _is_corrected(dataset):
        return None
    try:
        return _from_dose(dataset)
    except (AttributeError, IndexError, TypeError, ValueError, ZeroDivisionError):
        return None  # something that it takes is absent or makes no sense


def _is_corrected(dataset: pydicom.Dataset) -> bool:
    corrections = set(dataset.get("CorrectedImage") or ())
    return (
        dataset.get("Units") == "BQML"
        and dataset.get("DecayCorrection") == "START"
        and {"ATTN", "DECY"} <= corrections
    )


def _from_dose(dataset: pydicom.Dataset) -> float | None:
    dose = dataset.RadiopharmaceuticalInformationSequence[0]
    seconds = (_scan_start(dataset) - _injection(dataset, dose)).total_seconds()
    grams = float(dataset.PatientWeight) * 1000
    left = float(dose.RadionuclideTotalDose) * 2 ** (
        -seconds / float(dose.RadionuclideHalfLife)
    )
    sensible = 0 < grams < math.inf and 0 < left < math.inf and seconds >= 0
    return grams / left if sensible else None


def _scan_start(dataset: pydicom.Dataset) -> datetime.datetime:
    series = _moment(dataset, "SeriesDate", "SeriesTime")
    acquisition = _moment(dataset, "AcquisitionDate", "AcquisitionTime")
    # A series that was made later from stored data bears the time of its making.
    return min(series, acquisition)


def _injection(dataset: pydicom.Dataset, dose: pydicom.Dataset) -> datetime.datetime:
    if dose.get("RadiopharmaceuticalStartDateTime"):
        return DT(str(dose.RadiopharmaceuticalStartDateTime)).replace(tzinfo=None)
    time = TM(str(dose.RadiopharmaceuticalStartTime))
    return datetime.datetime.combine(DA(str(dataset.SeriesDate)), time)


def _moment(dataset: pydicom.Dataset, date: str, time: str) -> datetime.datetime:
    return datetime.datetime.combine(
        DA(str(getattr(dataset, date))), TM(str(getattr(dataset, time)))
    )
