"""Measures rows in rounds, in new processes too, and prints them as Markdown."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True)
class Speed:
    """Images a second, and processor milliseconds an image, of all cores together.

    The second is hardly changed by what else the machine does.
    """

    rate: float
    cost: float


# A figure, or why there is none.
Found = Speed | str
Measure = Callable[[], Found]


def in_rounds(rows: Mapping[str, Measure], repeats: int) -> dict[str, Found]:
    """Medians of each row; all are measured once in each round.

    A row that gives a reason instead of a figure is not tried again.
    """
    found: dict[str, list[Speed]] = {name: [] for name in rows}
    reasons: dict[str, str] = {}
    for _ in range(repeats):
        for name, measure in rows.items():
            result = reasons.get(name) or measure()
            if isinstance(result, str):
                reasons[name] = result
            else:
                found[name].append(result)
    return {n: reasons.get(n) or _median(found[n]) for n in rows}


def _median(speeds: Sequence[Speed]) -> Speed:
    return Speed(
        statistics.median(speed.rate for speed in speeds),
        statistics.median(speed.cost for speed in speeds),
    )


def in_new_process(python: str, script: str, *arguments: str) -> dict:
    """What a script of this folder prints last, as JSON; ``skipped`` if it fails."""
    if not pathlib.Path(python).exists():
        return {"skipped": f"not installed: no {python}; bash tools/peers.sh"}
    environment = dict(os.environ)
    if script == "peers.py":
        # Their thread pools would fight over the cores with their own workers.
        environment["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(
        [python, HERE / script, *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return {"skipped": f"failed: {done.stderr.strip().splitlines()[-1][:100]}"}
    return json.loads(done.stdout.splitlines()[-1])


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table."""
    print(f"\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def number(value: float | str, form: str = ",.0f") -> str:
    """A figure as text; a reason as it is."""
    return value if isinstance(value, str) else format(value, form)


def speed_cells(value: Found) -> list[str]:
    """The rate and the cost as text, or the reason."""
    if isinstance(value, str):
        return [value, ""]
    return [number(value.rate), number(value.cost, ".2f")]


def ratio(value: Found | None, base: Found | None) -> str:
    """How many times as fast, and as cheap, as the base; empty where one is missing."""
    if isinstance(value, Speed) and isinstance(base, Speed):
        return f"{value.rate / base.rate:.2f} ({base.cost / value.cost:.2f})"
    return ""
