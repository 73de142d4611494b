"""Measures how time and memory of a conversion grow with its slices, as tables.

  python benchmarks/scale.py                      # up to 100,000 slices, many minutes
  python benchmarks/scale.py --slices=1000,10000 --annotations=contours
  python benchmarks/scale.py --only=plan          # no conversion
  python benchmarks/scale.py --smoke              # tiny, seconds

The slices are small (16 x 16 pixels) with real headers, in series of 100, each outlined
by one RT structure set or by a contour text file a slice; they lie in a temporary
folder (give one in memory with --temporary_dir). Each job is a process of its own. Its
figures are those of the round that took the least processor time, in which other work
on the machine shows least; memory is the largest of all rounds.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import tempfile
from collections.abc import Iterator, Sequence

import many_slices
import process_memory
import rounds
from absl import app, flags
from process_memory import Memory, Watched

_HEADER = rounds.HERE.parent / "examples/sample/dicoms/SCD0000301/200.dcm"

_SLICES = flags.DEFINE_list("slices", ["1000", "10000", "100000"], "Slices to convert.")
_PER_SERIES = flags.DEFINE_integer("per_series", 100, "Slices of a series.", 1)
_ANNOTATIONS = flags.DEFINE_enum(
    "annotations",
    many_slices.RTSTRUCT,
    (many_slices.RTSTRUCT, many_slices.CONTOURS),
    "What the outlines are written as.",
)
_ROUNDS = flags.DEFINE_integer("rounds", 1, "Rounds.", lower_bound=1)
_WORKERS = flags.DEFINE_integer("workers", 2, "Worker processes.", lower_bound=1)
_TEMPORARY = flags.DEFINE_string(
    "temporary_dir", None, "Where the files are made and deleted; as /dev/shm."
)
_ONLY = flags.DEFINE_list("only", [], "Only jobs whose name holds one of these.")
_SMOKE = flags.DEFINE_bool("smoke", False, "Tiny sizes: shows that it runs.")

flags.register_validator(
    "slices",
    lambda found: bool(found) and all(one.isdigit() and int(one) for one in found),
    message="numbers from 1 on are wanted, as 1000,10000",
)

_LOOP, _PLAN, _CONVERSION = "dcmread loop", "plan", "conversion"
_JOBS = {
    _LOOP: "header_loop",
    _PLAN: "plan",
    "plan, cached headers": "cached_plan",
    _CONVERSION: "conversion",
}


@dataclasses.dataclass(frozen=True)
class _Found:
    """Seconds, processor seconds and memory (MiB) of a job."""

    seconds: float
    processor_seconds: float
    parent: Memory
    worker: Memory
    together: float

    @classmethod
    def of(cls, watched: Watched) -> _Found:
        times = json.loads(watched.text.splitlines()[-1])
        memory = watched.parent, watched.worker, watched.together
        return cls(times["seconds"], times["processor_seconds"], *memory)

    def merged(self, other: _Found) -> _Found:
        """The times of the cheaper round, the memory of the larger one."""
        best = min(self, other, key=lambda one: one.processor_seconds)
        return _Found(
            best.seconds,
            best.processor_seconds,
            _larger(self.parent, other.parent),
            _larger(self.worker, other.worker),
            max(self.together, other.together),
        )


def _larger(one: Memory, other: Memory) -> Memory:
    return Memory(max(one.resident, other.resident), max(one.own, other.own))


def _whole_series(slices: int) -> int:
    return -(-slices // _PER_SERIES.value) * _PER_SERIES.value


def _measured(slices: int, names: Sequence[str]) -> dict[str, _Found]:
    """Every job on so many slices, in rounds."""
    found: dict[str, _Found] = {}
    with tempfile.TemporaryDirectory(dir=_TEMPORARY.value) as scratch:
        folder = pathlib.Path(scratch) / "input"
        many_slices.write(
            folder,
            _HEADER,
            series=slices // _PER_SERIES.value,
            per_series=_PER_SERIES.value,
            annotations=_ANNOTATIONS.value,
        )
        for _ in range(_ROUNDS.value):
            for name in names:
                job = [sys.executable, str(rounds.HERE / "scale_job.py"), _JOBS[name]]
                options = [f"--folder={folder}", f"--workers={_WORKERS.value}"]
                one = _Found.of(process_memory.run([*job, *options]))
                found[name] = found[name].merged(one) if name in found else one
    return found


def _rows(slices: int, found: dict[str, _Found]) -> Iterator[list[str]]:
    loop = found.get(_LOOP)
    for name, one in found.items():
        yield [
            f"{slices:,}",
            name,
            f"{one.seconds:.1f}",
            f"{slices / one.seconds:,.0f}",
            f"{1000 * one.processor_seconds / slices:.2f}",
            _against(one, loop) if name != _CONVERSION else "",
            f"{one.parent.resident:.0f}",
            f"{one.worker.resident:.0f} ({one.worker.own:.0f})",
            f"{one.together:.0f}",
        ]


def _against(one: _Found, loop: _Found | None) -> str:
    if loop is None:
        return ""
    used = loop.processor_seconds / one.processor_seconds
    return f"{loop.seconds / one.seconds:.2f} ({used:.2f})"


def _print_growth(found: dict[int, dict[str, _Found]], names: Sequence[str]) -> None:
    """What a slice costs where there are many, as a multiple of where there are few."""
    fewest, *more = sorted(found)
    table = []
    for name in names:
        base = found[fewest][name].processor_seconds / fewest
        costs = [found[count][name].processor_seconds / count for count in more]
        table.append([name, *(f"{cost / base:.2f}" for cost in costs)])
    title = f"processor time a slice, as a multiple of that of {fewest:,}"
    rounds.markdown([title, *(f"{count:,} slices" for count in more)], table)


def main(arguments: Sequence[str]) -> None:
    """Prints the tables."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected argument {arguments[1]!r}")
    if _SMOKE.value:
        for name, value in {"slices": ["20", "40"], "per_series": 5}.items():
            if not flags.FLAGS[name].present:
                flags.FLAGS[name].value = value
    only = _ONLY.value
    names = [one for one in _JOBS if not only or any(word in one for word in only)]
    if not names:
        raise app.UsageError(f"only={','.join(only)}: choose among {', '.join(_JOBS)}")
    counts = sorted({_whole_series(int(one)) for one in _SLICES.value})
    found = {count: _measured(count, names) for count in counts}
    header = [
        f"slices, {_ANNOTATIONS.value}, {_WORKERS.value} workers",
        "job",
        "s",
        "slices/s",
        "CPU ms/slice",
        "of the loop (CPU)",
        "parent, MiB",
        "worker (own), MiB",
        "together, MiB",
    ]
    rows = [row for count in counts for row in _rows(count, found[count])]
    rounds.markdown(header, rows)
    if len(counts) > 1:
        _print_growth(found, names)


if __name__ == "__main__":
    app.run(main)
