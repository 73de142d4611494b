"""Changes that mix neighbouring pixels, or change slowly over the image.

Any value range in, the same kind of range out. Images are float32 ``[batch, rows,
columns, channels]``. Filters are sums of shifted images, along one axis at a time: XLA
makes these fast, and convolutions slow. Beyond its edge an image is its own mirror.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping

import tensorflow as tf

from tfdicom.augment import random_stream
from tfdicom.augment.augment_options import AugmentOptions
from tfdicom.augment.gated import Step, one_by_one

ROWS, COLUMNS = 1, 2
#: A Gaussian kernel ends at so many sigmas; the rest is 0.3 % of it.
TRUNCATE = 3.0
_POWERS = [(i, j) for i in range(4) for j in range(4) if 0 < i + j < 4]

Draws = Mapping[str, tf.Tensor]


def apply(
    image: tf.Tensor, draws: Draws, options: AugmentOptions, *, minimum: tf.Tensor
) -> tf.Tensor:
    """Filters as ``options`` say; made for XLA, runs without.

    The order is low resolution, blur, sharpening, bias field. What is turned off adds
    nothing to the graph, and an example pays for what it gets.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      draws: From ``random_stream.draw``.
      options: What may be done.
      minimum: float32 ``[batch]``: the grey value of no signal, for the bias field.
    """
    return one_by_one(image, steps(draws, options, minimum=minimum))


def steps(draws: Draws, options: AugmentOptions, *, minimum: tf.Tensor) -> list[Step]:
    """The changes of ``apply``, each behind its own branch."""
    found = []
    if options.may("low_resolution"):
        factor = 1.0 + draws["low_resolution"][:, 1] * options.low_resolution
        wanted = _wanted(draws, options, "low_resolution")
        found += _by_axis(wanted, coarsen, factor=factor)
    if options.may("blur"):
        sigma = draws["blur"][:, 1] * options.blur
        change = functools.partial(blur, radius=_radius(options.blur))
        found += _by_axis(_wanted(draws, options, "blur"), change, sigma=sigma)
    if options.may("sharpen"):
        numbers = {"amount": draws["sharpen"][:, 1] * options.sharpen}
        found.append(Step(_wanted(draws, options, "sharpen"), sharpen, numbers))
    if options.may("bias_field"):
        coefficients = random_coefficients(draws, options)
        numbers = {"coefficients": coefficients, "minimum": minimum}
        wanted = _wanted(draws, options, "bias_field")
        found.append(Step(wanted, multiply_bias_field, numbers))
    return found


def _by_axis(
    wanted: tf.Tensor, change: Callable[..., tf.Tensor], **numbers: tf.Tensor
) -> list[Step]:
    # A step for each axis: in one, XLA would work out the first pass anew for each
    # pixel that the second one reads.
    return [
        Step(wanted, functools.partial(change, axis=axis), numbers)
        for axis in (ROWS, COLUMNS)
    ]


def _radius(sigma: float) -> int:
    """Pixels by which a Gaussian kernel reaches out."""
    return max(1, math.ceil(TRUNCATE * sigma))


def blur(image: tf.Tensor, *, sigma: tf.Tensor, radius: int, axis: int) -> tf.Tensor:
    """Convolves with a Gaussian along one axis.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      sigma: float32 ``[batch]``, pixels; 0 gives the image back.
      radius: Pixels by which the kernel reaches out.
      axis: 1 for along rows' numbers (vertically), 2 for along columns'.
    """
    radius = min(radius, image.shape[axis])
    distance = tf.range(-radius, radius + 1, dtype=tf.float32)
    narrow = tf.maximum(sigma, 1e-3)[:, tf.newaxis]
    weights = tf.exp(-0.5 * tf.square(distance / narrow))
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    return _weighted_sum(image, weights, axis)


def _weighted_sum(image: tf.Tensor, weights: tf.Tensor, axis: int) -> tf.Tensor:
    """Sum of the shifted images; weights ``[batch, 2 * radius + 1]``."""
    count = weights.shape[1]
    padding = [[0, 0]] * 4
    padding[axis] = [count // 2, count // 2]
    padded = tf.pad(image, padding, "SYMMETRIC")
    # Flat rows, as XLA vectorises the last axis, and the channels may be only one.
    _, rows, columns, depth = image.shape
    padded = tf.reshape(padded, [-1, padded.shape[1], padded.shape[2] * depth])
    total = tf.constant(0.0)
    for index in range(count):
        row, column = (index, 0) if axis == ROWS else (0, index * depth)
        part = padded[:, row : row + rows, column : column + columns * depth]
        total += weights[:, index, tf.newaxis, tf.newaxis] * part
    return tf.reshape(total, [-1, rows, columns, depth])


def sharpen(image: tf.Tensor, *, amount: tf.Tensor) -> tf.Tensor:
    """Adds ``amount`` times what a Gaussian blur of 1 pixel takes away.

    Args:
      image: float32 ``[batch, rows, columns, channels]``; edges overshoot its range.
      amount: float32 ``[batch]``, 0 or more.
    """
    sigma, smooth = tf.ones_like(amount), image
    for axis in (ROWS, COLUMNS):
        smooth = blur(smooth, sigma=sigma, radius=_radius(1.0), axis=axis)
    return image + tf.reshape(amount, [-1, 1, 1, 1]) * (image - smooth)


def coarsen(image: tf.Tensor, *, factor: tf.Tensor, axis: int) -> tf.Tensor:
    """Samples coarsely along one axis, and interpolates linearly back.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      factor: float32 ``[batch]``, 1 or more: how much fewer samples; 1 gives the image
        back.
      axis: 1 for along rows' numbers (vertically), 2 for along columns'.
    """
    length = image.shape[axis]
    count = tf.maximum(tf.round(length / factor), 1.0)[:, tf.newaxis]
    step = length / count
    place = (tf.range(length, dtype=tf.float32) + 0.5) / step - 0.5
    place = tf.clip_by_value(place, 0.0, count - 1.0)
    left = tf.floor(place)
    shape = [-1, length, 1, 1] if axis == ROWS else [-1, 1, length, 1]
    weight = tf.reshape(place - left, shape)
    first, second = (
        tf.gather(image, _nearest(one, step, length), axis=axis, batch_dims=1)
        for one in (left, tf.minimum(left + 1.0, count - 1.0))
    )
    return first + (second - first) * weight


def _nearest(sample: tf.Tensor, step: tf.Tensor, length: int) -> tf.Tensor:
    """The pixel in which a coarse sample's centre lies."""
    at = tf.cast(tf.floor((sample + 0.5) * step), tf.int32)
    return tf.clip_by_value(at, 0, length - 1)


