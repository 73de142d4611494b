"""How much memory a process may hold before another takes its place."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tfdicom.processes import memory_in_use
from tfdicom.serving.errors import busy


class Room:
    """Room for what TensorFlow compiles, and never gives back.

    A process that makes one configuration only is let alone, whatever it holds: a new
    one would hold as much.

    Attributes:
      replace: Lets another process take the place of this one; None where none can.
    """

    def __init__(self, limit: int) -> None:
        """Takes how many bytes the process may hold."""
        self.replace: Callable[[], None] | None = None
        self._limit, self._configurations = limit, 0
        self._is_to_check = self._is_full = False
        self._lock = threading.Lock()

    def claim(self) -> None:
        """For a new configuration.

        Raises:
          ApiError: 503: this process is being replaced.
        """
        with self._lock:
            if self._is_full:
                raise busy("this process is being replaced by a new one", seconds=2)
            self._configurations += 1
            self._is_to_check = True

    def check(self) -> None:
        """Asks to be replaced if a new configuration has taken the last of the room."""
        with self._lock:
            if not self._is_to_check or self._configurations < 2:
                return
            self._is_to_check = False
            if self.replace is None or memory_in_use() <= self._limit:
                return
            self._is_full = True
        self.replace()
