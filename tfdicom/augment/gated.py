"""Changes that few examples get, and that cost only those.

Examples go through one at a time, each change behind a real branch. XLA keeps both the
loop and the branches, so a change costs some microseconds where it is not wanted
(256 x 256 pixels), and what it takes where it is, whatever the probability. To choose
by sub-batch instead would make nearly every sub-batch pay, as soon as one of eight
examples is chosen; ``tf.where`` makes all pay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf


class Step(NamedTuple):
    """One change and the examples that want it.

    Attributes:
      wanted: bool ``[batch]``.
      change: Takes an image ``[1, rows, columns, channels]`` and the parameters of
        that example, ``[1, ...]`` each, by keyword; gives an image of that shape.
      parameters: Tensors ``[batch, ...]`` by their keyword.
    """

    wanted: tf.Tensor
    change: Callable[..., tf.Tensor]
    parameters: Mapping[str, tf.Tensor]


def one_by_one(image: tf.Tensor, steps: Sequence[Step]) -> tf.Tensor:
    """Applies the steps in their order to the examples that want them.

    Args:
      image: float32 ``[batch, rows, columns, channels]``.
      steps: What to do; none gives the image back and adds nothing to the graph.
    """
    if not steps:
        return image

    def changed(element: tuple) -> tf.Tensor:
        one, numbers = element
        for step, (wanted, parameters) in zip(steps, numbers, strict=True):
            one = _changed(one, step.change, wanted, parameters)
        return one

    numbers = [(step.wanted, dict(step.parameters)) for step in steps]
    signature = tf.TensorSpec(image.shape[1:], image.dtype)
    return tf.map_fn(changed, (image, numbers), fn_output_signature=signature)


def _changed(
    one: tf.Tensor,
    change: Callable[..., tf.Tensor],
    wanted: tf.Tensor,
    parameters: Mapping[str, tf.Tensor],
) -> tf.Tensor:
    keywords = {name: value[tf.newaxis] for name, value in parameters.items()}
    return tf.cond(wanted, lambda: change(one[tf.newaxis], **keywords)[0], lambda: one)
