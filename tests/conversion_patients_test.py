import csv
import json
import pathlib
import re
import stat
import sys

import numpy as np
import pytest

from tests import source_folders
from tests.folder_contents import finished
from tests.source_folders import convert, examples
from tfdicom import (
    conversion,
    manifest,
)
from tfdicom.deidentify import load_pseudonyms


def reasons(result):
    return result.ledger.counts()["reasons"]


# Identity.


def test_key_and_crosswalk_lie_in_the_users_configuration(
    source, tmp_path, monkeypatch, capsys
):
    config = tmp_path / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    result = convert(source.root, tmp_path / "out", id_key_file=None)
    key = config / "tfdicom" / "id.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(bytes.fromhex(key.read_text())) == 32
    assert str(key) in capsys.readouterr().err
    assert result.crosswalk.parent == key.parent
    assert stat.S_IMODE(result.crosswalk.stat().st_mode) == 0o600
    again = convert(source.root, tmp_path / "again", id_key_file=None)
    assert "Made the key" not in capsys.readouterr().err
    assert again.crosswalk != result.crosswalk
    _check_crosswalk(result.crosswalk, source, tmp_path / "out")


def _check_crosswalk(path, source, output):
    with path.open() as file:
        rows = list(csv.DictReader(file))
    lines = {line["candidate"]: line for line in manifest.read_ledger(output)}
    assert {row["candidate"] for row in rows} == set(lines)
    paths = {row["source_path"] for row in rows}
    assert paths == {
        path.relative_to(source.root).as_posix()
        for path in source.root.rglob("*.*")
        if path.name != "link.csv"
    }
    by_key = {one.key: one for one in examples(output)}
    for row in rows:
        line = lines[row["candidate"]]
        assert line["kind"] == ("image" if ".dcm" in row["source_path"] else "contour")
        if "key" in line:
            assert by_key[line["key"]].patient == row["patient"]
            place = source.patients.index(row["source_patient"]) + 1
            assert row["source_patient"] in row["source_path"] or (
                f"SC-HF-I-{place}/" in row["source_path"]
            )


