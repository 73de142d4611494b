import json
import sys

import pytest

from tests import source_folders
from tfdicom import deidentify, manifest, splits
from tfdicom.deidentify import Pseudonyms
from tfdicom.earlier_splits import read_earlier_splits

PUBLIC = deidentify.load_pseudonyms("public")[0]
OTHER = Pseudonyms(b"a key for tests, of enough bytes")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("earlier")
    source = source_folders.write_folder(root / "in")
    source_folders.convert(
        source.root,
        root / "out",
        split="train:0.6,test:0.4",
        split_salt="s",
        fixed_splits="test",
    )
    return root / "out"


@pytest.mark.parametrize("name", ["", "dataset.json", "copy.json"])
def test_reads_a_manifest(dataset, tmp_path, name):
    path = dataset / name
    if name == "copy.json":
        path = tmp_path / name
        path.write_bytes((dataset / "dataset.json").read_bytes())
    found = read_earlier_splits(str(path), PUBLIC)
    assert found.table == manifest.load_manifest(dataset).split_table
    assert sorted(found.table) == sorted(
        PUBLIC.of("patient", patient) for patient in source_folders.PATIENTS
    )
    assert found.rule == splits.parse_split("train:0.6,test:0.4")
    assert (found.salt, found.fixed) == ("s", ("test",))


def rewritten(dataset, path, change):
    fields = json.loads((dataset / "dataset.json").read_text())
    change(fields)
    path.write_text(json.dumps(fields))
    return str(path)


def test_reads_what_it_needs_of_other_versions(dataset, tmp_path):
    def change(fields):
        fields["schema_version"] = 99
        del fields["classes"], fields["options"]["fixed_splits"]
        fields["options"]["split"] = "5 folds"

    found = read_earlier_splits(rewritten(dataset, tmp_path / "a.json", change), PUBLIC)
    assert found.rule == splits.fold_rule(5)
    assert found.fixed == ()


def test_splits_by_name_become_fractions(dataset, tmp_path):
    def change(fields):
        fields["options"]["split"] = "by name"
        fields["splits"] = dict(reversed(fields["splits"].items()))

    found = read_earlier_splits(rewritten(dataset, tmp_path / "a.json", change), PUBLIC)
    assert found.rule.names == ("test", "train")
    assert found.rule.fractions == {"train": 2 / 3, "test": 1 / 3}


def test_reads_a_table(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("patient_id,split\nA,fit\nB,test\nC,fit\nD,fit\n")
    found = read_earlier_splits(str(path), OTHER)
    assert found.table == {
        OTHER.of("patient", who): split
        for who, split in {"A": "fit", "B": "test", "C": "fit", "D": "fit"}.items()
    }
    assert found.rule.fractions == {"fit": 0.75, "test": 0.25}
    assert (found.salt, found.fixed) == (None, ())


def test_another_key_is_refused(dataset):
    with pytest.raises(
        ValueError, match="--splits_from: .*another identity key .* CSV file with the"
    ) as error:
        read_earlier_splits(str(dataset), OTHER)
    assert PUBLIC.fingerprint in str(error.value)
    assert OTHER.fingerprint in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "a.json is no manifest of a data set .*patient_id,split"),
        ("a.json", "[]", "is no manifest"),
        ("a.json", "{}", r"is no manifest of a data set \(KeyError\('options'\)\)"),
        ("a.csv", "who,split\nA,test\n", "a.csv: the columns patient_id and split"),
        ("a.csv", None, "--splits_from: .*a.csv cannot be read: No such file"),
        ("a", None, "--splits_from: .*dataset.json cannot be read: No such file"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, name, text, message):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_earlier_splits(str(path), PUBLIC)


def test_reads_from_elsewhere(dataset):
    memory = pytest.importorskip("upath").UPath("memory://earlier/dataset.json")
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_bytes((dataset / "dataset.json").read_bytes())
    for path in ("memory://earlier", "memory://earlier/dataset.json"):
        assert len(read_earlier_splits(path, PUBLIC).table) == 3


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
