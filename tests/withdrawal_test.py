import json
import shutil
import sys

import pytest

from tests import source_folders
from tests.folder_contents import files_of
from tests.source_folders import convert, examples
from tfdicom import (
    conversion_state,
    convert_main,
    dataset_index,
    files,
    manifest,
    shard_results,
    tfrecord_file,
    withdrawal,
    withdrawal_proof,
)
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import load_pseudonyms
from tfdicom.withdrawal_proof import Traces

PATIENTS = [f"P{number}A" for number in range(7)]
SPLIT = "train:P0A+P1A+P2A+P3A+P4A,test:P5A+P6A"


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def source(tmp_path):
    return source_folders.write_folder(tmp_path / "in", patients=PATIENTS)


def options_of(source, output, **options):
    return {
        "split": SPLIT,
        "num_shards": 2,
        "id_key_file": None,
        "covered_fraction": True,
        **options,
    }


def taken_out(output, patient="P2A", key=None):
    options = ConvertOptions(output_dir=str(output), withdraw=patient, id_key_file=key)
    pseudonyms, _ = load_pseudonyms(key)
    return withdrawal.withdraw(options, pseudonyms)


@pytest.mark.parametrize("compression", ["none", "zlib"])
@pytest.mark.parametrize("patient", ["P2A", "P6A"])
def test_data_set_is_as_if_the_patient_had_never_been_there(
    source, tmp_path, compression, patient
):
    output = tmp_path / "out"
    options = options_of(source, output, compression=compression)
    convert(source.root, output, **options)
    before = files_of(output)
    result = taken_out(output, patient)
    assert result.examples == 2
    after = files_of(output)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {
        result.shard,
        f".conversion/{result.shard}.json",
        ".conversion/files.json",
        ".conversion/state.json",
        "dataset.index",
        "dataset.json",
        "ledger.jsonl",
    }
    for path in (
        source.image(patient, 1).parent,
        source.contour(patient, 1).parents[1],
    ):
        shutil.rmtree(path)
    link = source.root / "link.csv"
    kept = [line for line in link.read_text().split() if not line.startswith(patient)]
    link.write_text("\n".join(kept) + "\n")
    # The same command with what is left finds nothing to do, and says nothing.
    again = convert(source.root, output, **options)
    assert (again.written, again.kept_patients) == ((), 6)
    assert files_of(output).keys() == after.keys()
    assert files_of(output)[".conversion/state.json"] == after[".conversion/state.json"]
    # Another that makes a new data set gives the same, but for the place of patients.
    fresh = tmp_path / "fresh"
    convert(source.root, fresh, **options)
    assert sorted(map(repr, examples(fresh))) == sorted(map(repr, examples(output)))
    one, two = manifest.load_manifest(fresh), manifest.load_manifest(output)
    assert one.split_table == two.split_table
    assert one.ledger == two.ledger
    for name, split in one.splits.items():
        other = two.splits[name]
        assert (split.examples, split.frames, split.classes) == (
            other.examples,
            other.frames,
            other.classes,
        )
        for which, figures in split.intensities.items():
            assert figures.count == other.intensities[which].count
            assert figures.percentiles == other.intensities[which].percentiles
            assert figures.mean == pytest.approx(other.intensities[which].mean, 1e-12)


def test_index_leads_to_each_record_that_is_left(source, tmp_path):
    output = tmp_path / "out"
    convert(source.root, output, **options_of(source, output))
    taken_out(output)
    entries = list(dataset_index.read_index(output))
    assert len(entries) == 12
    for entry in entries:
        data = tfrecord_file.read_record_at(output / entry.shard, entry.offset)
        assert len(data) == entry.length
        assert entry.key.encode() in data


def test_pseudonym_names_the_patient_too(source, tmp_path):
    output = tmp_path / "out"
    convert(source.root, output, **options_of(source, output))
    pseudonyms, _ = load_pseudonyms(None)
    patient = pseudonyms.of("patient", "P2A")
    assert taken_out(output, patient).split == "train"
    for content in files_of(output).values():
        assert patient.encode() not in content


