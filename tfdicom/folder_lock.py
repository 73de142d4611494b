"""One writer at a time in a folder: a lock of the system, or a lease in a remote store.

A local lock is ``flock`` on the folder itself, so that it ends with its process and
leaves nothing behind. A remote store knows no such thing: there a lock is an object
with a random token that its holder renews, and that others may take over when it was
not renewed for long. Its age is told by the store's own clock.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from tfdicom import stores

try:
    import fcntl
except ImportError:  # not on this system
    fcntl = None  # type: ignore[assignment]

#: Name of the object that is a remote lock.
LOCK = ".lock"

# A holder that is about to end, as workers whose parent was killed, gets this long.
_PATIENCE_SECONDS = 10.0
_LOCAL_POLL_SECONDS = 0.1
_REMOTE_POLL_SECONDS = 2.0
# Who has made a lease looks again after this long whether it still has it.
_SETTLE_SECONDS = 1.0
RENEWAL_SECONDS = 20.0
EXPIRY_SECONDS = 90.0

# What a file system says that knows no flock; NFS wants a file that can be written to.
_NO_FLOCK = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL, errno.EBADF)


class Lock:
    """A lock that is held."""

    def check(self) -> None:
        """Makes sure that it is still held; to be asked before what cannot be undone.

        Raises:
          ValueError: Somebody else has taken it over.
        """


_held: dict[str, Lock] = {}


@contextlib.contextmanager
def lock(folder: pathlib.Path) -> Iterator[Lock]:
    """Holds a folder against everybody else who asks in the same way.

    Args:
      folder: The folder; made if there is none.

    Raises:
      ValueError: Another process holds it, and goes on holding it.
      OSError: The folder cannot be made, opened or written to.
    """
    way = _local_lock if isinstance(folder, pathlib.Path) else _lease
    with way(folder) as held:
        _held[str(folder)] = held
        try:
            yield held
        finally:
            _held.pop(str(folder), None)


def check_held(folder: pathlib.Path) -> None:
    """Makes sure that this process still holds a folder, before what cannot be undone.

    Raises:
      ValueError: Somebody else has taken the lock over.
    """
    if str(folder) in _held:
        _held[str(folder)].check()


def _held_by_another(folder: Any) -> ValueError:
    return ValueError(
        f"another conversion writes to {folder}; wait for its end, or choose another "
        "--output_dir"
    )


@contextlib.contextmanager
def _local_lock(folder: pathlib.Path) -> Iterator[Lock]:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (descriptor := _locked(folder)) is None:
        if time.monotonic() > deadline:
            raise _held_by_another(folder)
        time.sleep(_LOCAL_POLL_SECONDS)
    try:
        yield Lock()
    finally:
        # A forked worker has the same lock: closing it here alone would leave it there.
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _locked(folder: pathlib.Path) -> int | None:
    """A descriptor of the folder with the lock on it; None if another has it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _flock(descriptor, folder) and _is_still(folder, descriptor):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _flock(descriptor: int, folder: pathlib.Path) -> bool:
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
        else:
            return True
    print(
        f"tfdicom: {folder} is on a file system that knows no locks: make sure that "
        "no other conversion writes there",
        file=sys.stderr,
    )
    return True


