"""Shows how far long work is: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

import tqdm

_SECONDS_BETWEEN_LINES = 10.0


class _Bar(tqdm.tqdm):
    monitor_interval = 0  # it is a thread, and processes with threads cannot be forked


class Progress:
    """A bar or lines on standard error; call it with the number that is done.

    The first call tells where the work starts. What an earlier run has done takes this
    one no time, so rate and time left are those of the work since then.
    """

    def __init__(self, title: str, total: int, unit: str) -> None:
        """Shows nothing yet of ``total`` units."""
        self._title, self._total, self._unit = title, total, unit
        self._started = self._last_line = time.monotonic()
        self._at_start: int | None = None
        self._bar: _Bar | None = None

    def __call__(self, done: int) -> None:
        """Shows that so many units of the whole are done."""
        now = time.monotonic()
        if self._at_start is None:
            self._at_start, self._started = done, now
            if sys.stderr.isatty():
                self._bar = _Bar(
                    desc=self._title,
                    total=self._total,
                    unit=self._unit,
                    initial=done,
                    leave=False,
                )
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        elif now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            print(self._line(done, now), file=sys.stderr, flush=True)

    def _line(self, done: int, now: float) -> str:
        since = done - (self._at_start or 0)
        line = f"{self._title}: {done} of {self._total} {self._unit}"
        if since <= 0 or now <= self._started:
            return f"{line}, no rate yet"
        rate = since / (now - self._started)
        left = _duration((self._total - done) / rate)
        return f"{line}, {rate:.{0 if rate >= 10 else 1}f}/s, {left} left"

    def __enter__(self) -> Progress:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
