"""One job on a folder of many slices, as JSON: how long it took.

python benchmarks/scale_job.py plan --folder=D --workers=2

Runs in a process of its own, whose memory is watched.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import pathlib
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import many_slices
import pydicom

from tfdicom import processes
from tfdicom.conversion import convert
from tfdicom.convert_options import ConvertOptions
from tfdicom.preparation import prepare


def header_loop(arguments: argparse.Namespace, scratch: str) -> Callable[[], Any]:
    """Plain pydicom, headers only, in as many processes."""
    names = sorted(map(str, arguments.folder.rglob("*.dcm")))
    parts = [names[place :: arguments.workers] for place in range(arguments.workers)]

    def job() -> None:
        context = multiprocessing.get_context("fork")
        loops = [context.Process(target=_read, args=(part,)) for part in parts]
        for one in loops:
            one.start()
        for one in loops:
            one.join()

    return job


def _read(names: Sequence[str]) -> None:
    for name in names:
        pydicom.dcmread(name, stop_before_pixels=True)


def plan(arguments: argparse.Namespace, scratch: str) -> Callable[[], Any]:
    """All that comes before the first example."""

    def job() -> None:
        with processes.rarely_collecting():  # as a conversion does
            prepare(_options(arguments, scratch))

    return job


def cached_plan(arguments: argparse.Namespace, scratch: str) -> Callable[[], Any]:
    """The same with headers that were read before."""
    job = plan(arguments, scratch)
    job()
    return job


def conversion(arguments: argparse.Namespace, scratch: str) -> Callable[[], Any]:
    """What ``tfdicom_convert`` does."""
    return lambda: convert(options=_options(arguments, scratch))


# So that a shard holds as many examples, some 2,000, as one of usual images does.
_SHARD_MB = 4
JOBS: dict[str, Callable[[argparse.Namespace, str], Callable[[], Any]]] = {
    "header_loop": header_loop,
    "plan": plan,
    "cached_plan": cached_plan,
    "conversion": conversion,
}


def _options(arguments: argparse.Namespace, scratch: str) -> ConvertOptions:
    cached = arguments.name == "cached_plan"
    return ConvertOptions(
        input_dir=str(arguments.folder),
        output_dir=f"{scratch}/output",
        classes=many_slices.STRUCTURE,
        header_cache=f"{scratch}/cache" if cached else "none",
        num_workers=arguments.workers,
        shard_size_mb=_SHARD_MB,
        id_key_file="public",
    )


def _processor_seconds() -> float:
    """Of this process and its children that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds and processor seconds of the work."""
    # Beside the input, which may lie in memory.
    with tempfile.TemporaryDirectory(dir=arguments.folder.parent) as scratch:
        job = JOBS[arguments.name](arguments, scratch)
        begin, before = time.perf_counter(), _processor_seconds()
        job()
        taken = time.perf_counter() - begin
        used = _processor_seconds() - before
    return {"seconds": taken, "processor_seconds": used}


def main() -> None:
    """Measures one job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=list(JOBS))
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    print(json.dumps(measure(parser.parse_args())), flush=True)


if __name__ == "__main__":
    main()
