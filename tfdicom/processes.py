"""Runs a function over many items in several processes, in order.

Whatever ends a worker (a signal, a lack of memory, a crash in a library) costs that
worker alone: what it was at is tried once more, and then named.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import gc
import multiprocessing
import os
import pathlib
import resource
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing import connection, resource_tracker
from typing import Generic, TypeVar

from tfdicom.worker_process import (
    Worker,
    WorkerDied,
    count_done,
    counting_here,
    main_not_imported,
    now_at,
    signals_held,
)

__all__ = [
    "Death",
    "count_done",
    "default_workers",
    "map_in_processes",
    "now_at",
    "rarely_collecting",
]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_POLL_SECONDS = 0.2
_FEWER_COLLECTIONS = 100
# Of one item; more is no longer the fault of single inputs.
_MOST_DEATHS = 20
# Bytes; without a plan of many images a process has half of it.
_MOST_INHERITED = 160 << 20
_STATM = pathlib.Path("/proc/self/statm")


@dataclasses.dataclass(frozen=True)
class Death:
    """How a worker died.

    Attributes:
      at: The input that it was at, as it told by ``now_at``; empty if it did not.
      how: The process, and its signal or exit status.
      count: How often workers have died at this input of this item by now.
    """

    at: str
    how: str
    count: int

    def __str__(self) -> str:
        """Both, for a person."""
        return f"{self.how}, at {self.at}" if self.at else self.how


@contextlib.contextmanager
def rarely_collecting() -> Iterator[None]:
    """Looks for garbage in cycles a hundred times less often; forked workers, too.

    A plan is many small objects that stay, and each look goes through all of them.
    """
    before = gc.get_threshold()
    gc.set_threshold(before[0] * _FEWER_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def default_workers() -> int:
    """Processors that this process may use; at least 2, for 1 is no worker."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return max(usable, 2)


def map_in_processes(
    function: Callable[[ItemT], ResultT],
    items: Sequence[ItemT],
    *,
    workers: int,
    progress: Callable[[int], None],
    on_death: Callable[[ItemT, Death], ItemT] | None = None,
) -> Generator[ResultT, None, None]:
    """Results of ``function(item)`` in the order of the items.

    A worker that dies is named on standard error, and its item is tried once more by a
    new one; with ``on_death``, as often as that finds something to try. Workers end
    with the generator (close it where the consumer may fail), at the first error, at
    Ctrl-C, and with this process, even if that is killed.

    Args:
      function: A function of a module, or a ``functools.partial`` of one.
      items: Arguments that can be pickled; they are only where nothing is forked.
      workers: Processes. With 1 everything runs in this one, which then is what a
        crash ends. So does a single item, unless there is ``on_death``.
      progress: Told now and then how many units ``count_done`` has counted, 0 first.
      on_death: Asked after each death of an item for the item to go on with: the same,
        or one without the input that kills. What it raises ends the work.

    Raises:
      RuntimeError: Workers died, twice or far too often, at one item.
      Exception: What the function raised, with the worker's traceback as its cause.
    """
    if workers <= 1 or len(items) <= (on_death is None):
        yield from _map_here(function, items, progress)
    else:
        workers = min(workers, len(items))
        yield from _Map(function, items, workers, progress, on_death).results()


def _map_here(
    function: Callable[[ItemT], ResultT],
    items: Sequence[ItemT],
    progress: Callable[[int], None],
) -> Iterator[ResultT]:
    progress(0)
    with counting_here() as here:
        for item in items:
            yield function(item)
            progress(here.done)


