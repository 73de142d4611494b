"""Values of labels as tensors, and their place beside the masks in a batch.

In a batch on its way, the labels are one float32 tensor ``[batch, labels]``: a number,
or the place of a word in the vocabulary; NaN where there is no value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfdicom.input_options import NO_WEIGHTS, WEIGHT
from tfdicom.input_plan import InputPlan
from tfdicom.label_kinds import CLASS, LabelInfo
from tfdicom.label_layout import MASK

#: Of a class label, where there is no value.
NO_WORD = -1


def label_values(
    names: tf.Tensor, values: tf.Tensor, labels: Sequence[LabelInfo]
) -> tf.Tensor:
    """Values from the records' text; not for XLA, which knows no strings.

    Args:
      names: string ``[batch, n]``: names of the labels of each record, in any order,
        filled up with empty ones.
      values: string ``[batch, n]``: theirs, empty where there is none.
      labels: Those that are wanted.

    Returns:
      float32 ``[batch, labels]``, NaN where a record has no value.

    Raises:
      InvalidArgumentError: When it runs: a value is no number, or no word of the
        vocabulary.
    """
    columns = []
    for label in labels:
        is_it = tf.equal(names, label.name)
        text = tf.where(is_it, values, tf.zeros_like(values))
        text = tf.strings.reduce_join(text, axis=1)
        columns.append(_word(text, label) if label.kind == CLASS else _number(text))
    return tf.stack(columns, axis=1)


def _number(text: tf.Tensor) -> tf.Tensor:
    return tf.strings.to_number(tf.where(tf.equal(text, ""), "nan", text))


def _word(text: tf.Tensor, label: LabelInfo) -> tf.Tensor:
    # Compared and not looked up: a table cannot go to the workers of a data service.
    is_word = tf.equal(text[:, tf.newaxis], tf.constant(label.vocabulary))
    is_known = tf.reduce_any(is_word, axis=1)
    is_missing = tf.equal(text, "")
    place = tf.cast(tf.argmax(is_word, axis=1), tf.float32)
    message = f"label {label.name!r}: values that its vocabulary does not have:"
    others = tf.boolean_mask(text, ~(is_known | is_missing))
    check = tf.debugging.Assert(tf.equal(tf.size(others), 0), [message, others])
    with tf.control_dependencies([check] if check is not None else []):
        return tf.where(is_known, place, math.nan)


def with_labels(
    masks: tuple[Any, ...], values: tf.Tensor | None, plan: InputPlan
) -> tuple[Any, ...]:
    """What comes after the image in an element of the dataset.

    Args:
      masks: The masks and their weights, if there are any; empty if none are read.
      values: From ``label_values``, of a full batch; None if no label is read.
      plan: What to do.

    Returns:
      Labels and masks, and their weights, if there are any.
    """
    if values is None:
        return masks
    targets, weights = {}, {}
    for place, label in enumerate(plan.label_layout.labels):
        value = values[:, place]
        targets[label.name] = _delivered(value, label, plan)
        known = tf.logical_not(tf.math.is_nan(value))
        weights[label.name] = tf.cast(known, tf.float32)
    groups = [targets, weights] if _weighs(plan) else [targets]
    if masks:
        return tuple(
            {**_by_name(own), **group} for own, group in zip(masks, groups, strict=True)
        )
    if len(targets) == 1:
        return tuple(group.popitem()[1] for group in groups)
    return tuple(groups)


def _weighs(plan: InputPlan) -> bool:
    weighs_masks = bool(plan.class_names) and plan.options.class_weights != NO_WEIGHTS
    return weighs_masks or plan.options.unannotated == WEIGHT


def _by_name(part: Any) -> dict[str, tf.Tensor]:
    return part if isinstance(part, dict) else {MASK: part}


def _delivered(value: tf.Tensor, label: LabelInfo, plan: InputPlan) -> tf.Tensor:
    """float32 or int64 ``[batch]``.

    Where there is no value: NaN or ``NO_WORD``, or with weights, which would not take
    away the NaN that a loss makes of these, 0.
    """
    is_class = label.kind == CLASS
    missing = 0.0 if _weighs(plan) else float(NO_WORD) if is_class else math.nan
    value = tf.where(tf.math.is_nan(value), missing, value)
    return tf.cast(value, tf.int64) if is_class else value
