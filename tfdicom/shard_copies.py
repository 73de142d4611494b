"""Copies of shards in a folder of the user's: near, and not compressed.

For data sets on slow or remote storage, and for compressed ones, whose records cannot
be gone to one by one. A copy is named by the checksum of its shard, so it is made once
and is never that of another data set. One that is found damaged is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import sys
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from tfdicom import background_work, files, tfrecord_file
from tfdicom.input_plan import InputPlan
from tfdicom.manifest import ShardInfo

_CHUNK = 1 << 20
_THREADS = 4
_ABANDONED_SECONDS = 24 * 3600
_ADVICE = (
    "copy it again, convert again, or leave damaged records out with "
    "on_corrupt='skip' and cache='memory'"
)


def copied(paths: Sequence[str], plan: InputPlan) -> tuple[str, ...]:
    """Paths of the copies of a plan's shards; those that are missing are made.

    Args:
      paths: Of the shards.
      plan: Whose ``copies_to`` names the folder.

    Raises:
      ValueError: A shard has not the checksum that the manifest says, or the folder
        cannot be written.
    """
    with _named(plan):
        targets, todo = _wanted(plan)
        if todo:
            _announce(plan, todo, "copying")
        for number in todo:
            _copy(files.path_of(paths[number]), targets[number], plan, number)
    return tuple(map(str, targets))


def coming(paths: Sequence[str], plan: InputPlan) -> tuple[tuple[str, ...], str]:
    """As ``copied``, but those that are missing are made while reading goes on.

    Args:
      paths: Of the shards.
      plan: Whose ``copies_to`` names the folder.

    Returns:
      Paths of the copies, each of which is there when it is whole; and the path of a
      file that appears if one cannot be made, and says why. It is empty if all of them
      are there.

    Raises:
      ValueError: The folder cannot be written.
    """
    with _named(plan):
        targets, todo = _wanted(plan)
        local = tuple(map(str, targets))
        if not todo:
            return local, ""
        _announce(plan, todo, "fetching in the background")
        _remove_abandoned(targets[0].parent)

    def copy(number: int, stopped: Callable[[], bool]) -> None:
        source = files.path_of(paths[number])
        with _named(plan):
            _copy(source, targets[number], plan, number, stopped)

    return local, background_work.start(copy, todo, threads=_THREADS)


class CopyMender:
    """Makes copies again that are found to be damaged, each of them once."""

    def __init__(self, paths: Sequence[str], plan: InputPlan) -> None:
        """Touches nothing.

        Args:
          paths: Of the shards.
          plan: Whose ``copies_to`` names the folder.
        """
        self._plan, self._sources = plan, tuple(paths)
        folder = files.path_of(plan.copies_to or "")
        self._targets = [_name(folder, shard.info) for shard in plan.shards]
        self._messages: dict[int, str] = {}
        self._lock = threading.Lock()

    def __call__(self, path: str) -> str:
        """Deletes the copy and makes it again, unless that was done.

        Args:
          path: Of the copy.

        Returns:
          Why it cannot be made again; empty where it was.
        """
        target = files.path_of(path)
        number = self._targets.index(target)
        with self._lock:  # every thread that reads may find the same damage
            if number not in self._messages:
                self._messages[number] = self._made_again(target, number)
            return self._messages[number]

    def _made_again(self, target: pathlib.Path, number: int) -> str:
        source = self._sources[number]
        print(f"tfdicom: {target} is damaged; copying {source} again", file=sys.stderr)
        try:
            target.unlink(missing_ok=True)
            _copy(files.path_of(source), target, self._plan, number)
        except (OSError, ValueError) as error:
            return f"{target} was damaged, and cannot be copied again: {error}"
        return ""


@contextlib.contextmanager
def _named(plan: InputPlan) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(f"cache={plan.copies_to!r}: {error}") from error


def _wanted(plan: InputPlan) -> tuple[list[pathlib.Path], list[int]]:
    """Where the copies lie, and the numbers of those that are not there.

    One of a wrong size is removed; what else is damaged shows when it is read.
    """
    folder = files.path_of(plan.copies_to or "")
    targets = [_name(folder, shard.info) for shard in plan.shards]
    todo = []
    for number, (shard, target) in enumerate(zip(plan.shards, targets, strict=True)):
        framing = tfrecord_file.FRAMING * shard.info.examples
        size = shard.info.data_size + framing
        if not target.exists():
            todo.append(number)
        elif target.stat().st_size != size:
            target.unlink(missing_ok=True)
            todo.append(number)
    if todo:
        folder.mkdir(parents=True, exist_ok=True)
    return targets, todo


def _announce(plan: InputPlan, todo: Sequence[int], doing: str) -> None:
    size = sum(plan.shards[number].info.data_size for number in todo) / 1e6
    print(
        f"tfdicom: {doing} {len(todo)} shards, {size:.0f} MB, to {plan.copies_to}",
        file=sys.stderr,
    )


def _name(folder: pathlib.Path, shard: ShardInfo) -> pathlib.Path:
    return folder / f"{shard.sha256[:16]}-{shard.file}"


def _remove_abandoned(folder: pathlib.Path) -> None:
    """Removes what processes left that were killed while they copied."""
    for path in folder.glob(f"*{files.PARTIAL}"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                path.unlink()


def _copy(
    source: pathlib.Path,
    target: pathlib.Path,
    plan: InputPlan,
    number: int,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    shard = plan.shards[number].info
    digest = hashlib.sha256()
    # Other processes, on other machines too, may copy the same shard at the same time.
    own = target.with_name(f"{uuid.uuid4().hex[:16]}-{target.name}")
    with files.opened(source) as file, files.written_whole(own) as copy:
        try:
            for data in _plain(file, digest, plan.compression.lower()):
                if stopped():
                    raise InterruptedError("the program ends")
                copy.write(data)
        except zlib.error as error:
            raise ValueError(
                f"{source} cannot be inflated ({error}): {_ADVICE}"
            ) from error
        if digest.hexdigest() != shard.sha256:
            raise ValueError(
                f"{source} is not the file that the manifest describes: its SHA-256 "
                f"begins with {digest.hexdigest()[:12]}, not {shard.sha256[:12]}: "
                f"{_ADVICE}"
            )
    files.move(own, target)


def _plain(file: IO[bytes], digest: hashlib._Hash, compression: str) -> Iterator[bytes]:
    """The content, inflated; what is read goes through the digest."""
    inflate = tfrecord_file.inflater(compression) if compression else None
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
        yield inflate.decompress(chunk) if inflate else chunk
