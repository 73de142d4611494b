"""What source files hold, as size and checksum, so that a change is noticed.

A checksum that was taken before is taken again only where size or time of the file have
changed. What is known is kept in the user's cache folder, beside the headers, because
it names files; without it every file is read once more, nothing else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import IO

import google_crc32c

from tfdicom import files, stores
from tfdicom.deidentify import Pseudonyms
from tfdicom.stores import RemoteFact

_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class FileContent:
    """What a file held: bytes, CRC-32C, and time of its last change (0: unknown)."""

    size: int
    checksum: int
    changed: int = 0

    def digest(self, pseudonyms: Pseudonyms) -> str:
        """Equal where the same bytes were held; without the key, it tells nothing."""
        return pseudonyms.of("content", str(self.size), str(self.checksum))[:16]


def content_of(path: pathlib.Path) -> FileContent:
    """Reads a whole file.

    Raises:
      OSError: It cannot be read.
    """
    size = checksum = 0
    with files.opened(path) as file:
        changed = _changed(file, path)
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            checksum = google_crc32c.extend(checksum, chunk)
    return FileContent(size, checksum, changed)


def _changed(file: IO[bytes], path: pathlib.Path) -> int:
    if not isinstance(path, pathlib.Path):
        return 0  # it takes one more request; a listing tells it of all
    return os.fstat(file.fileno()).st_mtime_ns


def _version_number(fact: RemoteFact | None) -> int:
    """As a time of a change: another number for another content; 0 if unknown."""
    if fact is None or not fact.version:
        return 0
    return int.from_bytes(hashlib.sha256(fact.version.encode()).digest()[:7])


class SourceContents:
    """Contents of source files that were read before, by relative path."""

    def __init__(self, folder: pathlib.Path, journal: pathlib.Path | None) -> None:
        """Reads the journal.

        Args:
          folder: The input folder.
          journal: File that keeps what is known; None for none.
        """
        self._folder, self._journal = folder, journal
        self._known = _read_journal(journal)
        self._facts: Mapping[str, RemoteFact] = {}
        if not isinstance(folder, pathlib.Path):
            self._facts = stores.facts(folder)

    def content(self, path: str) -> FileContent:
        """The content of a file, read only where it has changed since.

        Raises:
          OSError: It cannot be read.
        """
        known = self._known.get(path)
        full = self._folder / path
        if known and known.changed and self._stamp(path) == (known.size, known.changed):
            return known
        found = content_of(full)
        self.add({path: found})
        return found

    def _stamp(self, path: str) -> tuple[int, int]:
        """Size and time of the last change."""
        full = self._folder / path
        if isinstance(full, pathlib.Path):
            status = full.stat()
            return status.st_size, status.st_mtime_ns
        fact = self._facts.get(path)
        return (fact.size if fact else -1), _version_number(fact)

    def add(self, contents: Mapping[str, FileContent]) -> None:
        """Keeps contents; a disk that is full is no failure."""
        if self._facts:  # listed before they were read: never newer than the content
            contents = {
                path: dataclasses.replace(one, changed=self._stamp(path)[1])
                for path, one in contents.items()
            }
        new = {
            path: one
            for path, one in contents.items()
            if one.changed and self._known.get(path) != one
        }
        self._known.update(new)
        if self._journal is None or not new:
            return
        with contextlib.suppress(OSError):
            self._journal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with os.fdopen(os.open(self._journal, flags, 0o600), "w") as file:
                for path, one in new.items():
                    row = [path, one.size, one.checksum, one.changed]
                    file.write(json.dumps(row) + "\n")


def _read_journal(journal: pathlib.Path | None) -> dict[str, FileContent]:
    """What was written; the last line of a path counts, and one cut off is nothing."""
    known: dict[str, FileContent] = {}
    if journal is None:
        return known
    with (
        contextlib.suppress(OSError),
        journal.open(encoding="utf-8", errors="replace") as file,
    ):
        for line in file:
            with contextlib.suppress(ValueError, TypeError):
                path, *figures = json.loads(line)
                known[path] = FileContent(*map(int, figures))
    return known


def journal_path(header_cache: pathlib.Path | None) -> pathlib.Path | None:
    """Where the contents are kept: beside the file with the headers."""
    if header_cache is None:
        return None
    return header_cache.with_name(header_cache.name.replace("headers", "contents", 1))
