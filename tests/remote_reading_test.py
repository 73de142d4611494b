"""Data sets in an S3 store, read by what trains on them and judges it."""

import sys

import numpy as np
import pytest
import tensorflow as tf

import tfdicom
from tests import s3_server, synthetic
from tfdicom import files

pytestmark = pytest.mark.long

PATIENTS = {
    "train": {"a": synthetic.frames(4), "b": synthetic.frames(3)},
    "test": {"c": synthetic.frames(3)},
}
FIELDS = {"normalize": "none", "jit_compile": False, "batch_size": 2}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with s3_server.running(tmp_path_factory.mktemp("s3")) as one:
        yield one


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    synthetic.write_dataset(folder, PATIENTS)
    return folder


@pytest.fixture
def remote(local, server, tmp_path, monkeypatch):
    """A copy in the store, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = server.path()
    for path in local.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def _arrays(batches):
    return [tf.nest.map_structure(np.asarray, batch) for batch in batches]


def _assert_equal(found, expected):
    assert len(found) == len(expected)
    tf.nest.map_structure(np.testing.assert_array_equal, found, expected)


def test_batches_are_those_of_the_local_data_set(remote, local, server):
    expected = _arrays(tfdicom.input_fn(local, "train", seed=3, **FIELDS))
    server.requests()
    found = _arrays(tfdicom.input_fn(remote, "train", seed=3, **FIELDS))
    _assert_equal(found, expected)
    first = server.requests()
    again = _arrays(tfdicom.input_fn(str(remote), "train", seed=3, **FIELDS))
    _assert_equal(again, expected)
    second = server.requests()
    # The two shards are in the cache; manifest and index are read.
    assert second["GET"] == first["GET"] - 2


def test_numpy_batches_and_the_manifest(remote, local):
    found = list(tfdicom.generate(str(remote), "test", **FIELDS))
    _assert_equal(found, list(tfdicom.generate(str(local), "test", **FIELDS)))
    assert tfdicom.load_manifest(remote) == tfdicom.load_manifest(local)


def test_predictions_are_judged(remote, local):
    pytest.importorskip("scipy")

    def predict(image):
        return np.repeat(image[..., :1] > 0, 2, axis=-1).astype(np.float32)

    found, expected = (
        tfdicom.evaluate(predict, one, "test", normalize="none", jit_compile=False)
        for one in (str(remote), str(local))
    )
    assert str(found) == str(expected)


def test_a_wrong_checksum_names_the_shard(remote):
    shard = "train-00000-of-00002.tfrecord"
    data = bytearray((remote / shard).read_bytes())
    data[len(data) // 2] ^= 1
    (remote / shard).write_bytes(bytes(data))
    batches = tfdicom.input_fn(remote, "train", **FIELDS)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{remote}/{shard} is no"):
        list(batches)


def test_what_is_not_there_is_told(remote, server):
    with pytest.raises(FileNotFoundError, match="holds no data set"):
        tfdicom.input_fn(server.path(), "train")
    (remote / "train-00001-of-00002.tfrecord").unlink()
    with pytest.raises(
        FileNotFoundError, match="train-00001-of-00002.tfrecord is miss"
    ):
        tfdicom.input_fn(remote, "train")


def test_a_scheme_whose_client_is_missing_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ValueError, match=r"pip install 'tfdicom\[gcs\]'"):
        files.path_of("gs://bucket/data")
    with pytest.raises(ValueError, match="the scheme nosuch:// is not known"):
        files.path_of("nosuch://bucket/data")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
