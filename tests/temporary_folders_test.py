import os
import signal
import subprocess
import sys

import pytest

from tests.real_data import REPOSITORY
from tfdicom import background_work, files, remote_files, temporary_folders

# Ends as a process does that is killed while it holds copies.
KILLED = """
import os, signal
from tfdicom import files, remote_files
store = files.path_of("memory://store")
(store / "a").write_bytes(b"pixels")
with (
    remote_files.with_copies(store, ["a"]),
    files.written_whole(store / "b") as file,
):
    file.write(b"pixels")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Its own TMPDIR, in which nothing was looked for."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    temporary_folders._remove_abandoned.cache_clear()
    yield tmp_path
    temporary_folders._remove_abandoned.cache_clear()


def test_a_folder_is_of_this_user_and_gone_afterwards(temporary):
    with pytest.raises(KeyError), temporary_folders.folder() as path:
        (path / "a").write_text("x")
        assert path.parent == temporary
        assert path.stat().st_mode & 0o777 == 0o700
        raise KeyError
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(temporary):
    killed = subprocess.run([sys.executable, "-c", KILLED], cwd=REPOSITORY)
    assert killed.returncode == -signal.SIGKILL
    assert any(path.read_bytes() == b"pixels" for path in temporary.glob("*/*"))
    with temporary_folders.folder() as path:
        assert list(temporary.iterdir()) == [path]


def test_what_is_in_use_stays_and_what_is_not_ours(temporary):
    strange = temporary / f"{temporary_folders._beginning()}x.temporary"
    strange.symlink_to(temporary, target_is_directory=True)
    (temporary / "tfdicom-data").mkdir()
    with temporary_folders.folder() as first:
        temporary_folders._remove_abandoned.cache_clear()
        with temporary_folders.folder() as second:
            assert first.is_dir() and second.is_dir()
            assert strange.is_symlink() and (temporary / "tfdicom-data").is_dir()


def test_where_there_are_no_locks_nothing_is_removed(temporary, monkeypatch):
    def flock(descriptor, operation):
        raise OSError(95, os.strerror(95))

    monkeypatch.setattr(temporary_folders.fcntl, "flock", flock)
    with temporary_folders.folder() as first:
        temporary_folders._remove_abandoned.cache_clear()
        with temporary_folders.folder():
            assert first.is_dir()


def test_a_folder_that_another_process_took_is_made_again(temporary, monkeypatch):
    mkdtemp, taken = temporary_folders.tempfile.mkdtemp, []

    def made(*names):
        path = mkdtemp(*names)
        if not taken:
            os.rmdir(path)
            taken.append(path)
        return path

    monkeypatch.setattr(temporary_folders.tempfile, "mkdtemp", made)
    with temporary_folders.folder() as path:
        assert path.is_dir() and str(path) not in taken


def test_all_temporary_copies_lie_in_such_folders(temporary):
    store = files.path_of(f"memory://{temporary.name}")
    (store / "a").write_bytes(b"x")
    ways = (
        remote_files.with_copies(store, ["a"]),
        remote_files.local_copy(store / "a"),
        files.written_whole(store / "b"),
    )
    for way in ways:
        with way:
            (path,) = temporary.iterdir()
            assert path.suffix == ".temporary" and path.is_dir()
    failure = background_work._Failure()
    (path,) = temporary.iterdir()
    assert path.suffix == ".temporary"
    failure.forget()
    assert list(temporary.iterdir()) == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
