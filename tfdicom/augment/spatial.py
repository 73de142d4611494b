"""Where each output pixel comes from: one matrix for each example, and a smooth field.

Coordinates are (column, row) in pixels, (0, 0) the centre of the first pixel. A matrix
maps output pixels to source pixels: source = matrix @ (column, row, 1). Angles are
true in the patient: a rotation turns millimetres, whatever the pixels' sides are. Where
the output has a spacing of its own, each of its pixels is a ``step`` of source pixels.
Everything that moves pixels is composed here and sampled once, in ``sampling``.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfdicom.augment import random_stream
from tfdicom.augment.augment_options import AugmentOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Motion:
    """How the content moves; float32 ``[batch]`` each, neutral by default.

    Attributes:
      rotation: Radians, counter-clockwise as displayed (rows downwards).
      shear: Tangent of the angle by which columns lean.
      scale_rows: Zoom along columns (up and down); above 1 the content grows.
      scale_columns: Zoom along rows (left and right).
      shift_rows: Pixels downwards.
      shift_columns: Pixels to the right.
      sign_rows: -1 mirrors rows (up and down), else 1.
      sign_columns: -1 mirrors columns (left and right), else 1.
    """

    rotation: tf.Tensor
    shear: tf.Tensor
    scale_rows: tf.Tensor
    scale_columns: tf.Tensor
    shift_rows: tf.Tensor
    shift_columns: tf.Tensor
    sign_rows: tf.Tensor
    sign_columns: tf.Tensor


_NEUTRAL = {"scale_rows": 1.0, "scale_columns": 1.0, "sign_rows": 1.0}
_NEUTRAL["sign_columns"] = 1.0


def motion(batch: int, **parts: object) -> Motion:
    """A ``Motion`` with the parts given (scalars or ``[batch]``), else neutral."""
    names = [field.name for field in dataclasses.fields(Motion)]
    values = {name: parts.get(name, _NEUTRAL.get(name, 0.0)) for name in names}
    zeros = tf.zeros([batch], tf.float32)
    return Motion(
        **{name: tf.cast(one, tf.float32) + zeros for name, one in values.items()}
    )


def random_motion(
    draws: Mapping[str, tf.Tensor], options: AugmentOptions, *, size: tuple[int, int]
) -> Motion:
    """Draws a motion as ``options`` say, for an output of ``size`` (rows, columns)."""

    def symmetric(name: str, limit: float, operation: str = "") -> tf.Tensor:
        probability = getattr(options, f"{name}_probability")
        return random_stream.symmetric(draws[operation or name], limit, probability)

    signs = {
        name: tf.where(random_stream.chosen(draws[op], probability), -1.0, 1.0)
        for name, op, probability in (
            ("sign_columns", "flip_left_right", options.flip_left_right),
            ("sign_rows", "flip_up_down", options.flip_up_down),
        )
    }
    zoom = symmetric("scale", math.log1p(options.scale))
    stretch = symmetric("anisotropic_scale", math.log1p(options.anisotropic_scale))
    return Motion(
        rotation=symmetric("rotation", math.radians(options.rotation))
        + _quarter_turns(draws["rotate_90"], options.rotate_90),
        shear=tf.tan(symmetric("shear", math.radians(options.shear))),
        scale_rows=tf.exp(zoom + stretch / 2),
        scale_columns=tf.exp(zoom - stretch / 2),
        shift_rows=symmetric("shift", options.shift * size[0], "shift_rows"),
        shift_columns=tf.where(
            random_stream.chosen(draws["shift_rows"], options.shift_probability),
            random_stream.symmetric(
                draws["shift_columns"], options.shift * size[1], 1.0
            ),
            0.0,
        ),
        **signs,
    )


def _quarter_turns(draws: tf.Tensor, probability: float) -> tf.Tensor:
    turns = tf.floor(draws[:, 1] * 4.0) * (math.pi / 2)
    return tf.where(random_stream.chosen(draws, probability), turns, 0.0)


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


def window_centre(extent: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Place in the source of the middle of a centred window, ``[batch, 2]``.

    Args:
      extent: int32 ``[batch, 2]``: rows and columns that each source holds.
      size: Rows and columns of the output.

    Returns:
      float32 ``[batch, 2]``: row and column.
    """
    half = tf.constant([(length - 1) / 2 for length in size])
    return tf.cast(centred_start(extent, size), tf.float32) + half


