"""Maps over items in processes: order, counts, errors, deaths and signals."""

import contextlib
import ctypes
import faulthandler
import functools
import gc
import multiprocessing
import os
import pathlib
import resource
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest

from tests.real_data import REPOSITORY
from tfdicom import processes
from tfdicom.processes import Death

#: Run once, by pytest alone.
pytestmark = pytest.mark.slow

needs_proc = pytest.mark.skipif(
    not pathlib.Path("/proc/self/stat").exists(), reason="no /proc"
)


@pytest.fixture(params=["fork", "spawn"])
def started(request, monkeypatch):
    """How workers are started."""
    context = multiprocessing.get_context(request.param)
    monkeypatch.setattr(processes, "_context", lambda: context)
    return request.param


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


def die(how):
    if how == "exit":
        os._exit(3)
    if how == "segfault":
        faulthandler.disable()  # it would be long
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(bad, how, marks, times, item):
    """Dies so many times at an item; each time leaves a mark, a file."""
    processes.now_at(f"file {item}")
    processes.count_done()
    if item == bad and len(os.listdir(marks)) < times:
        (pathlib.Path(marks) / str(os.getpid())).touch()
        die(how)
    return item


def die_in(bad, item):
    """Dies where a bad word is in the item, which is many words."""
    for word in item:
        processes.now_at(word)
        if word in bad:
            die("exit")
        processes.count_done()
    return "".join(item)


def name_process_and_fail(folder, item):
    (pathlib.Path(folder) / str(os.getpid())).touch()
    if item == 1:
        wait_for(lambda: len(os.listdir(folder)) == 2)
        raise KeyError("one")
    time.sleep(60)


