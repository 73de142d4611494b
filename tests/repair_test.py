import json
import shutil
import sys

import pytest

from tests import source_folders
from tests.folder_contents import files_of
from tests.source_folders import convert
from tfdicom import conversion_state, shard_results, withdrawal
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import load_pseudonyms
from tfdicom.repair import repair

#: Run once, by pytest alone.
pytestmark = pytest.mark.slow

PATIENTS = [f"P{number}A" for number in range(6)]


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def source(tmp_path):
    return source_folders.write_folder(tmp_path / "in", patients=PATIENTS)


@pytest.fixture
def output(source, tmp_path):
    convert(source.root, tmp_path / "out", id_key_file=None, num_shards=2)
    return tmp_path / "out"


@pytest.fixture
def public(source, tmp_path):
    convert(source.root, tmp_path / "out", id_key_file="public", num_shards=2)
    return tmp_path / "out"


def patients_of(output, source, shard):
    """Source identifiers of the patients in a shard."""
    pseudonyms, _ = load_pseudonyms(None)
    found = {one.patient for one in shard_results.read(output, shard).patients}
    return [one for one in source.patients if pseudonyms.of("patient", one) in found]


def flip(path, at=0.5):
    content = bytearray(path.read_bytes())
    content[int(len(content) * at)] ^= 4
    path.write_bytes(content)


SHARD = "train-00001-of-00002.tfrecord"


def _flip_a_bit(output):
    flip(output / SHARD)


def _cut_short(output):
    content = (output / SHARD).read_bytes()
    (output / SHARD).write_bytes(content[:-5])


def _remove(output):
    (output / SHARD).unlink()


def _put_another_in_its_place(output):
    shutil.copy(output / "test-00000-of-00002.tfrecord", output / SHARD)


def _damage_its_result(output):
    flip(shard_results.path_of(output, SHARD), 0.3)


@pytest.mark.parametrize(
    "damage",
    [_flip_a_bit, _cut_short, _remove, _put_another_in_its_place, _damage_its_result],
)
def test_bad_shard_alone_is_written_again(output, damage):
    before = files_of(output)
    others = [path for path in output.glob("*.tfrecord") if path.name != SHARD]
    times = [path.stat().st_mtime_ns for path in others]
    damage(output)
    result = repair(output)
    assert result.rebuilt == (SHARD,)
    assert result.other_bytes == ()
    assert result.is_whole
    assert f"Written again: {SHARD}." in str(result)
    assert "byte for byte, what the manifest said" in str(result)
    assert files_of(output) == before
    assert [path.stat().st_mtime_ns for path in others] == times


def test_shard_of_nobody_is_written_again(output, source):
    for one in patients_of(output, source, SHARD):
        options = ConvertOptions(output_dir=str(output), withdraw=one)
        withdrawal.withdraw(options, load_pseudonyms(None)[0])
    before = files_of(output)
    assert before[SHARD] == b""
    _remove(output)
    assert repair(output).rebuilt == (SHARD,)
    assert files_of(output) == before


@pytest.mark.parametrize(
    "name",
    [
        "dataset.index",
        "ledger.jsonl",
        "dataset.json",
        ".conversion/files.json",
        ".conversion/state.json",
    ],
)
@pytest.mark.parametrize("gone", [False, True])
def test_other_files_are_written_again(output, source, name, gone):
    before = files_of(output)
    if gone:
        (output / name).unlink()
    else:
        (output / name).write_bytes((output / name).read_bytes()[:-9])
    result = repair(output)
    assert result.rebuilt == () and result.verified.is_whole
    assert files_of(output) == before


def test_a_table_that_came_later_is_not_of_the_data_set(output, source):
    before = files_of(output)
    (source.root / "later.csv").write_text("a,b\n")
    (output / ".conversion" / "state.json").unlink()
    assert repair(output).is_whole
    assert files_of(output) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("ledger.jsonl", b'"hint"', b'"hiot"'),
        ("ledger.jsonl", b'"patient": "', b'"patient": "0'),
        ("dataset.json", b'"sha256": "', b'"sha256": "0'),
    ],
)
def test_letters_that_changed_are_written_again(output, name, old, new):
    before = files_of(output)
    assert old in before[name]
    (output / name).write_bytes(before[name].replace(old, new, 1))
    assert repair(output).is_whole
    assert files_of(output) == before


