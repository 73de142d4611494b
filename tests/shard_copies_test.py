import concurrent.futures
import hashlib
import os
import pathlib
import sys

import numpy as np
import pytest

from tests import synthetic
from tfdicom import files, shard_copies, tfrecord_file
from tfdicom.example_table import shard_paths
from tfdicom.input_options import InputOptions
from tfdicom.input_pipeline import input_fn
from tfdicom.manifest import load_manifest
from tfdicom.plan_reading import plan_reading

PATIENTS = {"train": {"a": synthetic.frames(4), "b": synthetic.frames(3)}}
each_compression = pytest.mark.parametrize("compression", ["none", "zlib", "gzip"])


def _written(folder, compression="none", **fields):
    synthetic.write_dataset(folder, PATIENTS, compression=compression, **fields)
    return folder


def _copied(folder, copies) -> list[pathlib.Path]:
    options = InputOptions(cache=str(copies), normalize="none")
    plan = plan_reading(load_manifest(folder), "train", options)
    paths = shard_paths([str(folder)], plan)
    return list(map(pathlib.Path, shard_copies.copied(paths, plan)))


def _content(paths) -> list[bytes]:
    return [path.read_bytes() for path in paths]


def _files(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@each_compression
def test_copies_are_what_would_have_been_written_uncompressed(tmp_path, compression):
    folder = _written(tmp_path / "data", compression)
    plain = _written(tmp_path / "plain")
    copies = _copied(folder, tmp_path / "deep" / "copies")
    shards = sorted(plain.glob("*.tfrecord"))
    assert _content(copies) == _content(shards)
    for copy, shard in zip(copies, sorted(folder.glob("*.tfrecord")), strict=True):
        assert copy.parent == tmp_path / "deep" / "copies"
        digest = hashlib.sha256(shard.read_bytes()).hexdigest()
        assert copy.name == f"{digest[:16]}-{shard.name}"
    assert _files(copies[0].parent) == sorted(copy.name for copy in copies)


def test_large_shards_are_copied_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_copies, "_CHUNK", 7)
    test_copies_are_what_would_have_been_written_uncompressed(tmp_path, "zlib")


def test_copies_are_made_once(tmp_path, capfd):
    folder = _written(tmp_path / "data", "zlib")
    copies = _copied(folder, tmp_path / "copies")
    size = sum(len(one) for one in _content(copies)) / 1e6
    said = f"tfdicom: copying 2 shards, {size:.0f} MB, to {tmp_path / 'copies'}\n"
    assert capfd.readouterr().err == said
    times = [path.stat().st_mtime_ns for path in copies]
    assert _copied(folder, tmp_path / "copies") == copies
    assert [path.stat().st_mtime_ns for path in copies] == times
    assert capfd.readouterr().err == ""


def test_a_missing_copy_is_made_anew(tmp_path, capfd):
    folder = _written(tmp_path / "data", "gzip")
    copies = _copied(folder, tmp_path / "copies")
    content = _content(copies)
    copies[1].unlink()
    kept = copies[0].stat().st_mtime_ns
    capfd.readouterr()
    assert _content(_copied(folder, tmp_path / "copies")) == content
    assert "copying 1 shards" in capfd.readouterr().err
    assert copies[0].stat().st_mtime_ns == kept


def test_many_may_copy_at_the_same_time(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_copies, "_CHUNK", 50)  # so that they meet
    folder, plain = _written(tmp_path / "data", "zlib"), _written(tmp_path / "plain")
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        jobs = [threads.submit(_copied, folder, tmp_path / "copies") for _ in range(16)]
    expected = _content(sorted(plain.glob("*.tfrecord")))
    for job in jobs:
        assert _content(job.result()) == expected
    assert len(_files(tmp_path / "copies")) == 2


@each_compression
@pytest.mark.parametrize("place", [0, 0.5, -1])
def test_a_damaged_shard_is_refused_and_leaves_nothing(tmp_path, compression, place):
    folder = _written(tmp_path / "data", compression)
    shard = folder / "train-00001-of-00002.tfrecord"
    data = bytearray(shard.read_bytes())
    data[int(place * len(data)) if place >= 0 else -1] ^= 0x10
    shard.write_bytes(data)
    words = r"(is not the file that the manifest describes|cannot be inflated)"
    with pytest.raises(ValueError, match=rf"{shard.name} {words}.*on_corrupt='skip'"):
        _copied(folder, tmp_path / "copies")
    # The first one, which is whole, stays.
    (name,) = _files(tmp_path / "copies")
    assert name.endswith("-train-00000-of-00002.tfrecord")