def test_crosswalk_forgets_the_patient(source, tmp_path):
    output = tmp_path / "out"
    result = convert(source.root, output, **options_of(source, output))
    assert "P2A" in result.crosswalk.read_text()
    output = output.rename(tmp_path / "moved")
    taken_out(output)
    text = result.crosswalk.read_text()
    assert "P2A" not in text and "P1A" in text


def test_files_of_who_was_withdrawn_do_not_come_back(source, tmp_path):
    output = tmp_path / "out"
    options = options_of(source, output)
    convert(source.root, output, **options)
    taken_out(output)
    after = files_of(output)
    words = r"6 input files are of patients who were withdrawn.*P2A/1\.dcm"
    with pytest.raises(ValueError, match=words):
        convert(source.root, output, **options)
    with pytest.raises(ValueError, match=words):
        convert(source.root, output, **options, overwrite=True)
    assert files_of(output) == after
    # Neither a name with a number sign, another way to the folder nor another place of
    # it makes a difference.
    images = source.root / "dicoms" / "P2A"
    images.rename(images.with_name("P2A #1"))
    link = source.root / "link.csv"
    link.write_text(link.read_text().replace("P2A,", "P2A #1,"))
    with pytest.raises(ValueError, match=r"withdrawn.*P2A #1/1\.dcm"):
        convert(source.root, output, **options)
    images.with_name("P2A #1").rename(images)
    link.write_text(link.read_text().replace("P2A #1,", "P2A,"))
    (tmp_path / "link").symlink_to(output)
    with pytest.raises(ValueError, match=words):
        convert(source.root, tmp_path / "in" / ".." / "link", **options)
    output.rename(tmp_path / "moved")
    with pytest.raises(ValueError, match=words):
        convert(source.root, tmp_path / "moved", **options)
    assert len(examples(tmp_path / "moved")) == 12
    convert(source.root, tmp_path / "another", **options)
    assert len(examples(tmp_path / "another")) == 14


@pytest.mark.slow
def test_withdrawal_that_is_stopped_at_any_file_is_gone_on_with(
    source, tmp_path, monkeypatch
):
    convert(source.root, tmp_path / "out", **options_of(source, tmp_path / "out"))
    whole = tmp_path / "whole"
    shutil.copytree(tmp_path / "out", whole)
    taken_out(whole)
    for stop in range(100):
        output = tmp_path / f"{stop}"
        shutil.copytree(tmp_path / "out", output)
        with monkeypatch.context() as patch:
            moves = _stop_at(patch, stop)
            try:
                taken_out(output)
            except Stopped:
                pass
        result = taken_out(output)
        assert result.examples in (2, 0)
        assert files_of(output) == files_of(whole), stop
        if moves[0] <= stop:
            break
    assert stop > 8


class Stopped(BaseException):
    """As a kill, which nothing catches."""


def _stop_at(patch, stop):
    """Lets the file operation with this number raise, and those after it."""
    count = [0]

    def counted(original):
        def operation(*arguments, **keywords):
            count[0] += 1
            if count[0] > stop:
                raise Stopped
            return original(*arguments, **keywords)

        return operation

    for name in ("move", "write_text"):
        patch.setattr(files, name, counted(getattr(files, name)))
    return count


def test_fixed_splits_stay_fixed(source, tmp_path):
    output = tmp_path / "out"
    options = {**options_of(source, output), "split": "train:0.6,test:0.4"}
    convert(source.root, output, **options, fixed_splits="test")
    before = conversion_state.read_state(output)
    assert before.fixed_splits == ("test",)
    grown = source_folders.write_folder(
        source.root, patients=[*PATIENTS, "P7A", "P8A", "P9A"]
    )
    convert(grown.root, output, **options)
    after = manifest.load_manifest(output)
    assert after.options["fixed_splits"] == ["test"]
    assert {one for one, name in after.split_table.items() if name == "test"} == {
        one for one, name in before.split_table.items() if name == "test"
    }
    assert len(after.split_table) == 10


