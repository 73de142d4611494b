"""Runs a command and watches the memory of its processes (Linux)."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import pathlib
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

_SECONDS_BETWEEN_LOOKS = 0.1
_PROCESSES = pathlib.Path("/proc")


@dataclasses.dataclass(frozen=True)
class Memory:
    """The largest memory of a process, MiB.

    Attributes:
      resident: All pages that it has, also those that it shares with the process that
        it was forked from.
      own: Pages that no other process has.
    """

    resident: float = 0.0
    own: float = 0.0


@dataclasses.dataclass(frozen=True)
class Watched:
    """How a command went.

    Attributes:
      text: What it printed.
      parent: The largest memory of its first process.
      worker: The largest memory of any process below that.
      together: The largest memory of all at one time, MiB; shared pages count once.
    """

    text: str
    parent: Memory
    worker: Memory
    together: float


def run(command: Sequence[str]) -> Watched:
    """Runs a command to its end.

    Raises:
      RuntimeError: It fails; the message is what it said.
    """
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=said, stderr=errors)
        watch = _Watch(process.pid)
        while process.poll() is None:
            watch.look()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS_BETWEEN_LOOKS)
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed:\n{errors.read()}")
        said.seek(0)
        return watch.result(said.read())


class _Watch:
    """The largest memory seen of a process and of those below it."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._found: dict[int, Memory] = {}
        self._together = 0.0

    def look(self) -> None:
        shares = 0.0
        for number in _family(self._root):
            with contextlib.suppress(OSError, KeyError):  # it has ended meanwhile
                peak = _fields(number, "status")["VmHWM"]
                now = _fields(number, "smaps_rollup")
                shares += now["Pss"]
                before = self._found.get(number, Memory())
                own = now["Private_Clean"] + now["Private_Dirty"]
                self._found[number] = Memory(peak, max(own, before.own))
        self._together = max(self._together, shares)

    def result(self, text: str) -> Watched:
        workers = [one for number, one in self._found.items() if number != self._root]
        largest = Memory(
            max((one.resident for one in workers), default=0.0),
            max((one.own for one in workers), default=0.0),
        )
        parent = self._found.get(self._root, Memory())
        return Watched(text, parent, largest, self._together)


def _family(root: int) -> list[int]:
    """Numbers of a process and of all below it."""
    children = collections.defaultdict(list)
    for path in _PROCESSES.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name before it is in brackets, and may hold any character.
            parent = path.read_text().rpartition(")")[2].split()[1]
            children[int(parent)].append(int(path.parent.name))
    found = [root]
    for number in found:
        found += children[number]
    return found


def _fields(process: int, file: str) -> Mapping[str, float]:
    """Fields of a file of the system that are sizes, in MiB."""
    lines = (_PROCESSES / str(process) / file).read_text().splitlines()
    words = (line.split() for line in lines if line.endswith(" kB"))
    return {name.rstrip(":"): int(size) / 1024 for name, size, _ in words}
