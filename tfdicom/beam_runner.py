"""Runs work as an Apache Beam pipeline: on this machine, or on a cluster.

Beam moves the numbers of pieces alone; arguments and results are files in a folder that
all its machines reach (``beam_folder``). The pipeline is a process of its own
(``beam_job``), and this one watches what comes: a run that brings nothing is ended.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import importlib.util
import os
import pathlib
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import IO, Any, TypeVar

from tfdicom import beam_folder, beam_job, files, temporary_folders
from tfdicom.beam_folder import Failure, Result
from tfdicom.processes import Death
from tfdicom.worker_process import WorkerTraceback

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

# Enough for any number of workers to have about the same to do.
_FEWEST_PIECES = 64
_POLL_SECONDS, _POLL_SECONDS_REMOTE = 0.2, 2.0
_SECONDS_TO_END = 40.0  # a little more than the job takes to cancel
_SECONDS_TO_FINISH = 120.0
_UPLOADS_AT_ONCE = 16
_LINES_TOLD = 12
# Not -m, as which it would be another module to those who get pieces of it.
_PROGRAM = "from tfdicom.beam_job import main; main()"


@dataclasses.dataclass(frozen=True)
class BeamRunner:
    """Runs work by Beam.

    Attributes:
      arguments: Beam's own, as ``--runner=DirectRunner``.
      timeout: Seconds without a result after which a run is ended.
    """

    arguments: tuple[str, ...]
    timeout: float

    def __post_init__(self) -> None:
        """Refuses where Beam is not installed."""
        if importlib.util.find_spec("apache_beam") is None:
            raise ValueError(
                "runner=beam wants Apache Beam, which is not installed: pip install "
                "'tfdicom[beam]'"
            )

    def whereabouts(self, folder: pathlib.Path) -> pathlib.Path:
        """The folder as an absolute path."""
        return folder.absolute()

    def map(
        self,
        function: Callable[[ItemT], ResultT],
        items: Sequence[ItemT],
        *,
        progress: Callable[[int], None],
        on_death: Callable[[ItemT, Death], ItemT],
        together: int,
    ) -> Generator[ResultT, None, None]:
        """As ``runners.Runner.map``.

        Raises:
          RuntimeError: Beam failed, or brought no result for too long.
          ValueError: The arguments are not Beam's.
        """
        progress(0)
        if not items:
            return
        pieces = _pieces(items, together)
        with self._folder() as folder:
            beam_folder.make(folder)
            beam_folder.write_function(folder, function, on_death)
            _write_items(folder, pieces)
            with _Job(folder, len(pieces), self.arguments) as job:
                yield from _Watch(job, self.timeout, progress).results()
                job.wait(min(self.timeout, _SECONDS_TO_FINISH))

    @contextlib.contextmanager
    def _folder(self) -> Iterator[pathlib.Path]:
        """A new folder that is removed at the end."""
        chosen = temp_location(self.arguments)
        if not chosen:
            with temporary_folders.folder() as near:
                yield near
            return
        folder = files.path_of(chosen).absolute() / f"tfdicom-{secrets.token_hex(8)}"
        if isinstance(folder, pathlib.Path):
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            beam_folder.remove(folder)


def temp_location(arguments: Sequence[str]) -> str:
    """``--temp_location`` of Beam's arguments; empty if it is not given."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--temp_location", default="")
    return parser.parse_known_args(arguments)[0].temp_location


