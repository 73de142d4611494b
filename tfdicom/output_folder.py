"""The output folder: a data set is written aside, and takes its place when it is whole.

Until then a data set that is already there stays as it is, whatever happens.
"""

from __future__ import annotations

import contextlib
import pathlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from tfdicom import files
from tfdicom.dataset_index import INDEX
from tfdicom.manifest import LEDGER, MANIFEST

#: Folder in the output folder that holds a data set while it is being written.
ASIDE = ".partial-data-set"
_SHARDS = "*-of-*.tfrecord"


def refuse_existing(output: pathlib.Path, *, overwrite: bool) -> None:
    """Refuses a folder that holds what may not be replaced.

    Raises:
      FileExistsError: It holds a data set or records of another origin.
    """
    if overwrite:
        return
    if (output / MANIFEST).exists():
        raise FileExistsError(
            f"{output} already holds a data set; choose another --output_dir, or "
            "replace it with --overwrite"
        )
    # A conversion that was killed while its data set took its place.
    ours = (output / LEDGER).exists() or (output / ASIDE / MANIFEST).exists()
    if not ours and any(output.glob(_SHARDS)):
        raise FileExistsError(
            f"{output} holds TFRecord files of another origin; choose another "
            "--output_dir, or have them removed with --overwrite"
        )


@contextlib.contextmanager
def replaced_whole(output: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives an empty folder whose files replace the output's data set at the end.

    If the body fails, the output is left as it was; what a killed conversion left
    aside is removed.

    Raises:
      ValueError: The output cannot be written to.
    """
    was_there = output.exists()
    aside = output / ASIDE
    try:
        _remove_aside(aside)
        aside.mkdir(parents=True, exist_ok=True)
        files.write_text(aside / LEDGER, "")  # a remote folder shows it only now
    except OSError as error:
        raise ValueError(
            f"output_dir={output} cannot be written to: {error}"
        ) from error
    try:
        yield aside
    except BaseException:
        _remove_aside(aside)
        if not was_there:
            _remove_folder(output)
        raise
    with _interrupts_wait():
        _take_place(aside, output)


def _take_place(aside: pathlib.Path, output: pathlib.Path) -> None:
    """Removes the old data set and moves the new one; the manifest goes first and last.

    Stopped on the way, it leaves no manifest in the output, and one aside.
    """
    (output / MANIFEST).unlink(missing_ok=True)
    new = sorted(path.name for path in aside.iterdir())
    old = [output / INDEX, output / LEDGER, *output.glob(_SHARDS)]
    for path in old:
        if path.name not in new:
            path.unlink(missing_ok=True)
    for name in sorted(new, key=lambda name: (name == MANIFEST, name)):
        files.move(aside / name, output / name)
    _remove_folder(aside)


def _remove_aside(aside: pathlib.Path) -> None:
    if aside.exists():
        for path in aside.iterdir():
            path.unlink(missing_ok=True)
        _remove_folder(aside)


def _remove_folder(folder: pathlib.Path) -> None:
    with contextlib.suppress(OSError):  # not empty, or remote and not there
        folder.rmdir()


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Lets Ctrl-C wait until the body, which is quick, has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is interrupted, and may set handlers
        return
    caught: list[Any] = []
    before = signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if caught:
        raise KeyboardInterrupt
