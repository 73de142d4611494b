"""The data sets that a server shows, and what it knows of each."""

from __future__ import annotations

import dataclasses
import pathlib
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfdicom import example_schema, files
from tfdicom.example_schema import FrameExample
from tfdicom.manifest import Manifest, load_manifest
from tfdicom.serving.catalog import Catalog, read_catalog
from tfdicom.serving.errors import ApiError, busy
from tfdicom.serving.record_store import RecordStore
from tfdicom.serving.serve_options import ServeOptions

_RECORDS_AT_ONCE = 16
_REST_SECONDS = 0.002  # in which requests are answered


@dataclasses.dataclass(frozen=True)
class ServedDataSet:
    """One data set.

    Attributes:
      name: What clients call it.
      folder: Where it lies; in no answer.
      manifest: Its manifest.
      catalog: Its examples.
      records: Its records.
    """

    name: str
    folder: pathlib.Path
    manifest: Manifest
    catalog: Catalog
    records: RecordStore

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels beside the masks."""
        return tuple(one.name for one in self.manifest.labels)

    def place_of(self, key: str) -> int:
        """Place of an example.

        Raises:
          ApiError: 404: there is none.
        """
        place = self.catalog.places.get(key)
        if place is None:
            raise ApiError(
                404,
                "no_example",
                f"there is no example {key[:40]!r}",
                "search with /v1/examples",
            )
        return place

    def example(self, place: int) -> FrameExample:
        """The example at a place, read and checked."""
        record = self.records.read(*self.catalog.record_of(place))
        if not self.catalog.facts.known[place]:
            self.catalog.facts.learn(place, record)
        return example_schema.decode(record)

    def learn(self, place: int) -> None:
        """Reads what searching wants to know of an example, unless it is known."""
        if not self.catalog.facts.known[place]:
            record = self.records.read(*self.catalog.record_of(place))
            self.catalog.facts.learn(place, record)

    def split_of(self, place: int) -> str:
        """Name of an example's split."""
        return self.catalog.splits[self.catalog.split[place]]

    def series_around(self, place: int) -> np.ndarray:
        """Places of the examples of the same series, which stand together, in order."""
        facts = self.catalog.facts
        self._learn_series(place)
        wanted = facts.series[place], self.catalog.shard[place]
        low = high = place
        while low > 0 and self._is_of(low - 1, wanted):
            low -= 1
        while high + 1 < len(self.catalog) and self._is_of(high + 1, wanted):
            high += 1
        return np.arange(low, high + 1)

    def _is_of(self, place: int, wanted: tuple[int, int]) -> bool:
        if self.catalog.shard[place] != wanted[1]:
            return False
        self._learn_series(place)
        return bool(self.catalog.facts.series[place] == wanted[0])

    def _learn_series(self, place: int) -> None:
        if self.catalog.facts.series[place] < 0:
            self.learn(place)

    def first_of_series(self, series: str) -> int:
        """Place of the first example of a series.

        Raises:
          ApiError: 404: there is none. 503: it may be among what is not read yet.
        """
        facts = self.catalog.facts
        if series in facts.words["series"]:
            code = facts.words["series"].index(series)
            found = np.flatnonzero(facts.series == code)
            if len(found):
                return int(found[0])
        if not facts.complete and (facts.series < 0).any():
            raise busy("the records are still being read", seconds=5)
        raise ApiError(
            404, "no_series", f"there is no series {series[:64]!r}", "see /v1/examples"
        )

    def read_facts(self, stop: threading.Event) -> None:
        """Reads what is not known of every example, and keeps it; for a thread."""
        facts = self.catalog.facts
        for place in np.flatnonzero(~facts.known):
            if stop.is_set():
                return
            self.learn(int(place))
            if place % _RECORDS_AT_ONCE == 0:
                time.sleep(_REST_SECONDS)
        facts.save(self.catalog.facts_file)


@dataclasses.dataclass(frozen=True)
class Served:
    """All that the handlers need.

    Attributes:
      options: How to serve.
      data_sets: By name.
      tools: What other modules keep here: limits, metrics, batches.
    """

    options: ServeOptions
    data_sets: Mapping[str, ServedDataSet]
    tools: dict[str, Any] = dataclasses.field(default_factory=dict)

    def data_set(self, name: str | None) -> ServedDataSet:
        """A data set by its name, the first if none is given.

        Raises:
          ApiError: 404: there is none of that name.
        """
        if name is None:
            return next(iter(self.data_sets.values()))
        if name not in self.data_sets:
            raise ApiError(
                404,
                "no_data_set",
                f"there is no data set {name[:80]!r}",
                f"there is {', '.join(self.data_sets)}",
            )
        return self.data_sets[name]


def open_data_sets(options: ServeOptions) -> dict[str, ServedDataSet]:
    """Opens the data sets, by the names of their folders.

    Raises:
      FileNotFoundError: There is no data set, or no index.
      ValueError: One cannot be read, or two have the same name.
    """
    found: dict[str, ServedDataSet] = {}
    for text in options.data_dirs:
        folder = files.path_of(text)
        name = folder.name or folder.absolute().name or "data"
        if name in found:
            raise ValueError(
                f"data_dir: two data sets are called {name!r}; rename a folder"
            )
        whole = load_manifest(text)
        records = RecordStore(folder, whole.compression)
        catalog = read_catalog(folder, whole)
        found[name] = ServedDataSet(name, folder, whole, catalog, records)
    return found


def check_data_sets(options: ServeOptions) -> None:
    """Whether the data sets are there, quickly: for who starts the processes.

    Raises:
      FileNotFoundError: There is no data set.
      ValueError: One cannot be read, or none is named.
    """
    for text in options.data_dirs:
        load_manifest(text)