class _Map(Generic[ItemT, ResultT]):
    """A map under way: its workers, what waits for them, and what they have found."""

    def __init__(
        self,
        function: Callable[[ItemT], ResultT],
        items: Sequence[ItemT],
        workers: int,
        progress: Callable[[int], None],
        on_death: Callable[[ItemT, Death], ItemT] | None,
    ) -> None:
        self._function, self._items, self._most = function, list(items), workers
        self._progress, self._on_death = progress, on_death
        self._waiting = collections.deque(range(len(items)))
        self._found: dict[int, ResultT] = {}
        self._done = self._shown = 0
        self._deaths: dict[int, list[str]] = collections.defaultdict(list)
        self._workers: list[Worker] = []
        self._context = _context()
        self._forks = self._context.get_start_method() == "fork"
        self._lifelines = self._context.Pipe(duplex=False)
        if not self._forks:
            # Started later it would let signals through that are held.
            resource_tracker.ensure_running()

    def results(self) -> Iterator[ResultT]:
        try:
            self._progress(0)
            for place in range(len(self._items)):
                while place not in self._found:
                    self._hand_out()
                    self._listen()
                self._hand_out()
                yield self._found.pop(place)
            self._dismiss()
        finally:
            self._stop()

    def _hand_out(self) -> None:
        """Gives each idle worker something to do; starts those that are missing."""
        for worker in self._workers:
            if worker.task is None and self._waiting:
                self._give(worker, self._waiting.popleft())
        while self._waiting and len(self._workers) < self._most:
            self._give(self._started(), self._waiting.popleft())

    def _started(self) -> Worker:
        # A forked worker has the items as they are now.
        function = self._call_at if self._forks else self._function
        with signals_held(), main_not_imported():
            arguments = function, self._lifelines, self._workers
            self._workers.append(Worker(self._context, *arguments))
        return self._workers[-1]

    def _call_at(self, place: int) -> ResultT:
        return self._function(self._items[place])

    def _give(self, worker: Worker, place: int) -> None:
        worker.give(place, place if self._forks else self._items[place])

    def _listen(self) -> None:
        """Waits a moment for answers, and takes those that have come."""
        by_handle = {one: worker for worker in self._workers for one in worker.handles}
        ready = connection.wait(list(by_handle), _POLL_SECONDS)
        for worker in dict.fromkeys(by_handle[one] for one in ready):  # type: ignore[index]
            try:
                self._take(worker)
            except WorkerDied as death:
                self._replace(worker, str(death))
        done = self._done + sum(worker.done for worker in self._workers)
        self._shown = max(self._shown, done)  # what a dead worker did is done again
        self._progress(self._shown)

    def _take(self, worker: Worker) -> None:
        found = worker.answer()
        assert worker.task is not None  # who has no task has no answer
        self._found[worker.task] = found
        self._done += worker.done
        worker.rest()

    def _replace(self, worker: Worker, how: str) -> None:
        self._workers.remove(worker)
        place, at = worker.task, worker.at
        worker.bury()
        if place is None:
            _warn(f"a worker process died ({how}); it had nothing to do")
            return
        deaths = self._deaths[place]
        deaths.append(at)
        death = Death(at, how, deaths.count(at))
        self._items[place] = tried_next(
            self._items[place], death, len(deaths), self._on_death
        )
        _warn(f"a worker process died ({death}); another one goes on with its work")
        self._give(self._started(), place)

    def _dismiss(self) -> None:
        """Lets the workers, which have nothing to do, end in peace."""
        for worker in self._workers:
            worker.dismiss()
        for worker in self._workers:
            worker.wait()

    def _stop(self) -> None:
        """Ends all workers now; another Ctrl-C meanwhile has to wait."""
        interrupted = None
        while self._workers:
            try:
                with signals_held():
                    for worker in self._workers:
                        worker.kill()
                    while self._workers:
                        self._workers.pop().bury()
            except KeyboardInterrupt as error:
                interrupted = error
        for one in self._lifelines:
            one.close()
        if interrupted is not None:
            raise interrupted


def tried_next(
    item: ItemT,
    death: Death,
    deaths: int,
    on_death: Callable[[ItemT, Death], ItemT] | None,
) -> ItemT:
    """The item to go on with after so many deaths at it, of which this is the last.

    Raises:
      RuntimeError: There were too many.
    """
    if deaths > (1 if on_death is None else _MOST_DEATHS):
        raise RuntimeError(
            f"a worker process died ({death}), and that was attempt {deaths}. It was "
            "killed, ran out of memory, or cannot bear this input: leave that out, or "
            "run the command again with fewer --num_workers"
        )
    return item if on_death is None else on_death(item, death)


def _warn(sentence: str) -> None:
    print(f"Warning: {sentence}", file=sys.stderr)


def _context() -> multiprocessing.context.BaseContext:
    # Forking is fast and needs no guarded __main__, but threads do not survive it, and
    # a forked worker has the memory of its parent, which grows with the input.
    alone = threading.active_count() == 1 and "tensorflow" not in sys.modules
    fork = alone and "fork" in multiprocessing.get_all_start_methods()
    small = memory_in_use() <= _MOST_INHERITED
    return multiprocessing.get_context("fork" if fork and small else "spawn")


def memory_in_use() -> int:
    """Bytes that this process has in memory."""
    try:
        pages = _STATM.read_text().split()[1]
    except OSError:  # not Linux: what it once had is the nearest that is known
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return int(pages) * resource.getpagesize()
