"""The only place that opens files: local or remote, written whole or not at all.

Paths are text; with a scheme (``gs://``, ``s3://``) they go through fsspec by
universal_pathlib, without one they are local.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pathlib
import secrets
import shutil
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, cast

from tfdicom import remote_files, stores, temporary_folders
from tfdicom.folder_lock import check_held as check_held
from tfdicom.folder_lock import lock as lock

#: Size of a file, and what is another after a change.
Stamp = tuple[int, int | str]

_CHUNK = 1 << 20
PARTIAL = ".partial"  # ending of a file that is being written

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def path_of(text: str | os.PathLike) -> pathlib.Path:
    """A path object for local text, or a ``UPath`` for text with a scheme.

    Raises:
      ValueError: The scheme is unknown, or its client is not installed.
    """
    if not isinstance(text, (str, os.PathLike)):
        return text  # a remote UPath is no PathLike
    name = os.fspath(text)
    for local in stores.LOCAL_SCHEMES:
        name = name.removeprefix(local)
    if "://" not in name:
        return pathlib.Path(name).expanduser()
    return stores.remote_path(name)


def is_folder(folder: pathlib.Path) -> bool:
    """Whether it is there, and a folder; where there are none, whether a file is in it.

    Raises:
      OSError: The store does not answer.
    """
    if isinstance(folder, pathlib.Path):
        return folder.is_dir()
    with stores.told(folder):
        return folder.is_dir()


def exists(path: pathlib.Path) -> bool:
    """Whether it is there.

    Raises:
      OSError: The store does not answer.
    """
    if isinstance(path, pathlib.Path):
        return path.exists()
    with stores.told(path):
        return path.exists()


def matching(folder: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    """What lies in a folder under such a name; nothing where there is no folder.

    Raises:
      OSError: The store does not answer.
    """
    if isinstance(folder, pathlib.Path):
        return list(folder.glob(pattern))
    with stores.told(folder):
        return list(folder.glob(pattern))


def remove(path: pathlib.Path) -> None:
    """Removes a file, if it is there.

    Raises:
      OSError: It cannot be removed.
    """
    if isinstance(path, pathlib.Path):
        path.unlink(missing_ok=True)
        return
    with stores.told(path):
        path.unlink(missing_ok=True)


def remove_folder(folder: pathlib.Path) -> None:
    """Removes a folder that is empty; where files lie in none, there is none.

    Raises:
      OSError: It is not empty, or not there.
    """
    if isinstance(folder, pathlib.Path):
        folder.rmdir()
    elif stores.has_folders(folder):
        with stores.told(folder):
            folder.fs.rmdir(folder.path)  # a UPath's own takes all that is in it


def text_of(path: str | os.PathLike) -> str:
    """The text that ``path_of`` makes a path of."""
    is_local = isinstance(path, (str, os.PathLike))  # a remote UPath is no PathLike
    return os.fspath(path) if is_local else str(path)


def cache_folder() -> pathlib.Path:
    """Where this user's copies of what can be had again are kept."""
    usual = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(usual).expanduser() / "tfdicom"


def make_folder(folder: pathlib.Path) -> None:
    """Makes a folder and those above it, where files lie in folders.

    Raises:
      OSError: It cannot be made.
    """
    if isinstance(folder, pathlib.Path):
        folder.mkdir(parents=True, exist_ok=True)
    elif stores.has_folders(folder):  # would make a bucket elsewhere
        with stores.told(folder):
            folder.mkdir(parents=True, exist_ok=True)


def opened(path: pathlib.Path, *, buffering: int = -1) -> BinaryIO:
    """Opens a file for reading; of a remote one only what is read is fetched."""
    if isinstance(path, pathlib.Path):
        return cast(BinaryIO, path.open("rb", buffering))
    return cast(BinaryIO, remote_files.opened(path))


def stamp(path: pathlib.Path) -> Stamp:
    """What tells whether a file has changed.

    Raises:
      OSError: It cannot be looked at.
    """
    near = path if isinstance(path, pathlib.Path) else remote_files.copy_of(path)
    if near is not None:
        status = near.stat()
        return status.st_size, status.st_mtime_ns
    remote: Any = path
    with stores.told(path):
        fact = stores.fact_of(remote.fs.info(remote.path))
    return fact.size, fact.version


def read_bytes(path: pathlib.Path) -> bytes:
    """The whole content of a file."""
    with opened(path) as file:
        return file.read()


