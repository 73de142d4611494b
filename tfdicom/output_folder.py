"""The output folder: a data set is made aside, and takes its place when it is whole.

Until then a data set that is already there stays as it is, whatever happens. What is
aside stays there when a conversion is stopped, so that the next one goes on with it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import pathlib
import shutil
import signal
import threading
from collections.abc import Collection, Iterator, Sequence

from tfdicom import files
from tfdicom.manifest import LEDGER, MANIFEST
from tfdicom.shard_results import CONVERSION

#: Folder in the output folder that holds what is under way.
ASIDE = ".partial-data-set"
_REFUSED = "refused"
_AT_A_TIME = 16
_SHARDS = "*-of-*.tfrecord"


def refuse_foreign(output: pathlib.Path, *, overwrite: bool) -> None:
    """Refuses a folder with records of another origin.

    Raises:
      FileExistsError: It holds TFRecord files, and neither a data set nor what a
        conversion left unfinished.
    """
    marks = (output / MANIFEST, output / LEDGER, output / ASIDE / MANIFEST)
    ours = any(map(files.exists, marks))
    if not overwrite and not ours and files.matching(output, _SHARDS):
        raise FileExistsError(
            f"{output} holds TFRecord files of another origin; choose another "
            "--output_dir, or have them removed with --overwrite"
        )


@contextlib.contextmanager
def workspace(output: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives the folder aside, and keeps other conversions out meanwhile.

    What an earlier one had made whole takes its place first. After an error the folder
    aside stays if there is a shard or a manifest in it; else nothing is left of it.

    Raises:
      ValueError: The output cannot be written to, or another conversion is at it.
    """
    was_there = files.exists(output)
    aside = output / ASIDE
    with contextlib.ExitStack() as held:
        if not was_there:
            held.callback(_remove_folder, output)
        try:
            files.make_folder(output)
            held.enter_context(files.lock(output))
            take_place(output)
            _make(aside)
        except OSError as error:
            raise ValueError(
                f"output_dir={output} cannot be written to: {error}"
            ) from error
        try:
            yield aside
        finally:
            # A manifest without shards is of a data set that is partly in its place.
            shards = files.matching(aside, _SHARDS)
            if not shards and not files.exists(aside / MANIFEST):
                remove(aside)


def _make(aside: pathlib.Path) -> None:
    """Makes the folder, without what killed workers left in it."""
    for folder in (aside, aside / CONVERSION):
        files.make_folder(folder)
        for path in files.matching(folder, f"*{files.PARTIAL}"):
            files.remove(path)
    files.write_text(aside / "writable", "")  # a remote folder shows it only now
    files.remove(aside / "writable")


def mark_refused(aside: pathlib.Path) -> None:
    """Notes that what is aside was looked at and found wanting."""
    files.write_text(aside / CONVERSION / _REFUSED, "")


def is_refused(aside: pathlib.Path) -> bool:
    """Whether it was; then other options or inputs may replace it without a word."""
    return files.exists(aside / CONVERSION / _REFUSED)


def take_place(output: pathlib.Path) -> None:
    """Moves a data set that is whole from aside into its place, as far as it is there.

    The manifest is the first that goes and the last that comes: there is no moment in
    which a reader would take a part for the whole. Stopped on the way, the next call
    goes on. Nothing happens where no manifest is aside.
    """
    aside = output / ASIDE
    if not files.exists(aside / MANIFEST):
        return
    # Copies in a store take their time: there, Ctrl-C ends, and the next call goes on.
    local = isinstance(output, pathlib.Path)
    with _interrupts_wait() if local else contextlib.nullcontext():
        files.check_held(output)
        files.remove(output / MANIFEST)
        for name in _stale(output, aside):
            files.remove(output / name)
        files.make_folder(output / CONVERSION)
        results = sorted(files.matching(aside / CONVERSION, "*.json"))
        _move_all(results, output / CONVERSION)
        # A worker of a run that was given up may still be writing.
        paths = (path for path in files.matching(aside, "*") if path.name != CONVERSION)
        paths = (path for path in paths if not path.name.endswith(files.PARTIAL))
        _move_all(sorted(path for path in paths if path.name != MANIFEST), output)
        files.check_held(output)
        files.move(aside / MANIFEST, output / MANIFEST)
        remove(aside)


def _move_all(paths: Sequence[pathlib.Path], folder: pathlib.Path) -> None:
    """Moves files; many at a time in a store, where each is copied."""

    def move(path: pathlib.Path) -> None:
        files.move(path, folder / path.name)

    if isinstance(folder, pathlib.Path):
        for path in paths:
            move(path)
        return
    with concurrent.futures.ThreadPoolExecutor(_AT_A_TIME) as threads:
        for _ in threads.map(move, paths):
            pass


def _stale(output: pathlib.Path, aside: pathlib.Path) -> Iterator[str]:
    """Files of the data set that is replaced which the new one does not know."""
    known = files.read_text(aside / MANIFEST)
    for path in files.matching(output, _SHARDS):
        if f'"{path.name}"' not in known:
            yield path.name
    for path in files.matching(output / CONVERSION, "*.tfrecord.json"):
        if f'"{path.name.removesuffix(".json")}"' not in known:
            yield f"{CONVERSION}/{path.name}"


def remove(aside: pathlib.Path) -> None:
    """Removes what is aside."""
    if not isinstance(aside, pathlib.Path):
        for name in files.walk(aside):
            with contextlib.suppress(OSError):
                files.remove(aside / name)
    elif aside.exists():
        shutil.rmtree(aside)


def keep_only(aside: pathlib.Path, shards: Collection[str]) -> None:
    """Removes shards that are aside and no part of the data set."""
    for path in files.matching(aside, _SHARDS):
        if path.name not in shards:
            files.remove(path)
            files.remove(aside / CONVERSION / f"{path.name}.json")


def clear(aside: pathlib.Path) -> None:
    """Removes what is aside, and leaves the folder for another conversion."""
    remove(aside)
    files.make_folder(aside / CONVERSION)


def _remove_folder(folder: pathlib.Path) -> None:
    with contextlib.suppress(OSError):  # not empty
        files.remove_folder(folder)


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Lets Ctrl-C and SIGTERM wait until the body, which is quick, has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is interrupted, and may set handlers
        return
    caught: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: caught.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for one in dict.fromkeys(caught):
        signal.raise_signal(one)
