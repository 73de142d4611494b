"""Runs a function over many items in several processes, in order."""

from __future__ import annotations

import concurrent.futures
import contextlib
import gc
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.sharedctypes import Synchronized
from typing import Any, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_POLL_SECONDS = 0.2
_FEWER_COLLECTIONS = 100
_done: Synchronized | None = None
#: In a forked worker: the function, and all items.
_inherited: tuple[Callable[[Any], Any], Sequence[Any]] | None = None


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


def count_done(number: int = 1) -> None:
    """Called by a worker's function: so many units of its work are done."""
    if _done is not None:
        with _done.get_lock():
            _done.value += number


def default_workers() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def map_in_processes(
    function: Callable[[ItemT], ResultT],
    items: Sequence[ItemT],
    *,
    workers: int,
    progress: Callable[[int], None],
) -> Iterator[ResultT]:
    """Results of ``function(item)`` in the order of the items.

    Args:
      function: A function of a module, or a ``functools.partial`` of one.
      items: Arguments that can be pickled; they are only where nothing is forked.
      workers: Processes; with 1, or one item, everything runs in this one.
      progress: Told now and then how many units ``count_done`` has counted.

    Raises:
      RuntimeError: A worker died.
    """
    context = _context()
    counter = context.Value("q", 0)
    workers = min(workers, len(items))
    if workers <= 1:
        yield from _map_here(function, items, counter, progress)
        return
    forks = context.get_start_method() == "fork"
    given = (counter, (function, items)) if forks else (counter,)
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, context, initializer=_start_worker, initargs=given
    )
    with pool:
        with _main_not_imported():
            if forks:
                futures = [pool.submit(_call, place) for place in range(len(items))]
            else:
                futures = [pool.submit(function, item) for item in items]
        try:
            for future in futures:
                yield _wait(future, counter, progress)
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a worker process died: it was killed, or ran out of memory. Run the "
                "command again with fewer --num_workers"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _map_here(
    function: Callable[[ItemT], ResultT],
    items: Sequence[ItemT],
    counter: Synchronized,
    progress: Callable[[int], None],
) -> Iterator[ResultT]:
    _start_counting(counter)
    try:
        for item in items:
            result = function(item)
            progress(counter.value)
            yield result
    finally:
        _stop_counting()


def _start_worker(
    counter: Synchronized,
    inherited: tuple[Callable[[Any], Any], Sequence[Any]] | None = None,
) -> None:
    global _inherited
    _inherited = inherited
    _start_counting(counter)
    # Looking through what is inherited would copy its pages, and find nothing.
    gc.freeze()


def _call(place: int) -> Any:
    assert _inherited is not None  # only forked workers are asked
    function, items = _inherited
    return function(items[place])


def _start_counting(counter: Synchronized) -> None:
    global _done
    _done = counter


def _stop_counting() -> None:
    global _done
    _done = None


def _context() -> multiprocessing.context.BaseContext:
    # Forking is fast and needs no guarded __main__, but threads do not survive it.
    alone = threading.active_count() == 1 and "tensorflow" not in sys.modules
    fork = alone and "fork" in multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork" if fork else "spawn")


@contextlib.contextmanager
def _main_not_imported() -> Iterator[None]:
    """Lets workers start without running the program's main module again.

    A spawned process imports it, which for a script without a ``__main__`` guard
    means starting everything anew. What runs here is never defined in it.
    """
    main = sys.modules["__main__"].__dict__
    hidden = {name: main.get(name) for name in ("__file__", "__spec__")}
    main.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        main.update(hidden)


def _wait(
    future: concurrent.futures.Future,
    counter: Synchronized,
    progress: Callable[[int], None],
) -> Any:
    while True:
        done, _ = concurrent.futures.wait([future], timeout=_POLL_SECONDS)
        progress(counter.value)
        if done:
            return future.result()
