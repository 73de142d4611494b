"""How grey values and mask areas are distributed, for the page of statistics."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfdicom.example_schema import FrameExample
from tfdicom.intensity_statistics import PERCENTILES, IntensityStatistics
from tfdicom.serving import pictures
from tfdicom.serving.served import ServedDataSet

_BINS, _FEWEST = 48, 8
_READ = 48  # records of each split: enough for a shape, and read in less than a second
_LOW, _HIGH = PERCENTILES.index(0.5), PERCENTILES.index(99.5)


@dataclasses.dataclass(frozen=True)
class Distribution:
    """Histograms with the same bins.

    Attributes:
      edges: Of the bins, one more than these.
      counts: By name; numbers ``[bins]``.
    """

    edges: np.ndarray
    counts: dict[str, np.ndarray]

    def shares(self, name: str) -> list[float]:
        """What part is in each bin; 0 everywhere where nothing was counted."""
        counts = self.counts[name]
        return (counts / max(counts.sum(), 1)).tolist()


def mask_areas(one: ServedDataSet) -> Distribution | None:
    """Pixels of each class on the examples that show it; None where none is known."""
    names = one.manifest.class_names
    pixels = one.catalog.facts.pixels
    found = {name: pixels[pixels[:, n] > 0, n] for n, name in enumerate(names)}
    found = {name: values for name, values in found.items() if len(values)}
    if not found:
        return None
    largest = max(int(values.max()) for values in found.values())
    most = max(map(len, found.values()))
    bins = min(_BINS, largest, max(_FEWEST, round(2 * most**0.5)))
    edges = np.linspace(0, largest, bins + 1)
    return Distribution(
        edges, {name: np.histogram(values, edges)[0] for name, values in found.items()}
    )


def grey_values(one: ServedDataSet) -> tuple[Distribution, Distribution] | None:
    """Modality values of each split, and within each class, of some examples of each.

    Values are those between the percentiles 0.5 and 99.5, of all pixels and of those
    of any class, padding left out; None where no split has figures of its grey values.
    """
    known = _known(one, "all")
    if not known:
        return None
    edges = _edges(known)
    class_edges = _edges(_known(one, "foreground") or known)
    by_split = {name: np.zeros(_BINS, np.int64) for name in one.catalog.splits}
    by_class = {name: np.zeros(_BINS, np.int64) for name in one.manifest.class_names}
    for place, example in one.readable(_places(one)):
        values = pictures.modality_values(example)
        kept = _not_padding(example)
        by_split[one.split_of(place)] += np.histogram(values[kept], edges)[0]
        for name, mask in zip(example.classes, example.masks, strict=True):
            by_class[name] += np.histogram(values[mask], class_edges)[0]
    return (
        Distribution(edges, by_split),
        Distribution(class_edges, {n: c for n, c in by_class.items() if c.any()}),
    )


def _known(one: ServedDataSet, pixels: str) -> list[IntensityStatistics]:
    found = [split.intensities.get(pixels) for split in one.manifest.splits.values()]
    return [one for one in found if one is not None]


def _edges(known: Sequence[IntensityStatistics]) -> np.ndarray:
    low = min(one.percentiles[_LOW] for one in known)
    high = max(one.percentiles[_HIGH] for one in known)
    return np.linspace(low, high if high > low else low + 1, _BINS + 1)


def _places(one: ServedDataSet) -> list[int]:
    """Places of each split, evenly spread; half of them with masks, if there are."""
    found: list[int] = []
    shows = one.catalog.present.any(axis=1)
    for number in range(len(one.catalog.splits)):
        inside = one.catalog.split == number
        for group in (inside & shows, inside & ~shows):
            places = np.flatnonzero(group)
            step = max(len(places) // (_READ // 2), 1)
            found += places[::step][: _READ // 2].tolist()
    return found


def _not_padding(example: FrameExample) -> np.ndarray:
    """Where no padding is, bool ``[rows, columns, samples]``."""
    if not example.padding:
        return np.ones(example.image.shape, bool)
    low, high = min(example.padding), max(example.padding)
    return (example.image < low) | (example.image > high)
