"""Several replicas and several pipelines: everything comes once, to one of them."""

import subprocess
import sys

import pytest
import tensorflow as tf

from tests import real_data, synthetic
from tfdicom.input_pipeline import input_fn

pytestmark = pytest.mark.long

FIELDS = {"jit_compile": False, "with_info": True, "unannotated": "ignore"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    patients = {name: synthetic.frames(4 + len(name)) for name in ("a", "bb", "ccc")}
    synthetic.write_dataset(folder, {"train": patients}, shards=3)
    return folder


def test_pipelines_read_every_example_once(folder):
    keys, sizes = [], []
    for index in (0, 1):
        context = tf.distribute.InputContext(2, index, num_replicas_in_sync=2)
        data = input_fn(folder, input_context=context, batch_size=4, **FIELDS)
        batches = list(data)
        assert len(batches) == len(data)
        keys += [key for batch in batches for key in batch[-1]["key"].numpy()]
        sizes.append(len(batches[0][0]))
    assert sizes == [2, 2]  # the batch size is that of all replicas
    assert len(keys) == len(set(keys)) == 18


def test_more_pipelines_than_shards_would_starve_one(folder):
    context = tf.distribute.InputContext(4, 0, num_replicas_in_sync=4)
    with pytest.raises(ValueError, match="3 shards .* fewer than the 4 .*num_shards=4"):
        input_fn(folder, input_context=context, **FIELDS)


# In a process of its own: two CPU devices must be asked for before TensorFlow begins.
_MIRRORED = """
import sys
import tensorflow as tf
from tfdicom.epoch_callback import EpochCallback
from tfdicom.input_pipeline import input_fn

folder, way = sys.argv[1:]
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
fields = {"batch_size": 8, "jit_compile": way != "fit", "augment": "rotation=5"}


def make(context=None):
    return input_fn(folder, input_context=context, with_info=True, **fields)


@tf.function
def keys_of(element):
    return element[-1]["key"]


if way == "fit":
    with strategy.scope():
        inputs = tf.keras.Input((12, 16, 1))
        outputs = tf.keras.layers.Conv2D(2, 1, activation="sigmoid")(inputs)
        model = tf.keras.Model(inputs, outputs)
        model.compile("sgd", "binary_crossentropy")
    data = input_fn(folder, **fields)
    losses = model.fit(data, epochs=2, verbose=0, callbacks=[EpochCallback(data)])
    assert len(losses.history["loss"]) == 2
    sys.exit()
if way == "whole":
    data = strategy.experimental_distribute_dataset(make())
else:
    data = strategy.distribute_datasets_from_function(make)
epochs = []
for _ in range(2):
    epoch = []
    for element in data:
        parts = strategy.experimental_local_results(
            strategy.run(keys_of, args=(element,))
        )
        assert len(parts) == 2
        epoch += [key for part in parts for key in part.numpy()]
    epochs.append(epoch)
for epoch in epochs:
    assert len(epoch) == len(set(epoch)) == 18, epoch
assert epochs[0] != epochs[1]
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["whole", "from_function", "fit"])
def test_mirrored_strategy(folder, way):
    done = subprocess.run(
        [sys.executable, "-c", _MIRRORED, str(folder), way],
        cwd=real_data.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
