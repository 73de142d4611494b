"""Random numbers that belong to an example, not to a batch.

A counter-based generator in integer operations over ``[batch]``: the numbers of an
example depend on (seed, epoch, key hash, occurrence, operation) alone, so it looks the
same for any batch size and any number of workers. XLA and plain graph mode give equal
bits.

Threefry-2x32 with 20 rounds: Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", SC 2011 (Random123).
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

#: Number of each operation's stream. A new operation takes a new number: with another
#: one the same seed would give other pictures.
OPERATIONS = {
    "rotation": 0,
    "scale": 1,
    "shift_rows": 2,
    "shift_columns": 3,
    "flip_left_right": 4,
    "flip_up_down": 5,
    "brightness": 6,
    "contrast": 7,
}

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_GROUPS = 5  # of four rounds each

Words = tuple[tf.Tensor, tf.Tensor]


def threefry2x32(key: Words, counter: Words) -> Words:
    """Threefry-2x32-20.

    Args:
      key: Two uint32 tensors.
      counter: Two uint32 tensors; shapes broadcast with the key's.

    Returns:
      Two uint32 tensors of random bits.
    """
    schedule = (*key, key[0] ^ key[1] ^ _word(_PARITY))
    x, y = counter[0] + schedule[0], counter[1] + schedule[1]
    for group in range(_GROUPS):
        for bits in _ROTATIONS[group % 2]:
            x = x + y
            y = _rotated_left(y, bits) ^ x
        x = x + schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3] + _word(group + 1)
    return x, y


def _word(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint32)


def _rotated_left(x: tf.Tensor, bits: int) -> tf.Tensor:
    left = tf.bitwise.left_shift(x, _word(bits))
    return left | tf.bitwise.right_shift(x, _word(32 - bits))


def words(value: tf.Tensor | int) -> Words:
    """Low and high 32 bits of int64 values."""
    value = tf.convert_to_tensor(value, tf.int64)
    low = tf.constant(0xFFFFFFFF, tf.int64)
    high = tf.bitwise.right_shift(value, tf.constant(32, tf.int64)) & low
    return tf.cast(value & low, tf.uint32), tf.cast(high, tf.uint32)


def draw(
    *,
    seed: int,
    epoch: tf.Tensor,
    key_hash: tf.Tensor,
    occurrence: tf.Tensor | int = 0,
    operations: Sequence[str] = tuple(OPERATIONS),
) -> dict[str, tf.Tensor]:
    """Two uniform numbers for each example and operation.

    Args:
      seed: Any integer of 64 bits.
      epoch: int64, scalar or ``[batch]``; its low 32 bits count.
      key_hash: int64 ``[batch]``.
      occurrence: Which appearance of the example in its epoch; int64, scalar or
        ``[batch]``; its low 32 bits count.
      operations: Names among ``OPERATIONS``.

    Returns:
      float32 ``[batch, 2]`` in [0, 1), multiples of 2**-24, by operation.
    """
    stream = threefry2x32(words(seed), (words(epoch)[0], words(occurrence)[0]))
    low, high = (part[:, tf.newaxis] for part in words(key_hash))
    stream = tuple(tf.reshape(part, [-1, 1]) for part in stream)
    stream = threefry2x32(stream, (low, high))
    numbers = [OPERATIONS[name] for name in operations]
    counter = tf.constant([numbers], tf.uint32)
    uniform = tf.stack(
        [_uniform(bits) for bits in threefry2x32(stream, (counter, _word(0)))], axis=-1
    )
    return {name: uniform[:, index] for index, name in enumerate(operations)}


def _uniform(bits: tf.Tensor) -> tf.Tensor:
    # 24 bits are what a float32 in [0, 1) holds; more would round up to 1.
    kept = tf.cast(tf.bitwise.right_shift(bits, _word(8)), tf.int32)
    return tf.cast(kept, tf.float32) * 2.0**-24


def chosen(draws: tf.Tensor, probability: float) -> tf.Tensor:
    """Whether each example takes part: bool ``[batch]``, from its first number."""
    return draws[:, 0] < probability


def symmetric(draws: tf.Tensor, limit: float, probability: float) -> tf.Tensor:
    """Values in [-limit, limit), float32 ``[batch]``; 0 where it takes no part."""
    value = (draws[:, 1] * 2.0 - 1.0) * limit
    return tf.where(chosen(draws, probability), value, 0.0)
