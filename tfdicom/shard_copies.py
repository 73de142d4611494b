"""Copies of shards in a folder of the user's: near, and not compressed.

For data sets on slow or remote storage, and for compressed ones, whose records cannot
be gone to one by one. A copy is named by the checksum of its shard, so it is made once
and is never that of another data set.
"""

from __future__ import annotations

import hashlib
import pathlib
import sys
import uuid
import zlib
from collections.abc import Iterator, Sequence
from typing import IO

from tfdicom import files, tfrecord_file
from tfdicom.input_plan import InputPlan
from tfdicom.manifest import ShardInfo

_CHUNK = 1 << 20
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
    folder = files.path_of(plan.copies_to or "")
    targets = [_name(folder, shard.info) for shard in plan.shards]
    try:
        todo = [number for number, target in enumerate(targets) if not target.exists()]
        if todo:
            _announce(plan, todo, folder)
            folder.mkdir(parents=True, exist_ok=True)
        for number in todo:
            _copy(files.path_of(paths[number]), targets[number], plan, number)
    except OSError as error:
        raise ValueError(f"cache={plan.copies_to!r}: {error}") from error
    return tuple(map(str, targets))


def _announce(plan: InputPlan, todo: Sequence[int], folder: pathlib.Path) -> None:
    size = sum(plan.shards[number].info.data_size for number in todo) / 1e6
    print(
        f"tfdicom: copying {len(todo)} shards, {size:.0f} MB, to {folder}",
        file=sys.stderr,
    )


def _name(folder: pathlib.Path, shard: ShardInfo) -> pathlib.Path:
    return folder / f"{shard.sha256[:16]}-{shard.file}"


def _copy(
    source: pathlib.Path, target: pathlib.Path, plan: InputPlan, number: int
) -> None:
    shard = plan.shards[number].info
    digest = hashlib.sha256()
    # Other processes, on other machines too, may copy the same shard at the same time.
    own = target.with_name(f"{uuid.uuid4().hex[:16]}-{target.name}")
    with source.open("rb") as file, files.written_whole(own) as copy:
        try:
            for data in _plain(file, digest, plan.compression.lower()):
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
