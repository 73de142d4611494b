"""Servers of tf.data service in processes of their own, on this machine."""

import pathlib
import socket

from tools.server_process import UP, ServerProcess


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Server(ServerProcess):
    """One server; what it says goes to files in a folder."""

    def __init__(self, folder: pathlib.Path, *arguments: object) -> None:
        super().__init__(folder, "tfdicom.data_service_main", *arguments)


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
