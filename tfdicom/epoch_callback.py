"""Tells the reader which epoch Keras is in."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class EpochCallback(tf.keras.callbacks.Callback):
    """Makes each epoch of ``fit`` read the data of that epoch.

    Without it the dataset counts its own passes from 0. That is the same while a
    training runs, but not after it was begun again: ``initial_epoch`` and
    ``BackupAndRestore`` change Keras' epoch only. With it, a training that was broken
    off goes on with the order and the augmentation that it would have had::

        train = tfdicom.input_fn(data_dir, "train")
        restore = keras.callbacks.BackupAndRestore("backup")
        model.fit(train, epochs=N, callbacks=[restore, tfdicom.EpochCallback(train)])
    """

    def __init__(self, dataset: tf.data.Dataset) -> None:
        """Takes what ``input_fn`` gave for training, with ``num_epochs=1``.

        What is made of that dataset (by ``map`` and the like) may be fitted; this wants
        the dataset itself.

        Raises:
          ValueError: The dataset does not count its passes.
        """
        super().__init__()
        self._counter: Any = getattr(dataset, "tfdicom_epoch", None)
        if self._counter is None:
            raise ValueError(
                "EpochCallback wants the dataset that input_fn gave for training with "
                "num_epochs=1; this one does not count its passes"
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Sets the epoch of the next pass."""
        self._counter.assign(epoch)