def test_header_cache_in_the_data_set_is_refused(source, tmp_path):
    output = tmp_path / "out"
    with pytest.raises(ValueError, match="header_cache=.*must not lie in the data set"):
        convert(source.root, output, header_cache=str(output / "cache"))
    assert not output.exists()


def test_what_cannot_be_withdrawn(source, tmp_path):
    output = tmp_path / "out"
    with pytest.raises(FileNotFoundError):
        taken_out(output)
    convert(source.root, output, **options_of(source, output))
    before = files_of(output)
    with pytest.raises(ValueError, match="no such patient is among the 7"):
        taken_out(output, "NOBODY")
    with pytest.raises(ValueError, match="another key"):
        taken_out(output, "P2A", str(tmp_path / "other" / "id.key"))
    assert files_of(output) == before
    (output / "ledger.jsonl").write_bytes(before["ledger.jsonl"] + b"\n")
    with pytest.raises(ValueError, match=r"ledger\.jsonl is not what.*repair"):
        taken_out(output, "P2A")
    (output / "ledger.jsonl").write_bytes(before["ledger.jsonl"])
    taken_out(output, "P5A")
    before = files_of(output)
    with pytest.raises(ValueError, match="the only one of split 'test'"):
        taken_out(output, "P6A")
    assert files_of(output) == before


