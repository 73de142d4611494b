"""Single records, read by many threads, compressed or not."""

import concurrent.futures
import sys
import zlib

import pytest

from tests import served_apps
from tfdicom import dataset_index, example_schema, files
from tfdicom.serving import record_store
from tfdicom.serving.record_store import RecordStore


def entries(folder):
    return list(dataset_index.read_index(folder))


@pytest.mark.parametrize("compression", ["none", "zlib", "gzip"])
def test_any_record_for_many_threads(tmp_path, compression, monkeypatch):
    monkeypatch.setattr(record_store, "_OPEN_FILES", 1)
    monkeypatch.setattr(record_store, "_SHARDS_IN_MEMORY", 1)
    written = served_apps.write(tmp_path / "d", compression=compression)
    wanted = {one.key: one.pixels for split in written.values() for one in split}
    store = RecordStore(tmp_path / "d", compression)

    def read(entry):
        record = store.read(entry.shard, entry.offset, entry.length)
        return entry.key, example_schema.decode(record).pixels

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        found = list(threads.map(read, entries(tmp_path / "d") * 20))
    assert dict(found) == wanted
    assert len(found) == 20 * len(wanted)


class _Remote:
    """A file that has no number in this process."""

    def __init__(self, file):
        self._file = file

    def fileno(self):
        raise OSError

    def seek(self, offset):
        return self._file.seek(offset)

    def read(self, size):
        return self._file.read(size)


def test_files_that_are_no_local_ones(tmp_path, monkeypatch):
    written = served_apps.write(tmp_path / "d")
    opened = files.opened
    monkeypatch.setattr(
        record_store.files, "opened", lambda *a, **k: _Remote(opened(*a, **k))
    )
    store = RecordStore(tmp_path / "d", "none")
    keys = [
        example_schema.decode(store.read(one.shard, one.offset, one.length)).key
        for one in entries(tmp_path / "d")
    ]
    assert keys == [one.key for split in written.values() for one in split]


@pytest.mark.parametrize("at", [8, 60])
def test_damage(tmp_path, at):
    served_apps.write(tmp_path / "d")
    entry = entries(tmp_path / "d")[0]
    path = tmp_path / "d" / entry.shard
    data = bytearray(path.read_bytes())
    data[entry.offset + at] ^= 1
    path.write_bytes(data)
    store = RecordStore(tmp_path / "d", "none")
    with pytest.raises(ValueError, match=f"{entry.shard}, offset {entry.offset}: dam"):
        store.read(entry.shard, entry.offset, entry.length)


def test_damage_of_one_record_of_a_compressed_shard(tmp_path, monkeypatch):
    served_apps.write(tmp_path / "d", compression="zlib")
    first, second, *_ = entries(tmp_path / "d")
    path = tmp_path / "d" / first.shard
    data = bytearray(zlib.decompress(path.read_bytes()))
    data[second.offset + 60] ^= 1
    path.write_bytes(zlib.compress(data))
    opened, count = files.opened, []
    monkeypatch.setattr(files, "opened", lambda *a: count.append(a) or opened(*a))
    store = RecordStore(tmp_path / "d", "zlib")
    for _ in range(2):
        assert store.read(first.shard, first.offset, first.length)
        with pytest.raises(ValueError, match=f"{path.name}, offset {second.offset}: "):
            store.read(second.shard, second.offset, second.length)
        with pytest.raises(ValueError, match="offset 7: damaged"):
            store.read(first.shard, 7, 9)
    assert len(count) == 1


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
