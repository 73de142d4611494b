"""Batches as bytes: NumPy's npz, a TFRecord stream, JSON; and an npz back.

Names of the arrays, in the order of what ``input_fn`` gives: ``image``; ``mask``,
``label``, or ``target/NAME`` where there are several; ``weight`` or ``weight/NAME``;
``info/NAME``.
"""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tfdicom import example_wire
from tfdicom.example_wire import BYTES, INT64
from tfdicom.serving.json_values import plain
from tfdicom.tfrecord_file import TFRecordWriter

Arrays = Mapping[str, np.ndarray]

#: Numbers that a batch in JSON may hold.
MOST_JSON_NUMBERS = 1 << 22

# The parts of a ZIP file (APPNOTE.TXT 4.3): what is stored, and when it was not made.
_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_LONGEST_HEAD = 4096  # of an array; NumPy writes 128 bytes
_VERSION, _DATE = 20, 1 << 5 | 1  # 1980-01-01


def npz_chunks(arrays: Arrays) -> tuple[int, Iterator[bytes]]:
    """An npz file, its entries stored as they are, piece by piece.

    Args:
      arrays: By name; without objects.

    Returns:
      Its length, and its pieces; an array's numbers are copied when their turn comes.
    """
    heads = {name: _npy_head(array) for name, array in arrays.items()}
    sizes = {name: len(heads[name]) + array.nbytes for name, array in arrays.items()}
    names = sum(len(f"{name}.npy".encode()) for name in arrays)
    frames = len(arrays) * (_LOCAL.size + _CENTRAL.size) + 2 * names + _END.size
    return sum(sizes.values()) + frames, _npz_pieces(arrays, heads, sizes)


def _npz_pieces(
    arrays: Arrays, heads: Mapping[str, bytes], sizes: Mapping[str, int]
) -> Iterator[bytes]:
    directory, offset = b"", 0
    for name, array in arrays.items():
        file, head, data = f"{name}.npy".encode(), heads[name], array.tobytes()
        checksum = zlib.crc32(data, zlib.crc32(head))
        facts = (0, 0, 0, _DATE, checksum, sizes[name], sizes[name], len(file), 0)
        local = _LOCAL.pack(0x04034B50, _VERSION, *facts) + file
        places = (0, 0, 0, 0, offset)
        directory += (
            _CENTRAL.pack(0x02014B50, _VERSION, _VERSION, *facts, *places) + file
        )
        yield local + head
        yield data
        offset += len(local) + sizes[name]
    count = len(arrays)
    yield directory + _END.pack(
        0x06054B50, 0, 0, count, count, len(directory), offset, 0
    )


def _npy_head(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    described = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(buffer, {**described, "fortran_order": False})
    return buffer.getvalue()


def read_npz(data: bytes | bytearray) -> dict[str, np.ndarray]:
    """The arrays of an npz file; checked, and not copied where they are not compressed.

    Args:
      data: The file; of a ``bytearray`` the arrays can be written to.

    Raises:
      ValueError: The bytes are no npz file, one that is damaged, or that holds objects.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            return {
                one.filename.removesuffix(".npy"): _entry(file, one, memoryview(data))
                for one in file.infolist()
            }
    except (OSError, KeyError, EOFError, struct.error, zipfile.BadZipFile) as error:
        raise ValueError(f"these bytes are no npz file: {error}") from error


def _entry(file: zipfile.ZipFile, one: zipfile.ZipInfo, data: memoryview) -> np.ndarray:
    """An array of an npz file."""
    if one.compress_type != zipfile.ZIP_STORED:
        return np.load(io.BytesIO(file.read(one)), allow_pickle=False)
    name, extra = _LOCAL.unpack_from(data, one.header_offset)[-2:]
    start = one.header_offset + _LOCAL.size + name + extra
    npy = data[start : start + one.file_size]
    if zlib.crc32(npy) != one.CRC:
        raise ValueError(f"{one.filename} of an npz file is damaged")
    head = io.BytesIO(npy[:_LONGEST_HEAD])
    if np.lib.format.read_magic(head) != (1, 0):
        return np.load(io.BytesIO(npy), allow_pickle=False)
    shape, is_turned, dtype = np.lib.format.read_array_header_1_0(head)
    if dtype.hasobject:
        raise ValueError(f"{one.filename} of an npz file holds objects")
    array = np.frombuffer(npy, dtype, math.prod(shape), head.tell())
    return array.reshape(shape, order="F" if is_turned else "C")


def tfrecord(arrays: Arrays) -> bytes:
    """A TFRecord stream with a ``tf.train.Example`` for each example of a batch.

    Each array is ``NAME`` (its numbers, little-endian, last axis fastest),
    ``NAME/shape`` and ``NAME/dtype``.
    """
    buffer = io.BytesIO()
    writer = TFRecordWriter(buffer)
    for number in range(len(arrays["image"])):
        features: dict[str, tuple[str, Any]] = {}
        for name, array in arrays.items():
            # Weights that are the same for every example stand once.
            at = number if len(array) > 1 else 0
            features[name] = (BYTES, [array[at : at + 1].tobytes()])
            features[f"{name}/shape"] = (INT64, array.shape[1:])
            features[f"{name}/dtype"] = (BYTES, [array.dtype.str.encode()])
        writer.write(example_wire.encode(features))
    writer.finish()
    return buffer.getvalue()


def json_text(fields: Mapping[str, Any], arrays: Arrays) -> str:
    """Arrays as nested lists; a number that is not finite is null."""
    listed = {
        name: {
            "dtype": array.dtype.name if array.dtype.kind != "S" else "text",
            "shape": list(array.shape),
            "data": _listed(array),
        }
        for name, array in arrays.items()
    }
    return json.dumps({**fields, "arrays": listed}, separators=(",", ":"))


def _listed(array: np.ndarray) -> Any:
    if array.dtype.kind == "S":
        return [one.decode() for one in array.tolist()]
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return plain(array)
    return array.tolist()
