"""Runs the writing of shards: in processes of this machine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

from tfdicom import processes
from tfdicom.convert_options import ConvertOptions
from tfdicom.shards import ShardJob, ShardNotes, ShardTask, write_shard


def run_here(
    job: ShardJob,
    tasks: Sequence[ShardTask],
    options: ConvertOptions,
    progress: Callable[[int], None],
) -> Iterator[ShardNotes]:
    """Writes shards in worker processes; what each found comes back in order.

    Raises:
      ValueError: A source file is gone, or an earlier shard damaged.
      RuntimeError: Workers died again and again.
    """
    return processes.map_in_processes(
        functools.partial(write_shard, job),
        tasks,
        workers=options.num_workers or processes.default_workers(),
        progress=progress,
    )
