import os
import pathlib
import pickle
import stat
import sys

import pytest

from tests import source_folders
from tfdicom import dicom_file, header_cache, scan
from tfdicom.file_scan import FileToScan
from tfdicom.runners import LocalRunner


@pytest.fixture
def opened(monkeypatch):
    """Names of the files whose headers are read, in order."""
    names = []
    read = dicom_file.open_header

    def counted(path):
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(dicom_file, "open_header", counted)
    return names


def scanned(source, cache, names):
    files = [FileToScan(f"dicoms/SCD0000101/{name}") for name in names]
    return scan.scan_files(
        source.root,
        files,
        runner=LocalRunner(1),
        cache=cache,
        progress=lambda done: None,
    )


def test_unchanged_files_are_not_opened_again(source, tmp_path, opened):
    cache = tmp_path / "cache" / "headers"
    first = scanned(source, cache, ["1.dcm", "2.dcm"])
    assert opened == ["1.dcm", "2.dcm"]
    opened.clear()
    assert scanned(source, cache, ["1.dcm", "2.dcm"]) == first
    assert opened == []
    assert scanned(source, cache, ["2.dcm", "3.dcm"]).frames[0] == first.frames[1]
    assert opened == ["3.dcm"]


def test_a_changed_file_is_read_again(source, tmp_path, opened):
    cache = tmp_path / "headers"
    scanned(source, cache, ["1.dcm", "2.dcm"])
    path = source.root / "dicoms" / "SCD0000101" / "1.dcm"
    source_folders.edit(path, TriggerTime="77")
    opened.clear()
    (found, _) = scanned(source, cache, ["1.dcm", "2.dcm"]).frames
    assert opened == ["1.dcm"] and found.header.temporal_order[1] == 77
    # The size may be the same, and the time is not.
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    opened.clear()
    scanned(source, cache, ["1.dcm", "2.dcm"])
    assert opened == ["1.dcm"]


def test_what_could_not_be_used_is_tried_again(source, tmp_path, opened):
    cache = tmp_path / "headers"
    path = source.root / "dicoms" / "SCD0000101" / "1.dcm"
    path.write_bytes(b"no image")
    assert scanned(source, cache, ["1.dcm"]).left[0].reason == "not_dicom"
    opened.clear()
    scanned(source, cache, ["1.dcm"])
    assert opened == ["1.dcm"]


def test_it_is_the_users_alone(source, tmp_path):
    cache = tmp_path / "new" / "headers"
    scanned(source, cache, ["1.dcm"])
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [b"", b"\x80", pickle.dumps(os.getcwd), b"garbage"])
def test_a_foreign_file_is_of_no_use_and_replaced(source, tmp_path, opened, content):
    cache = tmp_path / "headers"
    cache.write_bytes(content)
    assert header_cache.load(cache) == {}
    scanned(source, cache, ["1.dcm"])
    assert opened == ["1.dcm"]
    assert set(header_cache.load(cache)) == {"dicoms/SCD0000101/1.dcm"}


class _Call:
    """Pickled, a call of ``os.mkdir``."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_file_of_somebody_elses_making_can_do_nothing(tmp_path):
    cache = tmp_path / "headers"
    cache.write_bytes(pickle.dumps({"1.dcm": _Call(tmp_path / "made")}))
    assert header_cache.load(cache) == {}
    assert not (tmp_path / "made").exists()


def test_where_it_lies(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    one = header_cache.cache_path(None, tmp_path / "one")
    assert one.parent == tmp_path / "user" / "tfdicom"
    assert one != header_cache.cache_path(None, tmp_path / "other")
    assert header_cache.cache_path("none", tmp_path) is None
    named = header_cache.cache_path(str(tmp_path / "mine"), tmp_path)
    assert named.parent == tmp_path / "mine"
    assert not pathlib.Path(one).exists()


def test_a_folder_that_cannot_be_written_is_no_failure(source, tmp_path):
    (tmp_path / "file").write_text("")
    found = scanned(source, tmp_path / "file" / "headers", ["1.dcm"])
    assert len(found.frames) == 1


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
