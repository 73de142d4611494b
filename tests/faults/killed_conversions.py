"""Conversions that are killed at random moments and started again, until one ends.

python -m tests.faults.killed_conversions 50
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence

from tests import real_data
from tfdicom.manifest import MANIFEST

_MOST_KILLS = 6  # of one conversion; then it is left to end


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one conversion.

    Attributes:
      kills: How often it was killed.
      late: How many of the kills came when the data set was taking its place.
      digest: SHA-256 over names and contents of all files at the end.
      partial: Files that a reader could have seen, and that were not whole.
    """

    kills: int
    late: int
    digest: str
    partial: tuple[str, ...]


def command(input_dir: pathlib.Path, output: pathlib.Path, *flags: str) -> list[str]:
    """The command line of a conversion with the published key."""
    return [
        sys.executable,
        "-m",
        "tfdicom.convert_main",
        f"--input_dir={input_dir}",
        f"--output_dir={output}",
        "--id_key_file=public",
        *flags,
    ]


def digests(folder: pathlib.Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def digest(folder: pathlib.Path) -> str:
    """One SHA-256 over names and contents of every file below a folder."""
    text = "".join(f"{name} {one}\n" for name, one in digests(folder).items())
    return hashlib.sha256(text.encode()).hexdigest()


def convert_whole(arguments: Sequence[str], environment: Mapping[str, str]) -> float:
    """Runs a conversion to its end; returns the seconds that it took."""
    start = time.monotonic()
    subprocess.run(
        arguments,
        env={**os.environ, **environment},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    return time.monotonic() - start


def convert_killed(
    arguments: Sequence[str],
    output: pathlib.Path,
    *,
    whole: Mapping[str, str],
    seconds: float,
    environment: Mapping[str, str],
    chance: random.Random,
) -> Outcome:
    """Kills a conversion at random moments and starts it again, until one ends.

    Args:
      arguments: The command line.
      output: Its output folder.
      whole: ``digests`` of a data set that was converted at once.
      seconds: Time that a conversion takes: moments are chosen within it.
      environment: Variables that are set for it.
      chance: Chooses the moments.
    """
    kills = late = 0
    partial: list[str] = []
    while True:
        process = subprocess.Popen(
            arguments,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            patience = chance.uniform(0.0, seconds if kills else 0.8 * seconds)
            _, said = process.communicate(
                timeout=patience if kills < _MOST_KILLS else None
            )
        except subprocess.TimeoutExpired:
            _kill(process, everything=chance.random() < 0.5)
            kills += 1
            found = list(_visible_parts(output, whole))
            partial += found
            late += any(output.glob("*.tfrecord"))
            continue
        if process.returncode not in (0, 3):
            raise RuntimeError(f"exit {process.returncode}: {said.decode()}")
        return Outcome(kills, late, digest(output), tuple(partial))


def _kill(process: subprocess.Popen, *, everything: bool) -> None:
    """Kills the command alone, whose workers have to end by themselves, or all."""
    if everything:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()


def _visible_parts(output: pathlib.Path, whole: Mapping[str, str]) -> Iterator[str]:
    """What a reader sees and should not: files that are cut, a manifest too early."""
    if not output.exists():
        return
    seen = {
        name: one
        for name, one in digests(output).items()
        if not any(part.startswith(".") for part in name.split("/"))
    }
    for name, one in seen.items():
        if whole.get(name) != one:
            yield name
    if MANIFEST in seen:
        yield from (name for name in whole if name not in seen and name[0] != ".")


def main(arguments: Sequence[str]) -> int:
    """Prints what came of many conversions; fails where one ended otherwise."""
    count = int(arguments[0]) if arguments else 50
    if not real_data.SUNNYBROOK.is_dir():
        print(f"no data at {real_data.SUNNYBROOK}: nothing was tried")
        return 1
    flags = ("--split=train:0.67,test:0.33", "--num_workers=2")
    with tempfile.TemporaryDirectory() as base:
        folder = pathlib.Path(base)
        environment = {f"XDG_{name}_HOME": base for name in ("CACHE", "CONFIG")}
        convert = functools.partial(command, real_data.SUNNYBROOK)
        arguments = convert(folder / "whole", *flags)
        seconds = convert_whole(arguments, environment)
        whole = digests(folder / "whole")
        print(f"at once: {digest(folder / 'whole')}, {seconds:.1f} s")
        outcomes = []
        for seed in range(count):
            output = folder / f"{seed}"
            outcomes.append(
                convert_killed(
                    convert(output, *flags),
                    output,
                    whole=whole,
                    seconds=seconds,
                    environment={**environment, "XDG_CACHE_HOME": f"{output}-cache"},
                    chance=random.Random(seed),
                )
            )
            shutil.rmtree(output)
            print(".", end="", file=sys.stderr, flush=True)
        same = sum(one.digest == digest(folder / "whole") for one in outcomes)
    kills = [one.kills for one in outcomes]
    partial = sum(len(one.partial) for one in outcomes)
    print(
        f"{count} conversions, killed {sum(kills)} times, {min(kills)} to {max(kills)} "
        f"times each, {sum(one.late for one in outcomes)} times when files were to be "
        f"seen: {same} ended with this SHA-256; {partial} visible partial files"
    )
    return 0 if same == count and not partial else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
