"""Masks in other forms: label maps, one-hot, distances; and a weight for each pixel.

Functions of tensors only. Planes are ``[batch, rows, columns, classes]``: 1 where the
class is, 0 where it is not, and ``UNKNOWN`` where that is not known. All of them
compile under XLA.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import tensorflow as tf

from tfdicom.input_options import UNKNOWN
from tfdicom.kernel import kernel

_MOST_IN_UINT8 = UNKNOWN - 1  # classes
_MOST_IN_INT16 = 127  # pixels: (127 + 1)**2 + 127**2 is the largest that fits


def mark_unknown(planes: tf.Tensor, unknown: tf.Tensor) -> tf.Tensor:
    """Puts ``UNKNOWN`` where the truth is not known.

    Args:
      planes: ``[batch, rows, columns, classes]``, any dtype that holds 255.
      unknown: bool, of a shape that broadcasts to it.
    """
    return tf.where(unknown, tf.constant(UNKNOWN, planes.dtype), planes)


def unknown_label(classes: int) -> int:
    """What stands in a label map of so many classes where the label is not known.

    255; -1 where there are so many classes that 255 is one of them.
    """
    return UNKNOWN if classes <= _MOST_IN_UINT8 else -1


def label_map(planes: tf.Tensor, *, order: Sequence[int]) -> tf.Tensor:
    """One number for each pixel.

    Args:
      planes: uint8 ``[batch, rows, columns, classes]``: 0, 1 or ``UNKNOWN``.
      order: Places of the classes; where several are, the first in this order wins.

    Returns:
      ``[batch, rows, columns]``: 0 where no class is, k where the k-th wins. Where a
      class that could still win is unknown: ``unknown_label(classes)``. uint8, or int32
      for more than 254 classes.
    """
    classes = planes.shape[-1]
    dtype = tf.uint8 if classes <= _MOST_IN_UINT8 else tf.int32
    unknown = tf.constant(unknown_label(classes), dtype)
    labels = tf.zeros_like(planes[..., 0], dtype)
    for index in reversed(order):
        plane = planes[..., index]
        labels = tf.where(tf.equal(plane, UNKNOWN), unknown, labels)
        labels = tf.where(tf.equal(plane, 1), tf.constant(index + 1, dtype), labels)
    return labels


def one_hot(labels: tf.Tensor, *, classes: int) -> tf.Tensor:
    """A label map as planes that exclude each other, background first.

    Args:
      labels: From ``label_map``.
      classes: How many there are, without background.

    Returns:
      uint8 ``[batch, rows, columns, 1 + classes]``: 0 or 1; ``UNKNOWN`` in every plane
      where the label is not known.
    """
    wanted = tf.range(classes + 1, dtype=tf.int32)
    planes = tf.equal(tf.cast(labels, tf.int32)[..., tf.newaxis], wanted)
    unknown = tf.equal(labels, tf.constant(unknown_label(classes), labels.dtype))
    return mark_unknown(tf.cast(planes, tf.uint8), unknown[..., tf.newaxis])


def signed_distance(
    planes: tf.Tensor, *, limit: int, jit_compile: bool = False
) -> tf.Tensor:
    """How far each pixel is from the border of each class.

    From the pixel's centre to the nearest centre of a pixel of the other side, negative
    inside, as the boundary loss wants it (Kervadec et al., "Boundary loss for highly
    unbalanced segmentation", MIDL 2019). Exact: the nearest pixel of each column, then
    the nearest of the columns.

    Args:
      planes: uint8 ``[batch, rows, columns, classes]``, 0 or 1; rows and columns
        static.
      limit: Pixels, 1 to 254: what is farther counts as so far. It is also the distance
        in a plane that is empty (``limit``) or full (``-limit``).
      jit_compile: Compile with XLA; without, it takes some 20 times as long.

    Returns:
      float32 ``[batch, rows, columns, classes]``, in pixels; never between -1 and 1.
    """
    compiled = functools.partial(kernel, jit_compile=jit_compile)
    _, rows, columns, _ = planes.shape
    down, across = min(limit, rows - 1), min(limit, columns - 1)
    # A padded tensor is a kernel's output: sliced where it is made, each slice would
    # test every index.
    padded = compiled(_padded, order=[0, 3, 1, 2], reach=down)(planes)
    distances = compiled(_along_columns, reach=down, limit=limit)(padded)
    padded = compiled(_padded, order=[0, 1, 3, 2], reach=across)(distances)
    squares = compiled(_across_columns, reach=across)(padded)
    return compiled(_rooted, limit=limit)(squares)


def _padded(planes: tf.Tensor, order: Sequence[int], reach: int) -> tf.Tensor:
    """Transposed, and the outermost lines of the last but one axis repeated.

    What is repeated lies farther off than the same value inside, so it is never
    nearest.
    """
    turned = tf.transpose(planes, order)
    first, last = turned[..., :1, :], turned[..., -1:, :]
    before, after = (tf.repeat(line, reach, axis=-2) for line in (first, last))
    return tf.concat([before, turned, after], axis=-2)


def _shifted(padded: tf.Tensor, shift: int, reach: int) -> tf.Tensor:
    first = reach + shift
    return padded[..., first : first + padded.shape[-2] - 2 * reach, :]


def _along_columns(padded: tf.Tensor, reach: int, limit: int) -> tf.Tensor:
    """Signed distance to the other side within the same column, up to limit + 1.

    Args:
      padded: uint8 ``[batch, classes, reach + rows + reach, columns]``.
      reach: How far to look, rows.
      limit: See ``signed_distance``.

    Returns:
      ``[batch, classes, rows, columns]`` of an integer that holds the sum of squares.
    """
    own = _shifted(padded, 0, reach)
    distance = tf.zeros_like(own) + tf.constant(limit + 1, tf.uint8)
    for shift in range(reach, 0, -1):
        above, below = (_shifted(padded, one, reach) for one in (-shift, shift))
        same = tf.equal(above, own) & tf.equal(below, own)
        distance = tf.where(same, distance, tf.constant(shift, tf.uint8))
    # Twice as many of the small integer go through the processor at once.
    small = limit <= _MOST_IN_INT16
    distance = tf.cast(distance, tf.int16 if small else tf.int32)
    return tf.where(tf.equal(own, 1), -distance, distance)


def _across_columns(padded: tf.Tensor, reach: int) -> tf.Tensor:
    """Square of the distance to the other side, with the sign of the own side.

    Args:
      padded: From ``_along_columns``, ``[batch, classes, reach + columns + reach,
        rows]``.
      reach: How far to look, columns.
    """
    own = _shifted(padded, 0, reach)
    dtype = own.dtype
    side = tf.where(own < 0, tf.constant(-1, dtype), tf.constant(1, dtype))
    square = own * own
    for shift in range(1, reach + 1):
        left, right = (_shifted(padded, one, reach) for one in (-shift, shift))
        # Where a neighbour is itself of the other side, the product is negative.
        other = tf.maximum(tf.minimum(side * left, side * right), 0)
        square = tf.minimum(square, other * other + tf.constant(shift**2, dtype))
    return square * side


def _rooted(squares: tf.Tensor, limit: int) -> tf.Tensor:
    """Distances, planes last, from squares ``[batch, classes, columns, rows]``."""
    squares = tf.cast(tf.transpose(squares, [0, 3, 2, 1]), tf.float32)
    return tf.sign(squares) * tf.minimum(tf.sqrt(tf.abs(squares)), float(limit))


def label_weights(
    labels: tf.Tensor, *, classes: int, weights: Sequence[float] | None
) -> tf.Tensor:
    """A weight for each pixel of a label map.

    Args:
      labels: From ``label_map``.
      classes: How many there are, without background.
      weights: Of the background and of each class; None for 1 everywhere.

    Returns:
      float32 ``[batch, rows, columns]``, 0 where the label is not known.
    """
    table = tf.constant([*(weights or [1.0] * (classes + 1)), 0.0], tf.float32)
    places = tf.cast(labels, tf.int32)
    unknown = tf.equal(places, unknown_label(classes))
    return tf.gather(table, tf.where(unknown, classes + 1, places))


def without_unknown(labels: tf.Tensor, *, classes: int) -> tf.Tensor:
    """A label map with 0 where the label is not known.

    For losses that multiply with weights: of a label that is none they make NaN, which
    no weight takes away.
    """
    unknown = tf.constant(unknown_label(classes), labels.dtype)
    return tf.where(tf.equal(labels, unknown), tf.zeros_like(labels), labels)


def plane_weights(plane: tf.Tensor, *, weights: tuple[float, float]) -> tf.Tensor:
    """A weight for each pixel of a class.

    Args:
      plane: ``[batch, rows, columns]``, 0 to 1 or ``UNKNOWN``; from 0.5 on, the pixel
        is of the class.
      weights: Of a pixel that is not, and of one that is.

    Returns:
      float32 ``[batch, rows, columns]``, 0 where it is not known.
    """
    plane = tf.cast(plane, tf.float32)
    negative, positive = (tf.constant(one, tf.float32) for one in weights)
    found = tf.where(plane >= 0.5, positive, negative)
    return tf.where(tf.equal(plane, float(UNKNOWN)), 0.0, found)
