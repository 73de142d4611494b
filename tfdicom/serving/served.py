"""One data set as the server shows it: its examples, found and read."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import pathlib
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tfdicom import example_schema, files
from tfdicom.example_schema import FrameExample
from tfdicom.files import Stamp
from tfdicom.manifest import MANIFEST, Manifest, load_manifest
from tfdicom.serving.catalog import Catalog, read_catalog
from tfdicom.serving.errors import ApiError, busy
from tfdicom.serving.record_store import RecordStore

_LOG = logging.getLogger("tfdicom.serving")
_RECORDS_AT_ONCE = 16
_REST_SECONDS = 0.002  # in which requests are answered
_DAMAGE_TOLD = 20  # examples of which the log says more than their number


@dataclasses.dataclass(frozen=True, eq=False)
class ServedDataSet:
    """One data set.

    Attributes:
      name: What clients call it.
      folder: Where it lies; in no answer.
      manifest: Its manifest.
      catalog: Its examples.
      records: Its records.
      stamp: Of the manifest, before it was read.
      closed: Set when it is no longer shown.
      kept: What other modules made of it, by a word; it ends with it.
    """

    name: str
    folder: pathlib.Path
    manifest: Manifest
    catalog: Catalog
    records: RecordStore
    stamp: Stamp | None
    closed: threading.Event = dataclasses.field(default_factory=threading.Event)
    kept: dict[str, Any] = dataclasses.field(default_factory=dict)

    def close(self) -> None:
        """Ends what goes on beside the answers, and lets go of what is kept."""
        self.closed.set()
        self.kept.clear()

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

    def record(self, place: int) -> bytes:
        """The record at a place, as it is stored, checked.

        Raises:
          ApiError: 500: it is damaged, or its shard is missing.
        """
        facts = self.catalog.facts
        try:
            record = self.records.read(*self.catalog.record_of(place))
            if not facts.known[place]:
                facts.learn(place, record)
        except (OSError, ValueError, KeyError) as error:
            raise self._damaged(place, error) from error
        facts.damaged[place] = False
        return record

    def example(self, place: int) -> FrameExample:
        """The example at a place, read and checked.

        Raises:
          ApiError: 500: its record is damaged, or its shard is missing.
        """
        record = self.record(place)
        try:
            return example_schema.decode(record)
        except (ValueError, KeyError) as error:
            raise self._damaged(place, error) from error

    def readable(self, places: Iterable[int]) -> Iterator[tuple[int, FrameExample]]:
        """Places with their examples; those that cannot be read are left out."""
        for place in places:
            with contextlib.suppress(ApiError):
                yield place, self.example(place)

    def learn(self, place: int) -> bool:
        """Reads what searching wants to know of an example, unless it is known.

        Returns:
          Whether it is known now; its record may be damaged.
        """
        facts = self.catalog.facts
        if not facts.known[place] and not facts.damaged[place]:
            with contextlib.suppress(ApiError):
                self.record(place)
        return bool(facts.known[place])

    def _damaged(self, place: int, error: Exception) -> ApiError:
        """Marks an example as damaged; the answer to whoever asks for it."""
        facts, key = self.catalog.facts, self.catalog.keys[place].decode()
        if not facts.damaged[place] and facts.damaged.sum() < _DAMAGE_TOLD:
            _LOG.error("%s: example %s cannot be read: %s", self.name, key, error)
        facts.damaged[place] = True
        return damage(f"the record of example {key} is damaged or missing")

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

    def read_facts(self) -> None:
        """Reads what is not known of every example, and keeps it; for a thread."""
        facts = self.catalog.facts
        for place in np.flatnonzero(~facts.known):
            if self.closed.is_set():
                return
            self.learn(int(place))
            if place % _RECORDS_AT_ONCE == 0:
                time.sleep(_REST_SECONDS)
        if facts.damaged.any():
            count = int(facts.damaged.sum())
            _LOG.error("%s: %d examples cannot be read", self.name, count)
        facts.save(self.catalog.facts_file)


def damage(message: str) -> ApiError:
    """500: a part of the data set cannot be read."""
    return ApiError(
        500,
        "damaged",
        message,
        "tfdicom_inspect verify says what is damaged, tfdicom_inspect repair mends it",
    )


def name_of(text: str) -> str:
    """What clients call the data set of a folder."""
    folder = files.path_of(text)
    return folder.name or folder.absolute().name or "data"


def stamp_of(folder: pathlib.Path) -> Stamp | None:
    """What tells whether the data set of a folder has changed; None: there is none."""
    try:
        return files.stamp(folder / MANIFEST)
    except OSError:
        return None


def open_data_set(text: str) -> ServedDataSet:
    """Opens the data set of a folder.

    Raises:
      FileNotFoundError: There is no data set, or no index.
      OSError, ValueError: It cannot be read.
    """
    folder = files.path_of(text)
    stamp = stamp_of(folder)  # before it is read, so that no change is missed
    whole = load_manifest(text)
    records = RecordStore(folder, whole.compression)
    catalog = read_catalog(folder, whole)
    return ServedDataSet(name_of(text), folder, whole, catalog, records, stamp)
