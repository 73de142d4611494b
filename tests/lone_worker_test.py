"""One worker process, beside a thread: results, counts, errors, deaths."""

import os
import pathlib
import signal
import sys
import threading

import pytest

from tfdicom import processes
from tfdicom.lone_worker import LoneWorker


def _work(item):
    name, mark = item
    processes.now_at(name)
    if name == "fail":
        raise ValueError("it fails")
    if name == "die" or (name == "die once" and not pathlib.Path(mark).exists()):
        pathlib.Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    processes.count_done(3)
    return os.getpid()


def _without(item, death):
    assert death.at == item[0] and "SIGKILL" in death.how
    return item if death.count == 1 else ("left out", item[1])


@pytest.fixture
def worker():
    worker = LoneWorker(_work, _without)
    yield worker
    worker.close()


def test_one_process_does_all_and_counts(worker):
    first, done = worker.do(("a", ""))
    second, again = worker.do(("b", ""))
    assert first == second != os.getpid()
    assert (done, again) == (3, 3)


def test_an_error_is_raised_and_the_process_goes_on(worker):
    first, _ = worker.do(("a", ""))
    with pytest.raises(ValueError, match="it fails") as error:
        worker.do(("fail", ""))
    assert "_work" in str(error.value.__cause__)
    assert worker.do(("b", "")) == (first, 3)


@pytest.mark.parametrize("name", ["die", "die once"])
def test_after_a_death_another_process_tries(worker, tmp_path, name, capfd):
    first, _ = worker.do(("a", ""))
    second, done = worker.do((name, tmp_path / "mark"))
    assert second != first and done == 3


def test_without_advice_two_deaths_are_an_error(tmp_path):
    worker = LoneWorker(_work)
    with pytest.raises(RuntimeError, match=r"SIGKILL, at die\).*attempt 2"):
        worker.do(("die", tmp_path / "mark"))
    assert worker.do(("a", ""))[1] == 3
    worker.close()


def test_threads_have_one_each():
    found = {}

    def run(number):
        worker = LoneWorker(_work)
        found[number] = [worker.do((str(number), ""))[0] for _ in range(2)]
        worker.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == len({pid for pids in found.values() for pid in pids}) == 3


def test_closing_ends_the_process(worker):
    pid, _ = worker.do(("a", ""))
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
