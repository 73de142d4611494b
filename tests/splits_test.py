import collections
import hashlib
import itertools
import random
import sys

import pytest

from tfdicom import split_sizes, splits

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
        assert counts == split_sizes.exact_counts(
            splits.parse_split(FRACTIONS).fractions, number
        )


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


def everybody(table):
    return collections.Counter(table.values())


@pytest.mark.parametrize("text", [FRACTIONS, "a:0.98,b:0.01,c:0.01"])
def test_no_split_is_empty_with_ten_patients(text):
    rule = splits.parse_split(text)
    expected = split_sizes.exact_counts(rule.fractions, 10)
    for salt in range(1000):
        table = splits.assign(rule, PATIENTS[:10], salt=str(salt))
        assert everybody(table) == expected


@pytest.mark.parametrize("text", [FRACTIONS, "a:0.2,b:0.2,c:0.2,d:0.2,e:0.2"])
@pytest.mark.parametrize("strata", [False, True])
def test_nobody_moves_and_counts_stay_exact_when_patients_come(text, strata):
    rule = splits.parse_split(text)
    amounts = {p: {"ABC"[at % 3]: 1} for at, p in enumerate(PATIENTS)}
    given = {"strata": amounts} if strata else {}
    for seed in range(8):
        coming = random.Random(seed).sample(PATIENTS, len(PATIENTS))
        table, here = {}, 0
        while here < len(coming):
            here += random.Random(f"{seed}.{here}").choice([1, 1, 2, 5, 10, 20])
            grown = splits.assign(rule, coming[:here], frozen=table, **given)
            assert table.items() <= grown.items()
            assert len(grown) == min(here, len(coming))
            assert len(everybody(grown)) == min(len(rule.names), len(grown))
            table = grown
        assert everybody(table) == split_sizes.exact_counts(rule.fractions, 45)


def test_new_patients_fill_what_is_lacking():
    rule = splits.parse_split("train:0.5,validation:0.25,test:0.25")
    frozen = dict.fromkeys(PATIENTS[:4], "test")
    table = splits.assign(rule, PATIENTS[:12], frozen=frozen)
    assert everybody(table) == {"train": 5, "validation": 3, "test": 4}
    # Of those who are not here any more, nobody counts.
    frozen = {**frozen, **dict.fromkeys(PATIENTS[20:40], "train")}
    assert splits.assign(rule, PATIENTS[:12], frozen=frozen) == table


def test_fixed_split_takes_nobody():
    rule = splits.parse_split("train:0.6,validation:0.2,test:0.2")
    first = splits.assign(rule, PATIENTS[:10])
    grown = splits.assign(rule, PATIENTS, frozen=first, fixed=["test"])
    assert everybody(grown)["test"] == 2
    # The others share as 6 to 2.
    assert everybody(grown) == {"train": 32, "validation": 11, "test": 2}
    with pytest.raises(ValueError, match="all splits are fixed .*fixed_splits"):
        splits.assign(rule, PATIENTS, frozen=first, fixed=rule.names)
    assert splits.assign(rule, list(first), frozen=first, fixed=rule.names) == first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train:A,test:B", "patient 'A' is in split 'test' already, and is to go to"),
        ("train:B", "patient 'A' is in split 'test' already, and no such one is asked"),
        ("a:0.5,b:0.5", "'A' is in split 'test' already.*a patient keeps their split"),
    ],
)
def test_a_rule_that_would_move_a_patient_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        splits.assign(splits.parse_split(text), ["A", "B"], frozen={"A": "test"})


def test_a_rule_by_name_keeps_those_whom_it_does_not_name():
    rule = splits.parse_split("train:B,test:C")
    table = splits.assign(rule, ["A", "B", "D"], frozen={"A": "test", "B": "train"})
    assert table == {"A": "test", "B": "train"}
    with pytest.raises(ValueError, match="patient 'C' is to go to split 'test', which"):
        splits.assign(rule, ["A", "C"], frozen={"A": "test"}, fixed=["test"])
    kept = splits.assign(rule, ["C"], frozen={"C": "test"}, fixed=["test"])
    assert kept == {"C": "test"}


def test_folds_want_a_patient_each():
    rule = splits.fold_rule(5)
    assert rule.names == ("fold0", "fold1", "fold2", "fold3", "fold4")
    assert set(everybody(splits.assign(rule, PATIENTS)).values()) == {9}
    with pytest.raises(ValueError, match="folds=5: every fold wants a patient, and 4"):
        splits.assign(rule, PATIENTS[:4])


@pytest.mark.parametrize("text", ["train", FRACTIONS, " a:0.5, b: 5e-1"])
def test_recorded_rule_reads_back(text):
    rule = splits.parse_split(text)
    assert splits.parse_recorded(rule.asked) == rule
    assert rule.asked == text


def test_recorded_folds_names_and_shares_read_back():
    assert splits.parse_recorded("5 folds") == splits.fold_rule(5)
    assert splits.parse_recorded(splits.parse_split("a:B").asked) is None
    rule = splits.rule_of_counts({"b": 2, "a": 1, "none": 0})
    assert rule.names == ("b", "a") and rule.fractions == {"b": 2 / 3, "a": 1 / 3}
    assert splits.parse_recorded(rule.asked).fractions == {"b": 0.6667, "a": 0.3333}


def test_patients_of_any_text_are_ranked():
    assert len(splits.assign(splits.parse_split("a:0.5,b:0.5"), ["\udcff", "Ö"])) == 2


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