@contextlib.contextmanager
def written_whole(path: pathlib.Path) -> Iterator[IO[bytes]]:
    """Opens a file for writing that appears under its name only when it is complete.

    Local bytes go to a temporary name of their own beside it, are flushed to the disk,
    and are renamed into view. Remote ones are gathered in a temporary file of this
    machine and uploaded at the end. After an exception nothing is left.
    """
    if isinstance(path, pathlib.Path):
        temporary = _beside(path)
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException as error:
            if isinstance(error, OSError) and error.errno in _DISK_FULL:
                error.filename = error.filename or str(path)  # a write names no file
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        return
    with temporary_folders.folder() as folder:
        near = folder / "whole"
        with near.open("wb") as file:
            yield file
        _upload(str(near), path)


def _beside(path: pathlib.Path) -> pathlib.Path:
    """A name for what is to become a file: of this writer alone, if there are two."""
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTIAL}")


def _upload(near: str, path: Any) -> None:
    """Uploads a file, whole or not at all."""
    options = stores.upload_options(path)
    with stores.told(path):
        if stores.writes_whole(path):
            path.fs.put_file(near, path.path, **options)
            return
        temporary: Any = _beside(path)
        try:
            path.fs.put_file(near, temporary.path, **options)
            move(temporary, path)
        except BaseException:
            with contextlib.suppress(Exception):
                temporary.fs.rm_file(temporary.path)
            raise


def remove_tree(folder: pathlib.Path) -> None:
    """Removes a folder with all that is in it, as far as it is there and can be."""
    if isinstance(folder, pathlib.Path):
        shutil.rmtree(folder, ignore_errors=True)
        return
    remote: Any = folder
    with contextlib.suppress(OSError), stores.told(folder):
        remote.fs.rm(remote.path, recursive=True)


def move(source: pathlib.Path, target: pathlib.Path) -> None:
    """Renames a file; one that has the new name already is replaced."""
    if isinstance(source, pathlib.Path):
        source.replace(target)
        return
    remote: Any = source
    to: Any = target
    with stores.told(source):
        if stores.has_folders(source):
            remote.fs.mv(remote.path, to.path)
        else:  # nothing is renamed there
            remote.fs.cp_file(remote.path, to.path)
            remote.fs.rm_file(remote.path)


def read_text(path: pathlib.Path, *, flag: str = "") -> str:
    """Reads UTF-8 text, with or without a byte order mark.

    Args:
      path: The file.
      flag: The flag that names it, as ``--split``, for messages.

    Raises:
      ValueError: It cannot be opened, is text of another encoding, or none.
    """
    named = f"{flag}: {path}" if flag else f"{path}"
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{named} should be UTF-8 text: {error}") from None
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"{named} cannot be read: {reason}") from error


def sha256_of(path: pathlib.Path) -> str:
    """SHA-256 of a whole file, hexadecimal."""
    digest = hashlib.sha256()
    with opened(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes UTF-8 text, whole or not at all."""
    with written_whole(path) as file:
        file.write(text.encode())


def sizes(folder: pathlib.Path) -> dict[str, int]:
    """Bytes of each file that lies in a folder, by name; one listing.

    Raises:
      OSError: The folder cannot be listed.
    """
    if isinstance(folder, pathlib.Path):
        found: dict[str, int] = {}
        with os.scandir(folder) as entries:
            for one in entries:
                with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
                    if one.is_file():
                        found[one.name] = one.stat().st_size
        return found
    remote: Any = folder
    with stores.told(folder):
        listed = remote.fs.ls(remote.path, detail=True, refresh=True)
    return {
        str(one["name"]).rpartition("/")[2]: int(one["size"] or 0)
        for one in listed
        if one["type"] == "file"
    }


def walk(folder: pathlib.Path) -> list[str]:
    """Every file below a folder, as sorted relative paths with ``/``.

    Symbolic links to folders are followed; a folder met a second time is not entered.

    Raises:
      OSError: A folder cannot be listed.
    """
    if not isinstance(folder, pathlib.Path):
        stores.facts.cache_clear()
        return sorted(stores.facts(folder))
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    for base, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        folders.sort()  # which name of a folder comes first depends on no disk
        status = os.stat(base)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        prefix = pathlib.Path(base).relative_to(folder).as_posix()
        found.extend(name if prefix == "." else f"{prefix}/{name}" for name in names)
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error
