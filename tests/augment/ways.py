"""Runs a change of grey values eagerly, in ``Dataset.map``, with and without XLA."""

import inspect
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfdicom.augment import random_stream

WAYS = ("eager", "map", "map_xla")
KEYS = np.random.default_rng(7).integers(-(2**63), 2**63 - 1, 9)


def draws(keys=KEYS, *, epoch: int = 0) -> dict[str, tf.Tensor]:
    return random_stream.draw(
        seed=11, epoch=tf.constant(epoch, tf.int64), key_hash=tf.constant(keys)
    )


def run(function: Callable, way: str, *tensors: tf.Tensor):
    """What the function makes of the tensors, in one of the ``WAYS``."""
    if way == "eager":
        return function(*tensors)
    graph = tf.function(
        lambda *given: function(*given), jit_compile=way == "map_xla", autograph=False
    )
    dataset = tf.data.Dataset.from_tensors(tensors).map(graph)
    return next(iter(dataset))


def positional(module) -> dict[str, list[str]]:
    """Public functions of a module and what they take by position."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {
        name: [
            one.name
            for one in inspect.signature(function).parameters.values()
            if one.kind in kinds
        ]
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not name.startswith("_")
    }
