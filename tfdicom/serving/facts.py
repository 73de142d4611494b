"""What searching wants to know of each example and only its record says.

Read once, in the background, and kept in the user's cache folder: for a data set of
100,000 examples that takes minutes, and the server answers from its first second on.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfdicom import example_wire, files
from tfdicom.example_schema import FEATURES, TEXT

_VERSION = 1
_WANTED = {
    FEATURES[name].key.encode(): name
    for name in (
        *("patient", "series", "modality", "shape", "slice_index", "phase_index"),
        *("pixel_count", "label_names", "label_values"),
    )
}

#: A number that is not known.
UNKNOWN = -1


class Facts:
    """Columns of facts; a row is one example, in the manifest's order.

    Attributes:
      words: Texts by column; numbers in the columns stand for them, -1 for unknown.
      patient, series, modality: int32 ``[n]``: places in ``words``.
      rows, columns, samples: int32 ``[n]``; -1 where unknown.
      slice_index, phase_index: int32 ``[n]``; -1 where unknown or absent.
      pixels: int64 ``[n, classes]``; -1 where unknown.
      labels: int32 ``[n, labels]``: places in ``words``.
      known: bool ``[n]``: whether the record was read.
      damaged: bool ``[n]``: whether it could not be when it was last tried; not kept.
    """

    TEXTS = ("patient", "series", "modality")
    NUMBERS = ("rows", "columns", "samples", "slice_index", "phase_index")

    def __init__(self, count: int, classes: int, labels: Sequence[str]) -> None:
        """Knows nothing yet.

        Args:
          count: Examples.
          classes: How many.
          labels: Their names.
        """
        self._labels = tuple(labels)
        columns = [*self.TEXTS, *(f"label {name}" for name in labels)]
        self.words: dict[str, list[str]] = {name: [] for name in columns}
        self._codes: dict[str, dict[str, int]] = {name: {} for name in columns}
        for name in (*self.TEXTS, *self.NUMBERS):
            setattr(self, name, np.full(count, UNKNOWN, np.int32))
        self.pixels = np.full((count, classes), UNKNOWN, np.int64)
        self.labels = np.full((count, len(labels)), UNKNOWN, np.int32)
        self.known = np.zeros(count, bool)
        self.damaged = np.zeros(count, bool)

    patient: np.ndarray
    series: np.ndarray
    modality: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    samples: np.ndarray
    slice_index: np.ndarray
    phase_index: np.ndarray

    @property
    def complete(self) -> bool:
        """Whether every record was read that can be."""
        return bool((self.known | self.damaged).all())

    def code(self, column: str, text: str) -> int:
        """The number that stands for a text in a column."""
        codes = self._codes[column]
        if text not in codes:
            self.words[column].append(text)
            codes[text] = len(codes)
        return codes[text]

    def text(self, column: str, place: int) -> str:
        """The text of a column at a place; empty where it is not known."""
        code = int(getattr(self, column)[place])
        return self.words[column][code] if code >= 0 else ""

    def label_texts(self, place: int) -> dict[str, str]:
        """The labels of an example that have a value."""
        found = {}
        for number, name in enumerate(self._labels):
            code = int(self.labels[place, number])
            if code >= 0 and self.words[f"label {name}"][code]:
                found[name] = self.words[f"label {name}"][code]
        return found

    def learn(self, place: int, record: bytes) -> None:
        """Takes what the record at a place says.

        Raises:
          ValueError: The bytes are no record.
        """
        found = _values(record)
        for name in self.TEXTS:
            getattr(self, name)[place] = self.code(name, found.get(name, [""])[0])
        for name, value in zip(self.NUMBERS, found["shape"], strict=False):
            getattr(self, name)[place] = value
        for name in ("slice_index", "phase_index"):
            getattr(self, name)[place] = found.get(name, [UNKNOWN])[0]
        self.pixels[place] = found.get("pixel_count", UNKNOWN)
        given = dict(
            zip(
                found.get("label_names", ()), found.get("label_values", ()), strict=True
            )
        )
        for number, name in enumerate(self._labels):
            if name in given:
                code = self.code(f"label {name}", given[name])
                self.labels[place, number] = code
        self.known[place] = True

    def save(self, path: pathlib.Path) -> None:
        """Writes all columns; a file that cannot be written is done without."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        for column, words in self.words.items():
            text = "\0".join(words).encode()
            arrays[f"words {column}"] = np.frombuffer(text, np.uint8)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        with contextlib.suppress(OSError):
            files.make_folder(path.parent)
            with files.written_whole(path) as file:
                file.write(buffer.getvalue())

    def load(self, path: pathlib.Path) -> bool:
        """Reads what ``save`` wrote; False where it is not there or does not fit."""
        try:
            with np.load(io.BytesIO(files.read_bytes(path))) as found:
                arrays = {name: found[name] for name in _ARRAYS}
                words = {
                    column: bytes(found[f"words {column}"]).decode().split("\0")
                    for column in self.words
                }
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return False
        if any(arrays[name].shape != getattr(self, name).shape for name in _ARRAYS):
            return False
        for name, array in arrays.items():
            setattr(self, name, array)
        self.words = words
        self._codes = {
            column: {text: code for code, text in enumerate(texts)}
            for column, texts in words.items()
        }
        return True


_ARRAYS = (*Facts.TEXTS, *Facts.NUMBERS, "pixels", "labels", "known")


def _values(record: bytes) -> dict[str, list[Any]]:
    found = {}
    for key, (_, values) in example_wire.decode(record, _WANTED).items():
        name = _WANTED[key.encode()]
        texts = FEATURES[name].kind == TEXT
        found[name] = [one.decode() for one in values] if texts else values
    return found


def cache_path(*texts: bytes) -> pathlib.Path:
    """Where the facts of a data set are kept, by what its files hold."""
    digest = hashlib.sha256(bytes([_VERSION]))
    for text in texts:
        digest.update(hashlib.sha256(text).digest())
    return files.cache_folder() / "facts" / f"{digest.hexdigest()[:32]}.npz"
