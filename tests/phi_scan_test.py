import re
import shutil
import sys

import pytest

from tests import real_data, source_folders
from tests.faults import planted_people
from tfdicom import (
    dataset_texts,
    manifest,
    phi_scan,
    source_values,
)
from tfdicom.dataset_texts import Piece
from tfdicom.deidentify import Pseudonyms
from tfdicom.identifying_values import IdentifyingValues, SourceValue
from tfdicom.patient_facts import shift_days, shifted
from tfdicom.summary import describe

#: Run once, by pytest alone.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = tmp_path_factory.mktemp("phi") / "in"
    return planted_people.write_planted(root)


@pytest.fixture(scope="module")
def dataset(source):
    output = source.root.parent / "out"
    source_folders.convert(source.root, output, compression="zlib")
    return output


@pytest.fixture(scope="module")
def search(source):
    return phi_scan.Search(source_values.collect(source.root)[0])


@pytest.fixture
def copy(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "out")
    return tmp_path / "out"


def test_real_output_is_clean(source, dataset):
    result = phi_scan.phi_scan(dataset, source.root)
    assert result.hits == ()
    assert (result.records, result.source_files) == (6, 9)
    assert sum(result.spellings.values()) > 50
    assert "Nothing found in 6 records" in phi_scan.report(result)


def test_what_was_kept_on_request_is_clean(source, tmp_path):
    key = tmp_path / "key" / "id.key"
    source_folders.convert(
        source.root,
        tmp_path / "out",
        id_key_file=str(key),
        dates="shift",
        keep="age_band,sex,weight",
    )
    pseudonyms = Pseudonyms(bytes.fromhex(key.read_text()))
    options = manifest.load_manifest(tmp_path / "out").options
    codes = [one.split()[0] for one in options["deidentification"]]
    assert codes == ["113100", "113107", "113108"]
    days = {shift_days(f"MRN7788{n}", pseudonyms) for n in range(3)}
    examples = source_folders.examples(tmp_path / "out")
    assert "KEPT" not in describe(manifest.load_manifest(tmp_path / "out"))
    for one in examples:
        assert (one.age_band, one.sex, one.weight) == ("55-59", "F", 72)
        moved = {
            (shifted("20031205", each), shifted("20031206", each)) for each in days
        }
        assert (one.study_date, one.acquisition_date) in moved
    assert len({one.study_date for one in examples}) == 3
    assert phi_scan.phi_scan(tmp_path / "out", source.root).hits == ()


def test_by_default_nothing_of_it_is_kept(dataset):
    for one in source_folders.examples(dataset):
        names = ("age_band", "sex", "weight", "study_date", "acquisition_date")
        names += ("manufacturer", "model", "units", "source_patient")
        assert [getattr(one, name) for name in names] == [None] * len(names)
    options = manifest.load_manifest(dataset).options
    assert [one.split()[0] for one in options["deidentification"]] == ["113100"]
    assert options["identifiers"] == "public"


def test_identifiers_that_were_kept_are_found(source, tmp_path, capsys):
    source_folders.convert(source.root, tmp_path / "out", keep_identifiers=True)
    assert "WARNING: --keep_identifiers: every record names" in capsys.readouterr().err
    options = manifest.load_manifest(tmp_path / "out").options
    assert (options["identifiers"], options["deidentification"]) == ("kept", [])
    summary = describe(manifest.load_manifest(tmp_path / "out"))
    assert "IDENTIFIERS  KEPT: the records name patients" in summary
    for one in source_folders.examples(tmp_path / "out"):
        assert one.source_patient.startswith("MRN7788")
        assert one.source_study.startswith("2.25.") or "." in one.source_study
        assert len(one.patient) == len(one.key) == 32
    hits = phi_scan.phi_scan(tmp_path / "out", source.root).hits
    keys = {"patient/source", "study/source", "series/source", "instance/source"}
    assert {hit.key for hit in hits} == keys


def _into_label(folder, value):
    planted_people.change_record(folder, label_names=("grade",), label_values=(value,))


@pytest.mark.parametrize("value", planted_people.VALUES)
@pytest.mark.parametrize("leak", planted_people.LEAKS, ids=lambda leak: leak.__name__)
def test_leaks_are_found(search, copy, leak, value):
    leak(copy, value)
    found = search.find(dataset_texts.pieces(copy, manifest.load_manifest(copy)))
    assert found and all(hit.file for hit in found)
    if leak is planted_people.into_record:
        assert {hit.key for hit in found} == {"image/model"}
        assert {hit.record for hit in found} == {1}


@pytest.mark.parametrize("value", ["Zwingli", "19450823", "MRN77881"])
def test_leaks_into_labels_are_found(source, copy, value):
    _into_label(copy, value)
    (hit, *_) = phi_scan.phi_scan(copy, source.root).hits
    assert (hit.key, hit.record) == ("label/values", 1)


def test_labels_may_say_what_a_description_says(source, copy):
    _into_label(copy, "for Dr. Quitte")
    assert phi_scan.phi_scan(copy, source.root).hits == ()


@pytest.mark.parametrize(("value", "found"), [("Zwingli^Ulrike", True), ("Krause", 0)])
def test_long_values_are_found_in_pixels(source, copy, value, found):
    example = source_folders.examples(copy)[0]
    pixels = value.encode() + example.pixels[len(value) :]
    planted_people.change_record(copy, pixels=pixels)
    hits = phi_scan.phi_scan(copy, source.root).hits
    assert bool(hits) == bool(found)


