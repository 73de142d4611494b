"""Single records, read by many threads, compressed or not."""

import concurrent.futures
import sys

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


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
