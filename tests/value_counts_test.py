import functools
import sys

import numpy as np
import pytest

from tfdicom.intensity_statistics import PERCENTILES, IntensityStatistics
from tfdicom.value_counts import (
    Rescale,
    StoredCounts,
    Tally,
    ValueCounts,
    count_pixels,
)

RANDOM = np.random.default_rng(0)
# Of values: percentiles are of values rounded to 13 bits, the rest is exact.
ROUNDING = 1 / 8192


def _statistics(stored: np.ndarray, **options) -> IntensityStatistics | None:
    options = {"slope": 1.0, "intercept": 0.0, **options}
    return ValueCounts.of(stored, **options).statistics()


def _assert_are_those_of(got: IntensityStatistics | None, values: np.ndarray) -> None:
    """Compares with NumPy's figures of the modality values themselves."""
    values = np.ravel(values).astype(np.float64)
    assert got is not None
    assert got.count == values.size
    scale = max(np.abs(values).max(), 1e-300)
    assert got.mean == pytest.approx(values.mean(), rel=1e-12, abs=1e-14 * scale)
    assert got.deviation == pytest.approx(values.std(), rel=1e-9, abs=1e-14 * scale)
    assert (got.minimum, got.maximum) == (values.min(), values.max())
    exact = np.percentile(values, PERCENTILES, method="inverted_cdf")
    small_integers = np.array_equal(values, np.rint(values)) and scale <= 8192
    tolerance = 0 if small_integers else ROUNDING * np.abs(exact)
    assert (np.abs(np.array(got.percentiles) - exact) <= tolerance).all()


STORED = {
    "int8": RANDOM.integers(-128, 128, (33, 17), np.int8),
    "uint8, three samples": RANDOM.integers(0, 256, (8, 9, 3), np.uint8),
    "int16, CT": RANDOM.normal(0, 900, (64, 64)).clip(-1024, 3071).astype(np.int16),
    "int16, whole range": RANDOM.integers(-(2**15), 2**15, (64, 64), np.int16),
    "uint16, big-endian": RANDOM.integers(0, 2**16, (40, 40)).astype(">u2"),
    "int32": RANDOM.integers(-(2**31), 2**31, (50, 50), np.int32),
    "uint32, far from zero": RANDOM.normal(2**31, 3, (50, 50)).astype(np.uint32),
    "float32": RANDOM.lognormal(3, 2, (40, 40)).astype(np.float32),
    "float64, tiny": RANDOM.normal(0, 1e-9, (40, 40)),
    "one pixel": np.array([[7]], np.int16),
    "constant": np.full((20, 30), 4097, np.uint16),
    "not contiguous": RANDOM.integers(0, 99, (20, 30), np.int16)[::2, ::-3].T,
    "200 values": RANDOM.permutation(200).astype(np.int16),
    "1000 values": RANDOM.permutation(1000).astype(np.int16),
}


@pytest.mark.parametrize("stored", STORED.values(), ids=STORED)
def test_figures_are_those_of_numpy(stored):
    _assert_are_those_of(_statistics(stored), stored)


@pytest.mark.parametrize(
    ("slope", "intercept"), [(1, -1024), (0.1, 0), (-2.5, 7), (3e-5, 1e-3), (0, 5)]
)
@pytest.mark.parametrize("name", ["int16, CT", "uint8, three samples", "float32"])
def test_figures_are_of_modality_values(name, slope, intercept):
    stored = STORED[name]
    values = stored.astype(np.float64) * slope + intercept
    _assert_are_those_of(_statistics(stored, slope=slope, intercept=intercept), values)


@pytest.mark.parametrize("padding", [(-2000, -2000), (-2000, -1000), (50, 9999)])
@pytest.mark.parametrize("dtype", ["int16", "int32", "float32"])
def test_padding_is_left_out(dtype, padding):
    stored = STORED["int16, CT"].astype(dtype)
    stored[:9] = -2000
    kept = stored[(stored < padding[0]) | (stored > padding[1])]
    assert 0 < kept.size < stored.size
    got = _statistics(stored, slope=2.0, intercept=-10.0, padding=padding)
    _assert_are_those_of(got, kept * 2.0 - 10)


def test_values_that_are_not_finite_are_left_out():
    stored = STORED["float32"].copy()
    stored[0], stored[1, :3], stored[1, 3:] = np.nan, np.inf, -np.inf
    _assert_are_those_of(_statistics(stored), stored[2:])


@pytest.mark.parametrize(
    ("stored", "padding"),
    [
        (np.empty((0, 4), np.int16), None),
        (np.empty(0, np.float64), None),
        (np.full((2, 2), -5, np.int16), (-5, -5)),
        (np.full((2, 2), np.nan), None),
    ],
)
def test_no_pixel_has_no_figures(stored, padding):
    counts = ValueCounts.of(stored, slope=1, intercept=0, padding=padding)
    assert counts.count == 0
    assert counts.statistics() is None
    assert ValueCounts.empty().merge(counts).statistics() is None


