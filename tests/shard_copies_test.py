import concurrent.futures
import hashlib
import os
import pathlib
import re
import sys
import threading
import time
import uuid

import numpy as np
import pytest
import tensorflow as tf

from tests import synthetic
from tfdicom import files, shard_copies, tfrecord_file
from tfdicom.example_table import shard_paths
from tfdicom.input_options import InputOptions
from tfdicom.input_pipeline import input_fn
from tfdicom.manifest import load_manifest
from tfdicom.plan_reading import plan_reading

pytestmark = pytest.mark.long

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


def test_a_copy_of_another_size_is_made_anew(tmp_path):
    folder, copies = _written(tmp_path / "data", "zlib"), tmp_path / "copies"
    paths = _copied(folder, copies)
    wanted = _content(paths)
    paths[0].write_bytes(wanted[0][:-7])
    assert _content(_copied(folder, copies)) == wanted


def test_a_copy_is_mended_once_and_only_from_a_whole_shard(tmp_path):
    folder, copies = _written(tmp_path / "data"), tmp_path / "copies"
    first, second = _copied(folder, copies)
    wanted = first.read_bytes()
    options = InputOptions(cache=str(copies), normalize="none")
    plan = plan_reading(load_manifest(folder), "train", options)
    mend = shard_copies.CopyMender(shard_paths([str(folder)], plan), plan)
    first.write_bytes(bytes(len(wanted)))
    assert mend(str(first)) == "" and first.read_bytes() == wanted
    first.write_bytes(b"")
    assert mend(str(first)) == "" and first.read_bytes() == b""
    (folder / "train-00001-of-00002.tfrecord").write_bytes(b"no shard")
    words = f"{second} was damaged, and cannot be copied again: .*00002.tfrecord is not"
    assert re.match(words, mend(str(second))) and not second.exists()


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


# --- Far shards, which are fetched in the background -------------------------------


@pytest.fixture
def far(tmp_path, monkeypatch):
    """Makes data sets where TensorFlow has no file system; an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def made(compression="none"):
        folder = _written(tmp_path / f"data-{compression}", compression)
        remote = files.path_of(f"memory://{uuid.uuid4().hex}")
        for path in folder.iterdir():
            (remote / path.name).write_bytes(path.read_bytes())
        return remote

    return made


@pytest.fixture
def held(monkeypatch):
    """Shards come no sooner than this is set."""
    event, copy = threading.Event(), shard_copies._copy

    def waiting(*arguments):
        event.wait(20)
        copy(*arguments)

    monkeypatch.setattr(shard_copies, "_copy", waiting)
    return event


def _damage(shard):
    data = bytearray(shard.read_bytes())
    data[:40] = bytes(40)
    shard.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("compression", "cache"), [("zlib", "none"), ("none", "auto"), ("none", "folder")]
)
def test_far_shards_are_fetched(tmp_path, far, compression, cache, expected, capfd):
    folder = str(tmp_path / "copies")
    asked = folder if cache == "folder" else cache
    remote = far(compression)
    _assert_equal(_read(remote, cache=asked), expected)
    copies = folder if cache == "folder" else str(tmp_path / "cache/tfdicom/shards")
    said = f"tfdicom: fetching in the background 2 shards, 0 MB, to {copies}\n"
    assert said in capfd.readouterr().err
    assert len(_files(pathlib.Path(copies))) == 2
    _assert_equal(_read(str(remote), cache=asked), expected)
    assert "fetching" not in capfd.readouterr().err


def test_reading_begins_at_once_and_waits_for_shards(far, held, expected):
    remote = far()
    found = []
    reader = threading.Thread(target=lambda: found.append(_read(remote, cache="none")))
    reader.start()
    reader.join(1.0)
    assert reader.is_alive()
    held.set()
    reader.join()
    _assert_equal(found[0], expected)


def test_in_order_the_first_shard_is_enough(far, monkeypatch):
    copy, second = shard_copies._copy, threading.Event()

    def waiting(source, target, plan, number, stopped):
        if number == 1:
            second.wait(20)
        copy(source, target, plan, number, stopped)

    monkeypatch.setattr(shard_copies, "_copy", waiting)
    fields = {"training": False, "batch_size": 1, "cache": "none"}
    # Batches are fetched ahead of the one that is asked for.
    batches = iter(input_fn(far(), **fields).take(1))
    next(batches)
    assert not second.is_set()
    second.set()


def test_a_wrong_checksum_ends_the_reading_and_names_the_shard(far, tmp_path):
    remote = far()
    shard = "train-00001-of-00002.tfrecord"
    _damage(remote / shard)
    message = f"{remote.name}/{shard} is not the file that the manifest describes"
    for cache in ("auto", "none"):  # it is no copy for the next run
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            _read(remote, cache=cache)
    found = _files(tmp_path / "cache/tfdicom/shards")
    assert not [name for name in found if name.endswith(shard)]


def test_a_damaged_copy_is_fetched_again(far, tmp_path, capfd):
    remote, copies = far(), tmp_path / "copies"
    _copied(remote, copies)
    wanted = {path.name: path.read_bytes() for path in copies.iterdir()}
    for path in copies.iterdir():
        data = bytearray(path.read_bytes())
        for place in range(20, len(data), 50):  # every record
            data[place] ^= 1
        path.write_bytes(data)
    fields = {"cache": str(copies), "jit_compile": False, "batch_size": 7}
    assert len(list(input_fn(remote, **fields))) == 1
    said = capfd.readouterr().err
    assert said.count("is damaged; copying memory://") == 2  # not for every record
    assert {path.name: path.read_bytes() for path in copies.iterdir()} == wanted


def test_far_shards_in_a_graph(far, held, expected):
    remote = far()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        data = input_fn(remote, jit_compile=False, batch_size=3, with_info=True)
        batch = tf.compat.v1.data.make_one_shot_iterator(data).get_next()
        threading.Timer(0.3, held.set).start()
        np.testing.assert_array_equal(session.run(batch)[0], expected[1][:3])


def test_a_far_shard_of_another_size_is_refused_at_once(far):
    remote = far()
    (remote / "train-00001-of-00002.tfrecord").write_bytes(b"short")
    with pytest.raises(ValueError, match="has 5 bytes, dataset.json says"):
        input_fn(remote)
    (remote / "train-00001-of-00002.tfrecord").unlink()
    with pytest.raises(FileNotFoundError, match="00001-of-00002.tfrecord is missing"):
        input_fn(remote)


def test_workers_of_a_service_cannot_read_far_shards(far):
    with pytest.raises(ValueError, match="data_service='localhost:1': its workers"):
        input_fn(far(), data_service="localhost:1")


def test_what_killed_processes_left_is_removed(far, tmp_path):
    folder = tmp_path / "cache/tfdicom/shards"
    folder.mkdir(parents=True)
    for name, age in {"old.partial": 90_000, "new.partial": 60, "old": 90_000}.items():
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    _read(far())
    left = [name for name in _files(folder) if "train" not in name]
    assert left == ["new.partial", "old"]


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
