"""Folders of this machine for copies that are needed for a while.

They hold images of patients, and who is killed removes nothing. So each is locked
(``flock``) as long as it is in use, and a process that makes its first one removes
those that nobody holds any more.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # not on this system
    fcntl = None  # type: ignore[assignment]

_ENDING = ".temporary"


@contextlib.contextmanager
def folder() -> Iterator[pathlib.Path]:
    """A new folder in ``TMPDIR`` for this user alone; it is removed at the end.

    Raises:
      OSError: It cannot be made.
    """
    _remove_abandoned()
    path, lock = _made()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _beginning() -> str:
    """Locks tell nothing of other machines, which may have the same TMPDIR."""
    return f"tfdicom-{re.sub('[^A-Za-z0-9-]', '-', platform.node())}-"


def _made() -> tuple[pathlib.Path, int | None]:
    while True:
        path = pathlib.Path(tempfile.mkdtemp(_ENDING, _beginning()))
        if fcntl is None:
            return path, None
        # Until it is locked, another process may take it for an abandoned one.
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDONLY)
            with contextlib.suppress(OSError):  # there are no locks: it stays, then
                fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


@functools.cache
def _remove_abandoned() -> None:
    if fcntl is None:
        return
    for path in pathlib.Path(tempfile.gettempdir()).glob(f"{_beginning()}*{_ENDING}"):
        with contextlib.suppress(OSError):
            _remove_if_abandoned(path)


def _remove_if_abandoned(path: pathlib.Path) -> None:
    """Removes a folder of this user.

    Raises:
      OSError: It is in use, or no such folder.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)
