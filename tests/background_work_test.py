import pathlib
import subprocess
import sys
import threading
import time

import pytest

from tfdicom import background_work


def _wait(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_all_of_it_is_done_by_no_more_threads_than_asked():
    done, names = [], set()

    def work(number, stopped):
        names.add(threading.current_thread().name + str(threading.get_ident()))
        time.sleep(0.01)
        assert not stopped()
        done.append(number)

    failure = background_work.start(work, range(20), threads=3)
    _wait(lambda: len(done) == 20)
    assert sorted(done) == list(range(20))
    assert len(names) <= 3
    assert not pathlib.Path(failure).exists()


def test_one_thread_keeps_the_order():
    done = []
    background_work.start(lambda number, _: done.append(number), [3, 1, 2], threads=1)
    _wait(lambda: len(done) == 3)
    assert done == [3, 1, 2]


@pytest.mark.parametrize(
    "error", [ValueError("größer " * 2000), KeyboardInterrupt(), SystemExit("end")]
)
def test_a_failure_is_a_file_and_stops_the_rest(error):
    done = []

    def work(number, stopped):
        if number == 1:
            raise error
        done.append(number)

    failure = pathlib.Path(background_work.start(work, range(9), threads=1))
    _wait(failure.exists)
    said = failure.read_bytes().decode(errors="ignore")
    wanted = str(error) or type(error).__name__
    assert said and wanted.startswith(said)
    assert done == [0]


def test_the_end_of_the_program_ends_it(tmp_path):
    script = f"""
import pathlib, time
from tfdicom import background_work
folder = pathlib.Path({str(tmp_path)!r})
def work(number, stopped):
    (folder / "began").touch()
    while not stopped():
        time.sleep(0.01)
    (folder / "ended").touch()
failure = background_work.start(work, range(9), threads=1)
while not (folder / "began").exists():
    time.sleep(0.01)
print(pathlib.Path(failure).parent)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ended").exists()
    assert not pathlib.Path(done.stdout.strip()).exists()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
