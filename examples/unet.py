"""A small U-Net, in layers that Keras 2 and Keras 3 both have."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

layers = tf.keras.layers


def unet(
    input_shape: Sequence[int | None],
    classes: int,
    *,
    filters: int = 16,
    depth: int = 3,
) -> tf.keras.Model:
    """Builds the model.

    Args:
      input_shape: Rows, columns, channels; rows and columns divisible by 2**depth.
      classes: Channels of the output.
      filters: Channels of the first level; each level has twice those above.
      depth: Levels below the first.

    Returns:
      A model from float ``[batch, rows, columns, channels]`` to probabilities
      ``[batch, rows, columns, classes]``.
    """
    inputs = x = tf.keras.Input(input_shape)
    skips = []
    for level in range(depth):
        x = _convolutions(x, filters * 2**level)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = _convolutions(x, filters * 2**depth)
    for level in reversed(range(depth)):
        x = layers.UpSampling2D()(x)
        x = layers.Concatenate()([x, skips[level]])
        x = _convolutions(x, filters * 2**level)
    outputs = layers.Conv2D(classes, 1, activation="sigmoid", dtype="float32")(x)
    return tf.keras.Model(inputs, outputs)


def _convolutions(x: tf.Tensor, filters: int) -> tf.Tensor:
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        # Groups and not batches: no moving averages, so Estimators need no update ops.
        x = layers.GroupNormalization(groups=8)(x)
        x = layers.Activation("relu")(x)
    return x
