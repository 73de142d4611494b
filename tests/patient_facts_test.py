import datetime
import sys

import pydicom
import pytest

from tfdicom import patient_facts
from tfdicom.deidentify import Pseudonyms
from tfdicom.patient_facts import PatientFacts
from tfdicom.privacy_options import FactRules

PSEUDONYMS = Pseudonyms(bytes(32))


def _read(**elements):
    dataset = pydicom.Dataset()
    with pydicom.config.disable_value_validation():
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        return patient_facts.read_facts(dataset)


@pytest.mark.parametrize(
    ("elements", "age"),
    [
        ({"PatientAge": "045Y"}, 45),
        ({"PatientAge": "018M"}, 1.5),
        ({"PatientAge": "000D"}, 0),
        ({"PatientAge": "old"}, None),
        ({"PatientAge": ""}, None),
        ({"PatientBirthDate": "19500120", "StudyDate": "20040119"}, 53),
        ({"PatientBirthDate": "19500119", "StudyDate": "20040119"}, 54),
        ({"PatientBirthDate": "20050101", "StudyDate": "20040119"}, None),
        ({"PatientBirthDate": "19500120"}, None),
        ({"PatientAge": "061Y", "PatientBirthDate": "19500120"}, 61),
    ],
)
def test_age(elements, age):
    assert _read(**elements).age == age


@pytest.mark.parametrize(
    ("weight", "expected"),
    [("71.6", 71.6), ("0", None), ("-3", None), ("1e9", None), ("", None)],
)
def test_weight(weight, expected):
    assert _read(PatientWeight=weight).weight == expected


@pytest.mark.parametrize(
    ("years", "band"),
    [
        (0, "0-4"),
        (4.99, "0-4"),
        (5, "5-9"),
        (89.9, "85-89"),
        (90, "90+"),
        (103, "90+"),
    ],
)
def test_bands_of_age(years, band):
    assert patient_facts.age_band(years) == band


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20040119", datetime.date(2004, 1, 19)),
        ("2004.01.19", datetime.date(2004, 1, 19)),
        ("20040230", None),
        ("２００４０１１９", None),
        ("2004", None),
        ("", None),
        ("John Doe", None),
    ],
)
def test_dates(value, expected):
    assert patient_facts.parse_date(value) == expected


def test_time_between_studies_stays():
    days = patient_facts.shift_days("P1", PSEUDONYMS)
    first, last = (patient_facts.shifted(d, days) for d in ("20040119", "20041231"))
    dates = [patient_facts.parse_date(one) for one in (first, last)]
    assert dates[1] - dates[0] == datetime.date(2004, 12, 31) - datetime.date(
        2004, 1, 19
    )
    assert dates[0] < datetime.date(2004, 1, 19)


def test_shifts_are_the_patients_own_and_hang_on_the_key():
    shifts = [patient_facts.shift_days(f"P{n}", PSEUDONYMS) for n in range(500)]
    assert 1 <= min(shifts) < 100 and 3550 < max(shifts) <= 3652
    assert len(set(shifts)) > 400
    other = Pseudonyms(bytes(31) + b"\1")
    assert patient_facts.shift_days("P0", other) != shifts[0]


FACTS = PatientFacts("F", 61.2, 71.6, "20040119", "20040120")


def test_nothing_is_kept_unless_asked_for():
    made = patient_facts.fact_fields(FACTS, "P1", FactRules(), PSEUDONYMS)
    assert made == {}


def test_what_is_asked_for_is_kept():
    rules = FactRules("shift", ("age_band", "sex", "weight"))
    made = patient_facts.fact_fields(FACTS, "P1", rules, PSEUDONYMS)
    days = patient_facts.shift_days("P1", PSEUDONYMS)
    assert made == {
        "age_band": "60-64",
        "sex": "F",
        "weight": 72,
        "study_date": patient_facts.shifted("20040119", days),
        "acquisition_date": patient_facts.shifted("20040120", days),
    }


def test_what_is_absent_or_odd_stays_absent():
    rules = FactRules("shift", ("age_band", "sex", "weight"))
    odd = PatientFacts("DOE JOHN", None, None, "yesterday", "")
    made = patient_facts.fact_fields(odd, "P1", rules, PSEUDONYMS)
    assert set(made.values()) <= {None}
    assert patient_facts.shifted("00010101", 400) is None


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
