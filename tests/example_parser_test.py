import dataclasses
import math
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import synthetic
from tfdicom import example_parser, example_schema
from tfdicom.example_schema import FEATURES, PIXEL_DTYPES

NAMES = ["key_hash", "rescale_slope", "padding", "annotated", "ignore", "phase_index"]


def _records(*frames: synthetic.Frame, **fields) -> tuple[list, tf.Tensor]:
    examples = [
        synthetic.make_example(frame, i, **fields) for i, frame in enumerate(frames)
    ]
    return examples, tf.constant([example_schema.encode(one) for one in examples])


@pytest.mark.parametrize("one_by_one", [False, True])
def test_absent_is_absent_and_the_rest_as_written(one_by_one):
    examples, records = _records(
        synthetic.Frame(padding=(-900.0, -800.0), slope=0.5, annotated="10"),
        synthetic.Frame(),
    )
    sizes = {"classes": 2}
    if one_by_one:
        parts = [example_parser.parse(one, NAMES, sizes=sizes) for one in records]
        found = {name: tf.stack([part[name] for part in parts]) for name in NAMES}
    else:
        found = example_parser.parse(records, NAMES, sizes=sizes)
    assert list(found["key_hash"]) == [one.key_hash for one in examples]
    np.testing.assert_array_equal(found["rescale_slope"], [0.5, 1])
    np.testing.assert_array_equal(
        found["padding"], [[-900, -800], [math.nan, math.nan]]
    )
    np.testing.assert_array_equal(found["annotated"], [[1, 0], [1, 1]])
    assert list(found["ignore"].numpy()) == [b"", b""]
    assert list(found["phase_index"].numpy()) == [-1, -1]


def test_every_feature_of_fixed_shape_can_be_parsed():
    (example,), records = _records(synthetic.Frame())
    names = [
        name
        for name, feature in FEATURES.items()
        if set(feature.shape) <= {1, 2, 3, 4, 6, 15, 16, "classes"}
    ]
    assert len(names) > 40
    found = example_parser.parse(records, names, sizes={"classes": 2})
    for name in names:
        value = getattr(example, name)
        got = found[name].numpy()[0]
        if value is None:
            assert got in (b"", -1) if np.ndim(got) == 0 and got == got else True
        elif FEATURES[name].kind == example_schema.TEXT:
            texts = [value] if isinstance(value, str) else value
            assert [t.encode() for t in texts] == list(np.ravel(found[name].numpy()[0]))
        elif FEATURES[name].kind != example_schema.BYTES:
            np.testing.assert_allclose(np.ravel(got), np.ravel(value), rtol=1e-6)


def test_a_record_without_a_required_feature_is_named():
    (example,), _ = _records(synthetic.Frame())
    with pytest.raises(tf.errors.InvalidArgumentError, match="image/pixels"):
        example_parser.parse(tf.constant([b""]), ["pixels"], sizes={})


@pytest.mark.parametrize("shape", [(5, 7, 1), (4, 3, 3)])
@pytest.mark.parametrize("dtype", PIXEL_DTYPES)
def test_pixels_come_back(dtype, shape):
    random = np.random.default_rng(1)
    if dtype.startswith("float"):
        pixels = random.normal(size=(2, *shape)).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        pixels = random.integers(
            limits.min, limits.max, (2, *shape), dtype, endpoint=True
        )
        pixels[0].flat[:2] = limits.min, limits.max
    _, records = _records(*(synthetic.Frame(pixels=one) for one in pixels))
    stored = example_parser.parse(records, ["pixels"], sizes={})["pixels"]
    found = example_parser.decode_pixels(stored, dtype=dtype, shape=shape)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, pixels)
    for one, expected in zip(stored, pixels, strict=True):
        got = example_parser.decode_pixels_any(
            one,
            tf.constant(dtype),
            dtypes=sorted(PIXEL_DTYPES),
            shape=tf.constant(shape),
        )
        np.testing.assert_array_equal(got, expected.astype(np.float32))


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (5, 7), (1, 9), (13, 1)])
def test_planes_come_back(rows, columns, jit_compile):
    masks = np.random.default_rng(2).random((4, 3, rows, columns)) < 0.5
    strings = tf.constant([example_schema.pack_planes(mask) for mask in masks])
    planes = example_parser.decode_planes(
        strings,
        count=3,
        size=example_parser.plane_bytes(rows, columns),
    )
    unpack = tf.function(
        lambda packed: example_parser.unpack_planes(packed, rows=rows, columns=columns),
        jit_compile=jit_compile,
    )
    found = unpack(planes)
    assert found.dtype == tf.uint8
    np.testing.assert_array_equal(found, masks.transpose(0, 2, 3, 1))


def test_absent_planes_are_zeros():
    planes = example_parser.decode_planes(
        tf.constant([b"", b"\x01\x02", b"\x01\x02\x03\x04"]), count=2, size=2
    )
    expected = [[[0, 0], [0, 0]], [[1, 2], [0, 0]], [[1, 2], [3, 4]]]
    np.testing.assert_array_equal(planes, expected)


def test_an_axis_may_differ_among_the_records():
    frame = synthetic.Frame()
    records = [
        example_schema.encode(synthetic.make_example(one, number, classes=classes))
        for number, (one, classes) in enumerate(
            [
                (frame, synthetic.CLASSES),
                (dataclasses.replace(frame, annotated="011"), ("a", "b", "c")),
            ]
        )
    ]
    names = ["annotated", "foreground_points"]
    found = example_parser.parse(tf.constant(records), names, sizes={"classes": None})
    np.testing.assert_array_equal(found["annotated"], [[1, 1, 0], [0, 1, 1]])
    assert found["foreground_points"].shape[1:] == (3, 16, 2)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