class Stubborn(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def fail_stubbornly(item):
    raise Stubborn("this", "that")


def not_to_be_sent(item):
    return lambda: item


class Result:
    """Knows which of its kind there are."""

    living = weakref.WeakSet()

    def __init__(self, number):
        self.number = number
        Result.living.add(self)

    def __reduce__(self):
        return Result, (self.number,)


def make_result(item):
    time.sleep(0.01)
    return Result(item)


def state(pid):
    """State of a process as the kernel has it; None where there is none."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return None
    return text.rpartition(")")[2].split()[0]


def wait_for(true, seconds=20.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.01)


def mapped(function, items, workers, counts=None, **options):
    progress = (counts if counts is not None else []).append
    return processes.map_in_processes(
        function, items, workers=workers, progress=progress, **options
    )


@pytest.mark.parametrize("workers", [1, 2, 3, 50])
def test_results_come_in_order_and_everything_is_counted(workers):
    counts = []
    items = list(range(10))
    assert list(mapped(slow_square, items, workers, counts)) == [i * i for i in items]
    assert counts == sorted(counts) and (counts[0], counts[-1]) == (0, 20)


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


def test_error_has_the_workers_traceback_as_its_cause(started):
    with pytest.raises(ValueError, match="^item 3$") as error:
        list(mapped(functools.partial(fail_at, 3), range(6), 2))
    told = str(error.value.__cause__)
    assert "in process " in told
    assert 'raise ValueError(f"item {item}")' in told


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (fail_stubbornly, RuntimeError, "^Stubborn: this and that$"),
        (not_to_be_sent, Exception, "pickle"),
    ],
)
def test_what_does_not_survive_pickling_is_told(function, kind, message):
    with pytest.raises(kind, match=message):
        list(mapped(function, range(3), 2))


@needs_proc
def test_first_error_ends_the_other_workers(tmp_path, started):
    with pytest.raises(KeyError, match="one"):
        list(mapped(functools.partial(name_process_and_fail, tmp_path), range(3), 2))
    workers = os.listdir(tmp_path)
    assert len(workers) == 2
    assert [state(pid) for pid in workers] == [None, None]  # and no zombies


@needs_proc
def test_workers_end_with_the_generator(started):
    with contextlib.closing(mapped(count_and_name_process, range(50), 2)) as results:
        workers = {next(results) for _ in range(8)}
    assert all(state(pid) is None for pid in workers)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("how", "told"),
    [("kill", "SIGKILL"), ("segfault", "SIGSEGV"), ("exit", "exit status 3")],
)
def test_worker_that_dies_is_named_and_its_item_tried_again(
    tmp_path, started, capfd, how, told
):
    counts = []
    work = functools.partial(die_at, 4, how, str(tmp_path), 1)
    begin = time.monotonic()
    assert list(mapped(work, range(12), 2, counts)) == list(range(12))
    assert time.monotonic() - begin < 10
    assert counts == sorted(counts) and counts[-1] == 12
    (pid,) = os.listdir(tmp_path)
    assert capfd.readouterr().err == (
        f"Warning: a worker process died (process {pid}: {told}, at file 4); another "
        "one goes on with its work\n"
    )


def test_second_death_at_an_item_ends_the_work(tmp_path, started):
    work = functools.partial(die_at, 4, "kill", str(tmp_path), 2)
    message = r"died \(process \d+: SIGKILL, at file 4\).*attempt 2.*--num_workers"
    with pytest.raises(RuntimeError, match=message):
        list(mapped(work, range(20), 2))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("items", [1, 4])
def test_work_goes_on_without_what_kills(started, items):
    asked, counts = [], []

    def without(item, death):
        asked.append((death.at, death.count))
        assert "exit status 3" in death.how
        if death.count == 1:
            return item
        return tuple(word for word in item if word != death.at)

    work = functools.partial(die_in, {"b", "c"})
    everything = [("a", "b", "c", "d"), *[("e",)] * (items - 1)]
    found = mapped(work, everything, 2, counts, on_death=without)
    assert list(found) == ["ad", *"e" * (items - 1)]
    assert asked == [("b", 1), ("b", 2), ("c", 1), ("c", 2)]
    assert counts[-1] == 2 + items - 1


def test_what_is_asked_after_a_death_may_give_up():
    def give_up(item, death):
        raise LookupError(f"no way past {death.at}")

    with pytest.raises(LookupError, match="no way past b"):
        list(mapped(functools.partial(die_in, "b"), ["ab"] * 3, 2, on_death=give_up))
    assert not multiprocessing.active_children()


def test_deaths_come_to_an_end(monkeypatch):
    monkeypatch.setattr(processes, "_MOST_DEATHS", 3)
    asked = []

    def again(item, death):
        asked.append(death.count)
        return item

    with pytest.raises(RuntimeError, match="attempt 4"):
        list(mapped(functools.partial(die_in, "b"), ["ab"] * 3, 2, on_death=again))
    assert 3 <= len(asked) <= 6  # of the other item, too


def test_death_for_a_person():
    assert (
        str(Death("a.dcm", "process 7: SIGKILL", 1)) == "process 7: SIGKILL, at a.dcm"
    )
    assert str(Death("", "process 7: SIGKILL", 1)) == "process 7: SIGKILL"


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_kept_no_longer_than_needed(workers):
    left = 30
    for result in mapped(make_result, range(30), workers):
        assert result.number == 30 - left
        del result
        left -= 1
        assert len(Result.living) <= left


WORK = """
import os, time

def work(item):
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(100)
"""
PROGRAM = """
import multiprocessing
from tfdicom import command, processes
import work

def main(arguments):
    context = multiprocessing.get_context(arguments[0])
    processes._context = lambda: context
    print("up", flush=True)
    list(processes.map_in_processes(
        work.work, range(4), workers=3, progress=lambda done: None))

command.run(main)
"""


@contextlib.contextmanager
def running(folder, method):
    """A program that is about to start three workers; they say their numbers."""
    (folder / "work.py").write_text(WORK)
    (folder / "program.py").write_text(PROGRAM)
    search = os.pathsep.join((str(REPOSITORY), str(folder)))
    with subprocess.Popen(
        [sys.executable, folder / "program.py", method],
        env={**os.environ, "PYTHONPATH": search},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == "up\n"
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def read_numbers(process):
    return [int(process.stdout.readline()) for _ in range(3)]


def wait_for_end(workers):
    # Who has no parent any more waits for another one.
    wait_for(lambda: all(state(pid) in (None, "Z") for pid in workers), seconds=2.0)


@needs_proc
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_end_when_their_parent_is_killed(tmp_path, method):
    with running(tmp_path, method) as process:
        workers = read_numbers(process)
        process.kill()
        process.wait()
        wait_for_end(workers)
        assert "Traceback" not in process.stderr.read()


@needs_proc
@pytest.mark.parametrize(
    ("number", "times"),
    [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGINT, 30), (signal.SIGTERM, 2)],
)
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_interrupts_leave_no_workers_and_no_traceback(tmp_path, method, number, times):
    with running(tmp_path, method) as process:
        workers = read_numbers(process)
        for _ in range(times):
            if number == signal.SIGINT:  # as a terminal does
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        error = process.communicate(timeout=20)[1]
        assert process.returncode == 1
        assert error == "Error: interrupted; nothing half-written is left\n"
        wait_for_end(workers)


@needs_proc
@pytest.mark.parametrize("pause", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_interrupt_while_workers_start(tmp_path, method, pause):
    with running(tmp_path, method) as process:
        time.sleep(pause)
        os.killpg(process.pid, signal.SIGINT)
        out, error = process.communicate(timeout=20)
        assert error == "Error: interrupted; nothing half-written is left\n"
        wait_for_end(out.split())


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


def memory_in_mib(_):
    pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize() >> 20


@needs_proc
def test_workers_of_a_large_process_have_nothing_of_it():
    script = (
        "from tests.processes_test import mapped, memory_in_mib\n"
        "ballast = bytearray(b'x') * (300 << 20)\n"
        "print(memory_in_mib(0), *mapped(memory_in_mib, range(4), 2))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    parent, *workers = map(int, done.stdout.split())
    assert parent > 300
    assert len(workers) == 4 and max(workers) < 150


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
