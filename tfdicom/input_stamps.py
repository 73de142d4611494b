"""What tells whether a source file changes while it is converted.

A plan is made of headers, and says where in a file the pixels lie. A file that another
one replaces before they are read would be read at the wrong place: so each is compared
with what it was when the input folder was listed. A stamp is eight bytes of a digest of
size and time of the last change, or of the version that a store gives.
"""

from __future__ import annotations

import bisect
import hashlib
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tfdicom import stores
from tfdicom.stores import RemoteFact

_BYTES = 8
#: Of a file that cannot be looked at, or of whose changes a store tells nothing.
UNKNOWN = bytes(_BYTES)
_TOGETHER = 32  # requests


class InputStamps:
    """The stamp of each file of an input folder, in eight bytes."""

    def __init__(self, folder: pathlib.Path, paths: Sequence[str]) -> None:
        """Takes them now, or as the last listing of a remote folder told.

        Args:
          folder: The input folder.
          paths: The files, relative, sorted.
        """
        self._paths = paths
        facts: Mapping[str, RemoteFact] = {}
        if not isinstance(folder, pathlib.Path):
            facts = stores.facts(folder)
        self._stamps = b"".join(_taken(folder, path, facts) for path in paths)

    def of(self, path: str) -> bytes:
        """The stamp of a file; ``UNKNOWN`` of others."""
        at = bisect.bisect_left(self._paths, path)
        if at == len(self._paths) or self._paths[at] != path:
            return UNKNOWN
        return self._stamps[at * _BYTES : (at + 1) * _BYTES]

    def joined(self, paths: Iterable[str]) -> bytes:
        """The stamps of files, one after the other."""
        return b"".join(map(self.of, paths))


def _taken(folder: pathlib.Path, path: str, facts: Mapping[str, RemoteFact]) -> bytes:
    if isinstance(folder, pathlib.Path):
        return _local(folder / path)
    fact = facts.get(path)
    return stamp(fact.size, fact.version) if fact else UNKNOWN


def stamp(size: int, version: int | str) -> bytes:
    """The stamp of a file.

    Args:
      size: Bytes.
      version: Time of the last change in nanoseconds, or the version that a store
        gives; ``UNKNOWN`` without.
    """
    if version == "":
        return UNKNOWN
    told = f"{size} {version}".encode()
    return hashlib.blake2b(told, digest_size=_BYTES).digest()


def _local(path: pathlib.Path) -> bytes:
    try:
        status = path.stat()
    except OSError:
        return UNKNOWN
    return stamp(status.st_size, status.st_mtime_ns)


def by_path(paths: Sequence[str], joined: bytes) -> dict[str, bytes]:
    """What ``InputStamps.joined`` gave, without those that are not known."""
    places = range(0, len(joined), _BYTES)
    stamps = (joined[at : at + _BYTES] for at in places)
    return {
        path: one
        for path, one in zip(paths, stamps, strict=bool(joined))
        if one != UNKNOWN
    }


def changed(folder: pathlib.Path, before: Mapping[str, bytes]) -> list[str]:
    """The files that are others by now, or gone.

    Args:
      folder: The input folder.
      before: Stamps by relative path.

    Raises:
      OSError: A store does not answer.
    """
    if isinstance(folder, pathlib.Path):
        return [path for path, one in before.items() if _local(folder / path) != one]
    with ThreadPoolExecutor(_TOGETHER) as pool:
        asked = pool.map(_remote, (folder / path for path in before))
        now = dict(zip(before, asked, strict=True))
    if now != before:  # some stores tell of a file another thing than of its folder
        facts = stores.listed(folder)
        now |= {
            path: _taken(folder, path, facts)
            for path, one in before.items()
            if now[path] != one
        }
    return [path for path, one in before.items() if now[path] != one]


def refuse(folder: pathlib.Path, changed: Sequence[str]) -> None:
    """Refuses files that are not those whose headers were read.

    Raises:
      ValueError: There are some.
    """
    if changed:
        others = f" and {len(changed) - 1} more files" if len(changed) > 1 else ""
        raise ValueError(
            f"{folder / changed[0]}{others}: changed while converting; run it again "
            "when nothing writes to the input folder any more"
        )


def _remote(path: Any) -> bytes:
    """The stamp of the file in the store, whatever copy of it is at hand."""
    try:
        with stores.told(path):
            fact = stores.fact_of(path.fs.info(path.path))
    except FileNotFoundError:
        return UNKNOWN
    return stamp(fact.size, fact.version)
