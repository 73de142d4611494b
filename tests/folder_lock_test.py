import datetime
import errno
import fcntl
import multiprocessing
import os
import sys
import threading
import uuid

import pytest

from tfdicom import files, folder_lock

HELD = "another conversion writes to"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Everything ten to a hundred times faster."""
    for name, seconds in {
        "_PATIENCE_SECONDS": 0.3,
        "_LOCAL_POLL_SECONDS": 0.02,
        "_REMOTE_POLL_SECONDS": 0.02,
        "_SETTLE_SECONDS": 0.02,
        "RENEWAL_SECONDS": 0.1,
        "EXPIRY_SECONDS": 0.5,
    }.items():
        monkeypatch.setattr(folder_lock, name, seconds)


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    if request.param == "local":
        return tmp_path / "out"
    return files.path_of(f"memory://{uuid.uuid4().hex}/out")


def test_one_at_a_time_and_nothing_is_left(folder):
    with files.lock(folder) as held:
        held.check()
        with pytest.raises(ValueError, match=HELD), files.lock(folder):
            pytest.fail("two have it")
        held.check()
    assert not folder.exists() or files.walk(folder) == []
    with files.lock(folder):
        pass


def test_other_folders_are_free(folder):
    with files.lock(folder), files.lock(folder.parent / "other"):
        pass


def test_an_exception_gives_it_back(folder):
    with pytest.raises(KeyError), files.lock(folder):
        raise KeyError
    with files.lock(folder):
        pass


def test_a_holder_that_ends_soon_is_waited_for(folder):
    taken, ending = threading.Event(), threading.Event()

    def hold():
        with files.lock(folder):
            taken.set()
            ending.wait(0.1)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    with files.lock(folder):
        assert not holder.is_alive() or ending.set() is None
    holder.join()


def _hold_and_die(folder, pipe):
    with files.lock(folder):
        pipe.send("held")
        os._exit(9)


def test_a_killed_process_holds_nothing(tmp_path):
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=_hold_and_die, args=(tmp_path, there)
    )
    process.start()
    assert here.recv() == "held"
    with files.lock(tmp_path):
        pass
    process.join()


def test_a_folder_made_anew_is_another(tmp_path):
    folder = tmp_path / "out"
    with files.lock(folder):
        folder.rename(tmp_path / "gone")
        with files.lock(folder):
            pass


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.ENOLCK, errno.EBADF])
def test_where_there_are_no_locks_it_says_so(tmp_path, monkeypatch, capsys, number):
    def flock(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with files.lock(tmp_path):
        assert f"{tmp_path} is on a file system that knows no locks" in (
            capsys.readouterr().err
        )


def test_other_errors_are_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), files.lock(tmp_path / "file"):
        pytest.fail("a file is no folder")


@pytest.fixture
def store():
    return files.path_of(f"memory://{uuid.uuid4().hex}")


def _abandoned(store):
    (store / folder_lock.LOCK).write_bytes(b"somebody")


def test_what_nobody_renews_is_taken_over(store, capsys):
    _abandoned(store)
    with files.lock(store) as held:
        held.check()
        assert (store / folder_lock.LOCK).read_bytes() != b"somebody"
    assert "is locked; waiting up to" in capsys.readouterr().err
    assert files.walk(store) == []


def test_age_is_told_by_the_clock_of_the_store(store, monkeypatch):
    _abandoned(store)
    ahead = datetime.timedelta(hours=1)
    real = type(store.fs).modified
    monkeypatch.setattr(type(store.fs), "modified", lambda *a: real(*a) + ahead)
    with files.lock(store):
        pass


def test_what_is_renewed_is_not(store):
    with files.lock(store) as held:
        ended = threading.Event()
        ended.wait(3 * folder_lock.EXPIRY_SECONDS)
        with pytest.raises(ValueError, match=HELD), files.lock(store):
            pytest.fail("two have it")
        held.check()


def test_who_lost_it_is_told_and_removes_nothing(store):
    with files.lock(store) as held:
        _abandoned(store)
        with pytest.raises(ValueError, match="has taken over"):
            held.check()
        threading.Event().wait(2 * folder_lock.RENEWAL_SECONDS)
    assert (store / folder_lock.LOCK).read_bytes() == b"somebody"


def test_who_could_not_renew_has_lost_it(store, monkeypatch):
    def fails(*arguments, **keywords):
        raise OSError("no network")

    with files.lock(store) as held:
        with monkeypatch.context() as broken:
            broken.setattr(type(store.fs), "cat_file", fails)
            threading.Event().wait(2 * folder_lock.EXPIRY_SECONDS)
        with pytest.raises(ValueError, match="has taken over"):
            held.check()


def test_of_many_one_has_it(store):
    having, most = [], []

    def work():
        try:
            with files.lock(store):
                having.append(1)
                most.append(len(having))
                threading.Event().wait(0.05)
                having.pop()
        except ValueError:
            pass

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert max(most) == 1


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
