"""Runs the writing of shards, wherever the options say."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Generator, Sequence

from tfdicom.convert_options import ConvertOptions
from tfdicom.current_run import current_run
from tfdicom.processes import Death
from tfdicom.runner_choice import runner_of
from tfdicom.shards import ShardJob, ShardNotes, ShardTask, write_shard


def run_shards(
    job: ShardJob,
    tasks: Sequence[ShardTask],
    options: ConvertOptions,
    progress: Callable[[int], None],
) -> Generator[ShardNotes, None, None]:
    """Writes shards; gives what was found at each, in their order.

    A file that two workers died of is left out, with the reason ``worker_died``.

    Raises:
      ValueError: A source file is gone, or an earlier shard damaged.
      RuntimeError: Workers died again and again, or Beam does not go on.
    """
    runner = runner_of(options)
    tasks = [
        dataclasses.replace(
            task, earlier=task.earlier and runner.whereabouts(task.earlier)
        )
        for task in tasks
    ]
    with current_run(job.output_dir) as run:
        located = dataclasses.replace(
            job,
            input_dir=runner.whereabouts(job.input_dir),
            output_dir=runner.whereabouts(job.output_dir),
            run=run,
        )
        written = runner.map(
            functools.partial(write_shard, located),
            tasks,
            progress=progress,
            on_death=without_killer,
            together=1,
        )
        with contextlib.closing(written):
            yield from written


def without_killer(task: ShardTask, death: Death) -> ShardTask:
    """What is tried after a death: the same, then without the file that killed.

    Raises:
      RuntimeError: Two workers died, and no file is to blame.
    """
    if death.count == 1:
        return task
    if not death.at or death.at in task.without:
        raise RuntimeError(
            f"{task.shard.file}: a worker process died again ({death}). It was killed "
            "or ran out of memory: run the command again with fewer --num_workers"
        )
    return dataclasses.replace(task, without=task.without | {death.at})
