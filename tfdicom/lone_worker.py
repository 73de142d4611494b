"""One worker process that does one thing after another, where threads are about.

A service that runs our work in its own processes (a worker of Apache Beam) must not die
of an image that crashes a decoder, and its memory is not ours: so the work is done in a
process beside it.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing import connection, resource_tracker
from typing import Any

from tfdicom.processes import Death, tried_next
from tfdicom.worker_process import Worker, WorkerDied, main_not_imported, signals_held

# Starting hides the main module for a moment, which one thread can do at a time.
_starting = threading.Lock()


class LoneWorker:
    """A process that is started when it is needed, and again after it died."""

    def __init__(
        self,
        function: Callable[[Any], Any],
        on_death: Callable[[Any, Death], Any] | None = None,
    ) -> None:
        """Starts nothing yet; the arguments are those of ``map_in_processes``."""
        self._function, self._on_death = function, on_death
        self._context = multiprocessing.get_context("spawn")
        self._lifelines = self._context.Pipe(duplex=False)
        self._worker: Worker | None = None

    def do(self, item: Any) -> tuple[Any, int]:
        """What the function gives for an item, and how many units it has counted.

        Raises:
          RuntimeError: Workers died, twice or far too often.
          Exception: What the function raised.
        """
        deaths: list[str] = []
        while True:
            worker = self._worker = self._worker or self._started()
            worker.give(0, item)
            connection.wait(worker.handles)
            try:
                return worker.answer(), worker.done
            except WorkerDied as died:
                item = self._mourn(item, str(died), deaths)
            finally:
                worker.rest()

    def _started(self) -> Worker:
        resource_tracker.ensure_running()
        with _starting, signals_held(), main_not_imported():
            return Worker(self._context, self._function, self._lifelines, ())

    def _mourn(self, item: Any, how: str, deaths: list[str]) -> Any:
        """What is tried next."""
        at = self._worker.at if self._worker else ""
        self.close()
        deaths.append(at)
        death = Death(at, how, deaths.count(at))
        return tried_next(item, death, len(deaths), self._on_death)

    def close(self) -> None:
        """Ends the process."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()
            worker.bury()
