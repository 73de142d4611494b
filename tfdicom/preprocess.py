"""Stored values into a network's input: modality values, then one pointwise scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import tensorflow as tf

from tfdicom.intensity_statistics import FIGURES
from tfdicom.normalization import CONSTANT, SERIES, Rule

_MEAN, _DEVIATION = FIGURES.index("mean"), FIGURES.index("deviation")
_MINIMUM, _MAXIMUM = FIGURES.index("minimum"), FIGURES.index("maximum")

#: Features that every image needs.
FEATURES = ("rescale_slope", "rescale_intercept", "padding", "image_statistics")


def features(rules: Mapping[str, Rule]) -> tuple[str, ...]:
    """Fields of the record that ``coefficients`` reads for these rules."""
    needed = ["image_statistics"]
    if any(rule.source == SERIES for rule in rules.values()):
        needed += ["series_statistics", "key"]
    if any(rule.suv for rule in rules.values()):
        needed.append("suv_factor")
    if len(set(rules.values())) > 1:
        needed.append("modality")
    return tuple(needed)


def coefficients(
    rules: Mapping[str, Rule], record: Mapping[str, tf.Tensor]
) -> tf.Tensor:
    """Low, high, offset and scale of each example; not for XLA (it looks at strings).

    Args:
      rules: By modality.
      record: The parsed fields ``features(rules)`` of a batch.

    Returns:
      float32 ``[batch, 4]``. A constant image, and one without any pixel (all of it
      padding), becomes 0 under the rules that look at the image or its series.

    Raises:
      InvalidArgumentError: When it runs: a record lacks the statistics of its series
        though it has its own.
    """
    distinct = list(dict.fromkeys(rules.values()))
    rows = [_rule_coefficients(rule, record) for rule in distinct]
    if len(rows) == 1:
        return rows[0]
    table = tf.stack(rows, axis=1)
    return tf.gather(table, _rule_index(rules, distinct, record), batch_dims=1)


def _rule_index(
    rules: Mapping[str, Rule], distinct: Sequence[Rule], record: Mapping[str, tf.Tensor]
) -> tf.Tensor:
    is_one = tf.equal(record["modality"][:, tf.newaxis], tf.constant([*rules]))
    place = tf.constant([distinct.index(rule) for rule in rules.values()])
    return tf.gather(place, tf.argmax(is_one, axis=1))


def _rule_coefficients(rule: Rule, record: Mapping[str, tf.Tensor]) -> tf.Tensor:
    batch = tf.shape(record["image_statistics"])[0]
    if rule.source == CONSTANT:
        low, high, offset, scale = (tf.fill([batch], c) for c in rule.constants)
        if rule.suv:
            factor = record["suv_factor"]
            scale = tf.where(tf.math.is_finite(factor), factor, scale)
        return tf.stack([low, high, offset, scale], axis=1)
    statistics = record["image_statistics"]
    if rule.source == SERIES:
        statistics = _series_statistics(record)
    return _figures_coefficients(rule, statistics)


def _figures_coefficients(rule: Rule, statistics: tf.Tensor) -> tf.Tensor:
    minimum, maximum = statistics[:, _MINIMUM], statistics[:, _MAXIMUM]
    if rule.span is None:
        low, high, offset = minimum, maximum, statistics[:, _MEAN]
        width = statistics[:, _DEVIATION]
        low, high = (
            tf.fill(tf.shape(low), -math.inf),
            tf.fill(tf.shape(low), math.inf),
        )
    else:
        low, high = statistics[:, rule.span[0]], statistics[:, rule.span[1]]
        offset, width = low, high - low
    varies = (width > 0) & (maximum > minimum)  # False for NaN too
    scale = tf.where(varies, 1.0 / tf.where(varies, width, 1.0), 0.0)
    found = tf.stack([low, high, offset, scale], axis=1)
    return tf.where(tf.math.is_finite(offset)[:, tf.newaxis], found, 0.0)


def _series_statistics(record: Mapping[str, tf.Tensor]) -> tf.Tensor:
    series = record["series_statistics"]
    has_series = tf.math.is_finite(series[:, _MEAN])
    lacking = tf.math.is_finite(record["image_statistics"][:, _MEAN]) & ~has_series
    message = (
        "normalisation by series, but records lack series/statistics; choose "
        "normalize='zscore_image'. Their keys:"
    )
    return _unless(lacking, series, message, record)


def known_spacing(record: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The pixel spacing of every record; not for XLA (it looks at strings).

    Args:
      record: The parsed fields ``pixel_spacing`` and ``key`` of a batch.

    Returns:
      float32 ``[batch, 2]``, mm.

    Raises:
      InvalidArgumentError: When it runs: records lack it; names their keys.
    """
    spacing = record["pixel_spacing"]
    lacking = ~tf.reduce_all(spacing > 0, axis=1)  # so is NaN
    message = (
        "target_spacing, but records lack geometry/pixel_spacing; leave target_spacing "
        "out, or these images out of the data set. Their keys:"
    )
    return _unless(lacking, spacing, message, record)


def _unless(
    lacking: tf.Tensor, found: tf.Tensor, message: str, record: Mapping[str, tf.Tensor]
) -> tf.Tensor:
    """What was found, or an error with the keys of the records that lack it."""
    keys = tf.boolean_mask(record["key"], lacking)
    check = tf.debugging.Assert(~tf.reduce_any(lacking), [message, keys])
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(found)


