import os
import stat
import sys

import google_crc32c
import pytest

from tfdicom import source_contents
from tfdicom.source_contents import (
    FileContent,
    SourceContents,
    content_of,
    journal_path,
)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(b"an image")
    (folder / "b.txt").write_bytes(b"a contour")
    return folder


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "cache" / "contents-0123"


@pytest.fixture
def read(monkeypatch):
    """Names of the files that are read, in order."""
    names = []

    def recorded(path):
        names.append(path.name)
        return content_of(path)

    monkeypatch.setattr(source_contents, "content_of", recorded)
    return names


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_content(tmp_path, size):
    data = os.urandom(size)
    (tmp_path / "x").write_bytes(data)
    found = content_of(tmp_path / "x")
    assert (found.size, found.checksum) == (size, google_crc32c.value(data))
    assert found.changed == (tmp_path / "x").stat().st_mtime_ns


def test_absent_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        content_of(tmp_path / "x")
    with pytest.raises(FileNotFoundError):
        SourceContents(tmp_path, None).content("x")


def test_unchanged_files_are_read_once(folder, journal, read):
    contents = SourceContents(folder, journal)
    first = contents.content("a.dcm")
    assert contents.content("a.dcm") == first == content_of(folder / "a.dcm")
    contents.content("b.txt")
    assert read == ["a.dcm", "b.txt"]
    again = SourceContents(folder, journal)
    assert again.content("a.dcm") == first
    assert again.content("b.txt") == contents.content("b.txt")
    assert read == ["a.dcm", "b.txt"]


def test_what_workers_have_read_is_not_read_again(folder, journal, read):
    found = {name: content_of(folder / name) for name in ("a.dcm", "b.txt")}
    SourceContents(folder, journal).add(found)
    again = SourceContents(folder, journal)
    assert {name: again.content(name) for name in found} == found
    assert read == []


def _other_bytes(path):
    path.write_bytes(b"AN IMAGE")


def _other_size(path):
    status = path.stat()
    path.write_bytes(b"an image, longer")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _other_time(path):
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 1))


@pytest.mark.parametrize("change", [_other_bytes, _other_size, _other_time])
def test_changed_files_are_read_again(folder, journal, read, change):
    first = SourceContents(folder, journal).content("a.dcm")
    change(folder / "a.dcm")
    again = SourceContents(folder, journal)
    found = again.content("a.dcm")
    assert read == ["a.dcm", "a.dcm"] and found == content_of(folder / "a.dcm")
    same = (found.size, found.checksum) == (first.size, first.checksum)
    assert same == (change is _other_time)
    # What was found last counts.
    assert SourceContents(folder, journal).content("a.dcm") == found
    assert read == ["a.dcm", "a.dcm"]


def test_without_a_journal_every_file_is_read(folder, read):
    for _ in range(2):
        contents = SourceContents(folder, None)
        contents.content("a.dcm")
        contents.content("a.dcm")
    assert read == ["a.dcm", "a.dcm"]


def test_journal_is_for_the_user_alone(folder, journal):
    SourceContents(folder, journal).content("a.dcm")
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.parent.stat().st_mode) == 0o700


def test_journal_grows_only_by_what_is_new(folder, journal):
    contents = SourceContents(folder, journal)
    contents.content("a.dcm")
    size = journal.stat().st_size
    contents.add({"a.dcm": content_of(folder / "a.dcm")})
    SourceContents(folder, journal).add({"a.dcm": content_of(folder / "a.dcm")})
    contents.add({})
    assert journal.stat().st_size == size


@pytest.mark.parametrize(
    "rest",
    [b'["a.dcm", 8, 1', b"[]\n", b"null\n", b"5\n", b"\xff\xfe\n", b"\0\0\0\n", b"\n"],
)
def test_journal_that_is_damaged_costs_what_it_says(folder, journal, read, rest):
    contents = SourceContents(folder, journal)
    contents.content("b.txt")
    with journal.open("ab") as file:
        file.write(rest)
    read.clear()
    again = SourceContents(folder, journal)
    assert again.content("a.dcm") == content_of(folder / "a.dcm")
    assert again.content("b.txt") == content_of(folder / "b.txt")
    assert read == ["a.dcm"]
    third = SourceContents(folder, journal)
    assert third.content("a.dcm") == content_of(folder / "a.dcm")


def test_names_that_are_no_utf8(folder, journal, read):
    name = os.fsdecode(b"Andr\xe9.dcm")
    (folder / name).write_bytes(b"x")
    SourceContents(folder, journal).content(name)
    read.clear()
    assert SourceContents(folder, journal).content(name).size == 1
    assert read == []


def test_journal_that_cannot_be_written_is_no_failure(folder, tmp_path, read):
    (tmp_path / "file").write_text("x")
    contents = SourceContents(folder, tmp_path / "file" / "contents")
    contents.content("a.dcm")
    contents.content("a.dcm")
    assert read == ["a.dcm"]


def test_content_of_unknown_time_is_not_kept(folder, journal, read):
    SourceContents(folder, journal).add({"a.dcm": FileContent(8, 1)})
    assert SourceContents(folder, journal).content("a.dcm").checksum != 1
    assert read == ["a.dcm"]


def test_journal_lies_beside_the_headers(tmp_path):
    assert journal_path(tmp_path / "headers-0123") == tmp_path / "contents-0123"
    cache = tmp_path / "headers" / "headers-0123"
    assert journal_path(cache) == tmp_path / "headers" / "contents-0123"
    assert journal_path(None) is None


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