@pytest.mark.parametrize("value", [1 / 3, 4097, 8193, 16385, 1e-7, -99999.5, 3e38])
def test_rounding_is_within_one_part_in_8192(value):
    (got,) = ValueCounts.of(np.array([value]), slope=1, intercept=0).values
    assert abs(got - value) <= abs(value) * ROUNDING


def test_integers_up_to_8192_are_exact():
    stored = np.arange(-8192, 8193)
    counts = ValueCounts.of(stored, slope=1, intercept=0)
    assert np.array_equal(counts.values, stored)


def test_distinct_values_stay_few():
    values = RANDOM.uniform(1, 1024, 200_000)
    counts = ValueCounts.of(values, slope=1, intercept=0)
    assert len(counts.values) <= 10 * 8192 // 2 + 1  # ten octaves
    assert counts.counts.sum() == values.size
    assert (np.diff(counts.values) > 0).all()


PARTS = [
    (RANDOM.integers(-1000, 3000, (20, 20), np.int16), 1.0, -1024.0),
    (RANDOM.integers(0, 4096, (5, 80), np.uint16), 0.3, 0.0),
    (np.empty(0, np.int16), 1.0, 0.0),
    (RANDOM.normal(5e6, 2, (20, 20)).astype(np.float32), 1.0, 0.5),
    (RANDOM.normal(5e6, 2, 1).astype(np.float32), 1.0, 0.5),
]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("chosen", [slice(None), slice(2), slice(3, None)])
def test_merged_is_the_whole(chosen, order):
    parts = PARTS[chosen][::order]
    counts = [ValueCounts.of(s, slope=a, intercept=b) for s, a, b in parts]
    merged = functools.reduce(ValueCounts.merge, counts, ValueCounts.empty())
    whole = np.concatenate([s.ravel().astype(float) * a + b for s, a, b in parts])
    _assert_are_those_of(merged.statistics(), whole)


def test_counts_do_not_depend_on_the_order_of_merging():
    counts = [ValueCounts.of(s, slope=a, intercept=b) for s, a, b in PARTS]
    forth = functools.reduce(ValueCounts.merge, counts)
    back = functools.reduce(ValueCounts.merge, reversed(counts))
    assert np.array_equal(forth.values, back.values)
    assert np.array_equal(forth.counts, back.counts)
    assert forth.statistics().percentiles == back.statistics().percentiles


def _tallied(parts) -> Tally:
    tally = Tally()
    for stored, slope, intercept in parts:
        tally.add(count_pixels(stored, Rescale(slope, intercept)))
    return tally


SERIES = [(RANDOM.normal(300, 80, (9, 9)).astype(np.int16) - 250, 1.0, 0.0)] * 2 + [
    (RANDOM.integers(*ends, (20, 20), dtype), 1.0, 0.0)
    for dtype in (np.int16, np.uint8, np.int8, np.uint16)
    for ends in ((0, 100), (90, 120))
]


@pytest.mark.parametrize(
    "parts",
    [SERIES, SERIES + PARTS, PARTS + SERIES, [*PARTS[:2], *PARTS[:2]], PARTS[2:3]],
    ids=["one rescale", "then others", "others first", "in turns", "no pixel"],
)
def test_tally_is_the_whole(parts):
    whole = np.concatenate([s.ravel().astype(float) * a + b for s, a, b in parts])
    tally = _tallied(parts)
    if whole.size:
        _assert_are_those_of(tally.statistics(), whole)
    else:
        assert tally.statistics() is None
    counts = [ValueCounts.of(s, slope=a, intercept=b) for s, a, b in parts]
    merged = functools.reduce(ValueCounts.merge, counts, ValueCounts.empty())
    assert np.array_equal(tally.counts().values, merged.values)
    assert np.array_equal(tally.counts().counts, merged.counts)


def test_tally_goes_on_after_it_was_asked():
    tally = _tallied(SERIES[:3])
    before = tally.statistics()
    assert tally.statistics() == before
    for stored, slope, intercept in SERIES[3:]:
        tally.add(count_pixels(stored, Rescale(slope, intercept)))
    assert tally.statistics() == _tallied(SERIES).statistics() != before


def test_tally_keeps_paddings_apart():
    stored = np.arange(6, dtype=np.int16)
    tally = Tally()
    for padding in ((0, 0), (4, 9), None):
        tally.add(count_pixels(stored, Rescale(1.0, 0.0, padding)))
    assert tally.counts().counts.tolist() == [2, 3, 3, 3, 2, 2]


@pytest.mark.parametrize("name", STORED)
def test_counting_and_figures_do_not_depend_on_the_form(name):
    counts = count_pixels(STORED[name], Rescale(2.0, -5.0))
    plain = ValueCounts.of(STORED[name], slope=2.0, intercept=-5.0)
    assert counts.statistics() == counts.resolved().statistics() == plain.statistics()
    narrow = STORED[name].dtype.itemsize <= 2
    assert isinstance(counts, StoredCounts) == narrow
    assert counts.nbytes > 0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
