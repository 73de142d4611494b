"""Keras trains on another backend with what ``input_fn`` gives."""

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import tfdicom
from tests import synthetic
from tests.real_data import REPOSITORY

# In a process of its own, as Keras chooses its backend when it is imported.
_TRAINING = """
import json, sys

import tensorflow as tf
tf.config.set_visible_devices([], "GPU")
import jax, keras, numpy
import tfdicom

data_dir, record = sys.argv[1:]
seen = []

class Recorder(keras.layers.Layer):
    def call(self, image):
        jax.debug.callback(lambda one: seen.append(numpy.array(one)), image)
        return image

train = tfdicom.input_fn(data_dir, batch_size=4, augment="light", seed=3)
model = keras.Sequential([
    Recorder(),
    keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
    keras.layers.Conv2D(2, 1, activation="sigmoid"),
])
model.compile("adam", loss=keras.losses.BinaryCrossentropy())
callbacks = [tfdicom.EpochCallback(train)]
found = model.fit(train, epochs=2, verbose=0, callbacks=callbacks)
jax.effects_barrier()
numpy.savez(record, *seen)
print(json.dumps([keras.backend.backend(), found.history["loss"]]))
"""

_LACKS_JAX = importlib.util.find_spec("jax") is None
_IS_KERAS_2 = importlib.metadata.version("keras").startswith("2.")


@pytest.mark.slow
@pytest.mark.skipif(_IS_KERAS_2, reason="Keras 2 has no backend but TensorFlow")
@pytest.mark.skipif(_LACKS_JAX, reason="jax is not installed: pip install 'jax[cpu]'")
def test_jax_trains_on_what_the_reader_gives(tmp_path):
    frames = synthetic.frames(3, shape=(16, 12, 1))
    patients = {f"p{index}": frames for index in range(3)}
    synthetic.write_dataset(tmp_path / "data", {"train": patients})
    backend, losses = _train(tmp_path / "data", tmp_path / "seen.npz")
    assert backend == "jax"
    assert len(losses) == 2 and np.isfinite(losses).all() and losses[0] != losses[1]
    with np.load(tmp_path / "seen.npz") as record:
        seen = np.concatenate([record[name] for name in record.files])
    # Every example of both epochs, in the reader's order, and as it augments them.
    wanted = tfdicom.generate(
        tmp_path / "data", batch_size=4, augment="light", seed=3, num_epochs=2
    )
    np.testing.assert_allclose(
        seen, np.concatenate([image for image, _ in wanted]), atol=1e-4
    )
    assert len(seen) == 18 and abs(seen[:9] - seen[9:]).max() > 0.1


def _train(data_dir, record):
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *filter(None, sys.path)]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", _TRAINING, data_dir, record],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
