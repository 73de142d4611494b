"""TFRecord files, written and read without TensorFlow.

A record is its length (8 bytes, little-endian), the masked CRC-32C of those 8 bytes,
the data, and the masked CRC-32C of the data. A compressed file is one ZLIB or GZIP
stream of such records; offsets then count uncompressed bytes.
"""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import pathlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any

import google_crc32c

from tfdicom import files
from tfdicom.example_wire import Buffer

# wbits of zlib; 31 writes a GZIP header without a time: equal records, equal bytes.
_WINDOW_BITS = {"none": None, "zlib": 15, "gzip": 31}
COMPRESSIONS = tuple(_WINDOW_BITS)
_HEADER, _FOOTER = 12, 4
#: Bytes that a record takes beside its data.
FRAMING = _HEADER + _FOOTER
# Bytes inflated at a time. As many as TensorFlow does, so that where a stream is
# damaged both lose the same records before it.
_CHUNK = 1 << 18
# Bytes that are compressed, or copied, at a time.
_PIECE = 1 << 20


def _window_bits(compression: str) -> int | None:
    if compression not in COMPRESSIONS:
        known = ", ".join(COMPRESSIONS)
        raise ValueError(f"compression={compression!r}: choose one of {known}")
    return _WINDOW_BITS[compression]


def inflater(compression: str) -> Any:
    """A ``zlib.decompressobj`` for whole files of a compression other than none."""
    return zlib.decompressobj(_window_bits(compression) or zlib.MAX_WBITS)


def _masked_crc(*parts: Buffer) -> bytes:
    crc = 0
    for part in parts:
        for chunk in _chunks(part):
            crc = google_crc32c.extend(crc, bytes(chunk))  # takes nothing but bytes
    rotated = (crc >> 15 | crc << 17) + 0xA282EAD8
    return struct.pack("<I", rotated & 0xFFFFFFFF)


def _chunks(part: Buffer) -> Iterator[Buffer]:
    """What of a large part is worked on at a time."""
    if len(part) <= _PIECE:
        yield part
        return
    view = memoryview(part)
    for start in range(0, len(view), _PIECE):
        yield view[start : start + _PIECE]


class TFRecordWriter:
    """Writes records to an open binary file; ``finish`` ends the stream."""

    def __init__(self, file: IO[bytes], *, compression: str = "none") -> None:
        """Takes a file open for writing and one of ``COMPRESSIONS``."""
        self._file = file
        self._offset = 0
        bits = _window_bits(compression)
        self._compressor = zlib.compressobj(6, zlib.DEFLATED, bits) if bits else None

    def write(self, *parts: Buffer) -> int:
        """Appends one record and returns its offset in the uncompressed stream.

        Args:
          *parts: The record, in parts that follow one another.
        """
        size = sum(map(len, parts))
        length = struct.pack("<Q", size)
        for part in (length, _masked_crc(length), *parts, _masked_crc(*parts)):
            self._write(part)
        offset, self._offset = self._offset, self._offset + size + FRAMING
        return offset

    def _write(self, part: Buffer) -> None:
        if not self._compressor:
            self._file.write(part)
            return
        for chunk in _chunks(part):
            self._file.write(self._compressor.compress(chunk))

    def finish(self) -> None:
        """Writes what the compressor still holds."""
        if self._compressor:
            self._file.write(self._compressor.flush())


def read_records(path: pathlib.Path, *, compression: str = "none") -> Iterator[bytes]:
    """The records of a file, in order, checked.

    Raises:
      ValueError: The file is damaged or cut short; names it and the record's number.
    """
    with files.opened(path) as raw:
        read = _Reader(raw, compression)
        number = 0
        while header := read(_HEADER):
            yield _checked(header, read, f"{path}, record {number}")
            number += 1
        if not read.at_end:
            raise ValueError(f"{path}, record {number}: {_BAD_STREAM}")


_BAD_HEADER = "damaged or cut short in its header"
_BAD_DATA = "damaged or cut short in its data"
_BAD_STREAM = "damaged or cut short before it"


