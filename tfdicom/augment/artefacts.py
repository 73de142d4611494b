"""What goes wrong in k-space, the Fourier transform of an MR image.

Any value range in, the same kind of range out. Images are float32 ``[batch, rows,
columns, channels]``. A stage of its own, in the graph but outside of XLA, whose
Fourier transform on a CPU is slower.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import tensorflow as tf

from tfdicom.augment import random_stream
from tfdicom.augment.augment_options import AugmentOptions
from tfdicom.augment.gated import Step, one_by_one

#: Lines about the middle of k-space that keep their signal, as a share of all.
CENTRE = 0.02
_FEWEST_GHOSTS, _MOST_GHOSTS = 2, 8

Draws = Mapping[str, tf.Tensor]


def apply(
    image: tf.Tensor, draws: Draws, options: AugmentOptions, *, deviation: tf.Tensor
) -> tf.Tensor:
    """Makes artefacts as ``options`` say; not for XLA.

    The order is ghosting, spike, Gibbs ringing. What is turned off adds nothing to the
    graph, and an example pays for what it gets.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      draws: From ``random_stream.draw``.
      options: What may be done.
      deviation: float32 ``[batch]``, of the frame, as the image's values are.
    """
    steps = []
    if options.may("ghosting"):
        steps.append(
            Step(
                _wanted(draws, options, "ghosting"),
                add_ghosts,
                random_ghosts(draws, options),
            )
        )
    if options.may("spike"):
        numbers = random_spike(draws, options, size=image.shape[1:3])
        numbers["amplitude"] *= deviation
        steps.append(Step(_wanted(draws, options, "spike"), add_stripes, numbers))
    if options.may("gibbs"):
        numbers = {"share": draws["gibbs"][:, 1] * options.gibbs}
        steps.append(
            Step(_wanted(draws, options, "gibbs"), cut_high_frequencies, numbers)
        )
    return one_by_one(image, steps)


def cut_high_frequencies(image: tf.Tensor, *, share: tf.Tensor) -> tf.Tensor:
    """Gibbs ringing: leaves out the highest frequencies along rows and columns.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      share: float32 ``[batch]``: which share of the frequencies of either axis goes; 0
        gives the image back up to rounding.
    """
    rows, columns = image.shape[1:3]
    limit = 0.5 * (1.0 - share)[:, tf.newaxis]
    return _through_k_space(
        image,
        _zero_or_one(tf.abs(_frequencies(rows)) / rows <= limit),
        _zero_or_one(tf.abs(_frequencies(columns)) / columns <= limit),
    )


def add_ghosts(
    image: tf.Tensor, *, share: tf.Tensor, spacing: tf.Tensor, vertical: tf.Tensor
) -> tf.Tensor:
    """Ghosts of periodic motion: lines of k-space in equal distances lose signal.

    The lines about the middle keep theirs, as in TorchIO's RandomGhosting.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      share: float32 ``[batch]``: how much of their signal the lines lose, 0 to 1.
      spacing: float32 ``[batch]``, whole: every so many-th line; the ghosts stand so
        many-th parts of the image apart.
      vertical: bool ``[batch]``: ghosts along rows' numbers, else along columns'.
    """
    share, spacing = share[:, tf.newaxis], spacing[:, tf.newaxis]
    gains = []
    for length, along in ((image.shape[1], vertical), (image.shape[2], ~vertical)):
        line = tf.abs(_frequencies(length))
        loses = tf.equal(tf.math.floormod(line, spacing), 0.0)
        loses &= (line > CENTRE / 2 * length) & along[:, tf.newaxis]
        gains.append(1.0 - share * _zero_or_one(loses))
    return _through_k_space(image, *gains)


def add_stripes(
    image: tf.Tensor,
    *,
    amplitude: tf.Tensor,
    row_waves: tf.Tensor,
    column_waves: tf.Tensor,
    phase: tf.Tensor,
) -> tf.Tensor:
    """A spike in k-space: one point too bright makes stripes over the whole image.

    The Fourier transform of a point is known, so none has to be worked out.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      amplitude: float32 ``[batch]``, in the image's own unit.
      row_waves: float32 ``[batch]``, whole: waves from the first to the last row.
      column_waves: float32 ``[batch]``, whole: from the first to the last column.
      phase: float32 ``[batch]``, radians.
    """
    row, column = (
        2 * math.pi / length * waves[:, tf.newaxis] * tf.range(length, dtype=tf.float32)
        for waves, length in (
            (row_waves, image.shape[1]),
            (column_waves, image.shape[2]),
        )
    )
    row = (row + phase[:, tf.newaxis])[:, :, tf.newaxis]
    column = column[:, tf.newaxis, :]
    # cos(row + column), from sines and cosines of single rows and columns.
    amplitude = amplitude[:, tf.newaxis, tf.newaxis]
    stripes = amplitude * tf.cos(row) * tf.cos(column)
    stripes -= amplitude * tf.sin(row) * tf.sin(column)
    return image + stripes[..., tf.newaxis]


def random_ghosts(draws: Draws, options: AugmentOptions) -> dict[str, tf.Tensor]:
    """For ``add_ghosts``."""
    number, direction = tf.unstack(draws["ghosting_lines"], axis=1)
    span = _MOST_GHOSTS - _FEWEST_GHOSTS + 1
    return {
        "share": draws["ghosting"][:, 1] * options.ghosting,
        "spacing": _FEWEST_GHOSTS + tf.floor(number * span),
        "vertical": direction < 0.5,
    }


def random_spike(
    draws: Draws, options: AugmentOptions, *, size: tuple[int, int]
) -> dict[str, tf.Tensor]:
    """For ``add_stripes`` over an image of ``size``, the amplitude in deviations.

    The spike lies in the inner half of k-space along rows and columns.
    """
    row, column, phase = tf.unstack(random_stream.more(draws["spike_place"], 3), axis=1)
    return {
        "amplitude": draws["spike"][:, 1] * options.spike,
        "row_waves": tf.round((row - 0.5) * (size[0] / 2)),
        "column_waves": tf.round(column * (size[1] / 4)),
        "phase": phase * (2 * math.pi),
    }


def _wanted(draws: Draws, options: AugmentOptions, name: str) -> tf.Tensor:
    return random_stream.chosen(draws[name], options.probability(name))


def _frequencies(length: int) -> tf.Tensor:
    """Waves over the image for each line of k-space, in the transform's order."""
    line = tf.range(length, dtype=tf.float32)
    return line - tf.where(line >= (length + 1) // 2, float(length), 0.0)


def _zero_or_one(condition: tf.Tensor) -> tf.Tensor:
    return tf.cast(condition, tf.float32)


def _through_k_space(
    image: tf.Tensor, row_gain: tf.Tensor, column_gain: tf.Tensor
) -> tf.Tensor:
    """Multiplies rows and columns of k-space by gains ``[batch, rows or columns]``.

    They are in the transform's order, and equal for f and -f.
    """
    rows, columns = image.shape[1:3]
    half = columns // 2 + 1
    spectrum = tf.signal.rfft2d(tf.transpose(image, [0, 3, 1, 2]))
    gain = row_gain[:, :, tf.newaxis] * column_gain[:, tf.newaxis, :half]
    spectrum *= tf.cast(gain[:, tf.newaxis], tf.complex64)
    found = tf.signal.irfft2d(spectrum, fft_length=[rows, columns])
    return tf.transpose(found, [0, 2, 3, 1])