def multiply_bias_field(
    image: tf.Tensor, *, coefficients: tf.Tensor, minimum: tf.Tensor
) -> tf.Tensor:
    """Multiplies the signal by the exponential of a cubic polynomial.

    Van Leemput et al., "Automated model-based bias field correction of MR images of
    the brain", TMI 1999; the default of TorchIO's RandomBiasField.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      coefficients: float32 ``[batch, 9]``: of row**i * column**j for (i, j) = (0, 1),
        (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 0); row and column
        run from -1 to 1.
      minimum: float32 ``[batch]``: the grey value of no signal, which stays.
    """
    row, column = (
        tf.linspace(-1.0, 1.0, image.shape[axis])[tf.newaxis]
        for axis in (ROWS, COLUMNS)
    )
    exponent = tf.constant(0.0)
    for power in range(4):
        # Of each power of the column, the polynomial in the row.
        terms = [
            coefficients[:, index, tf.newaxis] * row**i
            for index, (i, j) in enumerate(_POWERS)
            if j == power
        ]
        factor = tf.add_n(terms)[:, :, tf.newaxis]
        exponent += factor * (column**power)[:, tf.newaxis, :]
    low = tf.reshape(minimum, [-1, 1, 1, 1])
    return (image - low) * tf.exp(exponent)[..., tf.newaxis] + low


def random_coefficients(draws: Draws, options: AugmentOptions) -> tf.Tensor:
    """For ``multiply_bias_field``; float32 ``[batch, 9]``."""
    uniform = random_stream.more(draws["bias_field_shape"], len(_POWERS))
    return (uniform * 2.0 - 1.0) * options.bias_field


def _wanted(draws: Draws, options: AugmentOptions, name: str) -> tf.Tensor:
    return random_stream.chosen(draws[name], options.probability(name))
