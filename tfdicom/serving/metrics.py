"""Figures of the server as Prometheus text, summed over its processes.

Each process counts in a row of its own of one table that they share, so that nobody
waits for anybody; a process that takes the place of one that ended goes on in its row.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Iterable, Sequence

import numpy as np

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_STATUSES = (200, 303, 304, 400, 401, 404, 405, 413, 421, 429, 500, 503)
_OTHER = "other"
_TOTALS = {
    "batches_total": "Batches that were made.",
    "batch_examples_total": "Examples in them.",
    "sent_bytes_total": "Bytes of the answers.",
}
_GAUGES = {"requests_in_progress": "Requests that are being answered."}


class Metrics:
    """Counters of one process, in the shared table."""

    def __init__(
        self, routes: Sequence[str], *, table: mmap.mmap | None = None, row: int = 0
    ) -> None:
        """Joins the table.

        Args:
          routes: Names of the routes.
          table: Of ``shared_table``; one of its own if not given.
          row: Of this process.
        """
        self._routes = [*routes, _OTHER]
        statuses = [*map(str, _STATUSES), _OTHER]
        self._requests = {
            (route, status): number
            for number, (route, status) in enumerate(
                (route, status) for route in self._routes for status in statuses
            )
        }
        width = len(_SECONDS) + 2  # buckets, the rest, the sum
        start = len(self._requests)
        self._times = {
            route: start + number * width for number, route in enumerate(self._routes)
        }
        start += width * len(self._routes)
        names = [*_TOTALS, *_GAUGES]
        self._singles = {name: start + number for number, name in enumerate(names)}
        size = start + len(names)
        if table is None:
            table = shared_table(1, size)
        rows = len(table) // (size * 8)
        self._all = np.frombuffer(table, np.float64, rows * size).reshape(rows, size)
        self._own = self._all[row % rows]
        for gauge in _GAUGES:  # of a process that ended in the middle of something
            self._own[self._singles[gauge]] = 0
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Numbers in a row."""
        return self._all.shape[1]

    def add(self, name: str, amount: float = 1.0) -> None:
        """Adds to a single figure."""
        with self._lock:
            self._own[self._singles[name]] += amount

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Counts a request."""
        route = route if route in self._times else _OTHER
        word = str(status) if status in _STATUSES else _OTHER
        start = self._times[route]
        with self._lock:
            self._own[self._requests[route, word]] += 1
            self._own[start + int(np.searchsorted(_SECONDS, seconds))] += 1
            self._own[start + len(_SECONDS) + 1] += seconds

    def text(self) -> str:
        """All figures, of all processes together."""
        return "\n".join(self._lines(self._all.sum(axis=0))) + "\n"

    def _lines(self, total: np.ndarray) -> Iterable[str]:
        name = "tfdicom_requests_total"
        yield from _head(name, "counter", "Requests that were answered.")
        for (route, status), place in self._requests.items():
            if total[place]:
                labels = f'route="{route}",status="{status}"'
                yield f"{name}{{{labels}}} {total[place]:.0f}"
        name = "tfdicom_request_seconds"
        yield from _head(name, "histogram", "Time until an answer begins.")
        for route, start in self._times.items():
            counts = total[start : start + len(_SECONDS) + 1].cumsum()
            if not counts[-1]:
                continue
            for limit, count in zip([*_SECONDS, "+Inf"], counts, strict=True):
                yield f'{name}_bucket{{route="{route}",le="{limit}"}} {count:.0f}'
            seconds = total[start + len(_SECONDS) + 1]
            yield f'{name}_sum{{route="{route}"}} {seconds:.6f}'
            yield f'{name}_count{{route="{route}"}} {counts[-1]:.0f}'
        for short, words in (_TOTALS | _GAUGES).items():
            kind = "gauge" if short in _GAUGES else "counter"
            yield from _head(f"tfdicom_{short}", kind, words)
            yield f"tfdicom_{short} {total[self._singles[short]]:.0f}"


def _head(name: str, kind: str, words: str) -> list[str]:
    return [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]


def shared_table(rows: int, size: int) -> mmap.mmap:
    """Memory for so many processes that are forked after this call."""
    return mmap.mmap(-1, rows * size * 8)


def table_for(routes: Sequence[str], processes: int) -> mmap.mmap:
    """The table for so many processes."""
    return shared_table(processes, Metrics(routes).size)
