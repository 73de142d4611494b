"""Servers of tf.data service in processes of their own, on this machine."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

from tests import real_data

UP = 120  # seconds until a server is up, on a busy machine


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Server:
    """One server; what it says goes to files in a folder."""

    def __init__(self, folder: pathlib.Path, *arguments: object) -> None:
        name = f"server-{time.monotonic_ns()}"
        self.stdout, self.stderr = folder / f"{name}.out", folder / f"{name}.err"
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tfdicom.data_service_main"]
                + [str(one) for one in arguments],
                cwd=real_data.REPOSITORY,
                env=environment,
                stdout=out,
                stderr=err,
            )

    def line(self) -> str:
        """The line that it prints when it is up."""
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
        self.process.kill()
        self.process.wait()


class Cluster:
    """A dispatcher and two workers."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._port, self._ports = free_port(), [free_port(), free_port()]
        self.address = f"grpc://localhost:{self._port}"
        self._dispatcher = self._new_dispatcher()
        self.workers: list[Server] = []
        try:
            self.workers = [self._worker(port) for port in self._ports]
            for one in (self._dispatcher, *self.workers):
                one.line()
        except BaseException:
            self.kill()
            raise

    def _new_dispatcher(self) -> Server:
        return Server(
            self._folder,
            "--role=dispatcher",
            f"--port={self._port}",
            f"--work_dir={self._folder / 'work'}",
        )

    def _worker(self, port: int) -> Server:
        return Server(
            self._folder,
            "--role=worker",
            f"--port={port}",
            f"--dispatcher={self.address}",
            f"--timeout_seconds={UP}",
        )

    def restart(self, number: int) -> None:
        """Starts a worker again at its address; returns before it is up."""
        self.workers[number].kill()
        self.workers[number] = self._worker(self._ports[number])

    def restart_dispatcher(self) -> None:
        """The same of the dispatcher."""
        self._dispatcher.kill()
        self._dispatcher = self._new_dispatcher()

    def kill(self) -> None:
        for one in (self._dispatcher, *self.workers):
            one.kill()
