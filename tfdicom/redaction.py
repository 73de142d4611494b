"""Prints without names: files, patients and structures appear by pseudonym.

What a conversion prints comes from many places, so it is changed at the one place where
it leaves the process: while ``redacted_output`` lasts, standard output and standard
error go through a ``Redactor``, from before the flags are read until after the last
error is told. It knows the command line and the tables that it names; what a conversion
finds, the stages tell it (``note_files``, ``note_identifiers``), which at other times
does nothing. What is quoted and not made of plain words is hidden whoever quotes it.
"""

from __future__ import annotations

import contextlib
import csv
import io
import logging
import os
import pathlib
import re
import secrets
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from tfdicom import files
from tfdicom.byte_search import ByteSearch
from tfdicom.command_line import values_of
from tfdicom.deidentify import Pseudonyms
from tfdicom.frame_headers import FrameHeader
from tfdicom.plain_words import is_plain, words_of

_LEAST = 4
_INPUT = "INPUT_DIR"
# Names of folders that say what is in them, and of whom no.
_PLAIN = frozenset("dicom dicoms images masks contours contourfiles labels".split())
# Flags whose values are words of the user's own, which stand in the data set too.
_OWN_WORDS = frozenset("classes structures mask_values".split())
_QUOTED = re.compile(r"""(?<!\w)(?:'([^'\n]+)'|"([^"\n]+)")(?!\w)""")
_PSEUDONYM = re.compile(r"\b(?:[0-9a-f]{32}|(?:file|folder|text)-[0-9a-f]{12})\b")
_LEAST_FOLDERS = 2  # of a path that is more than a disk
_LONGEST_TABLE = 64 << 20

#: A text to show, or kind and identifier of which the pseudonym is shown.
_Shown = str | tuple[str, str]


