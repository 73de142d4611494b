"""A server of the package in a process of its own, for who asks it over a socket."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Mapping

ROOT = pathlib.Path(__file__).resolve().parent.parent
UP = 120  # seconds until a server is up, on a busy machine


class ServerProcess:
    """One server; what it says goes to files in a folder.

    Attributes:
      process: Its process.
      stdout: What it prints.
      stderr: What it logs.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        module: str,
        *arguments: object,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """Starts it.

        Args:
          folder: Of the files.
          module: That is run.
          *arguments: Its flags.
          environment: All of its variables, but for what TensorFlow logs.
        """
        name = f"server-{time.monotonic_ns()}"
        self.stdout, self.stderr = folder / f"{name}.out", folder / f"{name}.err"
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                cwd=ROOT,
                env={**environment, "TF_CPP_MIN_LOG_LEVEL": "2"},
                stdout=out,
                stderr=err,
            )

    def line(self) -> str:
        """The line that it prints when it is up, which is waited for.

        Raises:
          AssertionError: There is none; with what it logs.
        """
        deadline = time.monotonic() + UP
        while time.monotonic() < deadline:
            text = self.stdout.read_text()
            if text.endswith("\n"):
                return text.strip()
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.kill()
        raise AssertionError(f"no server came up: {self.stderr.read_text()}")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal; returns the exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(UP)
        finally:
            self.kill()

    def kill(self) -> None:
        """Ends it at once."""
        self.process.kill()
        self.process.wait()
