import math
import random
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfdicom import example_wire


def _as_tensorflow(features: dict) -> tf.train.Example:
    makers = {
        "bytes": lambda v: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)),
        "int64": lambda v: tf.train.Feature(int64_list=tf.train.Int64List(value=v)),
        "float": lambda v: tf.train.Feature(float_list=tf.train.FloatList(value=v)),
    }
    entries = {key: makers[kind](values) for key, (kind, values) in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=entries))


def _comparable(features: dict) -> dict:
    """NaN becomes equal to itself, -0.0 different from 0.0."""
    return {key: (kind, list(map(repr, v))) for key, (kind, v) in features.items()}


def _float32(values: list[float]) -> list[float]:
    return np.array(values, np.float32).tolist()


def _random_features(draw: random.Random) -> dict:
    makers = {
        "bytes": lambda: draw.randbytes(draw.choice([0, 1, 7, 130, 20_000])),
        "int64": lambda: draw.getrandbits(draw.randrange(64)) * draw.choice([1, -1]),
        "float": lambda: _float32([draw.gauss(0, 10.0 ** draw.randint(-30, 30))])[0],
    }
    features = {}
    for _ in range(draw.randrange(12)):
        kind = draw.choice(list(makers))
        name = "".join(chr(draw.randrange(1, 0x250)) for _ in range(draw.randrange(9)))
        # Ended so that no key begins another: there protobuf's own runtimes disagree.
        features[f"{name}\u3000"] = (
            kind,
            [makers[kind]() for _ in range(draw.choice([0, 1, 40]))],
        )
    return features


FEATURES = {
    "nothing": {},
    "bytes": {"b": ("bytes", [b"", b"\0\xff", b"plain"])},
    "long bytes": {"b": ("bytes", [bytes(127), bytes(128), bytes(70_000)])},
    "ints": {"i": ("int64", [0, 1, -1, 127, 128, 300, 2**63 - 1, -(2**63)])},
    "floats": {"f": ("float", _float32([0.0, -0.0, 1.5, -1e38, 1e-45, 1 / 3]))},
    "not finite": {"f": ("float", [math.nan, math.inf, -math.inf])},
    "empty lists": {"b": ("bytes", []), "i": ("int64", []), "f": ("float", [])},
    "empty key": {"": ("int64", [1])},
    "unicode": {"größe/Ω": ("bytes", ["ÿ€😀".encode()]), "日本": ("int64", [3])},
    # UTF-8 sorts the first before the second, UTF-16 the other way round.
    "key order": {"\uff5e": ("int64", [1]), "😀": ("int64", [2]), "~": ("int64", [3])},
    "many keys": {f"key/{n * 37 % 500:03d}": ("int64", [n]) for n in range(500)},
    **{f"random {n}": _random_features(random.Random(n)) for n in range(40)},
}


@pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)
def test_bytes_are_those_of_tensorflow(features):
    expected = _as_tensorflow(features).SerializeToString(deterministic=True)
    assert example_wire.encode(features) == expected


@pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)
def test_reads_what_tensorflow_wrote(features):
    data = _as_tensorflow(features).SerializeToString()
    assert _comparable(example_wire.decode(data)) == _comparable(features)


def test_order_of_keys_does_not_matter():
    features = FEATURES["many keys"]
    backwards = dict(reversed(features.items()))
    assert example_wire.encode(features) == example_wire.encode(backwards)


@pytest.mark.parametrize("dtype", ["int8", "uint16", ">i4", "int64"])
def test_takes_arrays_of_integers(dtype):
    values = [0, 5, 127]
    given = {"a": ("int64", np.array(values, dtype))}
    assert example_wire.decode(example_wire.encode(given)) == {"a": ("int64", values)}


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4", "int16"])
def test_takes_arrays_of_floats(dtype):
    values = [-1.0, 0.0, 3.0]
    given = {"a": ("float", np.array(values, dtype))}
    assert example_wire.decode(example_wire.encode(given)) == {"a": ("float", values)}


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**64])
def test_refuses_integers_beyond_64_bits(value):
    with pytest.raises(ValueError, match=f"{value} has more than 64 bits"):
        example_wire.encode({"a": ("int64", [1, value])})


def test_no_byte_may_be_missing_at_the_end():
    features = {"a": ("int64", [1, 300]), "b": ("float", [0.5]), "c": ("bytes", [b"x"])}
    data = example_wire.encode(features)
    for size in range(1, len(data)):
        with pytest.raises(ValueError, match=r"not a tf\.train\.Example"):
            example_wire.decode(data[:size])


GARBAGE = {
    "no protocol buffer": b"\xff\xff\xff",
    "a number where a message should be": b"\x08\x01",
    "text": b"DICM and so on",
    "value without a key": b"\x0a\x06\x0a\x04\x12\x02\x1a\x00",
    "key without a value": b"\x0a\x05\x0a\x03\x0a\x01a",
    "unknown kind of list": b"\x0a\x09\x0a\x07\x0a\x01a\x12\x02\x22\x00",
    "key that is not UTF-8": b"\x0a\x09\x0a\x07\x0a\x01\xff\x12\x02\x1a\x00",
    "float of three bytes": b"\x0a\x0e\x0a\x0c\x0a\x01a\x12\x07\x12\x05\x0a\x03abc",
    "number without an end": b"\x0a\x0c\x0a\x0a\x0a\x01a\x12\x05\x1a\x03\x0a\x01\x80",
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_refuses_what_is_no_example(data):
    with pytest.raises(ValueError, match=r"not a tf\.train\.Example"):
        example_wire.decode(data)


def test_damage_raises_nothing_but_value_error():
    draw = random.Random(0)
    data = example_wire.encode({"i": ("int64", [7, 300]), "b": ("bytes", [b"word"])})
    refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(3):
            damaged[draw.randrange(len(data))] = draw.randrange(256)
        try:
            example_wire.decode(bytes(damaged))
        except ValueError:
            refused += 1
    assert refused > 100


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