def test_public_key_leaves_no_crosswalk(source, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert convert(source.root, tmp_path / "out").crosswalk is None
    (record,) = (tmp_path / "config").rglob("*.*")  # the flags, for a repair
    assert record.name.startswith("conversion-")
    pseudonyms, _ = load_pseudonyms("public")
    patients = {one.patient for one in examples(tmp_path / "out")}
    assert patients == {pseudonyms.of("patient", one) for one in source.patients}


@pytest.mark.parametrize("place", ["out/id.key", "out/deep/id.key", "x/../out/id.key"])
def test_key_inside_the_data_set_is_refused_and_not_made(source, tmp_path, place):
    (tmp_path / "x").mkdir()
    with pytest.raises(ValueError, match="the key must not lie in the data set"):
        convert(source.root, tmp_path / "out", id_key_file=str(tmp_path / place))
    assert not (tmp_path / "out").exists()


# Patients and splits.


@pytest.mark.parametrize(
    ("patient_from", "table"),
    [
        ("study", None),
        (r"folder:dicoms/([^/]+)/", None),
        (
            "csv:{table}",
            "path,patient_id\n"
            + "".join(
                f"dicoms/{patient},person {patient}\n"
                for patient in source_folders.PATIENTS
            ),
        ),
    ],
)
def test_patient_from_elsewhere(source, tmp_path, patient_from, table):
    for path in source.root.rglob("*.dcm"):
        source_folders.edit(path, PatientID="Anonymous")
    file = tmp_path / "who.csv"
    if table:
        file.write_text(table)
    patient_from = patient_from.format(table=file)
    convert(source.root, tmp_path / "out", patient_from=patient_from)
    found = examples(tmp_path / "out")
    assert len({one.patient for one in found}) == 3
    kind = manifest.load_manifest(tmp_path / "out").options["patient_from"]
    assert kind == patient_from.partition(":")[0]


def split_of(output, source):
    """Split by source patient, found by the pixels of their first image."""
    table = manifest.load_manifest(output).split_table
    found = {}
    by_pixels = {one.pixels: one for one in examples(output)}
    for patient in source.patients:
        pixels = source_folders.draw_pixels(patient, 1).tobytes()
        if pixels in by_pixels:
            found[patient] = table[by_pixels[pixels].patient]
    return found


def test_split_by_names(source, tmp_path):
    one, two, three = source.patients
    result = convert(
        source.root, tmp_path / "out", split=f"fit:{two}+{three},test:{one}"
    )
    expected = {one: "test", two: "fit", three: "fit"}
    assert split_of(tmp_path / "out", source) == expected
    assert list(result.manifest.splits) == ["fit", "test"]
    assert result.manifest.options["split"] == "by name"


def test_split_by_table(source, tmp_path):
    one, two, three = source.patients
    table = tmp_path / "table.csv"
    table.write_text(f"patient_id,split\n{three},a\n{one},b\nother,a\n")
    result = convert(source.root, tmp_path / "out", split=str(table))
    assert split_of(tmp_path / "out", source) == {one: "b", three: "a"}
    assert result.manifest.options["split"] == "by name"
    assert reasons(result)["patient_not_in_split"] == 3 + 3
    assert "skipped" not in str(result.ledger.counts())


def test_many_patients_outside_the_split_are_no_failure(tmp_path):
    source = source_folders.write_folder(
        tmp_path / "in", patients=[f"P{n}A" for n in range(12)], annotated=2
    )
    convert(source.root, tmp_path / "out", split="train:P0A+P1A,test:P2A")
    assert len(examples(tmp_path / "out")) == 6


def test_folds(source, tmp_path):
    split = conversion.ConvertOptions().split
    result = convert(source.root, tmp_path / "out", folds=3, split=split)
    assert list(result.manifest.splits) == ["fold0", "fold1", "fold2"]
    assert set(split_of(tmp_path / "out", source).values()) == {
        "fold0",
        "fold1",
        "fold2",
    }


def test_split_that_stays_empty_is_warned_of(source, tmp_path, capsys):
    split = "train:0.4,validation:0.2,test:0.2,extra:0.2"
    result = convert(source.root, tmp_path / "out", split=split)
    assert capsys.readouterr().err.count("gets no patient") == 1
    empty = [name for name, one in result.manifest.splits.items() if not one.examples]
    assert len(empty) == 1
    assert len(result.manifest.splits) == 4


def test_split_whose_images_all_fail_is_refused(source, tmp_path):
    one, two, three = source.patients
    for number in (1, 2):
        source.contour(two, number).write_text("")
    source.contour(two, 1, "o").write_text("")
    words = (
        "split 'test': none of its images could be.*3 skipped: contour_empty.*-0001-"
    )
    with pytest.raises(ValueError, match=re.compile(words, re.DOTALL)):
        convert(
            source.root,
            tmp_path / "out",
            max_error_rate=1.0,
            split=f"train:{one},test:{two}",
        )


def test_constant_frames_may_be_in_two_splits(source, tmp_path):
    for patient in source.patients:
        blank = np.zeros((40, 48), np.int16)
        source_folders.edit(source.image(patient, 1), pixels=blank)
    convert(source.root, tmp_path / "out")
    assert len(examples(tmp_path / "out")) == 6


@pytest.mark.parametrize(
    ("bad", "rate", "fails"),
    [(11, 0.5, False), (11, 0.3, True), (10, 0.0, False)],
)
def test_max_error_rate(tmp_path, bad, rate, fails):
    source = source_folders.write_folder(
        tmp_path / "in", patients=["P1A", "P2A"], annotated=15
    )
    for number in range(2, bad + 2):  # of no patient more than half
        patient = source.patients[number % 2]
        source.contour(patient, number).write_text("x")
    output = tmp_path / "out"
    if not fails:
        convert(source.root, output, max_error_rate=rate)
        assert len(examples(output)) == 30 - bad
        return
    with pytest.raises(ValueError, match="11 of 32 annotations .* max_error_rate=0.3"):
        convert(source.root, output, max_error_rate=rate)
    assert not finished(output)
    # Who tolerates more goes on with what is there.
    result = convert(source.root, output, max_error_rate=0.5)
    assert (result.written, result.reused) == ((), 2)
    assert len(examples(output)) == 30 - bad


def test_patient_who_loses_over_half_of_their_images(tmp_path):
    source = source_folders.write_folder(tmp_path / "in", annotated=4, outer=0)
    patient = source.patients[1]
    for number in (1, 2):
        source.contour(patient, number).write_text("x")
    convert(source.root, tmp_path / "half", classes="inner")
    assert len(examples(tmp_path / "half")) == 10
    source.contour(patient, 3).write_text("x")
    words = f"patient {patient!r} loses 3 of 4 annotated images; max_error_rate=1"
    with pytest.raises(ValueError, match=words):
        convert(source.root, tmp_path / "out", classes="inner")
    assert not finished(tmp_path / "out")
    convert(source.root, tmp_path / "out", classes="inner", max_error_rate=1.0)
    assert len(examples(tmp_path / "out")) == 9


def test_class_that_vanishes(tmp_path):
    source = source_folders.write_folder(tmp_path / "in", annotated=4, outer=1)
    for patient in source.patients:
        source.contour(patient, 1, "o").write_text("x")
    with pytest.raises(ValueError, match="class 'outer': it was to be .* 3 images"):
        convert(source.root, tmp_path / "out", max_error_rate=1.0)


def test_manifest_is_plain_and_complete(source, tmp_path):
    result = convert(source.root, tmp_path / "out", num_shards=1, covered_fraction=True)
    fields = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert fields["options"]["covered_fraction"] is True
    assert fields["splits"]["train"]["pixel_spacing"] == [1.25, 1.5]
    assert manifest.load_manifest(tmp_path / "out") == result.manifest
    assert [len(one["shards"]) for one in fields["splits"].values()] == [1, 1]


def test_public_function_takes_keywords(source, tmp_path):
    import tfdicom

    result = tfdicom.convert(
        input_dir=str(source.root),
        output_dir=pathlib.Path(tmp_path / "out").as_posix(),
        split="train",
        id_key_file="public",
        num_workers=1,
    )
    assert result.manifest.splits["train"].examples == 6
    assert result.seconds > 0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