def _is_still(folder: pathlib.Path, descriptor: int) -> bool:
    """Whether the name is that of the folder that was opened, not of a newer one."""
    try:
        return os.path.samestat(os.stat(folder), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _lease(folder: Any) -> Iterator[Lock]:
    lease = Lease(folder)
    lease.acquire()
    ended = threading.Event()
    renewal = threading.Thread(
        target=lease.renew_until, args=(ended,), name="tfdicom-lock", daemon=True
    )
    renewal.start()
    try:
        yield lease
    finally:
        ended.set()
        renewal.join()
        lease.release()


class Lease(Lock):
    """A lock in a remote store."""

    def __init__(self, folder: Any, *, clock: Callable[[], float] = time.monotonic):
        """Asks for nothing yet.

        Args:
          folder: A ``UPath``.
          clock: Seconds, of this process.
        """
        self._folder = folder
        self._fs = folder.fs
        self._path = f"{folder.path.rstrip('/')}/{LOCK}"
        self._token = uuid.uuid4().hex.encode()
        self._clock = clock
        self._renewed = 0.0
        self._lost = False

    def acquire(self) -> None:
        """Waits for the lease and takes it.

        A holder that is alive renews it: who sees that gives up. One that was killed
        does not: its lease is taken over when it has expired.

        Raises:
          ValueError: Another process holds it.
          OSError: The store does not answer.
        """
        if stores.has_folders(self._folder):
            with stores.told(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
        start, told = self._clock(), False
        first = self._modified()
        while not self._create():
            found = self._modified()
            waited = self._clock() - start
            if found is None:
                continue  # released since
            first = found if first is None else first
            if waited > _PATIENCE_SECONDS:
                if found != first:
                    raise _held_by_another(self._folder)
                if not told:
                    self._tell_waiting()
                    told = True
                if self._age(found) > EXPIRY_SECONDS and self._take_over(found):
                    return
            if waited > 2 * EXPIRY_SECONDS:
                raise _held_by_another(self._folder)
            time.sleep(_REMOTE_POLL_SECONDS)

    def _tell_waiting(self) -> None:
        print(
            f"tfdicom: {self._folder} is locked; waiting up to {EXPIRY_SECONDS:.0f} s "
            "to see whether the conversion that locked it is alive",
            file=sys.stderr,
        )

    def check(self) -> None:
        """Makes sure that it is still held, by looking.

        Raises:
          ValueError: Somebody else has taken it over.
          OSError: The store does not answer.
        """
        if self._lost or self._read() != self._token:
            raise ValueError(
                f"another conversion has taken over {self._folder}: this one could not "
                f"renew its lock for {EXPIRY_SECONDS:.0f} s; run it again when the "
                "other has ended"
            )

    def renew_until(self, ended: threading.Event) -> None:
        """Renews the lease now and then; a store that does not answer is asked again.

        Args:
          ended: Ends this, too.
        """
        while not ended.wait(RENEWAL_SECONDS) and not self._lost:
            with contextlib.suppress(Exception):
                self._renew()
            self._lost |= self._clock() - self._renewed > EXPIRY_SECONDS

    def _renew(self) -> None:
        if self._read() != self._token:
            self._lost = True
            return
        self._write(self._path, self._token)
        self._renewed = self._clock()

    def release(self) -> None:
        """Removes the object, unless it has become somebody else's."""
        with contextlib.suppress(OSError):
            if self._read() == self._token:
                self._remove(self._path)

    def _create(self) -> bool:
        """Whether the lease is ours; False if there is one."""
        try:
            self._write(self._path, self._token, mode="create")
        except FileExistsError:
            return False
        self._renewed = self._clock()
        # Two may have created it, where the store looks first and writes then, or one
        # may have removed ours for the old one.
        time.sleep(_SETTLE_SECONDS)
        return self._read() == self._token

    def _take_over(self, found: Any) -> bool:
        if self._modified() == found:
            with contextlib.suppress(FileNotFoundError):
                self._remove(self._path)
        return self._create()

    def _read(self) -> bytes | None:
        try:
            with stores.told(self._folder):
                return self._fs.cat_file(self._path)
        except FileNotFoundError:
            return None

    def _write(self, path: str, content: bytes, **how: str) -> None:
        with stores.told(self._folder):
            self._fs.pipe_file(path, content, **how)

    def _remove(self, path: str) -> None:
        with stores.told(self._folder):
            self._fs.rm_file(path)

    def _modified(self, path: str | None = None) -> Any:
        """When an object changed last, by the store's clock; None if there is none."""
        path = path or self._path
        self._fs.invalidate_cache(path.rpartition("/")[0])
        try:
            with stores.told(self._folder):
                return self._fs.modified(path)
        except FileNotFoundError:
            return None

    def _age(self, changed: Any) -> float:
        """Seconds since then, by the store's clock: that of an object made now."""
        fresh = f"{self._path}-{uuid.uuid4().hex[:8]}"
        self._write(fresh, b"")
        try:
            now = self._modified(fresh)
        finally:
            with contextlib.suppress(OSError):
                self._remove(fresh)
        return (now - changed).total_seconds() if now else 0.0
