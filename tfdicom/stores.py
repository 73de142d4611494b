"""What is known of the places where files lie: by the scheme of their paths."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import logging
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

LOCAL_SCHEMES = ("file://", "local://")
# An object is there when its upload has ended, or not at all; and it lies in no folder.
_OBJECT_STORES = frozenset(
    {"abfs", "abfss", "az", "gcs", "gs", "memory", "oci", "oss", "r2", "s3", "s3a"}
)
# Other processes write, too: what was listed before tells nothing.
_FRESH = {"use_listings_cache": False}
# Clients that say where they found credentials, each time.
_TALKATIVE = ("botocore", "aiobotocore")
# Which extra of this package brings the client of a store.
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
# Uploads in pieces hold this much in memory, not hundreds of MB for each worker.
_PIECE = 8 << 20
_UPLOAD: dict[str, Mapping[str, int]] = {
    "s3": {"chunksize": _PIECE, "max_concurrency": 2},
    "s3a": {"chunksize": _PIECE, "max_concurrency": 2},
    "gs": {"chunksize": _PIECE},
    "gcs": {"chunksize": _PIECE},
}
# Errors of clients that may come without a number.
_KINDS = {
    FileNotFoundError: errno.ENOENT,
    FileExistsError: errno.EEXIST,
    PermissionError: errno.EACCES,
    TimeoutError: errno.ETIMEDOUT,
}
_BUCKETS = ("bucket", "container")
_OF_THIS_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TO_CHECK = {
    **dict.fromkeys(
        ("s3", "s3a"),
        "the bucket's name, the credentials (AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or ~/.aws) and the endpoint (AWS_ENDPOINT_URL)",
    ),
    **dict.fromkeys(
        ("gs", "gcs"),
        "the bucket's name and the login (gcloud auth application-default login)",
    ),
}
# What tells one content of an object from another, by the names that stores use.
_VERSIONS = (
    "ETag",
    "etag",
    "generation",
    "mtime",
    "last_modified",
    "LastModified",
    "updated",
    "modified",
    "created",
)


@dataclasses.dataclass(frozen=True)
class RemoteFact:
    """What a listing tells of a file.

    Attributes:
      size: Bytes.
      version: Another text for another content; empty where the store tells none.
    """

    size: int
    version: str


def scheme(path: Any) -> str:
    """The scheme of a path; empty for a local one."""
    return "" if isinstance(path, pathlib.Path) else path.protocol


def has_folders(path: Any) -> bool:
    """Whether files lie in folders there, which have to be made."""
    return scheme(path) not in _OBJECT_STORES


def writes_whole(path: Any) -> bool:
    """Whether a file appears there only when it has been written to its end."""
    return scheme(path) in _OBJECT_STORES


def is_of_one_process(path: Any) -> bool:
    """Whether other processes see nothing of what lies there."""
    return scheme(path) == "memory"


def upload_options(path: Any) -> Mapping[str, Any]:
    """Keywords of ``put_file`` with which it needs little memory."""
    return _UPLOAD.get(scheme(path), {})


def remote_path(text: str) -> Any:
    """A ``UPath`` whose store can be asked.

    Raises:
      ValueError: The scheme is unknown, or its client is not installed.
    """
    import upath  # costs 0.1 s, and most paths are local

    kind = text.partition("://")[0]
    options: dict[str, Any] = _FRESH if kind in _OBJECT_STORES else {}
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        path: Any = upath.UPath(text, **options)
        _ = path.fs
    except ImportError as error:
        extra = _EXTRAS.get(kind)
        wanted = f"pip install 'tfdicom[{extra}]'" if extra else str(error)
        raise ValueError(
            f"{text}: {kind}:// needs one more package: {wanted}"
        ) from error
    except ValueError as error:
        raise ValueError(f"{text}: the scheme {kind}:// is not known") from error
    return path


@functools.lru_cache(maxsize=1)
def facts(folder: Any) -> Mapping[str, RemoteFact]:
    """As ``listed``; the last one is remembered until ``facts.cache_clear``.

    Raises:
      OSError: It cannot be listed.
    """
    return listed(folder)


def listed(folder: Any) -> Mapping[str, RemoteFact]:
    """What lies below a remote folder, by relative path with ``/``; one listing.

    Raises:
      OSError: It cannot be listed.
    """
    with told(folder):
        folder.fs.invalidate_cache()
        # No patterns: [ is one to glob.
        found = folder.fs.find(folder.path, detail=True)
    return {
        path.removeprefix(folder.path).lstrip("/"): fact_of(info)
        for path, info in found.items()
    }


def fact_of(info: Mapping[str, Any]) -> RemoteFact:
    """What a store tells of a file."""
    version = next((info[name] for name in _VERSIONS if info.get(name)), "")
    return RemoteFact(int(info["size"] or 0), str(version))


@contextlib.contextmanager
def told(path: Any) -> Iterator[None]:
    """Turns what clients of stores raise into an ``OSError`` that says what to check.

    It names the path. Whatever asks a store goes through here: clients have errors of
    their own, which are no ``OSError`` where a store cannot be reached.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno in _OF_THIS_MACHINE:
            raise
        number = error.errno or _number_of(error)
        raise OSError(number, _words(error, number, path), str(path)) from error
    except ValueError:
        raise
    except Exception as error:  # each client has errors of its own
        words = _words(error, errno.EIO, path)
        raise OSError(errno.EIO, words, str(path)) from error


def _number_of(error: OSError) -> int:
    return next((_KINDS[kind] for kind in _KINDS if isinstance(error, kind)), errno.EIO)


def _words(error: Exception, number: int, path: Any) -> str:
    """What happened, in the words of the system and of the store, and what to check."""
    usual = os.strerror(number)
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if number in (errno.ENOENT, errno.EEXIST) and not _is_of_bucket(said, path):
        return usual
    what = usual if number != errno.EIO else "the store does not answer as it should"
    hint = _TO_CHECK.get(scheme(path), "the address, the credentials and the network")
    return f"{what} ({type(error).__name__}: {said}); check {hint}"


def _is_of_bucket(said: str, path: Any) -> bool:
    """Whether it is the bucket that is not there, and not just a file in it."""
    own = path.path.strip("/")
    named = said in own or own in said
    return not named and any(one in said.lower() for one in _BUCKETS)
