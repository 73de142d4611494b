"""How often each grey value occurs in an image, a series or a split.

Values are *modality values* (PS3.3 C.11.1: stored value x slope + intercept), without
padding pixels. Counts of distinct values are merged, so percentiles of a whole split
need no second pass and no image in memory.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from tfdicom.intensity_statistics import PERCENTILES, IntensityStatistics

# Mantissa bits kept of a value that is counted: integers up to 8192 are exact, larger
# ones and fractions are off by at most one part in 8192. It bounds the number of
# distinct values whatever the rescale slopes are, and does not depend on any order.
_MANTISSA_BITS = 13
# Pixels that are counted at a time, in 8 bytes each; all, of most images.
_BLOCK = 1 << 20


@dataclasses.dataclass(frozen=True)
class ValueCounts:
    """How often each value occurs; ``merge`` adds two of them.

    ``values`` is float64, ascending, distinct; ``counts`` int64 beside it. ``total``
    and ``squared_deviations`` (from the mean) are sums over all pixels.
    """

    values: np.ndarray
    counts: np.ndarray
    total: float = 0.0
    squared_deviations: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    @classmethod
    def empty(cls) -> ValueCounts:
        """No value at all."""
        return cls(np.empty(0), np.empty(0, np.int64))

    @classmethod
    def of(
        cls,
        stored: np.ndarray,
        *,
        slope: float,
        intercept: float,
        padding: tuple[float, float] | None = None,
    ) -> ValueCounts:
        """Counts the modality values of stored pixels of any shape.

        Args:
          stored: Stored values, any integer or float dtype.
          slope: Rescale Slope (0028,1053).
          intercept: Rescale Intercept (0028,1052).
          padding: Lowest and highest stored value that mean "no pixel here".
        """
        return count_pixels(stored, Rescale(slope, intercept, padding)).resolved()

    def resolved(self) -> ValueCounts:
        """Itself."""
        return self

    def merge(self, other: ValueCounts) -> ValueCounts:
        """The counts of both together."""
        if not self.count or not other.count:
            return self if self.count else other
        # Chan, Golub and LeVeque 1983: nothing cancels, however far the mean is from 0.
        between = self.total / self.count - other.total / other.count
        weight = self.count * other.count / (self.count + other.count)
        return ValueCounts(
            *_sum_equal(
                np.concatenate([self.values, other.values]),
                np.concatenate([self.counts, other.counts]),
            ),
            total=self.total + other.total,
            squared_deviations=self.squared_deviations
            + other.squared_deviations
            + between * between * weight,
            minimum=min(self.minimum, other.minimum),
            maximum=max(self.maximum, other.maximum),
        )

    @property
    def count(self) -> int:
        """Number of pixels."""
        return int(self.counts.sum())

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.values.nbytes + self.counts.nbytes

    def statistics(self) -> IntensityStatistics | None:
        """The figures, or None where no pixel was counted."""
        count = self.count
        if not count:
            return None
        ranks = np.ceil(np.array(PERCENTILES) / 100 * count).clip(1)
        at = np.searchsorted(np.cumsum(self.counts), ranks)
        return IntensityStatistics(
            count=count,
            mean=self.total / count,
            deviation=math.sqrt(self.squared_deviations / count),
            minimum=self.minimum,
            maximum=self.maximum,
            percentiles=tuple(float(value) for value in self.values[at]),
        )


@dataclasses.dataclass(frozen=True)
class Rescale:
    """What turns stored into modality values, and which are none."""

    slope: float
    intercept: float
    padding: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class StoredCounts:
    """How often each stored value occurs; integers of at most 16 bits.

    ``bins`` is int64: how often ``lowest``, ``lowest + 1`` and so on occur.
    """

    lowest: int
    bins: np.ndarray
    rescale: Rescale

    def merge(self, other: StoredCounts) -> StoredCounts:
        """The counts of both together; their rescale has to be one."""
        lowest = min(self.lowest, other.lowest)
        end = max(one.lowest + len(one.bins) for one in (self, other))
        bins = np.zeros(end - lowest, np.int64)
        for one in (self, other):
            start = one.lowest - lowest
            bins[start : start + len(one.bins)] += one.bins
        return StoredCounts(lowest, bins, self.rescale)

    def resolved(self) -> ValueCounts:
        """The counts of modality values."""
        (present,) = np.nonzero(self.bins)
        distinct = (present + self.lowest).astype(np.float64)
        return _counted(distinct, self.bins[present], self.rescale)

    def statistics(self) -> IntensityStatistics | None:
        """The figures, or None where no pixel was counted."""
        return self.resolved().statistics()

    @property
    def count(self) -> int:
        """Number of pixels."""
        return int(self.bins.sum())

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.bins.nbytes


#: How often values occur, stored or modality values.
PixelCounts = StoredCounts | ValueCounts


def count_pixels(stored: np.ndarray, rescale: Rescale) -> PixelCounts:
    """Counts pixels of any shape in the form that a ``Tally`` adds fastest."""
    flat = stored.ravel()
    if flat.dtype.kind not in "iu" or flat.dtype.itemsize > 2 or not flat.size:
        values, counts = np.unique(flat, return_counts=True)
        return _counted(values.astype(np.float64), counts, rescale)
    lowest, span = flat.min(), int(flat.max()) - int(flat.min()) + 1
    bins = np.zeros(span, np.int64)
    for start in range(0, flat.size, _BLOCK):
        # In their own width: a difference that overflows is right without its sign.
        above = (flat[start : start + _BLOCK] - lowest).view(f"u{flat.dtype.itemsize}")
        bins += np.bincount(above, minlength=span)
    return StoredCounts(int(lowest), bins, rescale)


class Tally:
    """Adds up the pixels of many images.

    Stored values are added as long as their rescale is the same, and become modality
    values once, which costs more than to count them.
    """

    def __init__(self) -> None:
        """Starts with no pixel."""
        self._merged = ValueCounts.empty()
        self._pending: StoredCounts | None = None

    def add(self, counts: PixelCounts) -> None:
        """Adds what ``count_pixels`` gave."""
        if isinstance(counts, ValueCounts):
            self._merged = self._merged.merge(counts)
        elif self._pending and self._pending.rescale == counts.rescale:
            self._pending = self._pending.merge(counts)
        else:
            self._merged = self.counts()
            self._pending = counts

    def counts(self) -> ValueCounts:
        """All that was added."""
        if not self._pending:
            return self._merged
        return self._merged.merge(self._pending.resolved())

    def statistics(self) -> IntensityStatistics | None:
        """The figures, or None where no pixel was counted."""
        return self.counts().statistics()


def _counted(distinct: np.ndarray, counts: np.ndarray, rescale: Rescale) -> ValueCounts:
    keep = np.isfinite(distinct)
    if rescale.padding is not None:
        lowest, highest = rescale.padding
        keep &= ~((distinct >= lowest) & (distinct <= highest))
    values = distinct[keep] * rescale.slope + rescale.intercept
    counts = counts[keep]
    if not len(values):
        return ValueCounts.empty()
    total = math.fsum(values * counts)
    deviations = values - total / int(counts.sum())
    return ValueCounts(
        *_sum_equal(_rounded(values), counts),
        total=total,
        squared_deviations=math.fsum(deviations * deviations * counts),
        minimum=float(values.min()),
        maximum=float(values.max()),
    )


def _rounded(values: np.ndarray) -> np.ndarray:
    mantissa, exponent = np.frexp(values)
    scale = float(2**_MANTISSA_BITS)
    return np.ldexp(np.rint(mantissa * scale) / scale, exponent)


def _sum_equal(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct ascending values with the counts of equal ones added up."""
    if (values[1:] > values[:-1]).all():
        return values, counts
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order]
    is_new = np.concatenate([[True], values[1:] > values[:-1]])
    return values[is_new], np.add.reduceat(counts, np.flatnonzero(is_new))
