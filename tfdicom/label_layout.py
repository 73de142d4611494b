"""Which labels are read, and where each data set has them; no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfdicom.class_layout import ABSENT, ClassLayout
from tfdicom.label_kinds import CLASS, LabelInfo

#: What the mask is called where labels stand beside it.
MASK = "mask"


@dataclasses.dataclass(frozen=True)
class LabelLayout:
    """The labels that are read.

    Attributes:
      labels: What they are.
      places: For each data set the place of each among its own labels, ``ABSENT`` where
        it has none of this name.
    """

    labels: tuple[LabelInfo, ...]
    places: tuple[tuple[int, ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(one.name for one in self.labels)


def label_layout(
    data_sets: Sequence[Sequence[LabelInfo]],
    asked: Sequence[LabelInfo],
    *,
    names: Sequence[str],
) -> LabelLayout:
    """Finds the labels asked for in every data set.

    Args:
      data_sets: The labels of each.
      asked: Name and, if one is given, vocabulary of each label.
      names: What to call each data set in messages.

    Raises:
      ValueError: No data set has a label, or they mean different things by its name.
    """
    found, places = [], []
    for one in asked:
        known = {
            name: label
            for name, labels in zip(names, data_sets, strict=True)
            for label in labels
            if label.name == one.name
        }
        if not known:
            raise ValueError(_unknown(one.name, data_sets))
        found.append(_agreed(one, known))
        own = ([label.name for label in labels] for labels in data_sets)
        places.append([n.index(one.name) if one.name in n else ABSENT for n in own])
    by_data_set = zip(*places, strict=True) if places else ((),) * len(data_sets)
    return LabelLayout(tuple(found), tuple(map(tuple, by_data_set)))


def _agreed(asked: LabelInfo, known: dict[str, LabelInfo]) -> LabelInfo:
    """What a label is, by all data sets that have it."""
    kinds = {label.kind for label in known.values()}
    if len(kinds) > 1:
        said = ", ".join(f"{name}: {label.kind}" for name, label in known.items())
        raise ValueError(f"label {asked.name!r} is not of one kind ({said})")
    words = tuple(dict.fromkeys(w for one in known.values() for w in one.vocabulary))
    if asked.vocabulary:
        if kinds != {CLASS} or not set(words) <= set(asked.vocabulary):
            has = f"the words {', '.join(words)}" if words else "numbers"
            raise ValueError(
                f"labels: {asked.name!r} has {has}; its vocabulary is to name all of "
                f"its words, got {', '.join(asked.vocabulary)}"
            )
        return dataclasses.replace(asked, kind=CLASS)
    if len({label.vocabulary for label in known.values()}) > 1:
        raise ValueError(
            f"label {asked.name!r} has other words, or another order of them, in "
            "different data sets, so that a number would not mean one word; say which "
            f"with labels='{asked.name}:{'|'.join(words)}'"
        )
    return next(iter(known.values()))


def _unknown(wanted: str, data_sets: Sequence[Sequence[LabelInfo]]) -> str:
    have = sorted({label.name for labels in data_sets for label in labels})
    if have:
        return f"no label {wanted!r}; there is {', '.join(have)}"
    return (
        f"no label {wanted!r}, as there are no labels here at all; convert with "
        "--labels=TABLE.csv"
    )


def pattern_places(
    classes: ClassLayout, labels: LabelLayout, data_set: int
) -> tuple[int, ...]:
    """Where the patterns of ``label_kinds.known_pattern`` have what is read.

    Args:
      classes: Those that are read.
      labels: Those that are read.
      data_set: Number of the data set; it has all of them.
    """
    first = classes.counts[data_set]
    of_labels = (first + place for place in labels.places[data_set])
    return (*classes.indices[data_set], *of_labels)


def lacking(classes: Sequence[str], labels: LabelLayout) -> str:
    """What those have in common that ``unannotated='drop'`` leaves out, in words."""
    words = []
    if classes:
        words.append(f"not annotated for all of {', '.join(classes)}")
    if labels.names:
        words.append(f"without a value for {' or '.join(labels.names)}")
    return ", or ".join(words)


def check_names(layout: LabelLayout, classes: Sequence[str]) -> None:
    """Refuses labels whose names mean something else in the same batch.

    Raises:
      ValueError: A label is called like a class that is read, or ``mask`` beside masks.
    """
    taken = {MASK, *classes} if classes else set()
    for name in layout.names:
        if name in taken:
            raise ValueError(
                f"label {name!r} is called like what is read beside it; read it "
                "without masks (classes='')"
            )


def absent_labels(layout: LabelLayout, names: Sequence[str]) -> list[str]:
    """A sentence for each label that a data set lacks."""
    return [
        f"{name} has no label {one.name}: read as without a value there"
        for name, places in zip(names, layout.places, strict=True)
        for one, place in zip(layout.labels, places, strict=True)
        if place == ABSENT
    ]
