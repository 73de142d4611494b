"""What is different between two records of one example, and the sums of that."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterable, Mapping

import numpy as np

from tfdicom.example_schema import FEATURES, FrameExample

#: Keys that are kept of each change, and examples whose masks agree least.
KEPT = 10

#: What depends on the identity key alone.
_PSEUDONYMS = frozenset(
    {"key", "key_hash", "patient", "study", "series", "instance", "rater"}
)


@dataclasses.dataclass
class ClassChange:
    """How the masks of a class changed.

    Attributes:
      examples: Number of examples with another mask.
      annotated: Number that were annotated in one of the two alone.
      pixels_added: Pixels that only the second has.
      pixels_removed: Pixels that only the first has.
      worst: (Dice, key) of the examples that agree least, the worst first.
    """

    examples: int = 0
    annotated: int = 0
    pixels_added: int = 0
    pixels_removed: int = 0
    worst: list[tuple[float, str]] = dataclasses.field(default_factory=list)

    def add(self, other: ClassChange) -> None:
        """Adds what another counts."""
        self.examples += other.examples
        self.annotated += other.annotated
        self.pixels_added += other.pixels_added
        self.pixels_removed += other.pixels_removed
        self.worst = heapq.nsmallest(KEPT, [*self.worst, *other.worst])


@dataclasses.dataclass
class FeatureChange:
    """In how many examples a feature of the record is another, and a few keys."""

    examples: int = 0
    keys: list[str] = dataclasses.field(default_factory=list)

    def add(self, other: FeatureChange) -> None:
        """Adds what another counts."""
        self.examples += other.examples
        self.keys = heapq.nsmallest(KEPT, [*self.keys, *other.keys])


@dataclasses.dataclass
class ExampleChanges:
    """What changed in some examples.

    Attributes:
      examples: How many of them are different at all.
      features: By key of the record's feature.
      classes: By class; those whose masks or annotation changed.
    """

    examples: int = 0
    features: dict[str, FeatureChange] = dataclasses.field(default_factory=dict)
    classes: dict[str, ClassChange] = dataclasses.field(default_factory=dict)

    def add(self, other: ExampleChanges) -> None:
        """Adds what another holds."""
        self.examples += other.examples
        for key, feature in other.features.items():
            self.features.setdefault(key, FeatureChange()).add(feature)
        for name, masks in other.classes.items():
            self.classes.setdefault(name, ClassChange()).add(masks)


def changes_of(
    before: FrameExample, after: FrameExample, *, same_names: bool
) -> ExampleChanges:
    """What is different between two records.

    Args:
      before: The example as it was.
      after: As it is.
      same_names: Whether their pseudonyms were made with one key; else those are not
        compared.
    """
    ignored = frozenset() if same_names else _PSEUDONYMS
    features = {
        feature.key: FeatureChange(1, [after.key])
        for name, feature in FEATURES.items()
        if name not in ignored and getattr(before, name) != getattr(after, name)
    }
    classes = dict(_class_changes(before, after))
    return ExampleChanges(int(bool(features)), features, classes)


def _class_changes(
    before: FrameExample, after: FrameExample
) -> Iterable[tuple[str, ClassChange]]:
    if before.shape[:2] != after.shape[:2]:
        return
    masks = dict(zip(before.classes, before.masks, strict=True))
    known = dict(zip(before.classes, before.annotated, strict=True))
    for name, annotated, mask in zip(
        after.classes, after.annotated, after.masks, strict=True
    ):
        if name not in masks:
            continue
        old = masks[name]
        added = int(np.count_nonzero(mask & ~old))
        removed = int(np.count_nonzero(old & ~mask))
        if not (added or removed or known[name] != annotated):
            continue
        worst = []
        if added or removed:
            both = int(np.count_nonzero(old)) + int(np.count_nonzero(mask))
            worst.append(((both - added - removed) / both, after.key))
        yield (
            name,
            ClassChange(
                examples=len(worst),
                annotated=int(known[name] != annotated),
                pixels_added=added,
                pixels_removed=removed,
                worst=worst,
            ),
        )


def total(parts: Iterable[ExampleChanges]) -> ExampleChanges:
    """What several add up to, features in the order of the schema."""
    whole = ExampleChanges()
    for one in parts:
        whole.add(one)
    order = [feature.key for feature in FEATURES.values()]
    whole.features = _ordered(whole.features, order)
    return whole


def _ordered(
    features: Mapping[str, FeatureChange], order: Iterable[str]
) -> dict[str, FeatureChange]:
    return {key: features[key] for key in order if key in features}
