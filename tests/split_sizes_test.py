import fractions
import itertools
import sys

import pytest

from tfdicom import split_sizes

FRACTIONS = {"train": 0.7, "validation": 0.15, "test": 0.15}


def _by_hand(total: int) -> dict[str, int]:
    """Hamilton's largest remainder, in fractions, for 0.7, 0.15 and 0.15."""
    parts = {"train": 70, "validation": 15, "test": 15}
    quotas = {n: fractions.Fraction(total * part, 100) for n, part in parts.items()}
    counts = {name: int(quota) for name, quota in quotas.items()}
    order = sorted(quotas, key=lambda name: counts[name] - quotas[name])
    for name in order[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


@pytest.mark.parametrize("total", [0, 1, 2, 3, 4, 5, 6, 7, 10, 20, 45, 100, 1234])
def test_counts_are_the_largest_remainders(total):
    counts = split_sizes.exact_counts(FRACTIONS, total)
    expected = _by_hand(total)
    if total >= 5:
        assert counts == expected
    assert sum(counts.values()) == total
    assert sum(map(bool, counts.values())) == min(total, 3)


@pytest.mark.parametrize(
    ("shares", "total", "expected"),
    [
        ([0.33, 0.33, 0.33], 9, [3, 3, 3]),
        ([0.33, 0.33, 0.33], 10, [4, 3, 3]),
        ([0.2] * 5, 5, [1] * 5),
        ([0.1, 0.9], 10, [1, 9]),
        ([0.1, 0.2, 0.7], 1000, [100, 200, 700]),
        ([0.98, 0.01, 0.01], 3, [1, 1, 1]),
        ([0.98, 0.01, 0.01], 5, [3, 1, 1]),
        ([0.01, 0.99], 1, [0, 1]),
        ([0.01, 0.01, 0.98], 2, [1, 0, 1]),
        ([1.0], 7, [7]),
    ],
)
def test_counts(shares, total, expected):
    given = {f"s{n}": share for n, share in enumerate(shares)}
    assert list(split_sizes.exact_counts(given, total).values()) == expected


@pytest.mark.parametrize(
    ("before", "new", "expected"),
    [
        ({}, 20, [14, 3, 3]),
        ({"train": 14, "validation": 3, "test": 3}, 20, [14, 3, 3]),
        ({"train": 20}, 4, [0, 2, 2]),
        ({"train": 20}, 1, [0, 1, 0]),
        ({"test": 10}, 10, [8, 2, 0]),
        ({"train": 1}, 2, [0, 1, 1]),
        ({"train": 14, "validation": 3, "test": 3}, 0, [0, 0, 0]),
        ({"others": 100}, 20, [14, 3, 3]),
    ],
)
def test_deficits(before, new, expected):
    found = split_sizes.fill_deficits(FRACTIONS, before, new)
    assert list(found) == list(FRACTIONS) and list(found.values()) == expected


@pytest.mark.parametrize("shares", [(0.7, 0.15, 0.15), (0.98, 0.01, 0.01), (1, 1, 1)])
def test_no_deficit_is_left_where_another_split_grows(shares):
    given = dict(zip("abc", shares, strict=True))
    for *held, new in itertools.product(range(6), range(6), range(6), range(8)):
        before = dict(zip("abc", held, strict=True))
        found = split_sizes.fill_deficits(given, before, new)
        assert sum(found.values()) == new and min(found.values()) >= 0
        empty = [name for name in given if not before[name]]
        filled = [name for name in empty if found[name]]
        assert len(filled) == min(new, len(empty))
        # Whoever has its share of the whole by more than one patient gets nobody.
        total = sum(held) + new
        for name, share in given.items():
            if before[name] > total * share / sum(shares) + 1:
                assert not found[name]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
