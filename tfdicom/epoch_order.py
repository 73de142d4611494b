"""Which examples an epoch has, in which order: drawn anew for each, exactly.

Only stateless operations: the order is a function of (seed, epoch), so any step of any
epoch can be gone to, and a saved iterator goes on as it would have.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfdicom import example_groups
from tfdicom.example_groups import Group
from tfdicom.kernel import as_written

#: Columns of a turn: which epoch, the example's how manieth appearance in it, and the
#: data set that it is of.
EPOCH, OCCURRENCE, DATA_SET = range(3)


@as_written
def epoch_order(
    groups: Sequence[Group], seed: int, epoch: tf.Tensor, *, shuffled: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """The examples of an epoch.

    Args:
      groups: Of ``example_groups``.
      seed: Of the reader.
      epoch: int64 scalar.
      shuffled: Whether to permute; else they come in the table's order.

    Returns:
      int64 ``[draws]`` twice: places in the table, and occurrences.
    """
    if not shuffled:
        places = tf.concat([tf.constant(one.places) for one in groups], axis=0)
        return places, tf.zeros_like(places)
    key = tf.stack([tf.constant(seed, tf.int64), tf.cast(epoch, tf.int64)])
    drawn = [_drawn(group, key, number) for number, group in enumerate(groups)]
    places, occurrences = (
        tf.concat(parts, axis=0) for parts in zip(*drawn, strict=True)
    )
    if len(groups) > 1:
        spread = tf.constant(example_groups.arrangement(groups))
        places, occurrences = tf.gather(places, spread), tf.gather(occurrences, spread)
    return places, occurrences


def _drawn(group: Group, key: tf.Tensor, number: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The draws of a group: whole permutations one after the other, the last cut."""
    if number:
        key = tf.random.experimental.stateless_fold_in(key, number)
    size = len(group.places)
    cycles = -(-group.draws // size)
    ranks = tf.random.stateless_uniform(
        [cycles, size], key, minval=None, maxval=None, dtype=tf.int64
    )
    order = tf.reshape(tf.argsort(ranks, axis=1), [-1])[: group.draws]
    cycle = tf.repeat(tf.range(cycles, dtype=tf.int64), size)[: group.draws]
    return tf.gather(tf.constant(group.places), order), cycle
