import shutil
import sys

import pytest

from tests import source_folders
from tests.source_folders import convert
from tfdicom import shard_results
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


@pytest.fixture(params=["public", None])
def output(request, source, tmp_path):
    convert(source.root, tmp_path / "out", id_key_file=request.param, num_shards=2)
    return tmp_path / "out"


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


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
    flip(shard_results.path_of(output, SHARD), 0)


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


@pytest.mark.parametrize("name", ["dataset.index", "ledger.jsonl", "dataset.json"])
@pytest.mark.parametrize("gone", [False, True])
def test_other_files_are_written_again(output, source, name, gone):
    before = files_of(output)
    if gone:
        (output / name).unlink()
    else:
        (output / name).write_text("{")
    key = (
        "public" if 'identifiers": "public' in before["dataset.json"].decode() else None
    )
    result = repair(output, id_key_file=key)
    assert result.rebuilt == () and result.verified.is_whole
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
    before = files_of(output)
    flip(output / SHARD)
    flip(source.image(PATIENTS[0], 1), 0.99)
    flip(source.image(PATIENTS[5], 1), 0.99)
    with pytest.raises(ValueError, match="source files have changed"):
        repair(output)
    assert files_of(output).keys() == before.keys()


def test_data_set_of_another_machine(output, source, tmp_path):
    flip(output / SHARD)
    for path in (tmp_path / "config").rglob("conversion-*"):
        path.unlink()
    with pytest.raises(ValueError, match="--conversion=FILE"):
        repair(output)
    flagfile = tmp_path / "mine.flags"
    flagfile.write_text(
        f"--input_dir={source.root}\n--split=train:0.5,test:0.5\n--num_shards=2\n"
    )
    public = "public" in (output / "dataset.json").read_text()
    key = "public" if public else None
    result = repair(output, flagfile=str(flagfile), id_key_file=key)
    assert result.rebuilt == (SHARD,) and result.verified.is_whole


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
