import functools
import math
import sys

import numpy as np
import pytest

from tfdicom import intensity_statistics
from tfdicom.intensity_statistics import PERCENTILES, IntensityStatistics
from tfdicom.value_counts import ValueCounts

RANDOM = np.random.default_rng(0)
CT = RANDOM.normal(0, 900, (64, 64)).clip(-1024, 3071).astype(np.int16)
PARTS = [
    (RANDOM.integers(-1000, 3000, (20, 20), np.int16), 1.0, -1024.0),
    (RANDOM.integers(0, 4096, (5, 80), np.uint16), 0.3, 0.0),
    (np.empty(0, np.int16), 1.0, 0.0),
    (RANDOM.normal(5e6, 2, (20, 20)).astype(np.float32), 1.0, 0.5),
    (RANDOM.normal(5e6, 2, 1).astype(np.float32), 1.0, 0.5),
]


def _statistics(stored: np.ndarray, **options) -> IntensityStatistics | None:
    options = {"slope": 1.0, "intercept": 0.0, **options}
    return ValueCounts.of(stored, **options).statistics()


def test_floats_stand_where_their_names_say():
    got = _statistics(CT)
    floats = got.to_floats()
    assert len(floats) == len(intensity_statistics.FIGURES)
    named = dict(zip(intensity_statistics.FIGURES, floats, strict=True))
    assert named["mean"] == got.mean
    assert named["deviation"] == got.deviation
    assert (named["minimum"], named["maximum"]) == (got.minimum, got.maximum)
    for percent, value in zip(PERCENTILES, got.percentiles, strict=True):
        assert floats[intensity_statistics.percentile_index(percent)] == value
    assert all(map(math.isfinite, floats))


def test_names_the_percentiles_that_are_stored():
    with pytest.raises(ValueError, match="percentile 3 is not .*stored are 0.5, 1, 2"):
        intensity_statistics.percentile_index(3)


@pytest.mark.parametrize("chosen", [slice(None), slice(2), slice(3, None)])
def test_pooled_figures_are_those_of_the_whole(chosen):
    counts = [ValueCounts.of(s, slope=a, intercept=b) for s, a, b in PARTS[chosen]]
    counts = [one for one in counts if one.count]
    expected = functools.reduce(ValueCounts.merge, counts).statistics()
    got = intensity_statistics.pooled([one.statistics() for one in counts])
    assert got.count == expected.count
    assert got.mean == pytest.approx(expected.mean, rel=1e-12)
    assert got.deviation == pytest.approx(expected.deviation, rel=1e-7)
    assert (got.minimum, got.maximum) == (expected.minimum, expected.maximum)


def test_pooled_percentiles_are_a_mean_by_counts():
    parts = [_statistics(np.arange(100)), _statistics(np.arange(300) * 3)]
    got = intensity_statistics.pooled(parts)
    few, many = (np.array(part.percentiles) for part in parts)
    assert got.percentiles == pytest.approx((few + 3 * many) / 4, rel=1e-12)


def test_pooled_equals_stay_what_they_are():
    one = _statistics(CT)
    assert intensity_statistics.pooled([one]) == one
    three = intensity_statistics.pooled([one] * 3)
    assert three.count == 3 * one.count
    assert three.to_floats() == pytest.approx(one.to_floats(), rel=1e-12)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
