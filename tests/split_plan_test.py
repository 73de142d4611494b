"""Splits from one end to the other: what a conversion gives its patients."""

import collections
import csv
import shutil
import sys

import pytest

import tfdicom
from tests import real_data, source_folders
from tfdicom import deidentify, manifest
from tfdicom.classes import parse_classes
from tfdicom.split_choice import SplitChoice
from tfdicom.split_plan import assign_patients
from tfdicom.splits import fold_rule, parse_split

PUBLIC = deidentify.load_pseudonyms("public")[0]
PATIENTS = [f"P{number:02d}X" for number in range(12)]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Twelve patients; the first three have four contours more than the others."""
    root = tmp_path_factory.mktemp("splits") / "in"
    return source_folders.write_folder(root, patients=PATIENTS, annotated=1, plain=0)


@pytest.fixture(scope="module")
def frames(source):
    found = collections.defaultdict(list)
    for one in source_folders.annotated_frames(source.root):
        found[one.header.patient_id].append(one)
    return found


def subset(source, root, patients):
    """The input folder with some of its patients."""
    for patient in patients:
        shutil.copytree(source.root / "dicoms" / patient, root / "dicoms" / patient)
        name = source.original(patient)
        shutil.copytree(
            source.root / "contourfiles" / name, root / "contourfiles" / name
        )
    shutil.copy(source.root / "link.csv", root)
    return root


def table_of(output):
    """Split by source patient."""
    names = {PUBLIC.of("patient", patient): patient for patient in PATIENTS}
    table = manifest.load_manifest(output).split_table
    return {names[who]: split for who, split in table.items()}


def everybody(table):
    return collections.Counter(table.values())


CLASSES = parse_classes("inner;outer")


def assign(frames, choice):
    return assign_patients(frames, choice, CLASSES, PUBLIC)


def frozen(**members):
    return {
        PUBLIC.of("patient", patient): name
        for name, patients in members.items()
        for patient in patients
    }


def test_patients_are_known_again_by_pseudonym(frames):
    rule = parse_split("train:0.5,test:0.5")
    before = frozen(test=[*PATIENTS[:7], "GONE"])
    assigned, warnings = assign(frames, SplitChoice(rule, frozen=before))
    assert {assigned[patient] for patient in PATIENTS[:7]} == {"test"}
    assert {assigned[patient] for patient in PATIENTS[7:]} == {"train"}
    assert warnings[0] == "1 patients that have a split already have no annotated image"


def test_a_split_is_fixed_once_somebody_is_in_it(frames):
    rule = parse_split("train:0.5,test:0.5")
    choice = SplitChoice(rule, frozen={}, fixed=("test",))
    assert everybody(assign(frames, choice)[0]) == {"train": 6, "test": 6}
    # Also if who is in it is not here.
    before = frozen(train=PATIENTS[:1], test=["GONE"])
    choice = SplitChoice(rule, frozen=before, fixed=("test",))
    assigned, warnings = assign(frames, choice)
    assert everybody(assigned) == {"train": 12}
    assert any("split 'test' gets no patient" in one for one in warnings)


def test_nobody_known_is_refused(frames):
    choice = SplitChoice(fold_rule(2), frozen=frozen(fold0=["GONE"]))
    with pytest.raises(ValueError, match="none of the 1 patients .* 12 annotated ones"):
        assign(frames, choice)


def test_few_patients_are_told_of_folds(frames):
    _, warnings = assign(frames, SplitChoice(parse_split("train:0.5,test:0.5")))
    assert warnings == [
        "12 patients are few for one fixed split; --folds=5 uses them better"
    ]
    assert assign(frames, SplitChoice(fold_rule(4)))[1] == []
    assert assign(frames, SplitChoice(parse_split("train")))[1] == []


def test_fewer_patients_than_folds(frames):
    few = {patient: frames[patient] for patient in PATIENTS[:4]}
    with pytest.raises(ValueError, match="folds=5: every fold wants a patient, and 4"):
        assign(few, SplitChoice(fold_rule(5)))


def test_extended_data_set_moves_nobody(source, tmp_path):
    given = {"split": "train:0.5,validation:0.25,test:0.25", "fixed_splits": "test"}
    tables = []
    for patients in (PATIENTS[4:8], PATIENTS[2:4], PATIENTS[8:], PATIENTS[:2]):
        subset(source, tmp_path / "in", patients)
        source_folders.convert(tmp_path / "in", tmp_path / "out", **given)
        tables.append(table_of(tmp_path / "out"))
    for before, after in zip(tables, tables[1:], strict=False):
        assert before.items() < after.items()
    assert everybody(tables[0]) == {"train": 2, "validation": 1, "test": 1}
    assert everybody(tables[-1]) == {"train": 7, "validation": 4, "test": 1}
    recorded = manifest.load_manifest(tmp_path / "out").options
    assert recorded["fixed_splits"] == ["test"]


def test_splits_from_an_earlier_data_set(source, tmp_path):
    earlier = subset(source, tmp_path / "earlier", PATIENTS[:6])
    source_folders.convert(
        earlier,
        tmp_path / "a",
        split="fit:0.5,test:0.5",
        split_salt="mine",
        fixed_splits="test",
    )
    source_folders.convert(
        source.root,
        tmp_path / "b",
        split=tfdicom.ConvertOptions().split,
        splits_from=str(tmp_path / "a"),
    )
    before, after = table_of(tmp_path / "a"), table_of(tmp_path / "b")
    assert before.items() < after.items()
    assert everybody(after) == {"fit": 9, "test": 3}
    found = manifest.load_manifest(tmp_path / "b")
    assert list(found.splits) == ["fit", "test"] and found.salt == "mine"
    assert found.options["split"] == "fit:0.5,test:0.5"
    assert found.options["fixed_splits"] == ["test"]


def test_splits_from_a_table(source, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("patient_id,split\nP00X,b\nP01X,a\nP02X,a\nNOBODY,b\n")
    split = "a:0.75,b:0.25"
    source_folders.convert(
        source.root, tmp_path / "out", splits_from=str(path), split=split
    )
    table = table_of(tmp_path / "out")
    assert [table[patient] for patient in PATIENTS[:3]] == ["b", "a", "a"]
    assert everybody(table) == {"a": 9, "b": 3}
    text = (tmp_path / "out" / "dataset.json").read_text()
    assert "NOBODY" not in text and "P00X" not in text


def test_stratified_folds_by_a_label(source, tmp_path):
    labels = tmp_path / "labels.csv"
    rows = [f"{who},{'ill' if at < 4 else 'well'}" for at, who in enumerate(PATIENTS)]
    labels.write_text("\n".join(["patient_id,diagnosis", *rows]) + "\n")
    for salt in ("1", "2", "3"):
        output = tmp_path / salt
        source_folders.convert(
            source.root,
            output,
            folds=4,
            split=tfdicom.ConvertOptions().split,
            split_salt=salt,
            labels=str(labels),
            stratify="label:diagnosis",
        )
        table = table_of(output)
        assert everybody(table) == {f"fold{n}": 3 for n in range(4)}
        assert {table[patient] for patient in PATIENTS[:4]} == set(table.values())
    assert manifest.load_manifest(output).options["stratify"] == "label:diagnosis"
    batches = tfdicom.input_fn(
        output, "fold0+fold2", classes=["inner"], batch_size=3, training=False
    )
    assert sum(len(image) for image, _ in batches) == 6


@pytest.mark.parametrize("salt", ["1", "2", "3"])
def test_stratified_by_class(frames, salt):
    # An outer contour on the only image of six of them.
    few = {
        patient: [
            one.__class__(one.path, one.header, one.annotations[:1])
            if at % 2 and len(one.annotations) > 1
            else one
            for one in frames[patient]
        ]
        for at, patient in enumerate(PATIENTS)
    }
    counts = [len(one[0].annotations) for one in few.values()]
    assert sorted(counts) == [1] * 6 + [2] * 6
    choice = SplitChoice(parse_split("a:0.5,b:0.5"), salt, stratify="classes")
    assigned, _ = assign(few, choice)
    both = [who for who, found in few.items() if len(found[0].annotations) == 2]
    assert everybody({who: assigned[who] for who in both}) == {"a": 3, "b": 3}


@real_data.needs_sunnybrook
def test_real_patients_keep_their_splits(tmp_path):
    links = list(csv.DictReader((real_data.SUNNYBROOK / "link.csv").open()))
    root = tmp_path / "in"
    given = {"split": "train:0.67,test:0.33", "num_workers": 2, "stratify": "classes"}
    tables = []
    for added in (links[:2], links[2:]):
        for link in added:
            for folder, name in (
                ("dicoms", link["patient_id"]),
                ("contourfiles", link["original_id"]),
            ):
                shutil.copytree(
                    real_data.SUNNYBROOK / folder / name, root / folder / name
                )
        shutil.copy(real_data.SUNNYBROOK / "link.csv", root)
        source_folders.convert(root, tmp_path / "out", **given)
        tables.append(manifest.load_manifest(tmp_path / "out").split_table)
    assert tables[0].items() < tables[1].items()
    assert everybody(tables[0]) == {"train": 1, "test": 1}
    assert everybody(tables[1]) == {"train": 2, "test": 1}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
