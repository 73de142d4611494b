import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import synthetic
from tfdicom.epoch_callback import EpochCallback
from tfdicom.input_pipeline import input_fn

pytestmark = pytest.mark.long

EPOCHS, STEPS = 4, 3
FIELDS = {"batch_size": 4, "jit_compile": False}


class _BrokenOff(Exception):
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("callback")
    synthetic.write_dataset(folder, {"train": {"a": synthetic.frames(11)}}, shards=1)
    return folder


def _fit(folder, *callbacks, stop_at=None, **keywords):
    """Means of the images of each step that was trained."""
    seen = []

    class Model(tf.keras.Model):
        def train_step(self, data):
            seen.append(float(tf.reduce_mean(data[0])))
            return super().train_step(data)

    class Stop(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if len(seen) == stop_at:
                raise _BrokenOff

    inputs = tf.keras.Input(synthetic.Frame().shape)
    layer = tf.keras.layers.Conv2D(2, 1, activation="sigmoid")
    model = Model(inputs, layer(inputs))
    model.compile("sgd", "binary_crossentropy", run_eagerly=True)
    data = input_fn(folder, **FIELDS)
    chosen = [make(data) for make in callbacks]
    try:
        model.fit(
            data, epochs=EPOCHS, verbose=0, callbacks=[*chosen, Stop()], **keywords
        )
    except _BrokenOff:
        pass
    return seen


@pytest.fixture(scope="module")
def uninterrupted(folder):
    return _fit(folder)


def test_without_a_break_it_changes_nothing(folder, uninterrupted):
    assert len(uninterrupted) == len(set(uninterrupted)) == EPOCHS * STEPS
    np.testing.assert_allclose(_fit(folder, EpochCallback), uninterrupted, rtol=1e-6)


@pytest.mark.parametrize("epoch", [1, 3])
def test_an_initial_epoch_reads_that_epoch(folder, uninterrupted, epoch):
    later = _fit(folder, EpochCallback, initial_epoch=epoch)
    np.testing.assert_allclose(later, uninterrupted[epoch * STEPS :], rtol=1e-6)
    assert _fit(folder, initial_epoch=epoch) != later


@pytest.mark.parametrize("stop_at", np.random.default_rng(5).integers(4, 11, 2))
def test_a_restored_backup_goes_on_with_its_epoch(
    folder, uninterrupted, stop_at, tmp_path
):
    def backup(_):
        return tf.keras.callbacks.BackupAndRestore(
            str(tmp_path), delete_checkpoint=False
        )

    first = _fit(folder, backup, EpochCallback, stop_at=stop_at)
    assert len(first) == stop_at
    again = _fit(folder, backup, EpochCallback)
    # Keras goes on at the beginning of the epoch that was not finished.
    done = (stop_at - 1) // STEPS * STEPS
    np.testing.assert_allclose(again, uninterrupted[done:], rtol=1e-6)


def test_wants_a_dataset_that_counts(folder):
    for fields in ({"num_epochs": 2}, {"training": False}):
        with pytest.raises(ValueError, match="does not count its passes"):
            EpochCallback(input_fn(folder, **fields, **FIELDS))
    with pytest.raises(ValueError, match="EpochCallback wants the dataset"):
        EpochCallback(input_fn(folder, **FIELDS).prefetch(1))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