def random_centre(
    draws: Mapping[str, tf.Tensor],
    options: AugmentOptions,
    centre: tf.Tensor,
    *,
    extent: tf.Tensor,
    size: tuple[int, int],
    points: tf.Tensor,
    class_weights: Sequence[float] | None = None,
    step: tf.Tensor | None = None,
) -> tf.Tensor:
    """Moves the window: to a random place, or to a random foreground pixel.

    Args:
      draws: Of ``random_stream``.
      options: Which probability each has.
      centre: From ``window_centre``, or ``resampling.middle``.
      extent: As there.
      size: Rows and columns of the output.
      points: int64 ``[batch, classes, points, 2]``: rows and columns of foreground
        pixels, -1 where there are none.
      class_weights: How often each class is chosen of those that are present,
        relatively; all alike if None.
      step: float32 ``[batch, 2]``: source pixels from one output pixel to the next,
        along rows and along columns; None for 1.

    Returns:
      float32 ``[batch, 2]``; a window that fits in the source stays inside of it, and
      begins a whole number of source pixels from its edge.
    """
    low = _half_window(size, step)
    last = tf.cast(extent, tf.float32) - 1.0
    high = last - low
    places = tf.floor(high - low) + 1.0
    anywhere = low + tf.floor(draws["random_crop_place"] * places)
    wanted = random_stream.chosen(draws["random_crop"], options.random_crop)
    moved = tf.where(wanted[:, tf.newaxis], anywhere, centre)
    found, point = _foreground_point(draws, points, class_weights)
    wanted = random_stream.chosen(draws["foreground_crop"], options.foreground_crop)
    wanted &= found
    inside = tf.floor(tf.clip_by_value(point, low, high) - low) + low
    moved = tf.where(wanted[:, tf.newaxis], inside, moved)
    return tf.where(high > low, moved, centre)


def _half_window(size: tuple[int, int], step: tf.Tensor | None) -> tf.Tensor:
    """From the source's first pixel to the middle of the first window inside of it.

    Inside are the output's pixels, as wide as they are, and with steps under 1 also
    the centres of its outermost ones, which else would be sampled beyond the source.
    """
    width = tf.constant([size], tf.float32)
    if step is None:
        return (width - 1.0) / 2.0
    return (width * step - tf.minimum(step, 1.0)) / 2.0


