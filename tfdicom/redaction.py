"""Prints without names: files and patients appear by pseudonym.

What a conversion prints comes from many places, so it is changed at the one place where
it leaves the process: while ``redacted_output`` lasts, standard output and standard
error go through a ``Redactor``. It knows what the conversion has found so far, which is
why the stages tell it of files and identifiers (``note_files``, ``note_identifiers``);
at other times that does nothing.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import secrets
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from tfdicom.byte_search import ByteSearch
from tfdicom.deidentify import Pseudonyms
from tfdicom.frame_headers import FrameHeader

_LEAST = 4
_INPUT = "INPUT_DIR"
# Names of folders that say what is in them, and of whom no.
_PLAIN = frozenset("dicom dicoms images masks contours contourfiles labels".split())


class Redactor:
    """Replaces names of files and identifiers in texts by their pseudonyms."""

    def __init__(self) -> None:
        """Knows nothing yet."""
        # Where no key is made, what is printed can be linked with nothing.
        self.pseudonyms = Pseudonyms(secrets.token_bytes(32))
        self._names: dict[bytes, str] = {}
        self._short: dict[str, str] = {}
        self._search: ByteSearch | None = None

    def add(self, text: str, shown: str) -> None:
        """Shows a text as another from now on; the first that was given stays."""
        if len(text) >= _LEAST:
            self._names.setdefault(_bytes(text).lower(), shown)
            self._search = None
        elif text.strip():
            self._short.setdefault(text, shown)

    def add_files(self, folder: pathlib.Path, paths: Iterable[str]) -> None:
        """Adds files below a folder, their folders, and the names of both."""
        for text in (str(folder.absolute()), str(folder.resolve()), str(folder)):
            self.add(text.rstrip("/"), _INPUT)
        names: dict[str, str] = {}
        for path in paths:
            parts = path.split("/")
            candidate = self.pseudonyms.of("candidate", path)
            self.add(path, candidate)
            names.setdefault(parts[-1], f"file-{candidate[:12]}")
            for count in range(1, len(parts)):
                parent = "/".join(parts[:count])
                shown = f"folder-{self.pseudonyms.of('folder', parent)[:12]}"
                self.add(parent, shown)
                names.setdefault(parts[count - 1], shown)
        for name, shown in names.items():
            if len(name) >= _LEAST and name not in _PLAIN:
                self.add(name, shown)

    def text(self, text: str) -> str:
        """The text, with pseudonyms for all that is known."""
        if self._search is None:
            self._search = ByteSearch(self._names, width=_LEAST)
        data = _bytes(text)
        parts, end = [], 0
        found = sorted(self._search.find(data), key=lambda one: (one[0], -len(one[1])))
        for start, name in found:
            if start >= end and _is_whole(data, start, start + len(name)):
                parts += [data[end:start], self._names[name].encode()]
                end = start + len(name)
        parts.append(data[end:])
        whole = b"".join(parts).decode(errors="surrogateescape")
        for short, shown in self._short.items():
            # A number may be a count; in quotes it is none.
            quoted = short.isdigit()
            pattern = rf"'{short}'" if quoted else rf"(?<!\w){re.escape(short)}(?!\w)"
            whole = re.sub(pattern, f"'{shown}'" if quoted else shown, whole)
        return whole

    def change(self, error: BaseException) -> None:
        """Changes what an error, and those behind it, say."""
        seen: set[int] = set()
        one: BaseException | None = error
        while one is not None and id(one) not in seen:
            seen.add(id(one))
            one.args = tuple(self._changed(value) for value in one.args)
            if isinstance(one, OSError):
                one.filename = self._changed(one.filename)
                if one.filename2 is not None:  # None would be shown
                    one.filename2 = self._changed(one.filename2)
                one.strerror = self._changed(one.strerror)
            one = one.__cause__ or one.__context__

    def _changed(self, value: Any) -> Any:
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        return self.text(value) if isinstance(value, str) else value


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _is_whole(data: bytes, start: int, end: int) -> bool:
    """Whether no letter or digit goes on before or after."""
    around = (data[max(start - 1, 0) : start], data[end : end + 1])
    return not any(one.isalnum() for one in around)


class _Redacted:
    """A stream whose text is changed on its way."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        self._stream, self._redactor = stream, redactor

    def write(self, text: str) -> int:
        self._stream.write(self._redactor.text(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


# The one of this process, while there is one: what is printed is the process's too.
_active: Redactor | None = None


@contextlib.contextmanager
def redacted_output() -> Iterator[Redactor]:
    """Changes what is printed, and what errors say, while it lasts."""
    global _active
    redactor = Redactor()
    streams = sys.stdout, sys.stderr
    changed: Any = tuple(_Redacted(one, redactor) for one in streams)
    _active, (sys.stdout, sys.stderr) = redactor, changed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries: they quote values
            yield redactor
    except BaseException as error:
        redactor.change(error)
        raise
    finally:
        _active, (sys.stdout, sys.stderr) = None, streams


def note_key(pseudonyms: Pseudonyms) -> None:
    """Tells of the pseudonyms that the data set will have."""
    if _active is not None and pseudonyms.key:
        _active.pseudonyms = pseudonyms


def note_files(folder: pathlib.Path, paths: Iterable[str]) -> None:
    """Tells of the files of an input folder."""
    if _active is not None:
        _active.add_files(folder, paths)


def note_headers(headers: Iterable[FrameHeader]) -> None:
    """Tells of the identifiers that headers hold."""
    if _active is None:
        return
    headers = list(headers)
    note_identifiers("patient", (one.patient_id for one in headers))
    for kind in ("study", "series", "instance"):
        note_identifiers(kind, (getattr(one, kind) for one in headers))


def note_identifiers(kind: str, identifiers: Iterable[str]) -> None:
    """Tells of identifiers of a kind, as ``Pseudonyms.of`` names it."""
    if _active is not None:
        for one in set(identifiers):
            _active.add(one, _active.pseudonyms.of(kind, one))