def test_another_file_of_the_same_size_is_told_by_its_checksum(tmp_path):
    folder = _written(tmp_path / "data")
    shard = folder / "train-00000-of-00002.tfrecord"
    before, size = shard.read_bytes(), shard.stat().st_size
    records = list(tfrecord_file.read_records(shard))
    with shard.open("wb") as file:
        writer = tfrecord_file.TFRecordWriter(file)
        for record in reversed(records):
            writer.write(record)
    assert shard.stat().st_size == size
    begins, expected = (
        hashlib.sha256(one).hexdigest()[:12] for one in (shard.read_bytes(), before)
    )
    with pytest.raises(
        ValueError, match=f"SHA-256 begins with {begins}, not {expected}: copy it"
    ):
        _copied(folder, tmp_path / "copies")
    assert _files(tmp_path / "copies") == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    folder = _written(tmp_path / "data")
    (tmp_path / "file").write_text("")
    for name in ("file", "file/deeper", 300 * "x"):
        path = tmp_path / name
        with pytest.raises(ValueError, match=rf"^cache='{path}': \[Errno \d+\] "):
            _copied(folder, path)


def test_several_data_sets_share_a_folder(tmp_path):
    folders = [
        _written(tmp_path / "a", "zlib"),
        _written(tmp_path / "b", "zlib", first_number=90),
        _written(tmp_path / "same", "zlib"),
    ]
    first, second, same = (_copied(one, tmp_path / "copies") for one in folders)
    assert len(_files(tmp_path / "copies")) == 4
    assert same == first and not set(first) & set(second)
    plain = _written(tmp_path / "plain", first_number=90)
    assert _content(second) == _content(sorted(plain.glob("*.tfrecord")))


# --- Through input_fn ---------------------------------------------------------------


def _read(folder, **fields):
    fields = {"with_info": True, "jit_compile": False, "batch_size": 3, **fields}
    data = input_fn(folder, **fields)
    batches = [batch for _ in range(2) for batch in data.as_numpy_iterator()]
    keys = [key for batch in batches for key in batch[2]["key"]]
    return keys, *(np.concatenate([b[i] for b in batches]) for i in (0, 1))


def _assert_equal(found, expected):
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return _read(_written(tmp_path_factory.mktemp("plain")), cache="memory")


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_read_from_copies_is_read_from_the_data_set(tmp_path, compression, expected):
    folder = _written(tmp_path / "data", compression)
    relative = os.path.relpath(tmp_path / "copies")
    _assert_equal(_read(folder, cache=relative), expected)
    assert len(_files(tmp_path / "copies")) == 2


@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_copies_bring_a_remote_data_set_near(tmp_path, compression, expected):
    folder = _written(tmp_path / "data", compression)
    remote = files.path_of(f"memory://{compression}")
    for path in folder.iterdir():
        (remote / path.name).write_bytes(path.read_bytes())
    copies = str(tmp_path / "copies")
    _assert_equal(_read(f"memory://{compression}", cache=copies), expected)
    shard = "train-00001-of-00002.tfrecord"
    data = bytearray((folder / shard).read_bytes())
    data[:40] = bytes(40)
    (remote / shard).write_bytes(bytes(data))
    for path in pathlib.Path(copies).iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=f"memory://{compression}/{shard} "):
        input_fn(f"memory://{compression}", cache=copies)


def test_damage_cannot_be_skipped_in_a_copy(tmp_path):
    folder = _written(tmp_path / "data")
    shard = folder / "train-00001-of-00002.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-9])
    fields = {"on_corrupt": "skip"}
    with pytest.raises(ValueError, match="with on_corrupt='skip' and cache='memory'"):
        input_fn(folder, cache=str(tmp_path / "copies"), **fields)
    assert len(input_fn(folder, cache="memory", batch_size=1, **fields)) == 6


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
