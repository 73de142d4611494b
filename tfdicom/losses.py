"""Losses and a metric that leave out pixels whose truth is unknown (255 in the mask).

They go with ``input_fn(unannotated='ignore')``, and count every pixel of other masks.
Truth is ``[batch, rows, columns, classes]`` of 0, 1 and 255; predictions are
probabilities in [0, 1] of the same shape (a sigmoid for each class).
"""

from __future__ import annotations

import tensorflow as tf

from tfdicom.input_options import UNKNOWN

_SMALLEST = 1e-7  # keeps the logarithm finite, as Keras does
_SMOOTH = 1.0  # pixels: an empty class that is predicted empty has a Dice of 1


def masked_binary_crossentropy(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy over the pixels that are known.

    Args:
      y_true: Masks ``[batch, rows, columns, classes]``.
      y_pred: Probabilities of the same shape.

    Returns:
      float ``[batch, 1, 1]`` (as Keras multiplies it with weights of that shape): mean
      over the known pixels and classes of each example, 0 for an example that has none.
    """
    truth, known, predicted = _prepared(y_true, y_pred)
    predicted = tf.clip_by_value(predicted, _SMALLEST, 1.0 - _SMALLEST)
    entropy = -(
        truth * tf.math.log(predicted) + (1.0 - truth) * tf.math.log(1.0 - predicted)
    )
    total = tf.reduce_sum(entropy * known, axis=[1, 2, 3])
    mean = tf.math.divide_no_nan(total, tf.reduce_sum(known, axis=[1, 2, 3]))
    return mean[:, tf.newaxis, tf.newaxis]


def masked_dice_loss(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """1 - soft Dice, pooled over the batch for each class, mean over the classes.

    Pooling keeps a slice with a few pixels, or none, from ruling the gradient. A class
    without a known pixel in the batch is left out of the mean.

    Args:
      y_true: Masks ``[batch, rows, columns, classes]``.
      y_pred: Probabilities of the same shape.

    Returns:
      float ``[batch, 1, 1]``, the same value for each example, in [0, 1].
    """
    truth, known, predicted = _prepared(y_true, y_pred)
    axes = [0, 1, 2]
    shared = tf.reduce_sum(truth * predicted * known, axis=axes)
    sizes = tf.reduce_sum((truth + predicted) * known, axis=axes)
    dice = (2.0 * shared + _SMOOTH) / (sizes + _SMOOTH)
    counts = tf.cast(tf.reduce_any(known > 0, axis=axes), predicted.dtype)
    loss = tf.math.divide_no_nan(
        tf.reduce_sum((1.0 - dice) * counts), tf.reduce_sum(counts)
    )
    return tf.fill([tf.shape(predicted)[0], 1, 1], loss)


def masked_combined_loss(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Sum of ``masked_binary_crossentropy`` and ``masked_dice_loss``, same shape."""
    return masked_binary_crossentropy(y_true, y_pred) + masked_dice_loss(y_true, y_pred)


def _prepared(
    y_true: tf.Tensor, y_pred: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Truth (0 where unknown), 1 where known, and predictions, of one float dtype."""
    predicted = tf.convert_to_tensor(y_pred)
    truth = tf.cast(y_true, predicted.dtype)
    known = tf.cast(tf.not_equal(truth, float(UNKNOWN)), predicted.dtype)
    return truth * known, known, predicted


class MaskedDice(tf.keras.metrics.Metric):
    """Dice of thresholded predictions, pooled over all examples seen.

    2 |A and B| / (|A| + |B|), summed over the known pixels of every batch before the
    division; 1 while both are empty.
    """

    def __init__(
        self,
        *,
        class_index: int | None = None,
        threshold: float = 0.5,
        name: str = "dice",
        dtype: str | None = None,
    ) -> None:
        """Counts one class, or all of them together.

        Args:
          class_index: Channel of the mask; None pools all channels.
          threshold: Probability from which a pixel counts as predicted.
          name: Name in the logs.
          dtype: Of the result.
        """
        super().__init__(name=name, dtype=dtype)
        self.class_index, self.threshold = class_index, threshold
        # A float32 stops counting at 2**24 pixels.
        self._shared, self._sizes = (
            self.add_weight(
                name=part, shape=(), initializer="zeros", dtype=tf.float64.name
            )
            for part in ("shared", "sizes")
        )

    def update_state(
        self,
        y_true: tf.Tensor,
        y_pred: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
    ) -> None:
        """Adds a batch; weights, for each example or pixel, multiply pixel counts."""
        truth, known, predicted = _prepared(y_true, y_pred)
        if self.class_index is not None:
            at = slice(self.class_index, self.class_index + 1)
            truth, known, predicted = (
                one[..., at] for one in (truth, known, predicted)
            )
        if sample_weight is not None:
            weight = tf.cast(sample_weight, known.dtype)
            of_pixels = weight.shape.rank == 3  # or [batch, 1, 1]
            known *= (
                weight[..., tf.newaxis]
                if of_pixels
                else tf.reshape(weight, [-1, 1, 1, 1])
            )
        positive = tf.cast(predicted >= self.threshold, known.dtype)
        self._shared.assign_add(_count(truth * positive * known))
        self._sizes.assign_add(_count((truth + positive) * known))

    def result(self) -> tf.Tensor:
        """The Dice of everything added so far, in [0, 1]."""
        shared, sizes = (
            tf.convert_to_tensor(one) for one in (self._shared, self._sizes)
        )
        dice = tf.where(sizes > 0, tf.math.divide_no_nan(2.0 * shared, sizes), 1.0)
        return tf.cast(dice, tf.float32)

    def reset_state(self) -> None:
        """Forgets everything."""
        for one in (self._shared, self._sizes):
            one.assign(0.0)

    def get_config(self) -> dict:
        """What a saved model needs to make the metric again."""
        config = {"class_index": self.class_index, "threshold": self.threshold}
        return {**super().get_config(), **config}


def _count(pixels: tf.Tensor) -> tf.Tensor:
    # Sums of each example stay below 2**24, and are exact; those of batches may not.
    return tf.reduce_sum(tf.cast(tf.reduce_sum(pixels, axis=[1, 2, 3]), tf.float64))
