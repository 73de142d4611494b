"""Changes of grey values, pixel by pixel.

Any value range in, the same kind of range out. Images are float32 ``[batch, rows,
columns, channels]``, parameters float32 ``[batch]`` unless said; "range" means the
frame's own, ``minimum`` to ``maximum``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import tensorflow as tf

from tfdicom.augment import random_stream
from tfdicom.augment.augment_options import POINTWISE, AugmentOptions
from tfdicom.augment.gated import Step, one_by_one

Draws = Mapping[str, tf.Tensor]


def apply(
    image: tf.Tensor,
    mask: tf.Tensor,
    draws: Draws,
    options: AugmentOptions,
    *,
    mean: tf.Tensor,
    deviation: tf.Tensor,
    minimum: tf.Tensor,
    maximum: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Changes grey values as ``options`` say; made for XLA, runs without.

    The order is Rician noise, gamma, window jitter, inversion, contrast, brightness,
    Gaussian noise, cutout. What is turned off adds nothing to the graph.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      mask: ``[batch, rows, columns, classes]``; changed by cutout only, and only if
        ``options.cutout_mask``.
      draws: From ``random_stream.draw``.
      options: What may be done.
      mean: float32 ``[batch]``, of the frame, as the image's values are.
      deviation: float32 ``[batch]``, likewise.
      minimum: float32 ``[batch]``, likewise.
      maximum: float32 ``[batch]``, likewise.
    """
    if not options.any_of(POINTWISE):
        return image, mask
    figures = {"deviation": deviation, "minimum": minimum, "maximum": maximum}
    image = one_by_one(image, steps(draws, options, **figures))
    if options.may("invert"):
        inverted = random_stream.chosen(draws["invert"], options.invert)
        image = invert(image, inverted=inverted, minimum=minimum, maximum=maximum)
        mean = tf.where(inverted, minimum + maximum - mean, mean)
    if options.may("contrast"):
        factor = random_factor(draws, options)
        image = adjust_contrast(image, factor=factor, pivot=mean)
    if options.may("brightness"):
        addition = random_addition(draws, options) * deviation
        image = adjust_brightness(image, addition=addition)
    if options.may("noise"):
        sigma = random_sigma(draws, options, name="noise") * deviation
        image = add_noise(image, draws=draws["noise_pixels"], sigma=sigma)
    if options.may("cutout"):
        boxes = random_boxes(draws, options, size=image.shape[1:3])
        image = cut_out(image, boxes=boxes, value=mean)
        if options.cutout_mask:
            mask = cut_out(mask, boxes=boxes, value=tf.zeros_like(mask[:, 0, 0, 0]))
    return image, mask


def steps(
    draws: Draws,
    options: AugmentOptions,
    *,
    deviation: tf.Tensor,
    minimum: tf.Tensor,
    maximum: tf.Tensor,
) -> list[Step]:
    """The changes that are worth a branch: Rician noise, gamma and window jitter."""
    span = {"minimum": minimum, "maximum": maximum}
    found = []
    if options.may("rician"):
        sigma = random_sigma(draws, options, name="rician") * deviation
        numbers = {"draws": draws["rician_pixels"], "sigma": sigma, "minimum": minimum}
        found.append(Step(_wanted(draws, options, "rician"), add_rician_noise, numbers))
    if options.may("gamma"):
        change = functools.partial(adjust_gamma, keep_mean=options.gamma_keeps_mean)
        numbers = {"gamma": random_gamma(draws, options), **span}
        found.append(Step(_wanted(draws, options, "gamma"), change, numbers))
    if options.may("window_jitter"):
        low, high = random_window(draws, options, **span)
        numbers = {"low": low, "high": high, **span}
        found.append(
            Step(_wanted(draws, options, "window_jitter"), adjust_window, numbers)
        )
    return found


def adjust_brightness(image: tf.Tensor, *, addition: tf.Tensor) -> tf.Tensor:
    """Adds a number, in the image's own unit, to each image."""
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


