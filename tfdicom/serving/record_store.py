"""Reads single records of a data set, by many threads at once."""

from __future__ import annotations

import collections
import io
import os
import pathlib
import threading
from typing import BinaryIO

from tfdicom import files, tfrecord_file
from tfdicom.tfrecord_file import FRAMING

_OPEN_FILES = 64
_SHARDS_IN_MEMORY = 4


class RecordStore:
    """The records of a data set.

    Of files that are not compressed only what is asked for is read; those that are, are
    inflated whole, and the last few are kept.
    """

    def __init__(self, folder: pathlib.Path, compression: str) -> None:
        """Opens nothing.

        Args:
          folder: Of the data set.
          compression: Of its shards.
        """
        self._folder, self._compression = folder, compression
        self._lock = threading.Lock()
        self._files: collections.OrderedDict[str, _SharedFile] = (
            collections.OrderedDict()
        )
        self._inflated: collections.OrderedDict[str, dict[int, bytes | None]] = (
            collections.OrderedDict()
        )

    def read(self, shard: str, offset: int, length: int) -> bytes:
        """One record, checked.

        Args:
          shard: Name of its file.
          offset: As the index says.
          length: As the index says, bytes.

        Raises:
          OSError: The shard cannot be read.
          ValueError: The record is damaged.
        """
        if self._compression != "none":
            record = self._whole(shard).get(offset)
            if record is None:
                raise ValueError(f"{shard}, offset {offset}: damaged")
            return record
        framed = self._file(shard).read(offset, length + FRAMING)
        where = f"{shard}, offset {offset}"
        return tfrecord_file.record_at(io.BytesIO(framed), 0, where)

    def _file(self, shard: str) -> _SharedFile:
        with self._lock:
            found = self._files.pop(shard, None)
            if found is None:
                found = _SharedFile(files.opened(self._folder / shard, buffering=0))
                while len(self._files) >= _OPEN_FILES:
                    # Whoever still reads from it holds it; it closes when none does.
                    self._files.popitem(last=False)
            self._files[shard] = found
            return found

    def _whole(self, shard: str) -> dict[int, bytes | None]:
        """The records of a compressed shard by their offsets; None where damaged."""
        with self._lock:
            found = self._inflated.pop(shard, None)
            if found is None:
                records = tfrecord_file.salvage_records(
                    self._folder / shard, compression=self._compression
                )
                found = {record.offset: record.data for record in records}
                while len(self._inflated) >= _SHARDS_IN_MEMORY:
                    self._inflated.popitem(last=False)
            self._inflated[shard] = found
            return found


class _SharedFile:
    """An open file that several threads read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        try:
            self._number: int | None = file.fileno()
        except (AttributeError, OSError):
            self._number = None

    def read(self, offset: int, size: int) -> bytes:
        if self._number is not None:
            return os.pread(self._number, size, offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.read(size)
