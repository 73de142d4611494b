"""``tfdicom_serve`` in a process of its own, for who asks it over a socket."""

from __future__ import annotations

import os
import pathlib

from tools.server_process import ServerProcess


class WebServer(ServerProcess):
    """One server on a free port.

    Attributes:
      url: Where it answers, without a slash at its end and without its prefix.
    """

    def __init__(self, folder: pathlib.Path, *arguments: object) -> None:
        """Starts it with these flags, and waits until it answers.

        Raises:
          AssertionError: It does not; with what it says.
        """
        environment = {k: v for k, v in os.environ.items() if k != "TFDICOM_TOKEN"}
        flags = ("--port=0", *arguments)
        super().__init__(folder, "tfdicom.serve_main", *flags, environment=environment)
        self.url = self.line().removeprefix("tfdicom_serve at ").rstrip("/")
