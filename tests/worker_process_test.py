"""One worker: what it tells, answers and leaves behind."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing import connection

import pytest

from tfdicom import worker_process
from tfdicom.worker_process import Worker, WorkerDied, WorkerTraceback

#: Run once, by pytest alone.
pytestmark = pytest.mark.slow


def do(argument):
    """What the argument says."""
    what, value = argument
    match what:
        case "give":
            return value
        case "at":
            for text in value:
                worker_process.now_at(text)
                worker_process.count_done(2)
            os._exit(0)
        case "raise":
            raise value
        case "signals":
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
            return (
                signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
                signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
                not mask & {signal.SIGINT, signal.SIGTERM},
            )


@pytest.fixture(params=["fork", "spawn"])
def worker(request):
    context = multiprocessing.get_context(request.param)
    lifelines = context.Pipe(duplex=False)
    started = Worker(context, do, lifelines, ())
    yield started
    started.kill()
    started.bury()
    for one in lifelines:
        one.close()


def answer(worker, *argument):
    worker.give(7, argument)
    assert worker.task == 7
    assert connection.wait(worker.handles, 30)
    try:
        return worker.answer()
    finally:
        worker.rest()
        assert worker.task is None


def test_tasks_one_after_the_other(worker):
    assert answer(worker, "give", 1) == 1
    large = os.urandom(3 << 20)  # far more than a pipe holds
    assert answer(worker, "give", large) == large
    with pytest.raises(LookupError, match="not here") as error:
        answer(worker, "raise", LookupError("not here"))
    assert isinstance(error.value.__cause__, WorkerTraceback)
    assert answer(worker, "give", None) is None


def test_worker_ends_by_itself_when_it_is_dismissed(worker):
    assert answer(worker, "give", 1) == 1
    start = time.monotonic()
    worker.dismiss()
    worker.wait()
    assert time.monotonic() - start < 5
    assert worker._process.exitcode == 0


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("a", "b"), "b"),
        (("a", "b", "c"), "c"),
        ((), ""),
        (("Müller/ß.dcm",), "Müller/ß.dcm"),
        (("M\udcfcller",), "M\udcfcller"),
        (("x" * 20_000,), "x" * 4095),
        (("\U0001f9e0" * 5000,), "\U0001f9e0" * 4095),
    ],
)
def test_where_it_was_is_known_after_its_death(worker, texts, expected):
    with pytest.raises(WorkerDied, match=rf"^process {worker._process.pid}: exit stat"):
        worker.give(1, ("at", texts))
        connection.wait(worker.handles, 30)
        worker.answer()
    assert worker.at == expected
    assert worker.done == 2 * len(texts)


def test_each_task_begins_nowhere(worker):
    worker._whereabouts.texts[0].value = b"before"
    worker._whereabouts.done = 5
    worker.give(1, ("give", 1))
    assert (worker.at, worker.done) == ("", 0)


def test_signals_of_a_terminal_are_the_parents_affair(worker):
    assert answer(worker, "signals", None) == (True, True, True)


def test_a_worker_that_is_dead_when_it_gets_a_task(worker):
    os.kill(worker._process.pid, signal.SIGTERM)
    worker.wait()
    with pytest.raises(WorkerDied, match="SIGTERM"):
        answer(worker, "give", bytes(1 << 20))


def test_held_signals_come_afterwards():
    with pytest.raises(KeyboardInterrupt):
        with worker_process.signals_held():
            # To this thread: another, of a library, would take it.
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            reached = True
    assert reached
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_telling_outside_a_worker_does_nothing():
    worker_process.now_at("here")
    worker_process.count_done()
    with worker_process.counting_here() as here:
        assert here.done == 0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
