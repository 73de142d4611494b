"""Shows how far long work is: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

import tqdm

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """A bar or lines on standard error; call it with the number that is done."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        """Starts at 0 of ``total`` units."""
        self._title, self._total, self._unit = title, total, unit
        self._start = self._last_line = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm.tqdm(desc=title, total=total, unit=unit, leave=False)

    def __call__(self, done: int) -> None:
        """Shows that so many units of the whole are done."""
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        elif now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            rate = done / (now - self._start)
            left = (
                f"{(self._total - done) / rate:.0f} s left" if rate else "no rate yet"
            )
            line = f"{done} of {self._total} {self._unit}, {rate:.0f}/s, {left}"
            print(f"{self._title}: {line}", file=sys.stderr, flush=True)

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
