import sys

import numpy as np
import pytest
import tensorflow as tf

from tfdicom.augment.gated import Step, one_by_one

IMAGE = np.random.default_rng(2).normal(size=(4, 6, 5, 2)).astype(np.float32)
CHOSEN = [True, False, False, True]
NUMBERS = tf.constant([1.0, 2.0, 3.0, 4.0])


def _multiplied(image, *, factor):
    return image * tf.reshape(factor, [-1, 1, 1, 1])


def _steps():
    return [
        Step(tf.constant(CHOSEN), _multiplied, {"factor": NUMBERS}),
        Step(tf.constant(CHOSEN[::-1]), _multiplied, {"factor": NUMBERS + 10}),
        Step(tf.constant([False, True, False, False]), tf.exp, {}),
    ]


@pytest.mark.parametrize("way", ["eager", "graph", "xla"])
def test_each_example_gets_what_it_wants(way):
    def function(image):
        return one_by_one(image, _steps())

    if way != "eager":
        function = tf.function(function, jit_compile=way == "xla")
    factors = np.array([11, 1, 1, 56], np.float32)[:, None, None, None]
    expected = IMAGE * factors
    expected[1] = np.exp(IMAGE[1])
    found = function(tf.constant(IMAGE))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_array_equal(found[2], IMAGE[2])


@pytest.mark.parametrize("in_graph", [False, True])
def test_an_example_that_wants_nothing_costs_nothing(in_graph):
    calls = []

    def change(image, *, factor):
        seen = tf.numpy_function(lambda f: calls.append(float(f[0])), [factor], [])
        with tf.control_dependencies([seen] if in_graph else []):
            return image * 2.0

    def function():
        steps = [Step(tf.constant(CHOSEN), change, {"factor": NUMBERS})]
        return one_by_one(tf.constant(IMAGE), steps)

    found = (tf.function(function) if in_graph else function)()
    assert sorted(calls) == [1.0, 4.0]
    np.testing.assert_array_equal(found[::3], 2 * IMAGE[::3])


def test_no_step_adds_nothing():
    image = tf.constant(IMAGE)
    assert one_by_one(image, []) is image


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
