"""Work that goes on in threads while the program does something else.

Whoever waits for its results may be a graph of TensorFlow, which no exception of a
thread reaches: so a failure is a file, which a graph can look for.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import threading
from collections.abc import Callable, Iterable

from tfdicom import temporary_folders

_ROOM = 4096  # bytes of a message
_PATIENCE_SECONDS = 5.0


def start(
    work: Callable[[int, Callable[[], bool]], None],
    numbers: Iterable[int],
    *,
    threads: int,
) -> str:
    """Starts work on all numbers, in their order; a failure stops all of it.

    Args:
      work: Gets a number, and a function that says whether to stop.
      numbers: What to work on.
      threads: How many work at the same time. They end with the program.

    Returns:
      Path of a file that appears at the first failure, and says what it was.
    """
    todo = collections.deque(numbers)
    failure = _Failure()
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            try:
                number = todo.popleft()
            except IndexError:
                return
            try:
                work(number, stop.is_set)
            except BaseException as error:  # whatever it is, somebody waits for it
                if not stop.is_set():
                    failure.tell(error)
                stop.set()

    workers = [
        threading.Thread(target=go_on, name="tfdicom-background", daemon=True)
        for _ in range(min(threads, len(todo)))
    ]
    for worker in workers:
        worker.start()

    def end() -> None:
        stop.set()
        for worker in workers:
            worker.join(_PATIENCE_SECONDS)
        failure.forget()

    atexit.register(end)
    return failure.path


class _Failure:
    """A file that is renamed into view; room for its message is taken beforehand."""

    def __init__(self) -> None:
        self._held = contextlib.ExitStack()
        folder = self._held.enter_context(temporary_folders.folder())
        self._pending = folder / "pending"
        self._pending.write_bytes(b" " * _ROOM)
        self._lock = threading.Lock()
        self.path = str(folder / "failed")

    def tell(self, error: BaseException) -> None:
        """Writes what happened, if it is the first."""
        message = str(error) or type(error).__name__
        with self._lock, contextlib.suppress(FileNotFoundError):
            with self._pending.open("r+b") as file:  # a disk may be full
                file.write(message.encode()[:_ROOM])
                file.truncate()
            self._pending.replace(self.path)

    def forget(self) -> None:
        """Removes all of it."""
        self._held.close()