def test_data_set_made_without_checksums_is_given_them(output):
    before = files_of(output)
    (output / ".conversion/files.json").unlink()
    for path in (output / ".conversion").glob("*.json"):
        fields = json.loads(path.read_text())
        del fields["crc32c"]
        path.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match="by an earlier tfdicom, without checksums"):
        conversion_state.read_state(output)
    assert repair(output).is_whole
    assert files_of(output) == before


def test_public_data_set_whose_manifest_is_gone(public):
    before = files_of(public)
    (public / "dataset.json").unlink()
    assert repair(public, id_key_file="public").verified.is_whole
    assert files_of(public) == before


@pytest.mark.parametrize("damage", [_flip_a_bit, _damage_its_result])
def test_what_changes_elsewhere_in_the_source_does_not_matter(output, source, damage):
    before = files_of(output)
    ours = patients_of(output, source, SHARD)
    changed, gone = [one for one in source.patients if one not in ours][:2]
    source_folders.edit(source.image(changed, 1), PatientID="SOMEBODY", Rows=7)
    shutil.rmtree(source.image(gone, 1).parent)
    shutil.rmtree(source.contour(gone, 1).parents[1])
    for number in (1, 2):  # a new patient, and a new image of an old one
        source_folders.write_image(source.root / f"dicoms/N/{number}.dcm", "N", number)
    source_folders.write_image(source.image(ours[0], 9), ours[0], 9)
    damage(output)
    result = repair(output)
    assert result.rebuilt == (SHARD,) and result.is_whole
    assert files_of(output) == before


def test_index_needs_no_source(output, source):
    before = files_of(output)
    shutil.rmtree(source.root)
    flip(output / "dataset.index")
    assert repair(output).is_whole
    assert files_of(output) == before


def test_growth_of_the_source_is_not_taken_in_with_a_new_ledger(output, source):
    before = files_of(output)
    source_folders.write_image(source.root / "dicoms/N/1.dcm", "N", 1)
    (output / "ledger.jsonl").unlink()
    assert repair(output).is_whole
    assert files_of(output) == before


def test_whole_data_set_stays_as_it_is(output):
    before = files_of(output)
    assert repair(output).rebuilt == ()
    assert files_of(output) == before


def test_source_that_lies_elsewhere_by_now(output, source, tmp_path):
    before = files_of(output)
    shutil.move(source.root, tmp_path / "moved")
    flip(output / SHARD)
    with pytest.raises(ValueError, match="there is no such folder"):
        repair(output)
    assert repair(output, input_dir=str(tmp_path / "moved")).rebuilt == (SHARD,)
    assert files_of(output) == before


def test_source_that_has_changed_gives_no_other_data_under_the_same_name(
    output, source
):
    ours = patients_of(output, source, SHARD)
    flip(output / SHARD)
    path = source.image(ours[0], 1)
    whole = path.read_bytes()
    flip(path, 0.99)
    before = files_of(output)
    with pytest.raises(
        ValueError, match=f"{SHARD}.*1 source files have changed: .*1.d"
    ):
        repair(output)
    shard_results.path_of(output, SHARD).unlink()  # which knew what they held
    with pytest.raises(ValueError, match=f"{SHARD}: made again.*SHA-256"):
        repair(output)
    path.write_bytes(whole)
    shutil.rmtree(source.image(ours[0], 1).parent)
    with pytest.raises(ValueError, match=f"{SHARD} cannot be made again: no image"):
        repair(output)
    after = files_of(output)
    assert before.items() >= after.items()


@pytest.mark.parametrize("key", [None, "public"])
def test_data_set_of_another_machine(request, key, source, tmp_path):
    output = request.getfixturevalue("public" if key else "output")
    flip(output / SHARD)
    for path in (tmp_path / "config").rglob("conversion-*"):
        path.unlink()
    with pytest.raises(ValueError, match="--conversion=FILE"):
        repair(output)
    flagfile = tmp_path / "mine.flags"
    flagfile.write_text(
        f"--input_dir={source.root}\n--split=train:0.5,test:0.5\n--num_shards=2\n"
    )
    result = repair(output, flagfile=str(flagfile), id_key_file=key)
    assert result.rebuilt == (SHARD,) and result.verified.is_whole


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
