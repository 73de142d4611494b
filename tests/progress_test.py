import io
import re
import sys
import threading
import time

import pytest

from tfdicom import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_log_gets_a_plain_line_now_and_then(capsys, clock):
    with progress.Progress("images", 200, "images") as show:
        for second in range(25):
            clock[0] += 1
            show(2 * second)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "images: 18 of 200 images, 2.0/s, 91 s left",
        "images: 38 of 200 images, 2.0/s, 81 s left",
    ]


@pytest.mark.parametrize(
    ("total", "rate", "left"),
    [
        (1200, 10, "10/s, 90 s left"),
        (1200, 1, "1.0/s, 16 min left"),
        (100_000, 5, "5.0/s, 5 h 32 min left"),
    ],
)
def test_time_left_is_that_of_the_work_that_this_run_does(
    capsys, clock, total, rate, left
):
    with progress.Progress("images", total, "images") as show:
        clock[0] += 3
        show(200)  # an earlier run's
        clock[0] += 10
        show(200 + 10 * rate)
    line = capsys.readouterr().err
    assert line == f"images: {200 + 10 * rate} of {total} images, {left}\n"


def test_no_rate_before_the_first_unit(capsys, clock):
    with progress.Progress("headers", 5, "images") as show:
        clock[0] += 11
        show(0)
    assert capsys.readouterr().err == "headers: 0 of 5 images, no rate yet\n"


def test_short_work_is_silent_in_a_log(capsys):
    with progress.Progress("images", 3, "images") as show:
        show(3)
    assert capsys.readouterr().err == ""


def test_terminal_gets_a_bar_that_is_taken_away(monkeypatch):
    before = threading.active_count()
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.Progress("images", 4, "images") as show:
        show(1)
        time.sleep(0.15)  # a bar is drawn ten times a second at most
        show(4)
        assert threading.active_count() == before  # so that workers can be forked
    shown = terminal.getvalue()
    assert "images: " in shown and "1/4" in shown and "4/4" in shown
    assert re.fullmatch(r"\s*", shown.rpartition("\r")[0].rpartition("\r")[2])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
