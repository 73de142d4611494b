"""``tfdicom_serve`` in a process of its own, for who asks it over a socket."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
UP = 120  # seconds until a server is up, on a busy machine
_ADDRESS = re.compile(r"tfdicom_serve at (http://\S+?)/?\n")


class WebServer:
    """One server on a free port; what it says goes to files in a folder.

    Attributes:
      url: Where it answers, without a slash at its end and without its prefix.
    """

    def __init__(self, folder: pathlib.Path, *arguments: object) -> None:
        """Starts it with these flags, and waits until it answers.

        Raises:
          AssertionError: It does not; with what it says.
        """
        name = f"web-{time.monotonic_ns()}"
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        environment = {k: v for k, v in os.environ.items() if k != "TFDICOM_TOKEN"}
        flags = [str(one) for one in arguments]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tfdicom.serve_main", "--port=0", *flags],
                cwd=ROOT,
                env={**environment, "TF_CPP_MIN_LOG_LEVEL": "2"},
                stdout=out,
                stderr=err,
            )
        self.url = self._wait()

    def _wait(self) -> str:
        deadline = time.monotonic() + UP
        while time.monotonic() < deadline and self._process.poll() is None:
            found = _ADDRESS.search(self._out.read_text())
            if found:
                return found[1]
            time.sleep(0.05)
        self.close()
        raise AssertionError(f"no server came up: {self._err.read_text()}")

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        try:
            self._process.wait(UP)
        finally:
            self._process.kill()
            self._process.wait()
