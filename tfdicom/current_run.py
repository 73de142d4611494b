"""Which run may write shards into a folder: the one that began last, until it ends.

A run whose driver was killed may go on where nobody can end it, as a job on a cluster
that was not cancelled. Its workers look, before they show a file, whether the file that
names their run is still there: the next run removes it.
"""

from __future__ import annotations

import contextlib
import pathlib
import secrets
from collections.abc import Iterator

from tfdicom import files
from tfdicom.shard_results import CONVERSION

_NAME = "run-"


@contextlib.contextmanager
def current_run(folder: pathlib.Path) -> Iterator[str]:
    """Begins a run in a folder, and ends it; gives its name.

    The caller holds the folder against other drivers (``files.lock``).

    Raises:
      OSError: The folder cannot be written to.
    """
    name = f"{_NAME}{secrets.token_hex(8)}"
    path = folder / CONVERSION / name
    files.make_folder(path.parent)
    for other in files.matching(path.parent, f"{_NAME}*"):
        files.remove(other)
    files.write_text(path, name)
    try:
        yield name
    finally:
        files.remove(path)


def check_run(folder: pathlib.Path, name: str) -> None:
    """Makes sure that a run is still the one that may write.

    Args:
      folder: Where its shards lie.
      name: As ``current_run`` gave it.

    Raises:
      RuntimeError: It has ended, or another one has begun.
      OSError: It cannot be looked at.
    """
    try:
        # Opened, as what a network file system remembers of a name may be old.
        files.read_bytes(folder / CONVERSION / name)
    except FileNotFoundError:
        raise RuntimeError(
            f"{folder} is no longer this run's: its driver has ended, or another "
            "conversion has begun there. Nothing was written"
        ) from None