def test_damage_is_found_before_anything_is_replaced(source, tmp_path):
    output = tmp_path / "out"
    convert(source.root, output, **options_of(source, output))
    pseudonyms, _ = load_pseudonyms(None)
    patient = pseudonyms.of("patient", "P2A")
    (file,) = (
        result.info.file
        for path in (output / ".conversion").glob("*.tfrecord.json")
        for result in [shard_results.read(output, path.name.removesuffix(".json"))]
        if patient in [one.patient for one in result.patients]
    )
    content = bytearray((output / file).read_bytes())
    content[len(content) // 2] ^= 1
    (output / file).write_bytes(content)
    before = files_of(output)
    with pytest.raises(ValueError, match="damaged"):
        taken_out(output)
    assert files_of(output) == before


def test_unfinished_conversion_has_to_end_first(source, tmp_path):
    output = tmp_path / "out"
    convert(source.root, output, **options_of(source, output))
    before = files_of(output)
    aside = output / ".partial-data-set"
    conversion_state.write_state(aside, conversion_state.read_state(output))
    (aside / "train-00000-of-00002.tfrecord").write_bytes(b"")
    with pytest.raises(ValueError, match=f"unfinished; .* or delete {aside} to give"):
        taken_out(output)
    shutil.rmtree(aside)
    assert files_of(output) == before
    assert taken_out(output).examples


def test_trace_that_is_left_is_found(source, tmp_path):
    output = tmp_path / "out"
    convert(source.root, output, **options_of(source, output))
    pseudonyms, _ = load_pseudonyms(None)
    (output / "notes.txt").write_text("x" + pseudonyms.of("patient", "P2A")[:16] + "y")
    with pytest.raises(RuntimeError, match=r"notes\.txt still tells"):
        taken_out(output)


def _with_faults(source, patient):
    """Files of a patient that become nothing, and labels that nobody else has."""
    folder = source.image(patient, 1).parent
    (folder / "notes.txt").write_text("x")
    source_folders.write_contour(source.contour(patient, 9), source.inner(patient, 1))
    source_folders.write_image(source.root / "odd" / "1.dcm", patient, 8, Rows=None)
    source_folders.write_structure_set(
        source.root / "odd" / "rt.dcm", [source.image(patient, 1)], {}
    )
    (source.root / "odd" / "readme.txt").write_text("x")
    (source.root / "README.txt").write_text("x")
    words = {patient: "sarcoidosis,kept", PATIENTS[0]: "healthy,sarcoidosis"}
    rows = [f"{one},{words.get(one, 'healthy,kept')}" for one in PATIENTS]
    table = source.root.parent / "labels.csv"
    table.write_text("\n".join(["patient_id,diagnosis,other", *rows]))
    return table


def test_what_became_nothing_and_words_of_labels_go_too(source, tmp_path):
    output = tmp_path / "out"
    table = _with_faults(source, "P2A")
    options = options_of(
        source, output, labels=str(table), classes="inner;outer", max_error_rate=1.0
    )
    result = convert(source.root, output, **options)
    pseudonyms, _ = load_pseudonyms(None)
    theirs = {
        pseudonyms.of("candidate", path)[: conversion_state.DIGITS]
        for path in result.survey.files
        if any(one in path for one in ("P2A", source.original("P2A"), "odd"))
    }
    assert len(theirs) == 11
    before = b"".join(files_of(output).values()).decode(errors="replace")
    assert all(one in before for one in theirs)
    with pytest.raises(RuntimeError, match="still tells"):
        withdrawal_proof.prove(output, Traces(frozenset(), frozenset({"sarcoidosis"})))
    found = taken_out(output)
    after = b"".join(files_of(output).values()).decode(errors="replace")
    assert not [one for one in theirs if one in after]
    assert pseudonyms.of("candidate", "README.txt") in after and found.unowned == 1
    # P0A has the word as another label: there it stays.
    diagnosis, other = manifest.load_manifest(output).labels
    assert diagnosis.vocabulary == ("healthy",)
    assert other.vocabulary == ("kept", "sarcoidosis")
    assert found.labels == ("diagnosis",)
    assert "'diagnosis' has lost words" in str(found) and "1 files" in str(found)
    shutil.rmtree(source.image("P2A", 1).parent)
    shutil.rmtree(source.contour("P2A", 1).parents[1])
    with pytest.raises(ValueError, match=r"3 input files .*withdrawn.*odd/1\.dcm"):
        convert(source.root, output, **options)
    shutil.rmtree(source.root / "odd")
    with pytest.raises(ValueError, match="table still has 1 of the patients"):
        convert(source.root, output, **options)


def test_patient_of_whom_the_ledger_alone_tells(source, tmp_path):
    output = tmp_path / "out"
    source_folders.write_image(source.root / "odd.dcm", "P9Z", 1, Rows=None)
    convert(source.root, output, **options_of(source, output), annotations="auto")
    pseudonyms, _ = load_pseudonyms(None)
    candidate = pseudonyms.of("candidate", "odd.dcm")
    assert candidate in (output / "ledger.jsonl").read_text()
    found = taken_out(output, "P9Z")
    assert (found.examples, found.shard) == (0, "")
    for content in files_of(output).values():
        assert candidate[: conversion_state.DIGITS].encode() not in content
    assert manifest.load_manifest(output).ledger["image"].get("skipped") is None


def test_withdrawing_makes_no_key(source, tmp_path):
    output = tmp_path / "out"
    convert(source.root, output, **options_of(source, output, id_key_file="public"))
    key = tmp_path / "new" / "id.key"
    chosen = {"output_dir": str(output), "withdraw": "P0A", "id_key_file": str(key)}
    with pytest.raises(ValueError, match="another key.*; give --id_key_file=public"):
        convert_main._withdraw(ConvertOptions(**chosen))
    assert not key.parent.exists()


def test_flag(source, tmp_path, capsys):
    output = tmp_path / "out"
    convert(source.root, output, **options_of(source, output))
    chosen = ConvertOptions(output_dir=str(output), withdraw="P0A")
    assert convert_main._withdraw(chosen) == 0
    said = capsys.readouterr().out
    assert "2 examples of split 'train' are gone" in said
    assert "none is left" in said
    lines = [json.loads(line) for line in (output / "ledger.jsonl").open()]
    assert len({line["patient"] for line in lines if "patient" in line}) == 6


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
