import sys

import pytest

from tfdicom import splits
from tfdicom.convert_options import DEFAULT_SPLIT, ConvertOptions
from tfdicom.deidentify import Pseudonyms
from tfdicom.label_kinds import CLASS, LabelInfo
from tfdicom.label_table import LabelTable
from tfdicom.split_choice import SplitChoice, check_stratify_label, choose_splits

PSEUDONYMS = Pseudonyms(b"a key for tests, of enough bytes")
A, B, C = (PSEUDONYMS.of("patient", who) for who in "ABC")


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("patient_id,split\nA,train\nB,test\n")
    return str(path)


def choose(frozen=None, **options):
    return choose_splits(ConvertOptions(**options), PSEUDONYMS, frozen)


def test_defaults():
    found = choose()
    assert found == SplitChoice(splits.parse_split(DEFAULT_SPLIT))
    assert found.recorded([]) == {
        "fixed_splits": [],
        "split": DEFAULT_SPLIT,
        "stratify": None,
    }


def test_fractions_folds_and_table(table):
    assert choose(split="a:0.5,b:0.5").rule.names == ("a", "b")
    assert choose(folds=3).rule == splits.fold_rule(3)
    found = choose(split=table)
    assert found.rule.patients == {"A": "train", "B": "test"}
    assert found.recorded([])["split"] == "by name" and not found.frozen


@pytest.mark.parametrize(
    ("before", "asked", "patients", "told"),
    [
        (None, "classes", [A], None),  # everybody was dealt by then
        ("classes", None, [A], "classes"),
        ("classes", "classes", [A, "new"], "classes"),
        (None, "classes", [A, "new"], "none, then classes"),
        ("classes", None, [A, "new"], "classes, then none"),
        ("none, then classes", "classes", [A, "new"], "none, then classes"),
    ],
)
def test_what_was_stratified_is_recorded(before, asked, patients, told):
    options = ConvertOptions(stratify=asked)
    found = choose_splits(options, PSEUDONYMS, {A: "train"}, stratified=before)
    assert found.recorded(patients)["stratify"] == told


def test_what_is_there_already_is_frozen():
    assert choose({A: "train"}, fixed_splits=" test,, train,test ") == SplitChoice(
        splits.parse_split(DEFAULT_SPLIT),
        frozen={A: "train"},
        fixed=("test", "train"),
    )


def test_earlier_splits_give_fractions_unless_others_are_asked_for(table):
    found = choose(splits_from=table)
    assert found.frozen == {A: "train", B: "test"}
    assert found.rule.fractions == {"train": 0.5, "test": 0.5}
    assert found.recorded([])["split"] == "train:0.5,test:0.5"
    found = choose(splits_from=table, split="train:0.8,test:0.2", split_salt="x")
    assert found.frozen == {A: "train", B: "test"}
    assert found.rule.fractions == {"train": 0.8, "test": 0.2}
    assert found.salt == "x"


def test_earlier_splits_and_the_data_set_that_is_extended(table):
    found = choose({A: "train", C: "test"}, splits_from=table)
    assert found.frozen == {A: "train", B: "test", C: "test"}
    with pytest.raises(ValueError, match=f"{B} in split 'test', .* in 'train'; a pat"):
        choose({B: "train"}, splits_from=table)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fixed_splits": "tset"}, "no split 'tset'; there are train, validation, tes"),
        ({"folds": 2, "fixed_splits": "test"}, "'test'; there are fold0, fold1"),
        ({"split": "a:A,b:B", "stratify": "classes"}, "stratify='classes' draws pati"),
    ],
)
def test_what_does_not_go_together(options, message):
    with pytest.raises(ValueError, match=message):
        choose(**options)


def test_splits_of_a_table_of_masks_take_the_place_of_fractions():
    rule = splits.SplitRule(("a", "b"), {}, {"A": "a"})
    assert choose({A: "a"}).by_name(rule).frozen == {A: "a"}
    with pytest.raises(ValueError, match="stratify='classes' draws patients"):
        choose(stratify="classes").by_name(rule)
    with pytest.raises(ValueError, match="no split 'test'; there are a, b"):
        choose(fixed_splits="test").by_name(rule)


def test_a_label_that_the_table_has_not():
    table = LabelTable((LabelInfo("age", CLASS, ("a",)),), ("patient",), {}, "a.csv")
    check_stratify_label("label:age", table)
    check_stratify_label("classes", None)
    check_stratify_label("", None)
    with pytest.raises(ValueError, match="'label:sex': the labels that there are: age"):
        check_stratify_label("label:sex", table)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
