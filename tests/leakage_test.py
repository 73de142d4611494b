import dataclasses
import sys

import pytest

from tfdicom import leakage
from tfdicom.leakage import AuditedExample, LeakageAudit

ONE = AuditedExample(
    split="train",
    patient="ann",
    study="study 1",
    series="series 1",
    instance="instance 1",
    pixel_hash="11" * 32,
    name="1.dcm",
)
OTHER = AuditedExample(
    split="test",
    patient="bob",
    study="study 2",
    series="series 2",
    instance="instance 2",
    pixel_hash="22" * 32,
    name="2.dcm",
)


def audit(*examples):
    found = LeakageAudit()
    for one in examples:
        found.add(one)
    return found


def changed(example, **fields):
    return dataclasses.replace(example, **fields)


def test_apart_is_no_leak():
    assert audit(ONE, ONE, OTHER).shared == ()
    leakage.refuse_leaks(audit(ONE, OTHER))


@pytest.mark.parametrize(
    ("kind", "field", "words"),
    [
        ("study", "study", "has the same study as"),
        ("series", "series", "has the same series as"),
        ("instance", "instance", "has the same SOP Instance as"),
        ("pixels", "pixel_hash", "has the same pixels as"),
        ("patient", "patient", "has the same patient as"),
    ],
)
def test_what_is_in_two_splits(kind, field, words):
    there = changed(OTHER, **{field: getattr(ONE, field)})
    found = audit(ONE, there)
    (leak,) = found.leaks
    assert (leak.kind, leak.count, leak.is_leak) == (kind, 1, True)
    assert str(leak).startswith(f"2.dcm of patient {there.patient} in split 'test' ")
    assert f"{words} 1.dcm of patient ann in split 'train'" in str(leak)
    with pytest.raises(ValueError, match=r"not apart:\n2\.dcm of .*\n--patient_from"):
        leakage.refuse_leaks(found)


@pytest.mark.parametrize("field", ["study", "series", "instance", "pixel_hash"])
def test_what_two_patients_of_a_split_share_is_told_and_no_leak(field):
    there = changed(OTHER, split="train", **{field: getattr(ONE, field)})
    found = audit(ONE, there)
    (shared,) = found.shared
    assert not shared.is_leak and list(found.leaks) == []
    leakage.refuse_leaks(found)


def test_constant_frames_are_no_leak():
    blank = (changed(one, pixel_hash=None) for one in (ONE, OTHER))
    assert audit(*blank).shared == ()


def test_what_a_patient_has_twice_is_no_leak():
    again = changed(ONE, name="rater 2", instance="instance 3")
    assert audit(ONE, again).shared == ()


def test_pairs_of_patients_are_counted_once():
    many = [
        changed(ONE, pixel_hash=f"{n:064x}"[::-1], name=f"{n}") for n in range(1, 9)
    ]
    there = [changed(OTHER, pixel_hash=one.pixel_hash) for one in many]
    (leak,) = audit(*many, *there).leaks
    assert leak.count == 8 and leak.first.name == "1"
    assert "(and 7 more such)" in str(leak)


def test_leaks_come_first_and_long_lists_are_cut():
    within = changed(OTHER, split="train", patient="eve", pixel_hash=ONE.pixel_hash)
    there = [
        changed(
            OTHER,
            patient=f"{n}",
            pixel_hash=ONE.pixel_hash,
            study=f"{n}",
            series=f"{n}",
            instance=f"{n}",
        )
        for n in range(14)
    ]
    found = audit(ONE, changed(within, study="e", series="e", instance="e"), *there)
    assert [one.is_leak for one in found.shared] == [True] * 14 + [False]
    with pytest.raises(ValueError, match="and 4 more such pairs"):
        leakage.refuse_leaks(found)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
