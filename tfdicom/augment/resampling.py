"""Resampling to a pixel spacing in millimetres: the step, and smoothing before it.

The step, in source pixels from one output pixel to the next, is one more part of the
matrix of ``spatial``. Where it is long, detail finer than the output's pixels would
come back as false patterns (aliasing), so the image is smoothed first. A mask of zeros
and ones is not: sampled at the centres of the new pixels, it is the mask that the
centre rule gives on the new grid, and smoothing would take small structures away.
"""

from __future__ import annotations

import math

import tensorflow as tf

from tfdicom.augment import LONGEST_PLAIN_STEP, filters

# Of the Gaussian that is as wide at half its height as the step is long.
_VARIANCE = 1.0 / (8.0 * math.log(2.0))


def step(spacing: tf.Tensor, target: tuple[float, float]) -> tf.Tensor:
    """Source pixels from one output pixel to the next.

    Args:
      spacing: float32 ``[batch, 2]``: of each source, between rows and between columns,
        mm, over 0.
      target: The same of the output.

    Returns:
      float32 ``[batch, 2]``: along rows' numbers (downwards), along columns'.
    """
    return tf.constant(target, tf.float32) / spacing


def middle(extent: tf.Tensor) -> tf.Tensor:
    """Row and column of the middle of each source, between two pixels if need be.

    Args:
      extent: int32 ``[batch, 2]``: rows and columns that each source holds.

    Returns:
      float32 ``[batch, 2]``.
    """
    return (tf.cast(extent, tf.float32) - 1.0) / 2.0


def deviation(step: tf.Tensor) -> tf.Tensor:
    """Sigma of the Gaussian that makes the source as coarse as the output.

    Cardoso et al., "Scale factor point spread function matching: beyond aliasing in
    image resampling", MICCAI 2015: a pixel sees a Gaussian as wide at half its height
    as the pixel is; widths add up as squares.

    Args:
      step: float32: source pixels from one output pixel to the next.

    Returns:
      float32 of the same shape, source pixels; 0 for steps up to 1.5.
    """
    variance = tf.maximum(tf.square(step) - 1.0, 0.0) * _VARIANCE
    return tf.where(step > LONGEST_PLAIN_STEP, tf.sqrt(variance), 0.0)


def smooth(
    image: tf.Tensor, step: tf.Tensor, *, longest: float, axis: int
) -> tf.Tensor:
    """Smooths along one axis, each image as its step wants it.

    Under XLA give each axis a kernel of its own: in one, the first pass is worked out
    anew for each pixel that the second one reads.

    Args:
      image: float32 ``[batch, rows, columns, channels]``, any value range.
      step: float32 ``[batch, 2]``, from ``step``.
      longest: No step along this axis is longer; over 1.
      axis: 1 for along rows' numbers (vertically), 2 for along columns'.

    Returns:
      Of the same shape and value range.
    """
    sigma = math.sqrt((longest**2 - 1.0) * _VARIANCE)
    radius = max(1, math.ceil(filters.TRUNCATE * sigma))
    sigmas = deviation(step[:, axis - 1])
    return filters.blur(image, sigma=sigmas, radius=radius, axis=axis)


def mirrored(image: tf.Tensor, extent: tf.Tensor) -> tf.Tensor:
    """The image with its mirror image where the source does not reach.

    ``smooth`` sees that at the borders of the tensor, so that a source is smoothed in
    the same way whatever the size of the tensor is.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      extent: int32 ``[batch, 2]``: rows and columns that each source holds.
    """
    for axis in (filters.ROWS, filters.COLUMNS):
        count = extent[:, axis - 1, tf.newaxis]
        at = tf.range(image.shape[axis])[tf.newaxis] % (2 * count)
        at = tf.where(at < count, at, 2 * count - 1 - at)
        image = tf.gather(image, at, axis=axis, batch_dims=1)
    return image
