import sys

import pytest

from tests import synthetic
from tfdicom.manifest import load_manifest
from tfdicom.patient_leakage import check_leakage

NAMES = ("heart", "chest")


@pytest.fixture
def manifests(tmp_path):
    """Writes two data sets from their splits' patients, with one key unless told."""

    def write(*data_sets, keys=("k", "k")):
        found = []
        for name, splits, key in zip(NAMES, data_sets, keys, strict=False):
            patients = {
                split: {patient: synthetic.frames(1) for patient in members}
                for split, members in splits.items()
            }
            options = {} if key is None else {"identity_key": key}
            synthetic.write_dataset(tmp_path / name, patients, options=options)
            found.append(load_manifest(tmp_path / name))
        return found

    return write


@pytest.mark.parametrize(
    ("first", "second", "splits"),
    [
        ({"train": "ab", "test": "c"}, {"train": "de", "test": "f"}, ["train"]),
        # A patient of both, but in the same split.
        ({"train": "ab", "test": "c"}, {"train": "ae", "test": "c"}, ["train"]),
        # In another, but that is read too.
        ({"f0": "a", "f1": "b", "f2": "c"}, {"f0": "b", "f1": "a"}, ["f0", "f1"]),
        # In another, but it is nobody's who is read.
        ({"train": "a", "valid": "x"}, {"train": "b", "test": "x"}, ["train"]),
    ],
)
def test_accepts(manifests, first, second, splits):
    assert check_leakage(manifests(first, second), NAMES, splits) is None


@pytest.mark.parametrize(
    ("first", "second", "splits", "message"),
    [
        (
            {"train": "ab", "test": "c"},
            {"train": "d", "test": "bc"},
            ["train"],
            r"^1 patients of heart, split train, are in another split of chest: b "
            r"\(test\)\. Convert them with one --split=FILE\.csv$",
        ),
        # The other way round.
        (
            {"train": "a", "valid": "d"},
            {"train": "cd", "test": "b"},
            ["train"],
            r"^1 patients of chest, split train, .* of heart: d \(valid\)\.",
        ),
        # Also when it is the test split that is read.
        (
            {"train": "a", "test": "b"},
            {"train": "b", "test": "c"},
            ["test"],
            r"^1 patients of heart, split test, .* of chest: b \(train\)\.",
        ),
        (
            {"f0": "a", "f1": "b", "f2": "c"},
            {"f0": "c", "f1": "b", "f2": "a"},
            ["f0", "f1"],
            r"of heart, split f0\+f1, are in another split of chest: a \(f2\)",
        ),
        (
            {"train": "abcdefg", "test": "h"},
            {"train": "i", "test": "gfedcba"},
            ["train"],
            r"^7 patients .*: a \(test\), b \(test\), c \(test\), d \(test\), "
            r"e \(test\) and 2 more\.",
        ),
    ],
)
def test_refuses(manifests, first, second, splits, message):
    with pytest.raises(ValueError, match=message):
        check_leakage(manifests(first, second), NAMES, splits)


def test_a_patient_whose_examples_were_all_left_out_counts(manifests, tmp_path):
    first = {"train": "a", "test": "b"}
    second = {"train": "c", "test": "d"}
    found = manifests(first, second)
    found[1].split_table["a"] = "test"  # planned there, nothing was converted
    with pytest.raises(ValueError, match=r"of heart, .* chest: a \(test\)"):
        check_leakage(found, NAMES, ["train"])


def test_one_data_set_agrees_with_itself(manifests):
    found = manifests({"train": "ab", "test": "c"}, keys=[None])
    assert check_leakage(found, NAMES[:1], ["train"]) is None


@pytest.mark.parametrize("keys", [("k", "other"), ("k", None), (None, None)])
def test_says_when_pseudonyms_cannot_be_compared(manifests, keys):
    splits = {"train": "a", "test": "b"}, {"train": "c", "test": "d"}
    sentence = check_leakage(manifests(*splits, keys=keys), NAMES, ["train"])
    assert "made with different keys: whether a patient is in two of them" in sentence
    assert sentence.endswith("Convert them with one --id_key_file")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
