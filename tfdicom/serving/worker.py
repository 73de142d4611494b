"""A process that answers: gunicorn's threads, with connections that hold none."""

from __future__ import annotations

import json
import signal
from typing import Any

from gunicorn.http import errors as http_errors
from gunicorn.workers.gthread import ThreadWorker

from tfdicom.serving.connections import Connection, SlowClients
from tfdicom.serving.security import HEADERS

_BAD = (400, "Bad Request", "bad_request", "this is no HTTP request")
_TOO_LONG = "its first line is longer than 8190 bytes"
_REFUSED: dict[type[Exception], tuple[int, str, str, str]] = {
    http_errors.LimitRequestLine: (414, "URI Too Long", "too_long", _TOO_LONG),
    http_errors.LimitRequestHeaders: (
        *(431, "Request Header Fields Too Large", "too_long"),
        "its headers are too long or too many",
    ),
}
_FAILED = (500, "Internal Server Error", "failed", "the server failed at this request")


class Worker(ThreadWorker):
    """A process that answers, and ends in peace when it is to be replaced."""

    alive: bool

    def __init__(self, *arguments: Any, **values: Any) -> None:
        """As gunicorn makes it."""
        super().__init__(*arguments, **values)
        self._slow = SlowClients(self.cfg.threads // 2)

    def load_wsgi(self) -> None:
        """Loads the application, which may ask to be replaced."""
        super().load_wsgi()
        self.wsgi.extensions["tfdicom"].tools["room"].replace = self.replace

    def replace(self) -> None:
        """Answers what was asked, takes no new connection, and ends."""
        if self.alive:
            self.log.info("This process is replaced: it holds much memory")
            self.handle_exit(signal.SIGTERM, None)

    def run(self) -> None:
        """Answers until it is told to end; then nobody holds it up."""
        super().run()
        self._slow.give_up_all()

    def enqueue_req(self, conn: Any) -> None:
        """Gives a connection to a thread."""
        if not isinstance(conn.sock, Connection):
            patience = self.app.options.request_timeout
            conn.sock = Connection(conn.sock, self._slow, patience)
            # One that says nothing waits without a thread.
            conn.wait_for_data = lambda seconds: conn.sock.is_readable()
        super().enqueue_req(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """Called at the end: who has said nothing yet is not waited for either."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answers what never came to the application as the application would."""
        if isinstance(exc, http_errors.ParseException):
            self.log.warning("Invalid request from %s: %s", (addr or ("",))[0], exc)
            status, reason, code, message = _REFUSED.get(type(exc), _BAD)
        else:
            self.log.error("A request failed: %s", exc, exc_info=exc)
            status, reason, code, message = _FAILED
        error = {"code": code, "message": message, "hint": "see /openapi.json"}
        body = json.dumps({"error": error}).encode()
        headers = {
            "Connection": "close",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            **HEADERS,
        }
        lines = [f"HTTP/1.1 {status} {reason}", *map(": ".join, headers.items())]
        try:
            client.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        except OSError as error_of_sending:
            self.log.debug("Nobody takes the answer: %s", error_of_sending)
