"""The processes that answer: gunicorn, with threads."""

from __future__ import annotations

import logging
import mmap
import os
from typing import Any

import flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from tfdicom.serving.app import create_app
from tfdicom.serving.data_sets import check_data_sets
from tfdicom.serving.metrics import table_for
from tfdicom.serving.routes import routes
from tfdicom.serving.serve_options import ServeOptions
from tfdicom.serving.worker import Worker

_GRACEFUL_SECONDS = 25  # platforms wait some 30 before they kill
_STARTING_SECONDS = 300  # in which a process has to read the index
_KEEP_ALIVE_SECONDS = 15
_CONNECTIONS = 1000
_LONGEST_LINE = 8190  # of a request, bytes; the query is checked on its own


class Server(BaseApplication):
    """gunicorn, as the options say; each process loads the application on its own.

    TensorFlow must not be loaded before a process is forked, so nothing is preloaded.
    """

    def __init__(self, options: ServeOptions) -> None:
        """Takes the options; ``run`` serves."""
        self.options = options
        names = [one.name for one in routes(options)]
        self._table: mmap.mmap = table_for(names, options.workers)
        self._rows: dict[Any, int] = {}
        self._row, self._is_first = 0, True
        super().__init__()

    def load_config(self) -> None:
        """Sets gunicorn's settings; no file and no environment variable does."""
        asked = self.options
        settings = {
            "bind": [_address(asked.host, asked.port or 0)],
            "workers": asked.workers,
            "threads": asked.threads,
            "worker_class": f"{Worker.__module__}.{Worker.__name__}",
            "sendfile": False,  # which would pass by what connections watch
            "worker_connections": _CONNECTIONS,
            "keepalive": _KEEP_ALIVE_SECONDS,
            "timeout": _STARTING_SECONDS,
            "graceful_timeout": _GRACEFUL_SECONDS,
            "limit_request_line": _LONGEST_LINE,
            "limit_request_fields": 64,
            "preload_app": False,
            "control_socket_disable": True,
            "proc_name": "tfdicom_serve",
            "when_ready": self._when_ready,
            "pre_fork": self._take_row,
            "child_exit": self._free_row,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> flask.Flask:
        """The application, in a process of its own."""
        # Batches are made where input_fn makes them, and their maker says little.
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        try:
            return create_app(
                self.options,
                table=self._table,
                row=self._row,
                may_wait=not self._is_first,
            )
        except (OSError, ValueError) as error:
            logging.getLogger("tfdicom.serving").error("%s", error)
            raise SystemExit(Arbiter.WORKER_BOOT_ERROR) from error

    def _when_ready(self, arbiter: Any) -> None:
        for listener in arbiter.LISTENERS:
            host, port = listener.sock.getsockname()[:2]
            print(f"tfdicom_serve at http://{_address(host, port)}/", flush=True)

    def _take_row(self, arbiter: Any, worker: Any) -> None:
        taken = set(self._rows.values())
        self._row = next(row for row in range(len(taken) + 1) if row not in taken)
        self._rows[worker] = self._row
        self._is_first = worker.age <= self.options.workers

    def _free_row(self, arbiter: Any, worker: Any) -> None:
        self._rows.pop(worker, None)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def serve(options: ServeOptions) -> None:
    """Serves until a signal ends it.

    Raises:
      FileNotFoundError: There is no data set.
      ValueError: One cannot be read.
      SystemExit: It has ended; with 0 after a signal.
    """
    check_data_sets(options)
    try:
        Server(options).run()
    except SystemExit as ended:
        if ended.code == Arbiter.WORKER_BOOT_ERROR:
            raise ValueError("no process could begin to serve; see above") from ended
        raise
