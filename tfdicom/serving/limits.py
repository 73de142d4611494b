"""How much at once: batches being made, and requests of one client."""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Iterator

from tfdicom.serving.errors import ApiError, busy

_CLIENTS = 10_000


class Gate:
    """Lets so many in at once; others wait for a while, and are then sent away."""

    def __init__(self, count: int, seconds: float) -> None:
        """Takes the number and the longest wait."""
        self._free = threading.BoundedSemaphore(count)
        self._seconds = seconds

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Holds a place while the body runs.

        Raises:
          ApiError: 503: none became free.
        """
        if not self._free.acquire(timeout=self._seconds):
            raise busy("as many batches as may be are being made")
        try:
            yield
        finally:
            self._free.release()


class Rate:
    """Requests of each client: a bucket that fills with time, of twice a second's."""

    def __init__(self, per_second: float) -> None:
        """Takes the rate; 0 for any."""
        self._rate = per_second
        self._most = max(2 * per_second, 1.0)
        self._lock = threading.Lock()
        self._left: collections.OrderedDict[str, tuple[float, float]] = (
            collections.OrderedDict()
        )

    def take(self, client: str) -> None:
        """Counts a request.

        Raises:
          ApiError: 429: it is one too many.
        """
        if not self._rate:
            return
        now = time.monotonic()
        with self._lock:
            left, then = self._left.pop(client, (self._most, now))
            left = min(self._most, left + (now - then) * self._rate)
            self._left[client] = (max(left - 1, 0.0) if left >= 1 else left, now)
            if len(self._left) > _CLIENTS:
                self._left.popitem(last=False)
        if left < 1:
            seconds = max(1, round((1 - left) / self._rate))
            raise ApiError(
                429,
                "too_many_requests",
                f"more than {self._rate:g} requests a second",
                "ask again after the seconds that Retry-After says",
                headers={"Retry-After": str(seconds)},
            )
