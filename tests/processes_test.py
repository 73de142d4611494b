import functools
import gc
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tfdicom import processes


def slow_square(item):
    time.sleep(0.02 * (item % 3))
    processes.count_done(2)
    return item * item


def count_and_name_process(_):
    time.sleep(0.05)
    processes.count_done()
    return os.getpid()


def fail_at(bad, item):
    if item == bad:
        raise ValueError(f"item {item}")
    return item


def exit_at(bad, item):
    if item == bad:
        os._exit(3)
    return item


def kill_at(bad, item):
    if item == bad:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def mapped(function, items, workers, counts=None):
    progress = (counts if counts is not None else []).append
    return processes.map_in_processes(
        function, items, workers=workers, progress=progress
    )


@pytest.mark.parametrize("workers", [1, 2, 3, 50])
def test_results_come_in_order_and_everything_is_counted(workers):
    counts = []
    items = list(range(10))
    assert list(mapped(slow_square, items, workers, counts)) == [i * i for i in items]
    assert counts == sorted(counts) and counts[-1] == 20


@pytest.mark.parametrize(
    ("workers", "items", "here"), [(1, 4, True), (4, 1, True), (2, 4, False)]
)
def test_one_worker_or_item_runs_in_this_process(workers, items, here):
    found = set(mapped(count_and_name_process, range(items), workers))
    assert (found == {os.getpid()}) == here
    if not here:
        assert os.getpid() not in found


def test_no_items():
    assert list(mapped(slow_square, [], 4)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_error_of_an_item_is_raised(workers):
    with pytest.raises(ValueError, match="item 3"):
        list(mapped(functools.partial(fail_at, 3), range(6), workers))


@pytest.mark.parametrize("die", [exit_at, kill_at])
def test_death_of_a_worker_ends_the_work_with_a_message(die):
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="worker process died.*--num_workers"):
        list(mapped(functools.partial(die, 4), range(20), 2))
    assert time.monotonic() - start < 20


@pytest.mark.skipif(sys.platform != "linux", reason="workers may not be forked")
def test_forked_workers_take_functions_and_items_as_they_are():
    script = (
        "from tfdicom.processes import map_in_processes as run\n"
        "items = [lambda: 1, lambda: 2, lambda: 3]\n"
        "calls = run(lambda one: one(), items, workers=2, progress=lambda n: None)\n"
        "print(*calls)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 2 3\n"


def test_garbage_is_collected_as_before_afterwards():
    before = gc.get_threshold()
    with pytest.raises(KeyError), processes.rarely_collecting():
        assert gc.get_threshold()[0] == 100 * before[0] > 0
        raise KeyError
    assert gc.get_threshold() == before


def test_threads_of_this_process_do_no_harm():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert list(mapped(slow_square, range(3), 2)) == [0, 1, 4]
    finally:
        stop.set()
        thread.join()


def test_counting_outside_a_map_does_nothing():
    processes.count_done()
    assert list(mapped(slow_square, [1], 1)) == [1]
    processes.count_done()


@pytest.mark.parametrize(("processors", "workers"), [(1, 2), (2, 2), (7, 7)])
def test_default_is_what_this_process_may_use(monkeypatch, processors, workers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(processors)))
    assert processes.default_workers() == workers


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
