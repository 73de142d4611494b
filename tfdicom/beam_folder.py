"""What a Beam run hands to and fro: files in a folder that all its machines reach.

    function          what to call, and what to do after a death; pickled
    items/000012      the arguments of a piece of the work; pickled
    results/000012-64 what came of them, by which 64 units are done; pickled
    results/000012-error  what was raised, and where; pickled

Nothing of it goes through Beam itself, whose jobs others may look at: headers name
patients, and the function holds the key of the pseudonyms. Whoever can write to the
folder can run code as its readers.
"""

from __future__ import annotations

import dataclasses
import pathlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfdicom import files
from tfdicom.version import VERSION

FUNCTION, ITEMS, RESULTS = "function", "items", "results"
_ERROR = "error"
_PROTOCOL = pickle.HIGHEST_PROTOCOL


@dataclasses.dataclass(frozen=True)
class Failure:
    """An error that a function raised, and its traceback as text."""

    error: Exception
    traceback: str


def make(folder: pathlib.Path) -> None:
    """Makes the folders."""
    for name in (ITEMS, RESULTS):
        files.make_folder(folder / name)


def write_function(folder: pathlib.Path, function: Callable, on_death: Any) -> None:
    """Writes what all pieces have in common."""
    pickled = pickle.dumps((function, on_death), _PROTOCOL)
    _write(folder / FUNCTION, (VERSION, pickled))


def read_function(folder: pathlib.Path) -> tuple[Callable, Any]:
    """Reads it.

    Raises:
      RuntimeError: It was written by another version, which may do other things.
    """
    version, pickled = _read(folder / FUNCTION)
    if version != VERSION:
        raise RuntimeError(
            f"a Beam worker has tfdicom {VERSION}, and the conversion runs with "
            f"{version}: give the workers' image the same"
        )
    return pickle.loads(pickled)


def write_items(folder: pathlib.Path, piece: int, items: Sequence[Any]) -> None:
    """Writes the arguments of a piece."""
    _write(folder / ITEMS / f"{piece:06d}", list(items))


def read_items(folder: pathlib.Path, piece: int) -> list[Any]:
    """Reads them."""
    return _read(folder / ITEMS / f"{piece:06d}")


def write_results(
    folder: pathlib.Path, piece: int, found: list[Any] | Failure, done: int
) -> None:
    """Writes what came of a piece, whole or not at all; ``done`` units are done."""
    end = _ERROR if isinstance(found, Failure) else str(done)
    _write(folder / RESULTS / f"{piece:06d}-{end}", found)


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of a piece; ``done`` is None where that is an error."""

    path: pathlib.Path
    piece: int
    done: int | None

    def take(self) -> Any:
        """The results of its items, or a ``Failure``; the file is removed."""
        found = _read(self.path)
        files.remove(self.path)
        return found


def results(folder: pathlib.Path) -> Iterator[Result]:
    """The results that are there."""
    try:
        names = files.sizes(folder / RESULTS)
    except FileNotFoundError:
        if isinstance(folder, pathlib.Path):
            raise
        return  # folders without files are none there
    for name in names:
        if not name.endswith(files.PARTIAL):
            piece, _, end = name.partition("-")
            done = None if end == _ERROR else int(end)
            yield Result(folder / RESULTS / name, int(piece), done)


def remove(folder: pathlib.Path) -> None:
    """Removes the folder, whoever else is at it."""
    files.remove_tree(folder)


def _write(path: pathlib.Path, value: Any) -> None:
    with files.written_whole(path) as file:
        pickle.dump(value, file, _PROTOCOL)


def _read(path: pathlib.Path) -> Any:
    return pickle.loads(files.read_bytes(path))
