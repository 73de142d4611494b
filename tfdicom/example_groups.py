"""How often each example comes in an epoch: once, or as the balance says.

Nothing is scanned: the table knows which examples show a class. An epoch always has as
many draws as there are examples. A group whose share is larger than it is gives its
examples again and again, each turn in a new order; of one whose share is smaller a
random part comes.

Positive is what shows one of the classes that are read, negative what was annotated for
all of them that its data set has, and shows none. Anything else is neither, and no
balanced epoch has it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfdicom.example_table import ExampleTable
from tfdicom.input_plan import InputPlan


@dataclasses.dataclass(frozen=True)
class Group:
    """Examples that are alike to the balance.

    Attributes:
      places: int64 ``[n]``: of the examples in the table.
      draws: How many of them an epoch has.
      positive: Whether they show a class that is read; None where that is not asked.
    """

    places: np.ndarray
    draws: int
    positive: bool | None = None


@dataclasses.dataclass(frozen=True)
class _Part:
    """A group to be: what to call it, which examples are in it, and its share."""

    name: str
    members: np.ndarray
    share: float
    positive: bool | None = None


def example_groups(table: ExampleTable, plan: InputPlan) -> tuple[Group, ...]:
    """The groups of a plan; one with every example once if nothing is balanced.

    Raises:
      ValueError: A group that shall come has no example.
    """
    parts = [_Part("in the split", np.ones(len(table), bool), 1.0)]
    if plan.training and plan.options.shares is not None:
        parts = [
            _Part(f"in data set {number + 1}", table.data_set == number, share)
            for number, share in enumerate(plan.options.shares)
        ]
    if plan.training and plan.options.positive_fraction is not None:
        parts = _by_presence(parts, table, plan)
    draws = _shared_out(len(table), [part.share for part in parts])
    coming = [pair for pair in zip(parts, draws, strict=True) if pair[0].share]
    for part, count in coming:
        if not part.members.any():
            raise ValueError(
                f"{_asked(plan)}: there is no example {part.name} in the shards that "
                "this reader reads"
            )
        if not count:
            raise ValueError(
                f"{_asked(plan)}: of the {len(table)} examples of an epoch, the share "
                f"of those {part.name} is less than one; choose a larger one"
            )
    return tuple(
        Group(np.flatnonzero(part.members), count, part.positive)
        for part, count in coming
    )


def _by_presence(
    parts: Sequence[_Part], table: ExampleTable, plan: InputPlan
) -> list[_Part]:
    fraction = plan.options.positive_fraction or 0.0
    classes = " or ".join(plan.class_names)
    return [
        _Part(
            f"{word} {classes} {part.name}",
            part.members & (table.present if positive else table.absent),
            part.share * (fraction if positive else 1.0 - fraction),
            positive,
        )
        for part in parts
        for word, positive in (("with", True), ("without", False))
    ]


def without_neither(plan: InputPlan, table: ExampleTable) -> InputPlan:
    """The plan, with a warning of what a balanced epoch is without."""
    neither = int((~table.present & ~table.absent).sum())
    if not plan.training or plan.options.positive_fraction is None or not neither:
        return plan
    warning = (
        f"positive_fraction is without {neither} examples that show none of the "
        "classes but were not annotated for all of them"
    )
    return dataclasses.replace(plan, warnings=(*plan.warnings, warning))


def _asked(plan: InputPlan) -> str:
    options = plan.options
    asked = {"weights": options.weights, "positive_fraction": options.positive_fraction}
    return ", ".join(f"{k}={v!r}" for k, v in asked.items() if v is not None)


def _shared_out(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers near ``total * share`` that add up (largest remainder)."""
    exact = np.array(shares) * total
    counts = np.floor(exact).astype(int)
    missing = total - int(counts.sum())
    for place in np.argsort(counts - exact, kind="stable")[:missing]:
        counts[place] += 1
    return [int(count) for count in counts]


def arrangement(groups: Sequence[Group]) -> np.ndarray:
    """Order in which the draws of the groups, one after the other, are spread evenly.

    Any stretch of an epoch, so any batch, holds of two groups their shares, rounded up
    or down. Of more, first the positive and the others are spread so, and then the data
    sets within each of these.

    Returns:
      int64 ``[draws]``: places in the concatenation of the groups' draws.
    """
    ends = np.cumsum([one.draws for one in groups])
    alike: dict[bool | None, list[np.ndarray]] = {}
    for group, end in zip(groups, ends, strict=True):
        alike.setdefault(group.positive, []).append(np.arange(end - group.draws, end))
    return _spread([_spread(parts) for parts in alike.values()])


def _spread(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Several sequences as one, each as evenly in it as can be."""
    turns = [(np.arange(len(part)) + 0.5) / len(part) for part in parts]
    return np.concatenate(parts)[np.argsort(np.concatenate(turns), kind="stable")]