def invert(
    image: tf.Tensor, *, inverted: tf.Tensor, minimum: tf.Tensor, maximum: tf.Tensor
) -> tf.Tensor:
    """Mirrors the grey values of some images within their range.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      inverted: bool ``[batch]``; the others are given back bit by bit.
      minimum: float32 ``[batch]``: becomes the maximum.
      maximum: float32 ``[batch]``: becomes the minimum.
    """
    sign = tf.where(inverted, -1.0, 1.0)
    total = tf.where(inverted, minimum + maximum, 0.0)
    return image * _for_each_image(sign) + _for_each_image(total)


def adjust_gamma(
    image: tf.Tensor,
    *,
    gamma: tf.Tensor,
    minimum: tf.Tensor,
    maximum: tf.Tensor,
    keep_mean: bool = False,
) -> tf.Tensor:
    """Raises grey values to a power, over the range from 0 to 1.

    Args:
      image: float32 ``[batch, rows, columns, channels]``; clipped to the range.
      gamma: float32 ``[batch]``, above 0: below 1 brightens the middle.
      minimum: float32 ``[batch]``: becomes 0, and stays.
      maximum: float32 ``[batch]``: becomes 1, and stays.
      keep_mean: Bring each image's mean and deviation back to what they were.
    """
    low, span = _for_each_image(minimum), _for_each_image(maximum - minimum)
    share = tf.clip_by_value(tf.math.divide_no_nan(image - low, span), 0.0, 1.0)
    # As XLA vectorises exp and log, and on a CPU not pow.
    found = tf.exp(_for_each_image(gamma) * tf.math.log(share)) * span + low
    if not keep_mean:
        return found
    mean, deviation = _mean_and_deviation(image)
    new_mean, new_deviation = _mean_and_deviation(found)
    factor = tf.math.divide_no_nan(deviation, new_deviation)
    return found * factor + (mean - new_mean * factor)


