import collections
import fractions
import hashlib
import itertools
import random
import sys

import pytest

from tfdicom import splits

FRACTIONS = "train:0.7,validation:0.15,test:0.15"
PATIENTS = [f"SC-HF-I-{n:02d}" for n in range(45)]


@pytest.mark.parametrize(
    ("text", "names", "fractions", "patients"),
    [
        ("train", ("train",), {"train": 1.0}, {}),
        (" train:0.7, test:.3,", ("train", "test"), {"train": 0.7, "test": 0.3}, {}),
        ("b:0.33,a:0.33,c:0.33", ("b", "a", "c"), dict.fromkeys("bac", 0.33), {}),
        ("a:1e-2,b:0.99", ("a", "b"), {"a": 0.01, "b": 0.99}, {}),
        ("a:1+2,b:3+", ("a", "b"), {}, {"1": "a", "2": "a", "3": "b"}),
        ("b-1:x y:z,a_2:Ö", ("b-1", "a_2"), {}, {"x y:z": "b-1", "Ö": "a_2"}),
    ],
)
def test_reads(text, names, fractions, patients):
    rule = splits.parse_split(text)
    assert rule == splits.SplitRule(names, fractions, patients)
    assert list({**rule.fractions, **rule.patients}.values()) == list(
        {**fractions, **patients}.values()
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "split='': one or more different names"),
        (" , ", "one or more different names"),
        ("a:0.5,a:0.5", "one or more different names"),
        (":1", "'' is no split name; wanted is as 'train:0.7,"),
        ("1fold:1", "'1fold' is no split name"),
        ("fold1+fold2:1", r"'fold1\+fold2' is no split name"),
        ("a b:1", "'a b' is no split name"),
        ("a:0.5,b:0.4", r"must be positive and sum to 1, got 0\.9"),
        ("a:0.7,b:0.4", r"sum to 1, got 1\.1"),
        ("a:1.5,b:-0.5", "must be positive"),
        ("a:1,b:0", "must be positive"),
        ("a:nan", "sum to 1, got nan"),
        ("a:inf", "sum to 1, got inf"),
        ("a:70,b:30", "sum to 1, got 100"),
        ("train,test", "'train' has neither a fraction nor patients"),
        ("train:0.7,test", "'test' has neither a fraction nor patients"),
        ("train:0.5,test:A", r"mixes fractions and .* write '0\.5\+'"),
        ("train:A,test:101", r"if '101' is the name of a patient, write '101\+'"),
        ("train:X,test:+", "'test' has neither a fraction nor patients"),
        ("a:X+Y,b:Z+X", "patient 'X' is named in 'a' and in 'b'"),
        ("a:X+X,b:Y", "patient 'X' is named in 'a' and in 'a'"),
    ],
)
def test_refuses(text, message):
    with pytest.raises(ValueError, match=message):
        splits.parse_split(text)


BOM = "\ufeff"


@pytest.mark.parametrize("start", ["", BOM], ids=["plain", "BOM"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_reads_a_table(start, end):
    lines = ["patient_id,age,split,", ' A ,7,train,"x"', "B,9,test", '"C,D",8,train']
    text = start + end.join([*lines, "A,7,train,again", ""])
    rule = splits.parse_split_table(text, source="a.csv")
    patients = {"A": "train", "B": "test", "C,D": "train"}
    assert rule == splits.SplitRule(("train", "test"), {}, patients)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "^a.csv: the columns patient_id and split are wanted, got none$"),
        ("patient_id;split\nA;train\n", "are wanted, got patient_id;split$"),
        ("patient,split\nA,train\n", "are wanted, got patient, split$"),
        ("patient_id,split\n", "^a.csv: it names no patient$"),
        ("patient_id,split\nA,train\nB,\n", "a.csv, line 3: .* got 'B' and ''"),
        ("patient_id,split\nA,train\nB\n", "a.csv, line 3: .* got 'B' and ''"),
        ("split,patient_id\ntrain\n", "a.csv, line 2: .* got '' and 'train'"),
        ("patient_id,split\nA,train\n,test\n", "a.csv, line 3: .* got '' and 'test'"),
        (
            "patient_id,split\nA,train\nB,test\n\nA,test\n",
            r"a.csv, line 5: .* got 'A' and 'test' \(before: 'train'\)",
        ),
        ("patient_id,split\nA,train\nB,0.5\n", "a.csv, line 3.*'0.5' is no split name"),
    ],
)
def test_refuses_a_table(text, message):
    with pytest.raises(ValueError, match=message):
        splits.parse_split_table(text, source="a.csv")


