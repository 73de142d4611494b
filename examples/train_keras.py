"""Trains a small U-Net with Keras on a converted data set, and prints its Dice.

  python examples/train_keras.py --flagfile=configs/train.flags --data_dir=D

The model is trained on --train_split and judged, with its final weights, on
--test_split: Dice pooled over all annotated slices of those patients.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import tensorflow as tf
from absl import app, flags
from unet import unet

import tfdicom

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Data set to read.", required=True)
_TRAIN_SPLIT = flags.DEFINE_string("train_split", "train", "Splits to train on.")
_TEST_SPLIT = flags.DEFINE_string("test_split", "test", "Splits to judge on.")
_EPOCHS = flags.DEFINE_integer("epochs", 90, "Epochs to train.", lower_bound=1)
_RATE = flags.DEFINE_float("learning_rate", 2e-3, "At the start; decays to 0.")
_FILTERS = flags.DEFINE_integer("filters", 16, "Channels of the first level.")
_SAVE = flags.DEFINE_string("save", None, "File to save the model to, .keras.")
tfdicom.define_input_flags()


def train(train_set: tf.data.Dataset, *, seed: int) -> tf.keras.Model:
    """Trains a new model with a learning rate that decays to nothing."""
    tf.keras.utils.set_random_seed(seed)
    image, mask = train_set.element_spec
    model = unet(image.shape[1:], mask.shape[-1], filters=_FILTERS.value)
    steps = _EPOCHS.value * int(train_set.cardinality())
    rate = tf.keras.optimizers.schedules.CosineDecay(_RATE.value, steps)
    model.compile(
        tf.keras.optimizers.Adam(rate),
        loss=tfdicom.masked_combined_loss,
        metrics=[tfdicom.MaskedDice(name="dice")],
    )
    model.fit(train_set, epochs=_EPOCHS.value, verbose=2)
    return model


def main(arguments: Sequence[str]) -> None:
    """Trains, judges and prints."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected argument {arguments[1]!r}")
    start = time.monotonic()
    options = tfdicom.input_options_from_flags()
    train_set = tfdicom.input_fn(
        _DATA_DIR.value, _TRAIN_SPLIT.value, options=options, training=True
    )
    test_set = tfdicom.input_fn(
        _DATA_DIR.value, _TEST_SPLIT.value, options=options, training=False
    )
    model = train(train_set, seed=options.seed)
    figures = model.evaluate(test_set, return_dict=True, verbose=0)
    if _SAVE.value:
        model.save(_SAVE.value)
    seconds = time.monotonic() - start
    print(f"Dice on {_TEST_SPLIT.value}: {figures['dice']:.3f} ({seconds:.0f} s)")


if __name__ == "__main__":
    app.run(main)
