"""The data sets that a server shows, opened anew when they change."""

from __future__ import annotations

import logging
import pathlib
import threading
import time
from typing import Any

from tfdicom import dataset_index
from tfdicom.manifest import load_manifest
from tfdicom.serving.errors import ApiError, busy
from tfdicom.serving.serve_options import ServeOptions
from tfdicom.serving.served import (
    ServedDataSet,
    name_of,
    open_data_set,
    stamp_of,
)

_LOG = logging.getLogger("tfdicom.serving")
_LOOK_SECONDS = 1.0  # between two looks at a manifest
_LOOK_SECONDS_AFAR = 30.0  # of one in a store


class Served:
    """All that the handlers need.

    Attributes:
      options: How to serve.
      tools: What other modules keep here: limits, metrics.
    """

    def __init__(self, options: ServeOptions) -> None:
        """Opens nothing yet.

        Raises:
          ValueError: No data set is named, or two have the same name.
        """
        self.options = options
        self.tools: dict[str, Any] = {}
        self._slots: dict[str, _Slot] = {}
        for text in options.data_dirs:
            name = name_of(text)
            if name in self._slots:
                raise ValueError(
                    f"data_dir: two data sets are called {name!r}; rename a folder"
                )
            self._slots[name] = _Slot(name, text)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the data sets."""
        return tuple(self._slots)

    def open(self) -> None:
        """Opens all data sets.

        Raises:
          FileNotFoundError: There is no data set, or no index.
          OSError, ValueError: One cannot be read.
        """
        for slot in self._slots.values():
            slot.open()

    def data_set(self, name: str | None) -> ServedDataSet:
        """A data set by its name, the first if none is given, as it is now.

        Raises:
          ApiError: 404: there is none of that name. 503: it has changed, and is being
            read or cannot be.
        """
        if name is None:
            name = next(iter(self._slots))
        if name not in self._slots:
            raise ApiError(
                404,
                "no_data_set",
                f"there is no data set {name[:80]!r}",
                f"there is {', '.join(self._slots)}",
            )
        return self._slots[name].current()

    def close(self) -> None:
        """Ends what goes on beside the answers."""
        for slot in self._slots.values():
            slot.close()


class _Slot:
    """The place of one data set."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = name, text
        self._lock = threading.Lock()
        self._one: ServedDataSet | None = None
        self._look_at = 0.0

    def open(self) -> None:
        one = self._one = open_data_set(self._text)
        self._look_later(one.folder)
        if not one.catalog.facts.complete:  # what searching wants to know
            thread = threading.Thread(target=one.read_facts, name="facts", daemon=True)
            thread.start()

    def close(self) -> None:
        if self._one is not None:
            self._one.close()
            self._one = None

    def current(self) -> ServedDataSet:
        one = self._one
        if one is not None:
            if time.monotonic() < self._look_at:
                return one
            if stamp_of(one.folder) == one.stamp:
                self._look_later(one.folder)
                return one
        if not self._lock.acquire(blocking=False):
            raise self._changed("and is being read")
        try:
            return self._open_again()
        finally:
            self._lock.release()

    def _open_again(self) -> ServedDataSet:
        """Opens it, unless that was just tried, or another thread has done it."""
        if time.monotonic() >= self._look_at:
            if self._one is not None:
                _LOG.warning("%s has changed: it is read again", self._name)
            self.close()
            try:
                self.open()
            except (OSError, ValueError) as error:
                _LOG.error("%s: %s", self._name, error)
            finally:  # whatever went wrong, it takes long
                if self._one is None:
                    self._look_at = time.monotonic() + _LOOK_SECONDS
        if self._one is None:
            raise self._changed("and cannot be read now")
        return self._one

    def _changed(self, state: str) -> ApiError:
        return busy(f"the data set {self._name!r} has changed, {state}", seconds=2)

    def _look_later(self, folder: pathlib.Path) -> None:
        near = isinstance(folder, pathlib.Path)
        seconds = _LOOK_SECONDS if near else _LOOK_SECONDS_AFAR
        self._look_at = time.monotonic() + seconds


def check_data_sets(options: ServeOptions) -> None:
    """Whether the data sets are there, quickly: for who starts the processes.

    Raises:
      FileNotFoundError: There is no data set, or no index.
      ValueError: One cannot be read, none is named, or two have the same name.
    """
    Served(options)
    for text in options.data_dirs:
        load_manifest(text)
        next(dataset_index.read_index(text), None)
