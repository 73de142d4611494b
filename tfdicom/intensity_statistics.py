"""What the grey values of an image, a series or a split look like, as few numbers.

Values are *modality values* (PS3.3 C.11.1: stored value x slope + intercept; HU in CT),
without padding pixels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

PERCENTILES = (0.5, 1.0, 2.0, 5.0, 25.0, 50.0, 75.0, 95.0, 98.0, 99.0, 99.5)


@dataclasses.dataclass(frozen=True)
class IntensityStatistics:
    """Mean, deviation, extremes and percentiles of modality values.

    ``deviation`` is that of the population (divided by n). ``percentiles`` are those
    of ``PERCENTILES``, in that order: the smallest value that at least so many percent
    of the pixels do not exceed.
    """

    count: int
    mean: float
    deviation: float
    minimum: float
    maximum: float
    percentiles: tuple[float, ...]

    def to_floats(self) -> tuple[float, ...]:
        """As stored in a record: mean, deviation, minimum, maximum, percentiles."""
        head = (self.mean, self.deviation, self.minimum, self.maximum)
        return head + self.percentiles


#: Position of each figure in ``IntensityStatistics.to_floats()``.
FIGURES = ("mean", "deviation", "minimum", "maximum") + tuple(
    f"percentile_{p:g}" for p in PERCENTILES
)


def percentile_index(percent: float) -> int:
    """Position of a stored percentile in ``FIGURES``.

    Raises:
      ValueError: The percentile is not one of ``PERCENTILES``.
    """
    try:
        return FIGURES.index(f"percentile_{percent:g}")
    except ValueError:
        known = ", ".join(f"{p:g}" for p in PERCENTILES)
        raise ValueError(
            f"percentile {percent:g} is not stored in the records; stored are {known}"
        ) from None


def pooled(parts: Sequence[IntensityStatistics]) -> IntensityStatistics:
    """The figures of several sets of pixels together.

    Count, mean, deviation and extremes are exact. A percentile of the whole is not a
    function of those of the parts; it is their mean, weighted by the counts.
    """
    if len(parts) == 1:
        return parts[0]
    counts = np.array([part.count for part in parts], float)
    share = counts / counts.sum()
    means = np.array([part.mean for part in parts])
    mean = float(share @ means)
    squares = np.array([part.deviation for part in parts]) ** 2 + (means - mean) ** 2
    percentiles = share @ np.array([part.percentiles for part in parts])
    return IntensityStatistics(
        count=int(counts.sum()),
        mean=mean,
        deviation=math.sqrt(float(share @ squares)),
        minimum=min(part.minimum for part in parts),
        maximum=max(part.maximum for part in parts),
        percentiles=tuple(float(one) for one in percentiles),
    )
