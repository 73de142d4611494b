"""Records into tensors, in graph operations driven by the declared features.

``parse`` reads the features asked for, ``decode_pixels`` and ``unpack_planes`` give
arrays. Strings do not compile under XLA, so parsing stays outside; unpacking bits is
integer work and compiles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import tensorflow as tf

from tfdicom.example_schema import BYTES, FEATURES, FLOAT, INT64, TEXT, Feature

#: What an absent optional feature becomes.
ABSENT: Mapping[str, object] = {FLOAT: math.nan, INT64: -1, TEXT: "", BYTES: ""}
_DTYPES = {FLOAT: tf.float32, INT64: tf.int64, TEXT: tf.string, BYTES: tf.string}


def parse(
    serialized: tf.Tensor, names: Sequence[str], *, sizes: Mapping[str, int | None]
) -> dict[str, tf.Tensor]:
    """Reads features of one record or of a batch of records.

    Args:
      serialized: string, scalar or ``[batch]``.
      names: Fields of ``FrameExample``.
      sizes: Sizes of the axes that the schema only names, as ``{'classes': 2}``; None
        for one that differs among the records of a batch.

    Returns:
      Tensors by name, of the schema's kind and shape; an absent optional feature is
      NaN, -1 or the empty string. An axis whose size differs is as long as the longest
      of the batch, and filled up likewise, but integers with 0.
    """
    spec = {FEATURES[n].key: _specification(FEATURES[n], sizes) for n in names}
    one = serialized.shape.rank == 0
    reader = tf.io.parse_single_example if one else tf.io.parse_example
    found = reader(serialized, spec)
    return {name: found[FEATURES[name].key] for name in names}


def _specification(
    feature: Feature, sizes: Mapping[str, int | None]
) -> tf.io.FixedLenFeature | tf.io.FixedLenSequenceFeature:
    sized = [sizes[n] if isinstance(n, str) else n for n in feature.shape]
    shape = [size for size in sized if size is not None]
    if len(shape) < len(sized):  # the first axis is the one that may differ
        return tf.io.FixedLenSequenceFeature(
            shape, _DTYPES[feature.kind], allow_missing=True
        )
    default: object = None
    if feature.optional:
        values = [ABSENT[feature.kind]] * math.prod(shape)
        default = values if shape else values[0]
    return tf.io.FixedLenFeature(shape, _DTYPES[feature.kind], default)


def decode_pixels(
    pixels: tf.Tensor, *, dtype: str, shape: tf.Tensor | Sequence[int]
) -> tf.Tensor:
    """Stored values from bytes.

    Args:
      pixels: string, scalar or ``[batch]``.
      dtype: NumPy name, the same for all.
      shape: Rows, columns, samples, the same for all.

    Returns:
      ``[..., rows, columns, samples]`` of that dtype.
    """
    # decode_raw knows no uint32.
    read_as = tf.int32 if dtype == "uint32" else tf.as_dtype(dtype)
    values = tf.io.decode_raw(pixels, read_as)
    values = tf.reshape(values, tf.concat([tf.shape(pixels), shape], axis=0))
    return tf.bitcast(values, tf.uint32) if dtype == "uint32" else values


def decode_pixels_any(
    pixels: tf.Tensor, dtype: tf.Tensor, *, dtypes: Sequence[str], shape: tf.Tensor
) -> tf.Tensor:
    """Stored values of one record as float32, its dtype being one of several.

    Args:
      pixels: string scalar.
      dtype: string scalar, NumPy name.
      dtypes: The names that occur.
      shape: int ``[3]``: rows, columns, samples.
    """

    def branch(name: str) -> tf.Tensor:
        return tf.cast(decode_pixels(pixels, dtype=name, shape=shape), tf.float32)

    index = tf.argmax(tf.equal(dtype, tf.constant(list(dtypes))), output_type=tf.int32)
    return tf.switch_case(index, [lambda name=name: branch(name) for name in dtypes])


def plane_bytes(rows: int | tf.Tensor, columns: int | tf.Tensor) -> int | tf.Tensor:
    """Bytes of one packed plane."""
    return (rows * columns + 7) // 8


def decode_planes(planes: tf.Tensor, *, count: int, size: int | tf.Tensor) -> tf.Tensor:
    """Packed planes from bytes.

    Args:
      planes: string, scalar or ``[batch]``; planes that are not there are of zeros.
      count: Number of planes that each holds at most.
      size: ``plane_bytes`` of the frames.

    Returns:
      uint8 ``[..., count, size]``.
    """
    # A fixed length gives zeros for what is not there.
    data = tf.io.decode_raw(planes, tf.uint8, fixed_length=count * size)
    return tf.reshape(data, tf.concat([tf.shape(planes), [count, size]], axis=0))


def unpack_bits(
    packed: tf.Tensor, *, rows: int | tf.Tensor, columns: int | tf.Tensor
) -> tf.Tensor:
    """Planes one after the other; compiles under XLA.

    Args:
      packed: uint8 ``[batch, planes, plane_bytes]``, little bit order.
      rows: Rows of the frames.
      columns: Columns of the frames.

    Returns:
      uint8 ``[batch, planes, rows, columns]``, 0 or 1.
    """
    shape = tf.shape(packed)
    shifts = tf.range(8, dtype=tf.int32)
    bits = tf.bitwise.right_shift(packed[..., tf.newaxis], tf.cast(shifts, tf.uint8))
    bits = tf.reshape(bits & tf.constant(1, tf.uint8), [shape[0], shape[1], -1])
    bits = bits[..., : rows * columns]
    return tf.reshape(bits, [shape[0], packed.shape[1], rows, columns])


def unpack_planes(
    packed: tf.Tensor, *, rows: int | tf.Tensor, columns: int | tf.Tensor
) -> tf.Tensor:
    """Masks from packed planes, as ``unpack_bits`` but planes last.

    Returns:
      uint8 ``[batch, rows, columns, planes]``, 0 or 1.
    """
    bits = unpack_bits(packed, rows=rows, columns=columns)
    return tf.transpose(bits, [0, 2, 3, 1])
