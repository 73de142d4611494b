"""npz, TFRecord and JSON hold the arrays that went in."""

import io
import json
import sys
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from tfdicom.serving import batch_formats


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    image = random.normal(size=(3, 5, 4, 1)).astype(np.float32)
    image[0, 0, 0, 0] = np.nan
    return {
        "image": image,
        "mask": random.integers(0, 2, (3, 5, 4, 2), np.uint8),
        "weight/inner": np.ones((1, 1, 1), np.float32),
        "info/key": np.array([b"one", b"three", b""], "S"),
        "info/epoch": np.arange(3, dtype=np.int64),
    }


def npz(arrays):
    length, chunks = batch_formats.npz_chunks(arrays)
    data = b"".join(chunks)
    assert len(data) == length
    return data


def assert_equal(found, arrays):
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array)


def test_npz_is_what_numpy_reads(arrays):
    assert_equal(batch_formats.read_npz(npz(arrays)), arrays)
    with zipfile.ZipFile(io.BytesIO(npz(arrays))) as file:
        assert file.testzip() is None
        assert {one.compress_type for one in file.infolist()} == {zipfile.ZIP_STORED}


def test_npz_of_arrays_that_do_not_lie_in_order(arrays):
    turned = {"image": arrays["image"].transpose(0, 2, 1, 3)}
    assert_equal(batch_formats.read_npz(npz(turned)), turned)


def test_npz_of_numpy(arrays):
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, **arrays, turned=np.asfortranarray(arrays["mask"]))
        found = batch_formats.read_npz(buffer.getvalue())
        np.testing.assert_array_equal(found.pop("turned"), arrays["mask"])
        assert_equal(found, arrays)


def test_arrays_of_a_bytearray_can_be_written_to(arrays):
    found = batch_formats.read_npz(bytearray(npz(arrays)))
    found["image"] += 1


def test_other_bytes_are_no_npz():
    with pytest.raises(ValueError, match="no npz file"):
        batch_formats.read_npz(b"<html>busy</html>")


def test_damage(arrays):
    for at in (100, 300, 500):
        data = bytearray(npz(arrays))
        data[at] ^= 4
        with pytest.raises(ValueError):
            batch_formats.read_npz(data)


def test_npz_with_objects_is_refused():
    buffer = io.BytesIO()
    np.savez(buffer, image=np.array([{}], object))
    with pytest.raises(ValueError):
        batch_formats.read_npz(buffer.getvalue())


def test_tfrecord_is_what_tensorflow_reads(arrays, tmp_path):
    (tmp_path / "batch").write_bytes(batch_formats.tfrecord(arrays))
    records = list(tf.data.TFRecordDataset(str(tmp_path / "batch")))
    assert len(records) == 3
    for number, record in enumerate(records):
        example = tf.train.Example.FromString(record.numpy()).features.feature
        for name, array in arrays.items():
            data = example[name].bytes_list.value[0]
            shape = tuple(example[f"{name}/shape"].int64_list.value)
            dtype = example[f"{name}/dtype"].bytes_list.value[0].decode()
            wanted = array[number if len(array) > 1 else 0]
            found = np.frombuffer(data, dtype).reshape(shape)
            np.testing.assert_array_equal(found, wanted)


def test_json(arrays):
    found = json.loads(batch_formats.json_text({"step": 4}, arrays))
    assert found["step"] == 4
    image = found["arrays"]["image"]
    assert (image["dtype"], image["shape"]) == ("float32", [3, 5, 4, 1])
    assert image["data"][0][0][0][0] is None
    assert np.float32(image["data"][2][1][3][0]) == arrays["image"][2, 1, 3, 0]
    assert found["arrays"]["mask"]["data"] == arrays["mask"].tolist()
    assert found["arrays"]["info/key"]["data"] == ["one", "three", ""]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
