"""The wire format of ``tf.train.Example``, written and read without TensorFlow.

As far as it is needed here (protocol buffers' encoding, length-delimited fields):
``Example { Features features = 1; }``, ``Features { map<string, Feature> = 1; }``,
``Feature { oneof { BytesList = 1; FloatList = 2; Int64List = 3; } }``, each list
``{ repeated value = 1; }`` with numbers packed.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

BYTES, FLOAT, INT64 = "bytes", "float", "int64"

#: Bytes that need not lie in an object of their own.
Buffer = bytes | memoryview
# A value that is not copied.
_LARGE = 1 << 16

_FIELD_OF_KIND = {BYTES: 1, FLOAT: 2, INT64: 3}
_KIND_OF_FIELD = {field: kind for kind, field in _FIELD_OF_KIND.items()}


def encode(features: Mapping[str, tuple[str, Any]]) -> bytes:
    """Serializes ``{key: (kind, values)}``, keys sorted.

    Where no key begins another, every runtime of protocol buffers sorts them so.

    Raises:
      ValueError: An integer has more than 64 bits.
    """
    return b"".join(encode_parts(features))


def encode_parts(features: Mapping[str, tuple[str, Any]]) -> list[Buffer]:
    """As ``encode``, in parts that follow one another.

    A large value is one of them as it was given: it is not copied.
    """
    entries = sorted((key.encode(), *value) for key, value in features.items())
    parts: list[Buffer] = [b""]
    for key, kind, values in entries:
        if kind == BYTES and len(values) == 1 and len(values[0]) >= _LARGE:
            parts += (_before_large(key, len(values[0])), values[0])
        else:
            value = _delimited(1, key) + _delimited(2, _encode_list(kind, values))
            parts.append(_delimited(1, value))
    parts[0] = _head(1, sum(map(len, parts)))
    return parts


def _before_large(key: bytes, size: int) -> bytes:
    """All of an entry that comes before the one value of so many bytes."""
    found = b""
    for field in (1, _FIELD_OF_KIND[BYTES], 2):  # value, list, value of the map
        found = _head(field, size + len(found)) + found
    found = _delimited(1, key) + found
    return _head(1, size + len(found)) + found


def decode(
    data: bytes, only: Collection[bytes] | None = None
) -> dict[str, tuple[str, list[Any]]]:
    """Inverse of ``encode``.

    Args:
      data: Serialized.
      only: Keys that are wanted; others are passed over. None for all.

    Raises:
      ValueError: The bytes are not a ``tf.train.Example``.
    """
    try:
        entries = _decode_entries(data, only)
        return {key: (kind, values) for key, kind, values in entries}
    except (IndexError, KeyError, ValueError) as error:
        raise ValueError("these bytes are not a tf.train.Example") from error


@functools.lru_cache(maxsize=1 << 12)  # most are small, and the same again
def _int64(value: int) -> bytes:
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"{value} has more than 64 bits")
    return _varint(value & 0xFFFFFFFFFFFFFFFF)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _head(field: int, size: int) -> bytes:
    return bytes([field << 3 | 2]) + _varint(size)


def _delimited(field: int, data: bytes) -> bytes:
    return _head(field, len(data)) + data


def _encode_list(kind: str, values: Any) -> bytes:
    if kind == BYTES:
        body = b"".join(_delimited(1, value) for value in values)
    elif not len(values):
        body = b""
    elif kind == FLOAT:
        body = _delimited(1, np.asarray(values, "<f4").tobytes())
    else:
        body = _delimited(1, b"".join(_int64(int(value)) for value in values))
    return _delimited(_FIELD_OF_KIND[kind], body)


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def _read_fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        length, at = _read_varint(data, at)
        if tag & 7 != 2 or at + length > len(data):
            raise ValueError(f"no whole length-delimited field ends at byte {at}")
        yield tag >> 3, data[at : at + length]
        at += length


def _decode_entries(
    data: bytes, only: Collection[bytes] | None
) -> Iterator[tuple[str, str, list[Any]]]:
    for _, features in _read_fields(memoryview(data)):
        for _, entry in _read_fields(features):
            parts = dict(_read_fields(entry))
            if only is not None and parts[1] not in only:
                continue
            for field, values in _read_fields(parts[2]):
                kind = _KIND_OF_FIELD[field]
                yield bytes(parts[1]).decode(), kind, _decode_list(kind, values)


def _decode_list(kind: str, data: memoryview) -> list[Any]:
    parts = [part for _, part in _read_fields(data)]
    if kind == BYTES:
        return [bytes(part) for part in parts]
    packed = b"".join(parts)
    if kind == FLOAT:
        return np.frombuffer(packed, "<f4").tolist()
    values, at, view = [], 0, memoryview(packed)
    while at < len(view):
        value, at = _read_varint(view, at)
        values.append(value - (1 << 64) if value >> 63 else value)
    return values