def _mean_and_deviation(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Of each image, ``[batch, 1, 1, 1]``."""
    # Rows first: this sum XLA vectorises.
    mean = tf.reduce_mean(tf.reduce_mean(image, 1), [1, 2])
    square = tf.reduce_mean(
        tf.reduce_mean(tf.square(image - _for_each_image(mean)), 1), [1, 2]
    )
    return _for_each_image(mean), _for_each_image(tf.sqrt(square))


def adjust_window(
    image: tf.Tensor,
    *,
    low: tf.Tensor,
    high: tf.Tensor,
    minimum: tf.Tensor,
    maximum: tf.Tensor,
) -> tf.Tensor:
    """Clips to ``low`` to ``high`` and stretches that to ``minimum`` to ``maximum``."""
    bounds = _for_each_image(low), _for_each_image(high)
    factor = tf.math.divide_no_nan(maximum - minimum, high - low)
    clipped = tf.clip_by_value(image, *bounds) * _for_each_image(factor)
    return clipped + _for_each_image(minimum - low * factor)


def add_noise(image: tf.Tensor, *, draws: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Adds Gaussian noise.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      draws: float32 ``[batch, 2]``: names the noise, see ``random_stream.normal``.
      sigma: float32 ``[batch]``: its deviation, in the image's own unit; 0 gives the
        image back.
    """
    return image + _for_each_image(sigma) * _normal(draws, image, part=0)


def add_rician_noise(
    image: tf.Tensor, *, draws: tf.Tensor, sigma: tf.Tensor, minimum: tf.Tensor
) -> tf.Tensor:
    """Noise of an MR magnitude image: the length of (signal + noise, other noise).

    Gudbjartsson and Patz, "The Rician distribution of noisy MRI data", MRM 1995.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      draws: float32 ``[batch, 2]``: names the noise, see ``random_stream.normal``.
      sigma: float32 ``[batch]``: deviation of either noise, in the image's own unit.
      minimum: float32 ``[batch]``: the grey value of no signal; none of the result
        lies below.
    """
    low, sigma = _for_each_image(minimum), _for_each_image(sigma)
    real = image - low + sigma * _normal(draws, image, part=0)
    imaginary = sigma * _normal(draws, image, part=1)
    return tf.sqrt(tf.square(real) + tf.square(imaginary)) + low


def cut_out(planes: tf.Tensor, *, boxes: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Fills rectangles.

    Args:
      planes: Images or masks ``[batch, rows, columns, depth]``, any dtype.
      boxes: float32 ``[batch, count, 4]``: first row, first column, end row, end
        column, the end not included.
      value: ``[batch]`` of that dtype: what the rectangles take.
    """
    row = tf.range(planes.shape[1], dtype=tf.float32)[tf.newaxis, :, tf.newaxis]
    column = tf.range(planes.shape[2], dtype=tf.float32)[tf.newaxis, tf.newaxis]
    inside = tf.constant(False)
    for box in tf.unstack(boxes[..., tf.newaxis, tf.newaxis], axis=1):
        in_rows = (row >= box[:, 0]) & (row < box[:, 2])
        inside |= in_rows & (column >= box[:, 1]) & (column < box[:, 3])
    return tf.where(inside[..., tf.newaxis], _for_each_image(value), planes)


def random_addition(draws: Draws, options: AugmentOptions) -> tf.Tensor:
    """For ``adjust_brightness``, in deviations; float32 ``[batch]``."""
    return random_stream.symmetric(
        draws["brightness"], options.brightness, options.brightness_probability
    )


def random_factor(draws: Draws, options: AugmentOptions) -> tf.Tensor:
    """For ``adjust_contrast``; float32 ``[batch]``, 1 where nothing changes."""
    exponent = random_stream.symmetric(
        draws["contrast"], math.log1p(options.contrast), options.contrast_probability
    )
    return tf.exp(exponent)


def random_gamma(draws: Draws, options: AugmentOptions) -> tf.Tensor:
    """For ``adjust_gamma``; float32 ``[batch]``."""
    limit = math.log1p(options.gamma)
    return tf.exp(random_stream.symmetric(draws["gamma"], limit, 1.0))


def random_window(
    draws: Draws, options: AugmentOptions, *, minimum: tf.Tensor, maximum: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Low and high for ``adjust_window``; float32 ``[batch]``."""
    limit = math.log1p(options.window_jitter)
    factor = tf.exp(random_stream.symmetric(draws["window_jitter"], limit, 1.0))
    width = (maximum - minimum) * factor
    limit = options.window_jitter / 2
    shift = random_stream.symmetric(draws["window_jitter_centre"], limit, 1.0) * width
    centre = (minimum + maximum) / 2 + shift
    return centre - width / 2, centre + width / 2


def random_sigma(draws: Draws, options: AugmentOptions, *, name: str) -> tf.Tensor:
    """Deviation of ``name``, noise or rician; float32 ``[batch]``, 0 where unwanted."""
    value = draws[name][:, 1] * getattr(options, name)
    return tf.where(_wanted(draws, options, name), value, 0.0)


def random_boxes(
    draws: Draws, options: AugmentOptions, *, size: tuple[int, int]
) -> tf.Tensor:
    """For ``cut_out`` from images of ``size``: float32 ``[batch, cutout_count, 4]``."""
    count = options.cutout_count
    place = random_stream.more(draws["cutout_place"], 4 * count)
    place = tf.reshape(place, [-1, count, 2, 2])
    whole = tf.constant([*size], tf.float32)
    side = place[:, :, 0] * options.cutout * whole
    first = place[:, :, 1] * whole - side / 2
    wanted = _wanted(draws, options, "cutout")[:, tf.newaxis, tf.newaxis]
    return tf.where(wanted, tf.concat([first, first + side], axis=2), 0.0)


def _wanted(draws: Draws, options: AugmentOptions, name: str) -> tf.Tensor:
    return random_stream.chosen(draws[name], options.probability(name))


def _normal(draws: tf.Tensor, image: tf.Tensor, *, part: int) -> tf.Tensor:
    """Noise for each pixel, shaped as the image."""
    count = math.prod(image.shape[1:])
    noise = random_stream.normal(draws, count, part=part)
    return tf.reshape(noise, [-1, *image.shape[1:]])


def _for_each_image(value: tf.Tensor) -> tf.Tensor:
    return tf.reshape(value, [-1, 1, 1, 1])
