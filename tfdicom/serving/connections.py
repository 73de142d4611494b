"""Connections that hold no thread for long: slow clients wait, too many are cut off."""

from __future__ import annotations

import errno
import select
import socket
import threading
import time
from typing import Any

_PATIENCE = 0.5  # seconds that any client may take
_PATIENCE_IN_NEED = 0.2  # when as many are slow as may be
_SLOWEST = 1 << 18  # bytes a second, below which it is slow
_HEAD_SECONDS = 5.0  # for all of a request
_LOOK_SECONDS = 0.1  # between two looks at how many are slow
_ENDING_SECONDS = 0.1  # for what a client still sends when all is answered


class SlowClients:
    """Counts the threads of a process that wait for slow clients."""

    def __init__(self, most: int) -> None:
        """Takes how many may wait at once."""
        self._most, self._count = most, 0
        self._lock = threading.Lock()

    @property
    def patience(self) -> float:
        """Seconds without progress from which on a client is slow."""
        return _PATIENCE if self._count < self._most else _PATIENCE_IN_NEED

    def give_up_all(self) -> None:
        """Lets none wait any more: the process ends."""
        self._most = 0

    def add(self) -> None:
        """One more waits."""
        with self._lock:
            self._count += 1

    def remove(self) -> None:
        """One waits no longer."""
        with self._lock:
            self._count -= 1

    def gives_up(self) -> bool:
        """Whether too many wait, and the one that asks is to end; it counts no more."""
        with self._lock:
            if self._count <= self._most:
                return False
            self._count -= 1
            return True


class Connection(socket.socket):
    """A client's connection.

    A request has to be whole after some seconds. An answer may take longer, as long as
    something moves; while other threads are free, that is: more than so many slow
    clients at once are cut off, or nobody else would be answered.
    """

    def __init__(
        self, taken: socket.socket, slow: SlowClients, patience: float
    ) -> None:
        """Takes a connection over.

        Args:
          taken: The connection; of no use any more.
          slow: Those of the process.
          patience: Seconds in which some of an answer has to be taken.
        """
        super().__init__(taken.family, taken.type, taken.proto, fileno=taken.detach())
        self._slow, self._patience = slow, patience
        self._began: float | None = None  # of the request that is read
        self._ends: float | None = None

    def is_readable(self) -> bool:
        """Whether the client has sent something, or gone."""
        return self._has(select.POLLIN)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As a socket's.

        Raises:
          ConnectionResetError: The client takes too long.
        """
        if self._began is None:
            self._began = time.monotonic()
        if self.gettimeout() != 0 and not self.is_readable():
            end = self._ends or self._began + _HEAD_SECONDS
            self._wait(select.POLLIN, end, self._began + self._slow.patience)
        return super().recv(size, flags | socket.MSG_DONTWAIT)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """As a socket's.

        Raises:
          ConnectionResetError: The client takes too long.
        """
        self._began = None
        left, credit = memoryview(data).cast("B"), 1.0
        while left:
            try:
                count = self.send(left, flags | socket.MSG_DONTWAIT)
            except BlockingIOError:
                began = time.monotonic()
                slow_at = began + credit * self._slow.patience
                self._wait(select.POLLOUT, began + self._patience, slow_at)
                credit -= (time.monotonic() - began) / _PATIENCE
            else:
                # What is taken at once earns no more than one such wait.
                credit = min(max(credit, 0.0) + count / _SLOWEST / _PATIENCE, 1.0)
                left = left[count:]

    def setblocking(self, flag: bool, /) -> None:
        """As a socket's; one that was cut off is left alone: gunicorn ends it, too."""
        if self.fileno() >= 0:
            super().setblocking(flag)

    def shutdown(self, how: int, /) -> None:
        """As a socket's; afterwards nothing is waited for that takes its time."""
        self._ends = time.monotonic() + _ENDING_SECONDS
        super().shutdown(how)

    def _has(self, event: int, seconds: float = 0.0) -> bool:
        poll = select.poll()
        poll.register(self, event)
        return bool(poll.poll(max(seconds, 0.0) * 1000))

    def _wait(self, event: int, end: float, slow_at: float) -> None:
        """Waits until something moves; from ``slow_at`` on it counts as slow."""
        is_counted = False
        try:
            while (now := time.monotonic()) < end:
                if now >= slow_at and not is_counted:
                    self._slow.add()
                    is_counted = True
                if is_counted and self._slow.gives_up():
                    is_counted = False
                    break
                pause = _LOOK_SECONDS if is_counted else slow_at - now
                if self._has(event, min(pause, end - now)):
                    return
        finally:
            if is_counted:
                self._slow.remove()
        self.close()  # at once: nothing of it is worth waiting for
        raise ConnectionResetError(errno.ECONNRESET, "the client takes too long")
