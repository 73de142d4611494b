"""The masks of a batch in the form that was asked for, with their weights."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf

from tfdicom import label_forms
from tfdicom.input_options import DISTANCE, DROP, IGNORE, NO_WEIGHTS, ONE_HOT, WEIGHT
from tfdicom.input_plan import InputPlan
from tfdicom.kernel import kernel


def labelled(
    mask: tf.Tensor, annotated: tf.Tensor | None, plan: InputPlan
) -> tuple[Any, ...]:
    """What comes after the image in an element of the dataset.

    Args:
      mask: ``[batch, rows, columns, planes]``: uint8, 0 or 1, or float32, 0 to 1. With
        ``unannotated='ignore'`` its last plane says which pixels are to be ignored.
      annotated: int64 ``[batch, classes]``; None with ``unannotated='drop'``.
      plan: What to do.

    Returns:
      The labels, and the weights, if there are any.
    """
    compiled = functools.partial(
        kernel, jit_compile=plan.options.jit_compile, plan=plan
    )
    if plan.options.excludes:
        return compiled(_exclusive)(mask, annotated)
    if plan.options.label_form == DISTANCE:
        distance = label_forms.signed_distance(
            mask[..., : len(plan.class_names)],
            limit=plan.options.distance_limit,
            jit_compile=plan.options.jit_compile,
        )
        labels = compiled(_distances)(distance, mask, annotated)
    elif plan.options.unannotated == IGNORE:
        labels = compiled(_marked)(mask, annotated)
    else:
        labels = mask
    if not _weighs(plan):
        return (labels,)
    return _by_class(labels, annotated, plan)


def _weighs(plan: InputPlan) -> bool:
    asked = plan.options
    return asked.unannotated == WEIGHT or asked.class_weights != NO_WEIGHTS


def _unknown(
    mask: tf.Tensor, annotated: tf.Tensor | None, plan: InputPlan
) -> tf.Tensor:
    """Where a class was not annotated, or is to be ignored, as bool."""
    unknown = tf.equal(annotated, 0)[:, tf.newaxis, tf.newaxis]
    if plan.options.unannotated == IGNORE:
        unknown |= tf.cast(mask[..., -1:], tf.float32) >= 0.5
    return unknown


def _marked(mask: tf.Tensor, annotated: tf.Tensor | None, plan: InputPlan) -> tf.Tensor:
    """The planes of the classes, ``UNKNOWN`` where that is so."""
    planes = mask[..., : len(plan.class_names)]
    if plan.options.unannotated == DROP:
        return planes
    return label_forms.mark_unknown(planes, _unknown(mask, annotated, plan))


def _distances(
    distance: tf.Tensor,
    mask: tf.Tensor,
    annotated: tf.Tensor | None,
    plan: InputPlan,
) -> tf.Tensor:
    if plan.options.unannotated != IGNORE:
        return distance
    return label_forms.mark_unknown(distance, _unknown(mask, annotated, plan))


def _exclusive(
    mask: tf.Tensor, annotated: tf.Tensor | None, plan: InputPlan
) -> tuple[tf.Tensor, ...]:
    """Label map or one-hot, and a weight for each pixel."""
    classes = len(plan.class_names)
    planes = _marked(mask, annotated, plan)
    labels = label_forms.label_map(planes, order=plan.labels.order)
    weights = []
    if _weighs(plan):
        weights = [
            label_forms.label_weights(
                labels, classes=classes, weights=plan.labels.weights
            )
        ]
    if plan.options.unannotated == WEIGHT:
        labels = label_forms.without_unknown(labels, classes=classes)
    if plan.options.label_form == ONE_HOT:
        labels = label_forms.one_hot(labels, classes=classes)
    return (labels, *weights)


def _by_class(
    labels: tf.Tensor, annotated: tf.Tensor | None, plan: InputPlan
) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
    """Planes and weights by class, the form that Keras accepts for several outputs."""
    planes, weights = {}, {}
    for index, name in enumerate(plan.class_names):
        planes[name] = labels[..., index : index + 1]
        weights[name] = tf.ones([1, 1, 1])
        if plan.labels.weights is not None:
            weigh = kernel(
                label_forms.plane_weights,
                jit_compile=plan.options.jit_compile,
                weights=plan.labels.weights[index],
            )
            weights[name] = weigh(planes[name][..., 0])
        if annotated is not None and plan.options.unannotated == WEIGHT:
            # Keras multiplies [batch, rows, columns] of losses with the weights: of
            # [batch] it would make an error, or nonsense where batch size and columns
            # are equal.
            known = tf.cast(annotated[:, index], tf.float32)
            weights[name] *= known[:, tf.newaxis, tf.newaxis]
    return planes, weights
