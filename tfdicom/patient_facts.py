"""What a header says of the patient and the day, and what of it a record may hold."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from typing import Any

import pydicom

from tfdicom.deidentify import Pseudonyms
from tfdicom.dicom_elements import number, text
from tfdicom.privacy_options import AGE_BAND, SEX, SHIFT, WEIGHT, FactRules
from tfdicom.reasons import InputSkipped

_SEXES = ("M", "F", "O")
_BAND_YEARS, _OLDEST = 5, 90
# In a year, by the unit of Patient's Age (0010,1010).
_IN_A_YEAR = {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
# Dates move into the past, by a day to ten years.
_LONGEST_SHIFT = 3652


@dataclasses.dataclass(frozen=True, slots=True)
class PatientFacts:
    """What a header says of the patient and the days, as it stands there.

    Attributes:
      sex: Patient's Sex.
      age: Patient's Age, years; else from the dates of birth and study.
      weight: Patient's Weight, kilograms.
      study_date: Study Date.
      acquisition_date: Acquisition Date.
    """

    sex: str = ""
    age: float | None = None
    weight: float | None = None
    study_date: str = ""
    acquisition_date: str = ""


# Images of one study say the same.
_facts = functools.lru_cache(maxsize=1 << 10)(PatientFacts)


def read_facts(dataset: pydicom.Dataset) -> PatientFacts:
    """What the header says; values that make no sense count as absent."""
    study = text(dataset, "StudyDate")
    birth = parse_date(text(dataset, "PatientBirthDate"))
    return _facts(
        text(dataset, "PatientSex").upper(),
        _age(text(dataset, "PatientAge"), birth, parse_date(study)),
        _weight(dataset),
        study,
        text(dataset, "AcquisitionDate"),
    )


def _age(
    value: str, birth: datetime.date | None, study: datetime.date | None
) -> float | None:
    digits, unit = value[:-1], value[-1:].upper()
    if digits.isascii() and digits.isdigit() and unit in _IN_A_YEAR:
        return int(digits) / _IN_A_YEAR[unit]
    if birth and study and birth <= study:
        before = (study.month, study.day) < (birth.month, birth.day)
        return float(study.year - birth.year - before)
    return None


def _weight(dataset: pydicom.Dataset) -> float | None:
    try:
        value = number(dataset, "PatientWeight")
    except InputSkipped:
        return None
    return value if value and 0 < value < 1000 else None


@functools.lru_cache(maxsize=1 << 10)
def parse_date(value: str) -> datetime.date | None:
    """A date of DICOM (``20040119``, or ``2004.01.19`` of old); None if it is none."""
    digits = value.replace(".", "") if value[4:5] == "." else value
    if len(digits) != 8 or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def age_band(years: float) -> str:
    """The band of five years: ``0-4``, ``5-9``, ..., ``85-89``; from 90 on ``90+``."""
    if years >= _OLDEST:
        return f"{_OLDEST}+"
    first = int(years) // _BAND_YEARS * _BAND_YEARS
    return f"{first}-{first + _BAND_YEARS - 1}"


def shift_days(source_patient: str, pseudonyms: Pseudonyms) -> int:
    """Days by which all dates of a patient move into the past: 1 to 3652.

    Without the key nobody can tell; the same for all of a patient's studies, so that
    the time between them stays.
    """
    drawn = int(pseudonyms.of("shift of dates", source_patient)[:16], 16)
    return 1 + drawn % _LONGEST_SHIFT


def shifted(value: str, days: int) -> str | None:
    """A date moved into the past, YYYYMMDD; None where there is none."""
    date = parse_date(value)
    if date is None or date.toordinal() <= days:
        return None
    return (date - datetime.timedelta(days)).isoformat().replace("-", "")


def fact_fields(
    facts: PatientFacts, source_patient: str, rules: FactRules, pseudonyms: Pseudonyms
) -> dict[str, Any]:
    """The fields of the record that were asked for; identifiers are not among them."""
    found: dict[str, Any] = {}
    if AGE_BAND in rules.keep and facts.age is not None:
        found["age_band"] = age_band(facts.age)
    if SEX in rules.keep and facts.sex in _SEXES:
        found["sex"] = facts.sex
    if WEIGHT in rules.keep and facts.weight is not None:
        found["weight"] = round(facts.weight)
    if rules.dates == SHIFT:
        days = shift_days(source_patient, pseudonyms)
        found["study_date"] = shifted(facts.study_date, days)
        found["acquisition_date"] = shifted(facts.acquisition_date, days)
    return found
