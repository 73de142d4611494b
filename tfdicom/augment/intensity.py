"""Changes of grey values: pointwise, any value range in, the same kind of range out."""

from __future__ import annotations

import math
from collections.abc import Mapping

import tensorflow as tf

from tfdicom.augment import random_stream
from tfdicom.augment.presets import AugmentOptions


def adjust_brightness(image: tf.Tensor, *, addition: tf.Tensor) -> tf.Tensor:
    """Adds a number to each image.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      addition: float32 ``[batch]``, in the image's own unit.
    """
    return image + _for_each_image(addition)


def adjust_contrast(
    image: tf.Tensor, *, factor: tf.Tensor, pivot: tf.Tensor
) -> tf.Tensor:
    """Multiplies each image's distance from a grey value.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      factor: float32 ``[batch]``; exactly 1 gives the image back bit by bit.
      pivot: float32 ``[batch]``: the grey value that stays.
    """
    pivot, factor = _for_each_image(pivot), _for_each_image(factor)
    return image * factor + pivot * (1.0 - factor)


def random_addition(
    draws: Mapping[str, tf.Tensor], options: AugmentOptions
) -> tf.Tensor:
    """For ``adjust_brightness``, in standard deviations; float32 ``[batch]``."""
    return random_stream.symmetric(
        draws["brightness"], options.brightness, options.brightness_probability
    )


def random_factor(draws: Mapping[str, tf.Tensor], options: AugmentOptions) -> tf.Tensor:
    """For ``adjust_contrast``; float32 ``[batch]``, 1 where nothing changes."""
    exponent = random_stream.symmetric(
        draws["contrast"], math.log1p(options.contrast), options.contrast_probability
    )
    return tf.exp(exponent)


def _for_each_image(value: tf.Tensor) -> tf.Tensor:
    return tf.reshape(value, [-1, 1, 1, 1])
