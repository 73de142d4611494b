"""What becomes of the masks, worked out from manifests and options; no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfdicom import class_weights
from tfdicom.class_layout import ClassLayout
from tfdicom.input_options import NO_WEIGHTS, SOFT, InputOptions
from tfdicom.manifest import Manifest


@dataclasses.dataclass(frozen=True)
class LabelPlan:
    """The form of the labels.

    Attributes:
      order: Places of the classes, the one that wins first; for label maps and one-hot.
      weights: None for none. For label maps and one-hot the weight of the background
        and of each class. Else for each class the weights of a pixel that is not of it
        and of one that is.
      sentence: The weights in words, for the user; empty if there are none.
    """

    order: tuple[int, ...]
    weights: tuple | None = None
    sentence: str = ""


def label_plan(
    data_sets: Sequence[Manifest],
    splits: Sequence[str],
    layout: ClassLayout,
    options: InputOptions,
    *,
    names: Sequence[str],
) -> LabelPlan:
    """Works out the form of the labels.

    Args:
      data_sets: What is read.
      splits: Their splits that are read.
      layout: The classes that are read.
      options: What is asked for.
      names: What to call each data set in messages.

    Raises:
      ValueError: The data sets cannot give what is asked for, or the priority names
        other classes than those that are read.
    """
    if options.label_form == SOFT:
        _check_covered(data_sets, names)
    order = _order(layout.names, options)
    kind = options.class_weights
    if kind == NO_WEIGHTS:
        return LabelPlan(order)
    counts, foreground = class_weights.count_pixels(data_sets, splits, layout)
    if options.excludes:
        label_weights = class_weights.label_weights(
            kind, counts, order=order, foreground=foreground
        )
        words = zip(["background", *layout.names], label_weights, strict=True)
        sentence = ", ".join(f"{name} {weight:.3g}" for name, weight in words)
        return LabelPlan(order, label_weights, sentence)
    pairs = class_weights.side_weights(kind, counts)
    sentence = ", ".join(
        f"{name} {positive:.3g} (outside {negative:.3g})"
        for name, (negative, positive) in zip(layout.names, pairs, strict=True)
    )
    return LabelPlan(order, pairs, sentence)


def _check_covered(data_sets: Sequence[Manifest], names: Sequence[str]) -> None:
    for found, name in zip(data_sets, names, strict=True):
        if not found.options.get("covered_fraction"):
            raise ValueError(
                f"label_form={SOFT!r}: {name} does not hold which part of each pixel "
                "is covered; convert it with --covered_fraction"
            )


def _order(names: Sequence[str], options: InputOptions) -> tuple[int, ...]:
    wanted = options.priority or names
    if set(wanted) != set(names):
        raise ValueError(
            f"label_priority={options.label_priority!r}: all classes that are read are "
            f"wanted, and no other: {', '.join(names)}"
        )
    return tuple(list(names).index(name) for name in wanted)
