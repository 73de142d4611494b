"""Moves image and mask together: one matrix for each example, sampled once.

Coordinates are (column, row) in pixels, (0, 0) the centre of the first pixel. A matrix
maps output pixels to source pixels: source = matrix @ (column, row, 1). Angles are
true in the patient: a rotation turns millimetres, whatever the pixel's sides are.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Mapping

import tensorflow as tf

from tfdicom.augment import random_stream
from tfdicom.augment.presets import AugmentOptions
from tfdicom.kernel import kernel

_BITS = 31  # planes that one int32 carries


@dataclasses.dataclass(frozen=True, kw_only=True)
class Motion:
    """How the content moves; float32 ``[batch]`` each, neutral by default.

    Attributes:
      rotation: Radians, counter-clockwise as displayed (rows downwards).
      scale: Zoom; above 1 the content grows.
      shift_rows: Pixels downwards.
      shift_columns: Pixels to the right.
      sign_rows: -1 mirrors rows (up and down), else 1.
      sign_columns: -1 mirrors columns (left and right), else 1.
    """

    rotation: tf.Tensor
    scale: tf.Tensor
    shift_rows: tf.Tensor
    shift_columns: tf.Tensor
    sign_rows: tf.Tensor
    sign_columns: tf.Tensor


def motion(batch: int, **parts: object) -> Motion:
    """A ``Motion`` with the parts given (scalars or ``[batch]``), else neutral."""
    neutral = {"scale": 1.0, "sign_rows": 1.0, "sign_columns": 1.0}
    names = [field.name for field in dataclasses.fields(Motion)]
    values = {name: parts.get(name, neutral.get(name, 0.0)) for name in names}
    zeros = tf.zeros([batch], tf.float32)
    return Motion(
        **{name: tf.cast(one, tf.float32) + zeros for name, one in values.items()}
    )


def random_motion(
    draws: Mapping[str, tf.Tensor], options: AugmentOptions, *, size: tuple[int, int]
) -> Motion:
    """Draws a motion as ``options`` say, for an output of ``size`` (rows, columns)."""
    signs = {
        name: tf.where(random_stream.chosen(draws[op], probability), -1.0, 1.0)
        for name, op, probability in (
            ("sign_columns", "flip_left_right", options.flip_left_right),
            ("sign_rows", "flip_up_down", options.flip_up_down),
        )
    }
    shifts = {
        op: random_stream.symmetric(
            draws[op], options.shift * length, options.shift_probability
        )
        for op, length in zip(("shift_rows", "shift_columns"), size, strict=True)
    }
    exponent = random_stream.symmetric(
        draws["scale"], math.log1p(options.scale), options.scale_probability
    )
    rotation = random_stream.symmetric(
        draws["rotation"], math.radians(options.rotation), options.rotation_probability
    )
    return Motion(rotation=rotation, scale=tf.exp(exponent), **shifts, **signs)


def centred_start(extent: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Source pixel under the first output pixel when the middle is cropped or padded.

    Args:
      extent: int32 ``[batch, 2]``: rows and columns that each source holds.
      size: Rows and columns of the output.

    Returns:
      int32 ``[batch, 2]``: row and column, negative where it is padded. An odd
      difference puts the spare pixel last, as ``tf.image.resize_with_crop_or_pad``.
    """
    difference = extent - tf.constant(size, tf.int32)
    return tf.sign(difference) * (tf.abs(difference) // 2)


def source_matrix(
    move: Motion, *, extent: tf.Tensor, size: tuple[int, int], spacing: tf.Tensor
) -> tf.Tensor:
    """The matrix that moves the content about the middle of the output.

    Args:
      move: What to do.
      extent: int32 ``[batch, 2]``: rows and columns that each source holds.
      size: Rows and columns of the output.
      spacing: float32 ``[batch, 2]``: distance between rows and between columns, mm;
        only their ratio counts. NaN where the record does not say: pixels are then
        turned as if they were square.

    Returns:
      float32 ``[batch, 3, 3]``; exactly the centre crop or padding for a neutral
      motion.
    """
    ratio = spacing[:, 0] / spacing[:, 1]
    ratio = tf.where(tf.math.is_finite(ratio) & (ratio > 0), ratio, 1.0)
    cosine, sine = tf.cos(move.rotation), tf.sin(move.rotation)
    across, down = move.sign_columns / move.scale, move.sign_rows / move.scale
    columns = (across * cosine, -across * sine * ratio)
    rows = (down * sine / ratio, down * cosine)
    start = tf.cast(centred_start(extent, size), tf.float32)
    middle_row, middle_column = (size[0] - 1) / 2, (size[1] - 1) / 2
    x, y = middle_column + move.shift_columns, middle_row + move.shift_rows
    offset_x = start[:, 1] + middle_column - (columns[0] * x + columns[1] * y)
    offset_y = start[:, 0] + middle_row - (rows[0] * x + rows[1] * y)
    zero, one = tf.zeros_like(x), tf.ones_like(x)
    elements = (*columns, offset_x, *rows, offset_y, zero, zero, one)
    return tf.reshape(tf.stack(elements, axis=1), [-1, 3, 3])


def warp(
    image: tf.Tensor,
    mask: tf.Tensor,
    matrix: tf.Tensor,
    *,
    extent: tf.Tensor,
    size: tuple[int, int],
    fill: tf.Tensor,
    jit_compile: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Samples image and mask at the same places.

    Args:
      image: float32 ``[batch, rows, columns, channels]``, any value range.
      mask: uint8 ``[batch, rows, columns, classes]``, 0 or 1.
      matrix: float32 ``[batch, 3, 3]``: output pixel -> source pixel.
      extent: int32 ``[batch, 2]``: rows and columns that each source holds; what lies
        beyond them in the tensor is not looked at.
      size: Rows and columns of the output.
      fill: float32 ``[batch]``: the image's value outside of the source; the mask's
        is 0.
      jit_compile: Compile with XLA.

    Returns:
      Image, interpolated bilinearly, and mask, 1 where the interpolated plane reaches
      0.5; both of ``size``. At whole pixels the values are exactly the source's.
    """
    compiled = functools.partial(kernel, jit_compile=jit_compile)
    place = (matrix, extent)
    pixels = compiled(_warp_image, size=size)(image, fill, *place)
    planes = []
    for first in range(0, mask.shape[3], _BITS):
        some = mask[..., first : first + _BITS]
        depth = some.shape[3]
        codes = compiled(_warp_codes, depth=depth, size=size)(some, *place)
        planes.append(compiled(_bits, depth=depth)(codes))
    return pixels, planes[0] if len(planes) == 1 else tf.concat(planes, axis=3)


def _warp_image(
    image: tf.Tensor,
    fill: tf.Tensor,
    matrix: tf.Tensor,
    extent: tf.Tensor,
    *,
    size: tuple[int, int],
) -> tf.Tensor:
    batch, rows, columns, depth = image.shape
    flat = tf.reshape(tf.transpose(image, [0, 3, 1, 2]), [-1, rows, columns])
    # Channels as further images: gathers of single values are the fast ones.
    matrix, extent, fill = (
        tf.repeat(one, depth, axis=0) for one in (matrix, extent, fill)
    )
    fill = fill[:, tf.newaxis, tf.newaxis]
    total = tf.constant(0.0)
    for value, weight in _corners(flat, matrix, extent, size, fill):
        total = total + value * weight
    return tf.transpose(tf.reshape(total, [batch, depth, *size]), [0, 2, 3, 1])


def _warp_codes(
    mask: tf.Tensor,
    matrix: tf.Tensor,
    extent: tf.Tensor,
    *,
    depth: int,
    size: tuple[int, int],
) -> tf.Tensor:
    """The warped mask with its planes as bits, int32 ``[batch, rows, columns]``."""
    place_values = tf.constant([1 << bit for bit in range(depth)])
    codes = tf.reduce_sum(tf.cast(mask, tf.int32) * place_values, axis=3)
    totals: list[tf.Tensor] = [tf.constant(0.0)] * depth
    for value, weight in _corners(codes, matrix, extent, size, tf.constant(0)):
        for bit in range(depth):
            plane = tf.bitwise.right_shift(value, bit) & 1
            totals[bit] = totals[bit] + tf.cast(plane, tf.float32) * weight
    warped = tf.constant(0)
    for bit, total in enumerate(totals):
        warped = warped | tf.where(total >= 0.5, 1 << bit, 0)
    return warped


def _bits(codes: tf.Tensor, *, depth: int) -> tf.Tensor:
    shifted = tf.bitwise.right_shift(codes[..., tf.newaxis], tf.range(depth))
    return tf.cast(shifted & 1, tf.uint8)


def _corners(
    planes: tf.Tensor,
    matrix: tf.Tensor,
    extent: tf.Tensor,
    size: tuple[int, int],
    fill: tf.Tensor,
) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Values and weights of the four source pixels about each output pixel.

    Args:
      planes: ``[n, rows, columns]``.
      matrix: ``[n, 3, 3]``.
      extent: ``[n, 2]``.
      size: Of the output.
      fill: Value of pixels outside of ``extent``; broadcasts.

    Yields:
      Value and weight ``[n, *size]``, four times.
    """
    x, y = _source_points(matrix, size)
    left, top = tf.floor(x), tf.floor(y)
    last = tf.cast(extent - 1, tf.float32)[:, :, tf.newaxis, tf.newaxis]
    last_row, last_column = last[:, 0], last[:, 1]
    flat = tf.reshape(planes, [planes.shape[0], -1])
    for row, column in itertools.product((top, top + 1.0), (left, left + 1.0)):
        inside = (column >= 0) & (column <= last_column)
        inside &= (row >= 0) & (row <= last_row)
        at_row = tf.cast(tf.clip_by_value(row, 0.0, last_row), tf.int32)
        at_column = tf.cast(tf.clip_by_value(column, 0.0, last_column), tf.int32)
        at = at_row * planes.shape[2] + at_column
        value = tf.where(inside, tf.gather(flat, at, batch_dims=1), fill)
        yield value, (1.0 - tf.abs(x - column)) * (1.0 - tf.abs(y - row))


def _source_points(
    matrix: tf.Tensor, size: tuple[int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Column and row in the source of each output pixel, ``[batch, rows, columns]``."""
    column = tf.range(size[1], dtype=tf.float32)[tf.newaxis, tf.newaxis, :]
    row = tf.range(size[0], dtype=tf.float32)[tf.newaxis, :, tf.newaxis]
    m = matrix[:, :, :, tf.newaxis, tf.newaxis]
    return tuple(m[:, i, 0] * column + m[:, i, 1] * row + m[:, i, 2] for i in (0, 1))  # type: ignore[return-value]


def crop_or_pad(
    planes: tf.Tensor,
    fill: tf.Tensor,
    extent: tf.Tensor,
    *,
    size: tuple[int, int],
) -> tf.Tensor:
    """The middle of an image or mask, cropped or padded; values are not touched.

    Args:
      planes: ``[batch, rows, columns, depth]``, any dtype.
      fill: ``[batch]`` of that dtype: the value outside of the source.
      extent: int32 ``[batch, 2]``: rows and columns that each source holds.
      size: Rows and columns of the output.

    Returns:
      ``[batch, *size, depth]``: what ``warp`` gives for a neutral motion.
    """
    batch, _, width, depth = planes.shape
    start = tf.repeat(centred_start(extent, size), depth, axis=0)
    last = tf.repeat(extent, depth, axis=0)[..., tf.newaxis, tf.newaxis] - 1
    row = (start[:, :1] + tf.range(size[0]))[:, :, tf.newaxis]
    column = (start[:, 1:] + tf.range(size[1]))[:, tf.newaxis, :]
    inside = (row >= 0) & (row <= last[:, 0]) & (column >= 0) & (column <= last[:, 1])
    at = tf.clip_by_value(row, 0, last[:, 0]) * width
    at += tf.clip_by_value(column, 0, last[:, 1])
    # Channels as further images, as in _warp_image.
    flat = tf.reshape(tf.transpose(planes, [0, 3, 1, 2]), [batch * depth, -1])
    fill = tf.repeat(fill, depth)[:, tf.newaxis, tf.newaxis]
    found = tf.where(inside, tf.gather(flat, at, batch_dims=1), fill)
    return tf.transpose(tf.reshape(found, [batch, depth, *size]), [0, 2, 3, 1])