def test_values_of_few_different_bytes_are_chance_in_pixels(source, copy):
    values = IdentifyingValues()
    values.add("00000000", SourceValue("identifier", ""))
    values.add("20031205", SourceValue("date", ""))
    search = phi_scan.Search(values)

    def found(data, *, is_text):
        return search.find([Piece("x", 0, "y", data, is_text)])

    assert found(b"0" * 99, is_text=False) == []
    assert len(found(b"(00000000)", is_text=True)) == 1
    assert len(found(b"0" * 99 + b"20031205", is_text=False)) == 1


def test_words_of_the_package_identify_nobody_unless_they_are_a_name():
    values = IdentifyingValues()
    values.add("image", SourceValue("file or folder name", ""))
    values.add("Test", SourceValue("name", ""))  # nobody, too
    values.add("Field", SourceValue("name", ""))
    piece = Piece("x", 0, "y", b"image of Field, Test")
    assert [hit.value for hit in phi_scan.Search(values).find([piece])] == ["field"]


def test_words_of_every_data_set_are_no_leak(dataset):
    found = list(dataset_texts.pieces(dataset, manifest.load_manifest(dataset)))
    texts = [path.relative_to(dataset).as_posix() for path in dataset.rglob("*")]
    texts += [one.key for one in found]
    texts.append((dataset / "dataset.json").read_text())
    texts.append((dataset / "ledger.jsonl").read_text())
    words = {word for text in texts for word in re.findall("[A-Za-z]{4,}", text)}
    words -= {"inner", "outer"}  # which the user chose
    assert words >= {"conversion", "state", "dataset", "tfrecord", "train", "test"}
    for kind in ("file or folder name", "name"):
        values = IdentifyingValues()
        for word in (*words, "images", "contours", "annotations", "masks"):
            values.add(word, SourceValue(kind, ""))
        assert phi_scan.Search(values).find(found) == []


def test_folders_may_be_named_as_those_of_data_sets(tmp_path):
    names = ["conversion", "state", "dataset", "tfrecord", "train", "images"]
    root = tmp_path.joinpath("in", *names)
    source_folders.write_folder(root)
    crosswalk = root / "crosswalk.csv"
    key = str(tmp_path / "id.key")
    options = {"id_key_file": key, "patient_from": "tag"}
    made = source_folders.convert(root, tmp_path / "out", **options)
    shutil.copy(made.crosswalk, crosswalk)
    assert phi_scan.phi_scan(tmp_path / "out", tmp_path / "in").hits == ()
    planted_people.into_manifest(tmp_path / "out", "SCD0000101")
    assert phi_scan.phi_scan(tmp_path / "out", tmp_path / "in").hits


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("seen on 20240119", "a date"),
        ("19.01.2024", "a date"),
        ("1.3.6.1.4.1.14519.5.2.1.7009", "a UID"),
        ("Muster^Max", "a name with ^"),
        ("max@muster.example", "an address of mail"),
        ("call +41 44 123 45 67", "a number of a telephone"),
        ("/home/muster/scan.dcm", "an absolute path"),
    ],
)
def test_patterns_need_no_source(copy, text, kind):
    assert phi_scan.phi_scan(copy).hits == ()
    planted_people.into_manifest(copy, text)
    assert kind in {hit.kind for hit in phi_scan.phi_scan(copy).hits}
    assert "patterns alone" in phi_scan.report(phi_scan.phi_scan(copy))


@pytest.mark.parametrize(
    "text",
    [
        "84bc42067add67a160fbceccb63f644c",
        "a19450823b",
        "krausesomething1"[6:],
        "2.21.0",
        "train-00000-of-00001.tfrecord",
    ],
)
def test_chance_is_no_leak(source, copy, text):
    planted_people.into_manifest(copy, text)
    assert phi_scan.phi_scan(copy, source.root).hits == ()


def test_values_are_shown_only_when_asked_for(source, copy):
    planted_people.into_ledger(copy, "Zwingli^Ulrike")
    result = phi_scan.phi_scan(copy, source.root)
    quiet, loud = (phi_scan.report(result, show_values=v) for v in (False, True))
    assert "FOUND name of (0010,0010)" in quiet and "ledger.jsonl" in quiet
    assert "wingli" not in quiet.lower()
    assert "zwingli^ulrike" in loud


def test_unknown_folders_are_refused(dataset, tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        phi_scan.phi_scan(dataset, tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="holds no data set"):
        phi_scan.phi_scan(tmp_path)


@pytest.mark.parametrize(
    ("folder", "options"),
    [
        ("rtstruct/ibsi_sts", {"annotations": "rtstruct", "classes": "gtv=.*"}),
        ("rtstruct/gre_ct_phantom", {"classes": "a=/ROI-1/;b=/ROI-4/"}),
        ("rtstruct/nested_hole", {"classes": "x=.*"}),
        ("seg/highdicom", {"classes": "x=.*"}),
        ("seg/dcmqi", {"classes": "x=.*"}),
    ],
)
def test_shared_data_is_clean(tmp_path, folder, options):
    root = real_data.SHARED / folder
    if not root.is_dir():
        pytest.skip(f"no shared data at {root}")
    options = {"split": "train", "keep": "sex,age_band", **options}
    source_folders.convert(root, tmp_path / "out", **options)
    assert phi_scan.phi_scan(tmp_path / "out", root).hits == ()


@real_data.needs_sunnybrook
def test_sunnybrook_is_clean(tmp_path):
    source_folders.convert(
        real_data.SUNNYBROOK, tmp_path / "out", split="train", num_workers=2
    )
    assert phi_scan.phi_scan(tmp_path / "out", real_data.SUNNYBROOK).hits == ()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