def _by_hand(total: int) -> dict[str, int]:
    """Hamilton's largest remainder, in fractions, for 0.7, 0.15 and 0.15."""
    parts = {"train": 70, "validation": 15, "test": 15}
    quotas = {n: fractions.Fraction(total * part, 100) for n, part in parts.items()}
    counts = {name: int(quota) for name, quota in quotas.items()}
    order = sorted(quotas, key=lambda name: counts[name] - quotas[name])
    for name in order[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


@pytest.mark.parametrize("total", [0, 1, 2, 3, 4, 5, 6, 7, 10, 20, 45, 100, 1234])
def test_counts_are_the_largest_remainders(total):
    counts = splits.exact_counts(splits.parse_split(FRACTIONS).fractions, total)
    expected = _by_hand(total)
    if total >= 5:
        assert counts == expected
    assert sum(counts.values()) == total
    assert sum(map(bool, counts.values())) == min(total, 3)


@pytest.mark.parametrize(
    ("shares", "total", "expected"),
    [
        ([0.33, 0.33, 0.33], 9, [3, 3, 3]),
        ([0.33, 0.33, 0.33], 10, [4, 3, 3]),
        ([0.2] * 5, 5, [1] * 5),
        ([0.1, 0.9], 10, [1, 9]),
        ([0.1, 0.2, 0.7], 1000, [100, 200, 700]),
        ([0.98, 0.01, 0.01], 3, [1, 1, 1]),
        ([0.98, 0.01, 0.01], 5, [3, 1, 1]),
        ([0.01, 0.99], 1, [0, 1]),
        ([0.01, 0.01, 0.98], 2, [1, 0, 1]),
        ([1.0], 7, [7]),
    ],
)
def test_counts(shares, total, expected):
    given = {f"s{n}": share for n, share in enumerate(shares)}
    assert list(splits.exact_counts(given, total).values()) == expected


def _ranked(patients: list[str], salt: str) -> list[str]:
    def digest(patient: str) -> bytes:
        return hashlib.sha256(salt.encode() + b"\0" + patient.encode()).digest()

    return sorted(patients, key=digest)


@pytest.mark.parametrize("salt", ["tfdicom", "other"])
@pytest.mark.parametrize("number", [1, 3, 10, 45])
def test_patients_go_by_rank_of_their_hash(number, salt):
    patients = PATIENTS[:number]
    table = splits.assign(splits.parse_split(FRACTIONS), patients, salt=salt)
    assert set(table) == set(patients)
    in_order = [table[patient] for patient in _ranked(patients, salt)]
    counts = collections.Counter(in_order)
    names = ("train", "validation", "test")
    assert in_order == list(itertools.chain(*([n] * counts[n] for n in names)))
    assert len(counts) == min(number, 3)
    if number >= 5:
        assert counts == _by_hand(number)


def test_default_salt_is_public():
    rule = splits.parse_split(FRACTIONS)
    assert splits.assign(rule, PATIENTS) == splits.assign(
        rule, PATIENTS, salt="tfdicom"
    )


def test_order_and_repeats_do_not_matter():
    rule = splits.parse_split(FRACTIONS)
    shuffled = PATIENTS * 2
    random.Random(1).shuffle(shuffled)
    assert splits.assign(rule, shuffled) == splits.assign(rule, PATIENTS)


def test_salt_makes_another_draw():
    rule = splits.parse_split("a:0.5,b:0.5")
    draws = {
        tuple(sorted(splits.assign(rule, PATIENTS, salt=str(n)).items()))
        for n in range(20)
    }
    assert len(draws) == 20


def test_growth_keeps_the_order_of_the_draw():
    rule = splits.parse_split(FRACTIONS)
    place = {"train": 0, "validation": 1, "test": 2}
    ranks = _ranked(PATIENTS, "tfdicom")
    for number in range(1, len(PATIENTS) + 1):
        table = splits.assign(rule, PATIENTS[:number])
        places = [place[table[patient]] for patient in ranks if patient in table]
        assert places == sorted(places)


def test_named_patients_go_where_they_are_named():
    rule = splits.parse_split("train:A+B+C,test:D+E")
    table = splits.assign(rule, ["D", "X", "B", "A", "B"])
    assert table == {"A": "train", "B": "train", "D": "test"}


def test_refuses_names_of_which_none_is_here():
    rule = splits.parse_split("train:A+B+C+D+E+F+G,test:H")
    with pytest.raises(
        ValueError,
        match="none of the patients .* A, B, C, D, E and 3 more; found are X, Y$",
    ):
        splits.assign(rule, ["Y", "X"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