def modality_values(pixels: tf.Tensor, record: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Modality values (PS3.3 C.11.1) with padding replaced; compiles under XLA.

    Padding, and in float images what is not finite, becomes the smallest value of the
    image's real pixels (0 where it has none), before anything interpolates it.

    Args:
      pixels: Stored values ``[batch, rows, columns, samples]``.
      record: The parsed fields ``FEATURES`` of the batch.

    Returns:
      float32 ``[batch, rows, columns, samples]``.
    """
    stored = tf.cast(pixels, tf.float32)
    slope, intercept = (
        _for_each_image(record[name]) for name in ("rescale_slope", "rescale_intercept")
    )
    lowest, highest = (_for_each_image(record["padding"][:, i]) for i in (0, 1))
    padding = (stored >= lowest) & (stored <= highest)  # False where absent, NaN
    if pixels.dtype.is_floating:
        padding |= ~tf.math.is_finite(stored)
    minimum = record["image_statistics"][:, _MINIMUM]
    minimum = _for_each_image(tf.where(tf.math.is_finite(minimum), minimum, 0.0))
    return tf.where(padding, minimum, stored * slope + intercept)


def normalize(values: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """``(clip(value, low, high) - offset) * scale``; compiles under XLA.

    Args:
      values: float32 ``[batch, ...]``, modality values.
      numbers: float32 ``[batch, 4]``: low, high, offset, scale.
    """
    shape = [-1] + [1] * (values.shape.rank - 1)
    low, high, offset, scale = (tf.reshape(numbers[:, i], shape) for i in range(4))
    return (tf.clip_by_value(values, low, high) - offset) * scale


def normalized_figures(
    record: Mapping[str, tf.Tensor], numbers: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Minimum, maximum, mean and deviation ``[batch]`` of the normalised image.

    Taken from the record's statistics; with clipping, mean and deviation are those of
    the unclipped values. 0 where the image has no pixel.
    """
    statistics = record["image_statistics"]
    known = tf.math.is_finite(statistics[:, _MEAN])
    figures = {
        "minimum": normalize(statistics[:, _MINIMUM], numbers),
        "maximum": normalize(statistics[:, _MAXIMUM], numbers),
        "mean": normalize(statistics[:, _MEAN], numbers),
        "deviation": statistics[:, _DEVIATION] * tf.abs(numbers[:, 3]),
    }
    return {name: tf.where(known, one, 0.0) for name, one in figures.items()}


def stored_ends(
    record: Mapping[str, tf.Tensor], numbers: tf.Tensor, fill: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Normalisation in stored values, for sampling before it.

    Interpolation and the linear part of the normalisation may change places; clipping
    may not, so it is done on the stored values that are interpolated.

    Args:
      record: The parsed fields ``FEATURES`` of the batch.
      numbers: float32 ``[batch, 4]``: low, high, offset, scale.
      fill: float32 ``[batch]``: normalised value outside of the source.

    Returns:
      ``stored_minimum`` (int32 ``[batch]``), ``stored_clip`` and ``stored_span``
      (float32 ``[batch, 2]``), ``stored_fill`` (``[batch]``), and what the ends of the
      span become: ``lowest`` and ``highest`` (``[batch]``).
    """
    slope, intercept = record["rescale_slope"], record["rescale_intercept"]
    low, high, offset, scale = (numbers[:, i] for i in range(4))
    statistics = record["image_statistics"]
    known = tf.math.is_finite(statistics[:, _MEAN])
    # A constant image becomes 0 everywhere: any stored value stands for it.
    varies = known & (slope * scale != 0)  # noqa: SIM300
    slope = tf.where(varies, slope, 1.0)

    def stored(modality_value: tf.Tensor) -> tf.Tensor:
        return (modality_value - intercept) / slope

    ends = [
        stored(tf.where(known, statistics[:, i], 0.0)) for i in (_MINIMUM, _MAXIMUM)
    ]
    minimum = tf.cast(tf.round(ends[0]), tf.int32)
    clips = [stored(one) for one in (low, high)]
    lower, upper = tf.minimum(*clips), tf.maximum(*clips)
    lower, upper = (tf.where(varies, one, 0.0) for one in (lower, upper))
    first, last = (
        tf.clip_by_value(one, lower, upper)
        for one in (tf.minimum(*ends), tf.maximum(*ends))
    )
    safe = tf.where(varies, scale, 1.0)
    outside = tf.where(varies, stored(fill / safe + offset), 1.0)
    first, last = tf.minimum(first, outside), tf.maximum(last, outside)

    def normalized(value: tf.Tensor) -> tf.Tensor:
        return (value * slope + intercept - offset) * scale

    return {
        "stored_minimum": minimum,
        "stored_clip": tf.stack([lower, upper], axis=1),
        "stored_span": tf.stack([first, last], axis=1),
        "stored_fill": outside,
        "lowest": tf.where(varies, normalized(first), 0.0),
        "highest": tf.where(varies, normalized(last), fill),
    }


def _for_each_image(value: tf.Tensor) -> tf.Tensor:
    return tf.reshape(value, [-1, 1, 1, 1])
