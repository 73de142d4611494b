"""One worker process: what runs in it, and the handle that its parent has.

A worker does one task at a time, as they come through its pipe, and ends when that
closes. It ends at once when its parent does, however that ended. Ctrl-C, which a
terminal sends to parent and workers alike, is the parent's affair.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, context, sharedctypes
from typing import Any

_LONGEST_TEXT = 4095  # characters, each of up to four bytes
_SECONDS_TO_END = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PROTOCOL = pickle.HIGHEST_PROTOCOL


class _Whereabouts(ctypes.Structure):
    """What a worker tells while it works: memory that its parent reads.

    Only the worker writes to it, so that no lock can be left behind by its death. A new
    text goes beside the one that counts, and ``side`` says which that is.
    """

    _fields_ = [  # noqa: RUF012 - ctypes wants a list
        ("done", ctypes.c_longlong),
        ("side", ctypes.c_int),
        ("texts", (ctypes.c_char * (4 * _LONGEST_TEXT + 1)) * 2),
    ]


_here: Any = None


def count_done(number: int = 1) -> None:
    """Called by a worker's function: so many units of its work are done."""
    if _here is not None:
        _here.done += number


def now_at(text: str) -> None:
    """Called by a worker's function: this input is the one it is at.

    It costs a microsecond, and is what is said about the worker if it dies.
    """
    if _here is not None:
        other = 1 - _here.side
        data = text[:_LONGEST_TEXT].encode("utf-8", "surrogatepass")
        _here.texts[other].value = data
        _here.side = other


@contextlib.contextmanager
def counting_here() -> Iterator[Any]:
    """Lets this process do a worker's work; gives its whereabouts (``done``)."""
    global _here
    before, _here = _here, _Whereabouts()
    try:
        yield _here
    finally:
        _here = before


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the body is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def main_not_imported() -> Iterator[None]:
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


class WorkerDied(Exception):  # noqa: N818 - a worker's end, not always a defect
    """The worker is no more; its message says who it was and how it ended."""


class WorkerTraceback(Exception):  # noqa: N818 - only ever the cause of an error
    """Where in a worker an error came from, as text."""


class Worker:
    """A process that was started, and the task that it is at.

    Attributes:
      task: What the one who gives tasks calls the task that the worker is at; None
        where it has none.
    """

    def __init__(
        self,
        processes: context.BaseContext,
        function: Callable[[Any], Any],
        lifelines: tuple[connection.Connection, connection.Connection],
        siblings: Sequence[Worker],
    ) -> None:
        """Starts it.

        Args:
          processes: Forks or spawns.
          function: What is called with each task's argument; pickled for a spawned one.
          lifelines: A pipe of which only the parent has the second end: where it
            closes, the parent is gone.
          siblings: The workers that a forked one should know nothing of.
        """
        self.task: int | None = None
        self._whereabouts = sharedctypes.RawValue(_Whereabouts)
        self._tasks, theirs = processes.Pipe()
        forks = processes.get_start_method() == "fork"
        lifeline, ours = lifelines
        strangers = [ours, self._tasks, *(one._tasks for one in siblings)]
        self._process = processes.Process(  # type: ignore[attr-defined]
            target=_work,
            args=(function, theirs, lifeline, self._whereabouts),
            kwargs={"strangers": strangers if forks else ()},
            daemon=True,
        )
        with signals_held(), theirs:
            self._process.start()
        self._name = f"process {self._process.pid}"

    @property
    def handles(self) -> tuple[connection.Connection, int]:
        """What becomes ready when there is an answer, or the worker has ended."""
        return self._tasks, self._process.sentinel

    @property
    def done(self) -> int:
        """Units of the present task that are done."""
        return self._whereabouts.done

    @property
    def at(self) -> str:
        """The input that it is or was at, as far as it told."""
        texts = self._whereabouts.texts
        return texts[self._whereabouts.side].value.decode("utf-8", "surrogatepass")

    def give(self, task: int, argument: Any) -> None:
        """Gives it something to do."""
        data = pickle.dumps(argument, _PROTOCOL)
        self.task = task
        self._whereabouts.done = 0
        self._whereabouts.texts[self._whereabouts.side].value = b""
        with contextlib.suppress(OSError):  # it has died, as its handles will tell
            self._tasks.send_bytes(data)

    def answer(self) -> Any:
        """What its function returned, once one of its handles is ready.

        Raises:
          WorkerDied: It has ended.
          Exception: What its function raised.
        """
        try:
            data = self._tasks.recv_bytes()
        except (EOFError, OSError):
            raise WorkerDied(self._how_it_ended()) from None
        succeeded, found = pickle.loads(data)
        if succeeded:
            return found
        error, told = found
        raise error from WorkerTraceback(f"in {self._name}:\n{told}")

    def rest(self) -> None:
        """Takes note that the task's answer has come."""
        self.task = None
        self._whereabouts.done = 0

    def dismiss(self) -> None:
        """Lets it end by itself, if it has nothing to do."""
        self._tasks.close()

    def wait(self) -> None:
        """Waits until it has ended, but not for ever."""
        self._process.join(_SECONDS_TO_END)

    def kill(self) -> None:
        """Ends it now."""
        self._process.kill()

    def bury(self) -> None:
        """Gives back what the system holds for a worker that was killed or ended."""
        self._process.join()
        self._process.close()
        self._tasks.close()

    def _how_it_ended(self) -> str:
        self.wait()
        if self._process.exitcode is None:  # it is deaf
            self.kill()
            self._process.join()
        status = self._process.exitcode
        if status < 0:
            with contextlib.suppress(ValueError):
                return f"{self._name}: {signal.Signals(-status).name}"
            return f"{self._name}: signal {-status}"
        return f"{self._name}: exit status {status}"


def _work(
    function: Callable[[Any], Any],
    tasks: connection.Connection,
    lifeline: connection.Connection,
    whereabouts: Any,
    *,
    strangers: Sequence[connection.Connection],
) -> None:
    """What runs in the worker."""
    global _here
    _here = whereabouts
    for one in strangers:  # while they are open here, they close nowhere
        one.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    # Looking through what is inherited would copy its pages, and find nothing.
    gc.freeze()
    with contextlib.suppress(EOFError, OSError):  # whoever asked has gone
        while True:
            tasks.send_bytes(_answer(function, tasks.recv_bytes()))


def _end_with_parent(lifeline: connection.Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    os._exit(1)


def _answer(function: Callable[[Any], Any], argument: bytes) -> bytes:
    try:
        return pickle.dumps((True, function(pickle.loads(argument))), _PROTOCOL)
    except BaseException as error:  # the parent raises it
        told = traceback.format_exc()
        return pickle.dumps((False, (_sendable(error), told)), _PROTOCOL)


def _sendable(error: BaseException) -> BaseException:
    """The error, or one that says the same where it does not survive pickling."""
    try:
        again = pickle.loads(pickle.dumps(error))
        if type(again) is type(error) and str(again) == str(error):
            return error
    except Exception:  # its class decides what goes wrong
        pass
    return RuntimeError(f"{type(error).__name__}: {error}")
