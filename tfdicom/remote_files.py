"""Reads remote files: by ranges where a part is enough, and as copies for whole ones.

A request to a remote store takes as long as many local reads, so that each read should
ask for enough, and once: a header comes with the first of them. Requests for many files
are made together.
"""

from __future__ import annotations

import contextlib
import contextvars
import io
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfdicom import stores, temporary_folders

#: The first request for a file: headers of images are shorter.
FIRST_BLOCK = 32 << 10
_LARGEST_BLOCK = 4 << 20
_TOGETHER = 32  # requests

#: First bytes and sizes of files, by path.
_heads: contextvars.ContextVar[Mapping[str, tuple[bytes, int]]] = (
    contextvars.ContextVar("heads", default={})  # noqa: B039 (never changed)
)
#: Local copies, by path.
_copies: contextvars.ContextVar[Mapping[str, pathlib.Path]] = contextvars.ContextVar(
    "copies",
    default={},  # noqa: B039 (never changed)
)


class RemoteFile(io.RawIOBase):
    """A remote file, read by ranges that grow while reading goes on."""

    def __init__(self, path: Any, head: bytes = b"", size: int | None = None) -> None:
        """Asks for nothing yet.

        Args:
          path: A ``UPath``.
          head: Its first bytes, where they are known.
          size: Its size, where that is known.
        """
        self._path, self._fs = path, path.fs
        self._start, self._data = 0, head
        self._known_size = size
        self._block = FIRST_BLOCK
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of any file; asks for nothing but the size."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: None}[whence]
        self._at = max((self.size if base is None else base) + offset, 0)
        return self._at

    @property
    def size(self) -> int:
        """Bytes of the file."""
        if self._known_size is None:
            with stores.told(self._path):
                self._known_size = int(self._fs.info(self._path.path)["size"])
        return self._known_size

    def readinto(self, buffer: Any) -> int:
        """Reads into a buffer; fewer bytes only at the end."""
        target = memoryview(buffer).cast("B")
        data = self._take(len(target))
        target[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """Reads so many bytes, fewer only at the end; -1 for all that are left."""
        left = max(self.size - self._at, 0) if size is None or size < 0 else size
        return self._take(left)

    def readall(self) -> bytes:
        """Reads all that is left."""
        return self.read()

    def _take(self, size: int) -> bytes:
        begin = self._at - self._start
        if not 0 <= begin <= len(self._data) - size:
            self._fetch(size)
            begin = self._at - self._start
        data = self._data[begin : begin + size]
        self._at += len(data)
        return data

    def _fetch(self, size: int) -> None:
        """Gets the bytes that are wanted and are not there, and some more."""
        end = self._start + len(self._data)
        if self._start <= self._at <= end:  # what is there is kept
            kept, begin = self._data[self._at - self._start :], end
        else:
            kept, begin, self._block = b"", self._at, FIRST_BLOCK
        more = self._range(begin, begin + max(size - len(kept), self._block))
        self._block = min(2 * self._block, _LARGEST_BLOCK)
        self._start, self._data = self._at, kept + more

    def _range(self, begin: int, end: int) -> bytes:
        """These bytes, as far as the file has them."""
        if self._known_size is not None:
            end = min(end, self._known_size)
        if begin >= end:
            return b""
        try:
            with stores.told(self._path):
                data = self._fs.cat_file(self._path.path, start=begin, end=end)
        except FileNotFoundError:
            raise
        except OSError:
            if self._known_size is None and begin >= self.size:
                return b""  # stores refuse a range that begins beyond the end
            raise
        if len(data) < end - begin:
            self._known_size = begin + len(data)
        return data


def copy_of(path: Any) -> pathlib.Path | None:
    """The copy of a remote file that is at hand within ``with_copies``."""
    return _copies.get().get(str(path))


def opened(path: Any) -> io.RawIOBase | io.BufferedReader:
    """Opens a remote file for reading; the copy, where one is at hand."""
    copy = copy_of(path)
    if copy is not None:
        return copy.open("rb")
    return RemoteFile(path, *_heads.get().get(str(path), ()))


@contextlib.contextmanager
def with_heads(folder: Any, sizes: Mapping[str, int]) -> Iterator[None]:
    """Gets the first bytes of many files together; ``opened`` has them within.

    Args:
      folder: A ``UPath``.
      sizes: Bytes of each file, by relative path.
    """
    if not sizes:
        yield
        return
    full = {path: folder / path for path in sizes}
    found = _first_bytes(folder.fs, [(full[path], sizes[path]) for path in sizes])
    heads = {
        str(full[path]): (head, sizes[path])
        for path, head in zip(sizes, found, strict=True)
        if head is not None
    }
    token = _heads.set(heads)
    try:
        yield
    finally:
        _heads.reset(token)


def _first_bytes(fs: Any, files: Sequence[tuple[Any, int]]) -> list[bytes | None]:
    """None where that fails: it is told when the file is opened."""
    wanted = [(path.path, min(size, FIRST_BLOCK)) for path, size in files]
    some = [(path, size) for path, size in wanted if size]
    try:
        got = fs.cat_ranges(
            [path for path, _ in some],
            [0] * len(some),
            [size for _, size in some],
            on_error="return",
            batch_size=_TOGETHER,
        )
    except Exception:  # each client has errors of its own
        return [None] * len(files)
    found = dict(zip((path for path, _ in some), got, strict=True))
    heads = (found.get(path, b"") for path, _ in wanted)
    return [head if isinstance(head, bytes) else None for head in heads]


@contextlib.contextmanager
def with_copies(folder: Any, paths: Sequence[str]) -> Iterator[None]:
    """Gets many files together as temporary copies, which are read within.

    Args:
      folder: A ``UPath``; of a local folder nothing is copied.
      paths: Relative.
    """
    if isinstance(folder, pathlib.Path):
        yield
        return
    with temporary_folders.folder() as near:
        copies = _fetched(folder, paths, near)
        token = _copies.set(copies)
        try:
            yield
        finally:
            _copies.reset(token)


def _fetched(
    folder: Any, paths: Sequence[str], near: pathlib.Path
) -> dict[str, pathlib.Path]:
    full = [folder / path for path in paths]
    targets = [near / f"{number}" for number in range(len(paths))]
    with contextlib.suppress(Exception):  # told when the file is opened
        folder.fs.get(
            [one.path for one in full], list(map(str, targets)), batch_size=_TOGETHER
        )
        return {str(one): copy for one, copy in zip(full, targets, strict=True)}
    return {}


@contextlib.contextmanager
def local_copy(path: Any) -> Iterator[pathlib.Path]:
    """The file itself if it is local, else a copy; for what takes nothing but names.

    Raises:
      OSError: It cannot be copied.
    """
    if isinstance(path, pathlib.Path):
        yield path
        return
    copy = copy_of(path)
    if copy is not None:
        yield copy
        return
    with temporary_folders.folder() as near:
        copy = near / "copy"
        with opened(path) as remote, copy.open("wb") as file:
            shutil.copyfileobj(remote, file, _LARGEST_BLOCK)
        yield copy
