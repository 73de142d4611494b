"""An S3 server for tests: moto in a process of its own, on loopback."""

from __future__ import annotations

import collections
import contextlib
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tfdicom import files

_START_SECONDS = 30
_REQUEST = re.compile(r'"(?:\x1b\[\d+m)*([A-Z]+) ')


class S3Server:
    """A server that runs; ``path`` gives a folder of its own in it."""

    def __init__(self, url: str, log: pathlib.Path) -> None:
        """Takes a server that was started."""
        self.url = url
        self._log = log
        self._folders = 0
        self._seen = 0

    def path(self, bucket: str = "bucket"):
        """A new folder, as a path."""
        self._folders += 1
        folder = files.path_of(f"s3://{bucket}/{self._folders}")
        if not folder.fs.exists(bucket):
            folder.fs.mkdir(bucket)
        return folder

    def requests(self) -> dict[str, int]:
        """How many requests of each kind came since the last time."""
        lines = self._log.read_text().splitlines()
        new, self._seen = lines[self._seen :], len(lines)
        found = (_REQUEST.search(line) for line in new)
        return dict(collections.Counter(one[1] for one in found if one))


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[S3Server]:
    """Runs a server, whose address and credentials are in the environment.

    Skips the test where moto or s3fs is not installed.
    """
    pytest.importorskip("moto")
    s3fs = pytest.importorskip("s3fs")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", folder / "s3-server.log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("w") as errors, pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", url)
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            _wait(url)
            # Of an earlier server, whose address it would keep.
            s3fs.S3FileSystem.clear_instance_cache()
            yield S3Server(url, log)
        finally:
            process.kill()
            process.wait()


def _wait(url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5).close()
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
