"""Random numbers that belong to an example, not to a batch.

A counter-based generator in integer operations over ``[batch]``: the numbers of an
example depend on (seed, epoch, key hash, occurrence, operation) alone, so it looks the
same for any batch size and any number of workers. XLA and plain graph mode give equal
bits.

Threefry-2x32 with 20 rounds: Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", SC 2011 (Random123). Pixels, of which there are many, get by with a short
integer hash of their place, seeded by what Threefry gave: lowbias32, whose constants
were found by search (Wellons, "Prospecting for Hash Functions", 2018).
"""

from __future__ import annotations

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
    "anisotropic_scale": 8,
    "shear": 9,
    "rotate_90": 10,
    "elastic": 11,
    "elastic_field": 12,
    "random_crop": 13,
    "random_crop_place": 14,
    "foreground_crop": 15,
    "foreground_crop_place": 16,
    "gibbs": 17,
    "ghosting": 18,
    "ghosting_lines": 19,
    "spike": 20,
    "spike_place": 21,
    "blur": 22,
    "sharpen": 23,
    "low_resolution": 24,
    "bias_field": 25,
    "bias_field_shape": 26,
    "window_jitter": 27,
    "window_jitter_centre": 28,
    "gamma": 29,
    "invert": 30,
    "rician": 31,
    "rician_pixels": 32,
    "noise": 33,
    "noise_pixels": 34,
    "cutout": 35,
    "cutout_place": 36,
}

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_GROUPS = 5  # of four rounds each
_SCALE = (8 + 1 / 12) ** -0.5  # of 32 coins and a uniform number
_CUBIC = 0.0028

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
) -> dict[str, tf.Tensor]:
    """Two uniform numbers for each example and operation.

    Args:
      seed: Any integer of 64 bits.
      epoch: int64, scalar or ``[batch]``; its low 32 bits count.
      key_hash: int64 ``[batch]``.
      occurrence: Which appearance of the example in its epoch; int64, scalar or
        ``[batch]``; its low 32 bits count.

    Returns:
      float32 ``[batch, 2]`` in [0, 1), multiples of 2**-24, by operation.
    """
    return by_operation(
        draw_packed(seed=seed, epoch=epoch, key_hash=key_hash, occurrence=occurrence)
    )


def draw_packed(
    *,
    seed: int | tf.Tensor,
    epoch: tf.Tensor,
    key_hash: tf.Tensor,
    occurrence: tf.Tensor | int = 0,
) -> tf.Tensor:
    """What ``draw`` gives, as one tensor ``[batch, operations, 2]``.

    Give it an XLA kernel of its own and take it apart, by ``by_operation``, in those
    that use it: otherwise XLA compiles the generator anew for each operation.
    """
    stream = threefry2x32(words(seed), (words(epoch)[0], words(occurrence)[0]))
    low, high = (part[:, tf.newaxis] for part in words(key_hash))
    stream = tuple(tf.reshape(part, [-1, 1]) for part in stream)
    stream = threefry2x32(stream, (low, high))
    counter = tf.constant([list(OPERATIONS.values())], tf.uint32)
    bits = threefry2x32(stream, (counter, _word(0)))
    return _uniform(tf.stack(bits, axis=-1))


def by_operation(packed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Takes apart what ``draw_packed`` gave."""
    return {name: packed[:, index] for index, name in enumerate(OPERATIONS)}


def more(draws: tf.Tensor, count: int) -> tf.Tensor:
    """Further uniform numbers of one operation, for what needs more than two.

    Args:
      draws: float32 ``[batch, 2]`` from ``draw``. No other use may be made of them.
      count: How many.

    Returns:
      float32 ``[batch, count]`` in [0, 1), multiples of 2**-24.
    """
    return _uniform(_hashed(draws, count, 0))


def normal(draws: tf.Tensor, count: int, *, part: int = 0) -> tf.Tensor:
    """Approximately normal numbers, cheap enough for each pixel.

    The number of ones in a hash is binomial; the hash once more, multiplied, fills the
    steps in between, and a cubic brings the fourth moment to that of a normal number.
    Of 2**32 values none lies beyond 6; the distribution function is right to 0.003.

    Args:
      draws: float32 ``[batch, 2]`` from ``draw``. No other use may be made of them.
      count: How many for each example.
      part: Another part gives other numbers from the same draws.

    Returns:
      float32 ``[batch, count]``: mean 0, variance 1. XLA gives the same numbers as
      plain graph mode up to rounding.
    """
    bits = _hashed(draws, count, part)
    ones = tf.raw_ops.PopulationCount(x=tf.bitcast(bits, tf.int32))
    between = tf.bitcast(bits * _word(0x9E3779B1), tf.int32)
    value = tf.cast(tf.cast(ones, tf.int32), tf.float32) - 16.0
    value = (value + tf.cast(between, tf.float32) * 2.0**-32) * _SCALE
    return value * (1.0 + _CUBIC * (value * value - 3.0))


def _hashed(draws: tf.Tensor, count: int, part: int) -> tf.Tensor:
    """Random bits, uint32 ``[batch, count]``, from all 48 bits of two numbers."""
    key = tf.cast(tf.cast(draws * 2.0**24, tf.int32), tf.uint32)
    # Odd factors spread 24 bits over 32 without loss.
    first = key[:, :1] * _word(0x9E3779B1) + _word(part * 0x85EBCA77 % 2**32)
    second = key[:, 1:] * _word(0xC2B2AE3D)
    x = tf.cast(tf.range(count, dtype=tf.int32), tf.uint32)[tf.newaxis] ^ first
    x = (x ^ tf.bitwise.right_shift(x, _word(16))) * _word(0x7FEB352D)
    x = (x ^ tf.bitwise.right_shift(x, _word(15))) + second
    x = x * _word(0x846CA68B)
    return x ^ tf.bitwise.right_shift(x, _word(16))


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
