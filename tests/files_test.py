import errno
import os
import pathlib
import resource
import secrets
import sys

import pytest

from tfdicom import files


@pytest.fixture(params=["local", "memory", "file"])
def folder(request, tmp_path):
    """A folder of its own on each kind of file system."""
    name = {
        "local": str(tmp_path),
        "memory": f"memory://{tmp_path.name}",
        "file": f"file://{tmp_path}",
    }[request.param]
    path = files.path_of(name)
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("text", ["a/b.txt", "/a/b.txt", pathlib.Path("a")])
def test_text_without_a_scheme_is_local(text):
    path = files.path_of(text)
    assert type(path) is type(pathlib.Path())
    assert path == pathlib.Path(text)


def test_home_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.path_of("~/x") == tmp_path / "x"


def test_text_with_a_scheme_is_not_local():
    path = files.path_of("memory://a/b.txt")
    assert str(path) == "memory://a/b.txt"
    assert not isinstance(path, pathlib.Path)


def test_a_path_may_be_given_for_text(folder):
    (folder / "a").write_bytes(b"x")
    assert files.walk(files.path_of(folder)) == ["a"]


def test_file_appears_when_it_is_whole(folder):
    path = folder / "a.bin"
    with files.written_whole(path) as file:
        file.write(b"first ")
        file.write(b"second")
        assert not path.exists()
    assert path.read_bytes() == b"first second"
    assert files.walk(folder) == ["a.bin"]


def test_file_is_replaced_at_once(folder):
    path = folder / "a.bin"
    path.write_bytes(b"before")
    with files.written_whole(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert files.walk(folder) == ["a.bin"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_full_disk_is_told_with_the_file(tmp_path, monkeypatch, size):
    path = tmp_path / "a.bin"
    monkeypatch.setattr(secrets, "token_hex", lambda digits: "0")
    path.with_name("a.bin.0.partial").symlink_to("/dev/full")
    with pytest.raises(OSError) as error, files.written_whole(path) as file:
        file.write(bytes(size))
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(path))
    assert files.walk(tmp_path) == []


def test_file_over_the_limit_is_told_with_the_file(tmp_path):
    path = tmp_path / "a.bin"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError) as error, files.written_whole(path) as file:
            file.write(bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, str(path))
    assert files.walk(tmp_path) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [None, b"before"])
def test_nothing_is_left_after_an_exception(folder, error, before):
    path = folder / "a.bin"
    if before:
        path.write_bytes(before)
    with pytest.raises(error), files.written_whole(path) as file:
        file.write(b"half")
        raise error
    assert files.walk(folder) == (["a.bin"] if before else [])
    assert not before or path.read_bytes() == before


def test_a_full_disk_is_no_success(tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(tmp_path / "a.txt", "text")
    assert list(tmp_path.iterdir()) == []


def test_local_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, pathlib.Path.replace

    def noted_fsync(descriptor):
        events.append(("fsync", os.fstat(descriptor).st_size))
        fsync(descriptor)

    def noted_replace(source, target):
        events.append(("replace", source.name, target.name))
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(pathlib.Path, "replace", noted_replace)
    monkeypatch.setattr(secrets, "token_hex", lambda digits: "0")
    files.write_text(tmp_path / "a.txt", "text")
    assert events == [("fsync", 4), ("replace", "a.txt.0" + files.PARTIAL, "a.txt")]


def test_two_writers_of_one_file_do_not_meet(folder):
    path = folder / "a.bin"
    with files.written_whole(path) as first, files.written_whole(path) as second:
        first.write(b"first")
        second.write(b"2")
    assert path.read_bytes() == b"first"
    assert files.walk(folder) == ["a.bin"]


def test_a_tree_is_removed_once_or_twice(tmp_path):
    folder = tmp_path / "tree"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "file").write_text("x")
    for _ in range(2):
        files.remove_tree(folder)
        assert list(tmp_path.iterdir()) == []


def test_folder_must_exist(tmp_path):
    with pytest.raises(FileNotFoundError), files.written_whole(tmp_path / "no" / "a"):
        pytest.fail("the block must not run")


def test_text_is_utf_8(folder):
    files.write_text(folder / "a.txt", "größer\r\n日本")
    assert (folder / "a.txt").read_bytes() == "größer\r\n日本".encode()


def _fill(folder, names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_walk_finds_every_file_sorted(folder):
    names = ["b", "a/10", "a/9", "a-1", ".hidden", "a/c/d e", "Z/ö", "a/.x/y"]
    _fill(folder, names)
    (folder / "empty").mkdir()
    assert files.walk(folder) == sorted(names)


@pytest.mark.parametrize("name", ["memory://bucket/x[1]", "memory://bucket/a b/"])
def test_walk_takes_names_as_they_are(name):
    folder = files.path_of(name)
    _fill(folder, ["c*", "d/[e]"])
    assert files.walk(folder) == ["c*", "d/[e]"]


def test_walk_follows_links_and_enters_no_folder_twice(tmp_path):
    _fill(tmp_path, ["data/real/1", "elsewhere/deep/2"])
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "file").symlink_to(tmp_path / "elsewhere" / "deep" / "2")
    assert files.walk(tmp_path / "data") == ["file", "out/deep/2", "real/1"]


def test_of_two_names_of_a_folder_the_first_counts(tmp_path):
    _fill(tmp_path, ["real/m/1"])
    links = [f"{n:02d}" for n in range(30)]
    for link in reversed(links):
        (tmp_path / "real" / link).symlink_to("m")
    assert files.walk(tmp_path / "real") == ["00/1"]


@pytest.mark.parametrize(
    ("name", "error"), [("absent", FileNotFoundError), ("file", NotADirectoryError)]
)
def test_walk_refuses_what_is_no_folder(tmp_path, name, error):
    (tmp_path / "file").touch()
    with pytest.raises(error, match=name):
        files.walk(tmp_path / name)


def test_walk_passes_over_no_folder_in_silence(tmp_path, monkeypatch):
    _fill(tmp_path, ["a/1", "b/2"])
    scandir = os.scandir

    def guarded_scandir(path):
        if str(path).endswith("b"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded_scandir)
    with pytest.raises(PermissionError, match="b'"):
        files.walk(tmp_path)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
