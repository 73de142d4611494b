"""How many patients each split gets: exact numbers, also beside those it has."""

from __future__ import annotations

from collections.abc import Mapping


def exact_counts(fractions: Mapping[str, float], total: int) -> dict[str, int]:
    """Numbers that sum to ``total``, by largest remainder, none zero if possible.

    Args:
      fractions: Positive, by split; their sum does not matter.
      total: Number of patients.
    """
    whole = sum(fractions.values())
    quotas = {name: total * part / whole for name, part in fractions.items()}
    counts = {name: int(quota + 1e-9) for name, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda name: counts[name] - quotas[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    for name in [name for name in counts if not counts[name]]:
        richest = max(counts, key=lambda other: counts[other])
        if counts[richest] > 1:
            counts[richest] -= 1
            counts[name] += 1
    return counts


def fill_deficits(
    fractions: Mapping[str, float], before: Mapping[str, int], new: int
) -> dict[str, int]:
    """How many of the new patients go to each split.

    Each gets what it lacks of its exact share of all. One that has more than its share
    already gets nobody, and the others share what is left; every empty one gets
    somebody if there are enough.

    Args:
      fractions: Of the splits that may grow.
      before: Patients that each of them has.
      new: Number of patients to place.

    Returns:
      Numbers by split, in the order of ``fractions``, that sum to ``new``.
    """
    growing = dict(fractions)
    while True:
        total = new + sum(before.get(name, 0) for name in growing)
        wanted = exact_counts(growing, total)
        lacking = {name: wanted[name] - before.get(name, 0) for name in growing}
        if min(lacking.values()) >= 0:
            return {name: lacking.get(name, 0) for name in fractions}
        growing = {name: growing[name] for name in growing if lacking[name] >= 0}