def _checked(header: bytes, read: _Reader, where: str) -> bytes:
    length = _length(header)
    if length is None:
        raise ValueError(f"{where}: {_BAD_HEADER}")
    data, footer = read(length), read(_FOOTER)
    if len(data) < length or _masked_crc(data) != footer:
        raise ValueError(f"{where}: {_BAD_DATA}")
    return data


def _length(header: bytes) -> int | None:
    """Bytes of data that follow a header; None if it is damaged."""
    if len(header) < _HEADER or _masked_crc(header[:8]) != header[8:]:
        return None
    (length,) = struct.unpack("<Q", header[:8])
    return length


@dataclasses.dataclass(frozen=True)
class SalvagedRecord:
    """A record of a file that may be damaged.

    ``number`` counts from 0, ``offset`` in bytes before compression. ``data`` is None
    where the record is damaged; ``error`` then says how.
    """

    number: int
    offset: int
    data: bytes | None
    error: str = ""


def salvage_records(
    path: pathlib.Path, *, compression: str = "none", offsets: Sequence[int] = ()
) -> Iterator[SalvagedRecord]:
    """The records of a file, whole and damaged ones, as far as they can be told apart.

    Args:
      path: The file.
      compression: One of ``COMPRESSIONS``.
      offsets: Where records are known to begin, ascending: behind a header that is
        damaged it goes on at the next of them, or ends without one.
    """
    with files.opened(path) as raw:
        read = _Reader(raw, compression)
        number = at = 0
        while header := read(_HEADER):
            start, length = at, _length(header)
            at += len(header)
            if length is not None:
                data, footer = read(length), read(_FOOTER)
                at += len(data) + len(footer)
                whole = len(data) == length and _masked_crc(data) == footer
                error = "" if whole else _BAD_DATA
                yield SalvagedRecord(number, start, data if whole else None, error)
                number += 1
                continue
            yield SalvagedRecord(number, start, None, _BAD_HEADER)
            number = bisect.bisect_left(offsets, at)
            if number == len(offsets) or not _skip(read, offsets[number] - at):
                return
            at = offsets[number]
        if not read.at_end:
            yield SalvagedRecord(number, at, None, _BAD_STREAM)


def _skip(read: _Reader, size: int) -> bool:
    """Reads on by so many bytes; whether there were as many."""
    while size and (part := read(min(size, _CHUNK))):
        size -= len(part)
    return not size


class _Reader:
    """Reads exactly so many uncompressed bytes, fewer at the end or at damage only."""

    def __init__(self, file: IO[bytes], compression: str) -> None:
        self._file = file
        bits = _window_bits(compression)
        self._inflate = inflater(compression) if bits else None
        self._buffer = b""

    def __call__(self, size: int) -> bytes:
        if not self._inflate:
            return self._file.read(size)
        with contextlib.suppress(zlib.error):
            while len(self._buffer) < size and (chunk := self._deflated()):
                self._buffer += self._inflate.decompress(chunk, _CHUNK)
        out, self._buffer = self._buffer[:size], self._buffer[size:]
        return out

    def _deflated(self) -> bytes:
        """More of the compressed stream, empty at its end."""
        if not self._inflate or self._inflate.eof:
            return b""
        return self._inflate.unconsumed_tail or self._file.read(_CHUNK)

    @property
    def at_end(self) -> bool:
        """Whether the compressed stream, if it is one, came to its proper end."""
        return not self._inflate or self._inflate.eof


def read_record_at(path: pathlib.Path, offset: int) -> bytes:
    """One record of an uncompressed file by its offset.

    Raises:
      ValueError: There is no whole record.
    """
    with files.opened(path) as file:
        return record_at(file, offset, f"{path}, offset {offset}")


def record_at(file: IO[bytes], offset: int, where: str) -> bytes:
    """One record of an open uncompressed file.

    Args:
      file: Open for reading, seekable.
      offset: Of the record.
      where: What to call it in a message.

    Raises:
      ValueError: There is no whole record.
    """
    file.seek(offset)
    read = _Reader(file, "none")
    return _checked(read(_HEADER), read, where)