def _pieces(items: Sequence[ItemT], together: int) -> list[Sequence[ItemT]]:
    """Runs of items; less than ``together`` in each where there are few."""
    size = min(together, -(-len(items) // _FEWEST_PIECES))
    return [items[at : at + size] for at in range(0, len(items), size)]


def _write_items(folder: pathlib.Path, pieces: Sequence[Sequence[Any]]) -> None:
    if isinstance(folder, pathlib.Path):
        for place, items in enumerate(pieces):
            beam_folder.write_items(folder, place, items)
        return
    with concurrent.futures.ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
        written = [
            pool.submit(beam_folder.write_items, folder, place, items)
            for place, items in enumerate(pieces)
        ]
        for one in written:
            one.result()


class _Job:
    """The process of the pipeline; it ends with the ``with`` statement.

    Attributes:
      folder: Where results come.
      count: How many.
    """

    def __init__(
        self, folder: pathlib.Path, count: int, arguments: Sequence[str]
    ) -> None:
        self.folder, self.count = folder, count
        self._arguments = arguments

    def __enter__(self) -> _Job:
        self._log: IO[bytes] = tempfile.TemporaryFile(prefix="tfdicom-beam-")
        numbers = [files.text_of(self.folder), str(self.count)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *numbers, *self._arguments],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for this process alone
        )
        return self

    @property
    def status(self) -> int | None:
        """Exit status; None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> None:
        """Lets it end by itself, so that a cluster need not call it cancelled."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def last_lines(self) -> str:
        """The end of what it has printed."""
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LINES_TOLD:])

    def __exit__(self, *error: object) -> None:
        """Lets it cancel what runs elsewhere, and ends it and its workers."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self.wait(_SECONDS_TO_END)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._log.close()


def _environment() -> dict[str, str]:
    """With the modules that this process finds."""
    path = os.pathsep.join(one for one in sys.path if one)
    return {**os.environ, "PYTHONPATH": path}


class _Watch:
    """Takes the results of a job as they come."""

    def __init__(
        self, job: _Job, timeout: float, progress: Callable[[int], None]
    ) -> None:
        self._job, self._timeout, self._progress = job, timeout, progress
        self._there: dict[int, Result] = {}
        self._next = self._done = 0
        near = isinstance(job.folder, pathlib.Path)
        self._pause = _POLL_SECONDS if near else _POLL_SECONDS_REMOTE

    def results(self) -> Iterator[Any]:
        """All results, in order.

        Raises:
          RuntimeError: They do not all come.
          Exception: What the function raised.
        """
        for piece in range(self._job.count):
            self._wait_for(piece)
            one = self._there.pop(piece)
            self._next, self._done = piece + 1, self._done + (one.done or 0)
            yield from one.take()

    def _wait_for(self, piece: int) -> None:
        since = time.monotonic()
        while piece not in self._there:
            status = self._job.status
            if self._look():
                since = time.monotonic()
            elif status is not None:
                raise self._ended(status)
            elif time.monotonic() - since > self._timeout:
                raise RuntimeError(
                    f"Beam brought no result for {self._timeout:g} s, after "
                    f"{self._so_far()}; that run was ended. A worker may have died, or "
                    "none could be had; where a piece simply takes longer, give more "
                    "--beam_timeout. The same command goes on where this one stopped. "
                    f"Beam said last:\n{self._job.last_lines()}"
                )
            else:
                time.sleep(self._pause)

    def _look(self) -> bool:
        """Whether something new is there."""
        before = len(self._there)
        for one in beam_folder.results(self._job.folder):
            if one.done is None:
                _raise(one.take())
            if one.piece >= self._next:  # an engine may do a piece twice
                self._there.setdefault(one.piece, one)
        waiting = sum(one.done or 0 for one in self._there.values())
        self._progress(self._done + waiting)
        return len(self._there) > before

    def _ended(self, status: int) -> Exception:
        said = self._job.last_lines()
        if status == beam_job.WRONG_ARGUMENTS:
            return ValueError(f"beam_args: Beam does not take them:\n{said}")
        if status == beam_job.NO_SERVER:
            return RuntimeError(
                "beam_args: --job_endpoint names no job server that runs; start it, or "
                f"mend its host and port, and give the same command again:\n{said}"
            )
        return RuntimeError(
            f"the Beam pipeline ended with status {status} after {self._so_far()}. The "
            f"same command goes on where it stopped. Beam said last:\n{said}"
        )

    def _so_far(self) -> str:
        there = self._next + len(self._there)
        return f"{there} of {self._job.count} pieces of the work"


def _raise(failure: Failure) -> None:
    raise failure.error from WorkerTraceback(failure.traceback)
