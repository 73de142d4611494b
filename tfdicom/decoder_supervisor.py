"""Decodes pixels in a child process that is killed and replaced when it misbehaves.

Decoders are libraries in C: damaged pixels make them crash, hang or ask for all memory.
Each process that decodes has one child, started when it is first needed; of a pipe
between them (the lifeline) nothing is read, but its end is the child's.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing.util
import os
import pathlib
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfdicom.reasons import InputSkipped

_START_SECONDS = 120
_LONGEST_LINE = 64 << 10
_PIECE = 1 << 20
# The child ends itself this much later than it is killed.
_GRACE_SECONDS = 5
# Without these each thread of a library counts against the child's address space.
_ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)


class _ChildFailed(Exception):
    """The child is of no use any more: a reason code, and what became of it."""


class DecoderSupervisor:
    """Keeps one child process, and replaces it when it crashes or hangs."""

    def __init__(self, memory: int, command: Sequence[str] | None = None) -> None:
        """Starts nothing yet.

        Args:
          memory: Bytes of address space that the child may use.
          command: What to start, other than ``tfdicom.decoder_process``.
        """
        python = [sys.executable, "-P", "-m", "tfdicom.decoder_process"]
        self._command = [*(command or python), str(memory)]
        self._child: subprocess.Popen | None = None
        self._lifeline: int | None = None
        self._lock = threading.Lock()
        # Runs at the end of workers, too, which atexit does not.
        multiprocessing.util.Finalize(None, self._end, exitpriority=10)

    def decode(
        self, path: pathlib.Path, index: int, *, syntax: str, size: int, seconds: float
    ) -> np.ndarray:
        """Decodes one frame.

        Args:
          path: A local file.
          index: Of the frame, from 0.
          syntax: Transfer Syntax UID.
          size: Bytes that the pixels may have.
          seconds: Time that it may take.

        Returns:
          The pixels, ``[rows, columns]`` or ``[rows, columns, samples]``.

        Raises:
          InputSkipped: They cannot be decoded, or the child crashed or hung.
        """
        request = {"path": os.path.abspath(path), "index": index, "syntax": syntax}
        request["seconds"] = seconds + _GRACE_SECONDS
        with self._lock:
            try:
                child = self._running()
                line, pixels = _asked(child, request, size, seconds)
            except _ChildFailed as failed:
                self._end()
                raise InputSkipped(*failed.args) from failed
            except BaseException:  # half an answer is left in the pipe
                self._end()
                raise
        if "code" in line:
            raise InputSkipped(line["code"], line["detail"])
        return np.frombuffer(pixels, line["dtype"]).reshape(line["shape"])

    def _running(self) -> subprocess.Popen:
        """The child, started if there is none."""
        if self._child is None or self._child.poll() is not None:
            self._end()
            theirs, self._lifeline = os.pipe()
            try:
                self._child = subprocess.Popen(
                    [*self._command, str(theirs)],
                    pass_fds=(theirs,),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,  # libraries in C are chatty
                    env={**os.environ, **_ONE_THREAD, "PYTHONPATH": _search_path()},
                    bufsize=0,
                )
            finally:
                os.close(theirs)
            _Answer(self._child, time.monotonic() + _START_SECONDS).line()
        return self._child

    def _end(self) -> None:
        """Kills the child, and waits for it so that no zombie is left."""
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            os.close(lifeline)
        child, self._child = self._child, None
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        child.kill()
        child.wait()


def _search_path() -> str:
    """Where this process finds modules, so that its child finds the same."""
    return os.pathsep.join(os.path.abspath(entry) for entry in sys.path)


def _asked(
    child: subprocess.Popen, request: dict[str, Any], size: int, seconds: float
) -> tuple[dict[str, Any], bytearray]:
    answer = _Answer(child, time.monotonic() + seconds)
    try:
        assert child.stdin is not None  # it is a pipe
        child.stdin.write(json.dumps(request).encode() + b"\n")
    except OSError as error:
        raise answer.died() from error
    line = answer.line()
    if line["size"] > size:
        detail = f"{line['size']} bytes of pixels, where at most {size} are expected"
        raise _ChildFailed("pixels_unreadable", detail)
    return line, answer.take(line["size"])


class _Answer:
    """Reads what the child sends, until a moment."""

    def __init__(self, child: subprocess.Popen, deadline: float) -> None:
        self._child, self._deadline = child, deadline
        self._ahead = bytearray()
        self._selector = selectors.DefaultSelector()
        self._selector.register(child.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]

    def line(self) -> dict[str, Any]:
        while b"\n" not in self._ahead:
            if len(self._ahead) > _LONGEST_LINE:
                raise _ChildFailed("decoder_crashed", "it sends no answer")
            self._ahead += self._piece()
        line, _, rest = self._ahead.partition(b"\n")
        self._ahead = rest
        return json.loads(line)

    def take(self, size: int) -> bytearray:
        while len(self._ahead) < size:
            self._ahead += self._piece()
        self._selector.close()
        return self._ahead

    def died(self) -> _ChildFailed:
        try:
            status = self._child.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return _ChildFailed("decoder_crashed", "it stopped answering")
        with contextlib.suppress(ValueError):
            if status < 0:
                return _ChildFailed("decoder_crashed", signal.Signals(-status).name)
        return _ChildFailed("decoder_crashed", f"exit status {status}")

    def _piece(self) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0 or not self._selector.select(left):
            raise _ChildFailed("decoder_hung", "")
        piece = os.read(self._child.stdout.fileno(), _PIECE)  # type: ignore[union-attr]
        if not piece:
            raise self.died()
        return piece


_supervisors: dict[tuple[int, int], DecoderSupervisor] = {}


def supervisor(memory: int) -> DecoderSupervisor:
    """This process's own supervisor: a child is never shared with a forked process."""
    key = os.getpid(), memory
    if key not in _supervisors:
        _supervisors[key] = DecoderSupervisor(memory)
    return _supervisors[key]
