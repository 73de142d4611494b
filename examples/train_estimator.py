"""Trains the same small U-Net through tf.estimator.Estimator (TensorFlow 2.15).

  python examples/train_estimator.py --flagfile=configs/train.flags --data_dir=D

The model is judged with its final weights: Dice pooled over all annotated slices of
the patients of --test_split.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import app, flags
from unet import unet

import tfdicom

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data set to read.", required=True)
_TRAIN_SPLIT = flags.DEFINE_string("train_split", "train", "Splits to train on.")
_TEST_SPLIT = flags.DEFINE_string("test_split", "test", "Splits to judge on.")
_STEPS = flags.DEFINE_integer("steps", 450, "Batches to train on.", lower_bound=1)
_RATE = flags.DEFINE_float("learning_rate", 2e-3, "At the start; decays to 0.")
_FILTERS = flags.DEFINE_integer("filters", 16, "Channels of the first level.")
_MODEL_DIR = flags.DEFINE_string("model_dir", None, "Folder for checkpoints.")
tfdicom.define_input_flags()

v1 = tf.compat.v1


def model_fn(
    features: tf.Tensor, labels: tf.Tensor, mode: str, params: Mapping[str, Any]
) -> Any:
    """The U-Net as an EstimatorSpec."""
    model = unet(features.shape[1:], labels.shape[-1], filters=params["filters"])
    predicted = model(features, training=mode == tf.estimator.ModeKeys.TRAIN)
    loss = tf.reduce_mean(tfdicom.masked_combined_loss(labels, predicted))
    if mode == tf.estimator.ModeKeys.EVAL:
        return tf.estimator.EstimatorSpec(
            mode, loss=loss, eval_metric_ops=_pooled_counts(labels, predicted)
        )
    step = v1.train.get_or_create_global_step()
    rate = v1.train.cosine_decay(params["learning_rate"], step, params["steps"])
    gradients = v1.train.AdamOptimizer(rate)
    return tf.estimator.EstimatorSpec(
        mode, loss=loss, train_op=gradients.minimize(loss, global_step=step)
    )


def _pooled_counts(labels: tf.Tensor, predicted: tf.Tensor) -> dict[str, Any]:
    """Counts of pixels, over all batches, that Dice is made of."""
    truth, found = tf.cast(labels, tf.bool), predicted > 0.5
    return {
        "true_positives": v1.metrics.true_positives(truth, found),
        "false_positives": v1.metrics.false_positives(truth, found),
        "false_negatives": v1.metrics.false_negatives(truth, found),
    }


def main(arguments: Sequence[str]) -> None:
    """Trains, judges and prints."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected argument {arguments[1]!r}")
    start = time.monotonic()
    options = tfdicom.input_options_from_flags(num_epochs=None)
    estimator = tf.estimator.Estimator(
        model_fn,
        model_dir=_MODEL_DIR.value,
        config=tf.estimator.RunConfig(tf_random_seed=options.seed),
        params={
            "filters": _FILTERS.value,
            "learning_rate": _RATE.value,
            "steps": _STEPS.value,
        },
    )

    def train_input() -> tf.data.Dataset:
        return tfdicom.input_fn(
            _DATA_DIR.value, _TRAIN_SPLIT.value, options=options, training=True
        )

    def test_input() -> tf.data.Dataset:
        return tfdicom.input_fn(
            _DATA_DIR.value,
            _TEST_SPLIT.value,
            options=options,
            training=False,
            num_epochs=1,
        )

    estimator.train(train_input, steps=_STEPS.value)
    figures = estimator.evaluate(test_input)
    both = 2 * figures["true_positives"]
    dice = both / (both + figures["false_positives"] + figures["false_negatives"])
    seconds = time.monotonic() - start
    print(f"Dice on {_TEST_SPLIT.value}: {dice:.3f} ({seconds:.0f} s)")


if __name__ == "__main__":
    app.run(main)