def _foreground_point(
    draws: Mapping[str, tf.Tensor],
    points: tf.Tensor,
    class_weights: Sequence[float] | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Whether an example has any, and (row, column) of one of a random class."""
    points = tf.cast(points, tf.float32)
    counts = tf.reduce_sum(tf.cast(points[..., 0] >= 0, tf.int32), axis=2)
    weights = tf.constant(class_weights or [1.0] * points.shape[1], tf.float32)
    reached = tf.cumsum(tf.where(counts > 0, weights, 0.0), axis=1)
    total = reached[:, -1:]
    target = draws["foreground_crop_place"][:, :1] * total
    # Rounding must not lead beyond the last class that is present.
    passed = (reached <= target) & (reached < total)
    which = tf.reduce_sum(tf.cast(passed, tf.int32), axis=1)
    which = tf.minimum(which, points.shape[1] - 1)
    of_class = tf.gather(points, which, batch_dims=1)
    count = tf.gather(counts, which, batch_dims=1)
    at = _pick(draws["foreground_crop_place"][:, 1], count)
    return total[:, 0] > 0, tf.gather(of_class, at, batch_dims=1)


def _pick(uniform: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    at = tf.cast(uniform * tf.cast(count, tf.float32), tf.int32)
    return tf.clip_by_value(at, 0, tf.maximum(count - 1, 0))


def source_matrix(
    move: Motion,
    *,
    centre: tf.Tensor,
    size: tuple[int, int],
    spacing: tf.Tensor,
    step: tf.Tensor | None = None,
) -> tf.Tensor:
    """The matrix that moves the content about the middle of the output.

    Args:
      move: What to do.
      centre: float32 ``[batch, 2]``: row and column of the source that the middle of
        the output shows when nothing moves.
      size: Rows and columns of the output.
      spacing: float32 ``[batch, 2]``: distance between rows and between columns of the
        source, mm; only their ratio counts. NaN where the record does not say: pixels
        are then turned as if they were square.
      step: float32 ``[batch, 2]``: source pixels from one output pixel to the next,
        along rows and along columns; None for 1, an output of the source's spacing.

    Returns:
      float32 ``[batch, 3, 3]``.
    """
    ratio = spacing[:, 0] / spacing[:, 1]
    ratio = tf.where(tf.math.is_finite(ratio) & (ratio > 0), ratio, 1.0)
    (a, b), (c, d) = _linear(move)
    columns, rows = (a, b * ratio), (c / ratio, d)
    if step is not None:
        # Output pixels become source pixels first; the rest moves these.
        columns = (columns[0] * step[:, 1], columns[1] * step[:, 0])
        rows = (rows[0] * step[:, 1], rows[1] * step[:, 0])
    x = (size[1] - 1) / 2 + move.shift_columns
    y = (size[0] - 1) / 2 + move.shift_rows
    offset_x = centre[:, 1] - (columns[0] * x + columns[1] * y)
    offset_y = centre[:, 0] - (rows[0] * x + rows[1] * y)
    zero, one = tf.zeros_like(x), tf.ones_like(x)
    elements = (*columns, offset_x, *rows, offset_y, zero, zero, one)
    return tf.reshape(tf.stack(elements, axis=1), [-1, 3, 3])


def _linear(
    move: Motion,
) -> tuple[tuple[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Output to source in millimetres: scale and mirror x rotation x shear."""
    cosine, sine = tf.cos(move.rotation), tf.sin(move.rotation)
    across = move.sign_columns / move.scale_columns
    down = move.sign_rows / move.scale_rows
    return (
        (across * cosine, across * (cosine * move.shear - sine)),
        (down * sine, down * (sine * move.shear + cosine)),
    )


def displacement(
    nodes: tf.Tensor, *, amplitude: tf.Tensor, size: tuple[int, int]
) -> tf.Tensor:
    """A smooth field from displaced control points (cubic B-splines).

    Args:
      nodes: float32 ``[batch, grid, grid, 2]`` in [-1, 1): control points over the
        output and a little beyond, rows first; displacement along rows, columns.
      amplitude: float32 ``[batch]``: largest displacement, fraction of the output.
      size: Rows and columns of the output.

    Returns:
      float32 ``[batch, 2, rows, columns]``: pixels to add to the row and to the column
      of each output pixel.
    """
    grid = nodes.shape[1]
    down, across = (tf.constant(_spline_basis(n, grid)) for n in size)
    field = tf.einsum("rg,bghk,ch->bkrc", down, nodes, across)
    lengths = tf.constant(size, tf.float32)[tf.newaxis, :]
    return field * (amplitude[:, tf.newaxis] * lengths)[..., tf.newaxis, tf.newaxis]


def random_displacement(
    draws: Mapping[str, tf.Tensor], options: AugmentOptions, *, size: tuple[int, int]
) -> tf.Tensor:
    """Draws a smooth field as ``options`` say; zero where there is none."""
    grid = options.elastic_grid
    uniform = random_stream.more(draws["elastic_field"], 2 * grid * grid)
    nodes = tf.reshape(uniform * 2.0 - 1.0, [-1, grid, grid, 2])
    wanted = random_stream.chosen(draws["elastic"], options.elastic_probability)
    amplitude = tf.where(wanted, draws["elastic"][:, 1] * options.elastic, 0.0)
    return displacement(nodes, amplitude=amplitude, size=size)


@functools.lru_cache(maxsize=32)
def _spline_basis(length: int, grid: int) -> np.ndarray:
    """Weight of each control point at each pixel, ``[length, grid]``; rows sum to 1."""
    at = (np.arange(length) + 0.5) / length * (grid - 3) + 1
    distance = np.abs(at[:, np.newaxis] - np.arange(grid))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)