class Redactor:
    """Replaces names of files and identifiers in texts by their pseudonyms."""

    def __init__(self) -> None:
        """Knows nothing yet."""
        # Where no key is made, what is printed can be linked with nothing.
        self.pseudonyms = Pseudonyms(secrets.token_bytes(32))
        self._names: dict[bytes, _Shown] = {}
        self._short: dict[str, _Shown] = {}
        self._words: set[str] = set()
        self._flags: set[str] = set()
        self._search: ByteSearch | None = None

    def add(self, text: str, shown: _Shown) -> None:
        """Shows a text as another from now on; the first that was given stays."""
        if len(text) >= _LEAST:
            self._names.setdefault(_bytes(text).lower(), shown)
            self._search = None
        elif text.strip():
            self._short.setdefault(text, shown)

    def add_arguments(self, arguments: Iterable[str]) -> None:
        """Adds what a command line names: places, patients, cells of tables."""
        values = list(values_of(arguments))
        for flag, value in values:
            self._words.update(words_of(value) if flag in _OWN_WORDS else ())
            if flag == "split" and not value.endswith(".csv"):
                self._add_splits(value)
        for flag, value in values:
            kind, colon, path = value.partition(":")
            path = path if colon and kind in ("csv", "folder") else value
            self._flags.add(flag.upper())
            if flag == "withdraw":
                self.add(value, ("patient", value))
            if len(path) >= _LEAST and not self._is_plain(path):
                self.add(path, flag.upper())
            if "/" in path or path.endswith(".csv"):
                self._add_place(path, flag.upper())
            if path.endswith(".csv"):
                self.add_table(files.path_of(path))

    def _add_splits(self, text: str) -> None:
        """Names of splits are plain; of patients that are named, none is."""
        for part in text.split(","):
            name, colon, whose = part.partition(":")
            self._words.update(words_of(name) if colon else ())
            for patient in whose.split("+"):
                if not self._is_plain(patient):
                    self.add(patient, ("patient", patient))

    def _add_place(self, path: str, shown: str) -> None:
        """A path, from the root too, and the folders above it."""
        if "://" in path:
            return
        local = pathlib.Path(path).expanduser()
        for whole in (local.absolute(), local.resolve()):
            for up, folder in enumerate((whole, *whole.parents)):
                if len(folder.parts) > _LEAST_FOLDERS:
                    self.add(str(folder), shown + "/.." * up)

    def add_table(self, path: pathlib.Path) -> None:
        """Adds the cells of a table, which may name patients, but plain words."""
        try:
            if path.stat().st_size > _LONGEST_TABLE:
                return
            text = files.read_bytes(path).decode(errors="surrogateescape")
            rows = list(csv.reader(io.StringIO(text)))
        except (OSError, ValueError, csv.Error):
            return
        for cell in {cell.strip() for row in rows for cell in row}:
            if len(cell) >= _LEAST and not self._is_plain(cell):
                self.add(cell, ("patient", cell))

    def add_files(self, folder: pathlib.Path, paths: Iterable[str]) -> None:
        """Adds files below a folder, their folders, and the names of both."""
        for text in (str(folder.absolute()), str(folder.resolve()), str(folder)):
            if not self._is_plain(text):
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
            if path.endswith(".csv"):
                self.add_table(folder / path)
        for name, shown in names.items():
            if len(name) >= _LEAST and name not in _PLAIN:
                self.add(name, shown)

    def add_structures(self, names: Iterable[str]) -> None:
        """Adds names of ROIs and segments, but those of plain words."""
        for name in names:
            if len(name) >= _LEAST and not self._is_plain(name):
                self.add(name, ("structure", name))

    def text(self, text: str) -> str:
        """The text, with pseudonyms for all that is known or quoted."""
        if self._search is None:
            self._search = ByteSearch(self._names, width=_LEAST)
        data = _bytes(text)
        parts, end = [], 0
        found = sorted(self._search.find(data), key=lambda one: (one[0], -len(one[1])))
        for start, name in found:
            if start >= end and _is_whole(data, start, start + len(name)):
                parts += [data[end:start], self._shown(self._names[name]).encode()]
                end = start + len(name)
        parts.append(data[end:])
        whole = b"".join(parts).decode(errors="surrogateescape")
        for short, one in self._short.items():
            # A number may be a count; in quotes it is none.
            shown, quoted = self._shown(one), short.isdigit()
            pattern = rf"'{short}'" if quoted else rf"(?<!\w){re.escape(short)}(?!\w)"
            whole = re.sub(pattern, f"'{shown}'" if quoted else shown, whole)
        return _QUOTED.sub(self._quoted, whole)

    def _shown(self, shown: _Shown) -> str:
        return shown if isinstance(shown, str) else self.pseudonyms.of(*shown)

    def _quoted(self, match: re.Match[str]) -> str:
        """What was quoted, if it is plain but for what is shown for names."""
        text = match[1] or match[2]
        rest = _PSEUDONYM.sub(" ", text)
        for shown in (*map(self._shown, self._short.values()), *self._flags, _INPUT):
            rest = rest.replace(shown, " ")
        if self._is_plain(rest):
            return match[0]
        return f"'text-{self.pseudonyms.of('text', text)[:12]}'"

    def _is_plain(self, text: str) -> bool:
        return is_plain(text, self._words)

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
def redacted_output(arguments: Sequence[str] = ()) -> Iterator[Redactor]:
    """Changes what is printed, logged, and said by errors, while it lasts.

    Args:
      arguments: The command line, with what flagfiles hold.
    """
    global _active
    redactor = Redactor()
    redactor.add_arguments(arguments)
    make_record = logging.getLogRecordFactory()

    def record(*args: Any, **fields: Any) -> logging.LogRecord:
        made = make_record(*args, **fields)
        made.msg, made.args = redactor.text(made.getMessage()), None
        return made

    streams = sys.stdout, sys.stderr
    changed: Any = tuple(_Redacted(one, redactor) for one in streams)
    _active, (sys.stdout, sys.stderr) = redactor, changed
    logging.setLogRecordFactory(record)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries: they quote values
            yield redactor
    except BaseException as error:
        redactor.change(error)
        raise
    finally:
        _active, (sys.stdout, sys.stderr) = None, streams
        logging.setLogRecordFactory(make_record)


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
            _active.add(one, (kind, one))


def note_structures(names: Iterable[str]) -> None:
    """Tells of the names of ROIs and segments."""
    if _active is not None:
        _active.add_structures(names)
