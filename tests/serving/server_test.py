"""The server as a platform starts it: by the line of the Procfile."""

import collections
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

import tfdicom
from tests import served_apps
from tests.real_data import REPOSITORY
from tests.served_apps import TOKEN
from tfdicom.serving import batch_formats

UP = 120  # seconds until a server is up, on a busy machine
CLIENTS = 200
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def procfile_command() -> list[str]:
    """The line of the Procfile; its command is that of this environment."""
    (line,) = (REPOSITORY / "Procfile").read_text().splitlines()
    name, _, command = line.partition(":")
    assert name == "web"
    words = shlex.split(command)
    assert words[0] == "tfdicom_serve"
    return [sys.executable, "-m", "tfdicom.serve_main", *words[1:]]


class Server:
    """A server that runs; what it says is kept."""

    def __init__(self, folder: pathlib.Path, data_dir: pathlib.Path, *more: str):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = folder / "log"
        environment = {
            **os.environ,
            "PORT": str(self.port),
            "TFDICOM_DATA_DIR": str(data_dir),
            "TFDICOM_TOKEN": TOKEN,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*procfile_command(), *more],
                env=environment,
                cwd=REPOSITORY,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + UP
        while not self._is_up():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def _is_up(self) -> bool:
        try:
            return self.get("/healthz", {})[0] == 200
        except OSError:
            return False

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=UP)

    def get(self, path: str, headers: dict = BEARER) -> tuple:
        """Status, headers, body."""
        connection = self.connection()
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("server") / "little"
    served_apps.write(found)
    return found


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    one = Server(tmp_path_factory.mktemp("log"), folder)
    yield one
    one.kill()


def test_the_procfile_listens_where_the_platform_says(server):
    assert server.get("/healthz", {})[0] == 200
    status, headers, body = server.get("/v1/datasets", {})
    assert (status, json.loads(body)["error"]["code"]) == (401, "no_token")
    status, _, body = server.get("/v1/datasets")
    assert json.loads(body)["datasets"][0]["name"] == "little"


def test_batches_from_any_process_are_those_of_input_fn(server, folder):
    wanted = list(tfdicom.generate(folder, batch_size=2, num_epochs=4, seed=9))
    for step in list(range(8)) * 2:
        path = f"/v1/batch?batch_size=2&seed=9&step={step}"
        status, headers, body = server.get(path)
        assert status == 200, body
        assert int(headers["Content-Length"]) == len(body)
        found = batch_formats.read_npz(body)
        np.testing.assert_array_equal(found["image"], wanted[step][0])
        np.testing.assert_array_equal(found["mask"], wanted[step][1])


def test_connections_are_kept(server):
    connection = server.connection()
    for _ in range(3):
        connection.request("GET", "/v1/batch", headers=BEARER)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200 and not answer.will_close
    connection.close()


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1",
        b"GET /../../etc/passwd HTTP/1.1",
        b"GET //etc/passwd HTTP/1.1",
        b"GET /v1/datasets?x=\xff\xfe HTTP/1.1",
        b"BREW /v1/datasets HTTP/1.1",
        b"nonsense",
        b"GET / HTTP/1.1\r\nno header",
        b"GET / HTTP/1.1\r\nLong: " + b"x" * 100_000,
    ],
    ids=lambda line: line[:30].decode(errors="replace"),
)
def test_odd_requests_are_refused(server, request_line):
    with socket.create_connection(("127.0.0.1", server.port), timeout=UP) as client:
        head = b"\r\nHost: x\r\nAuthorization: Bearer " + TOKEN.encode()
        client.sendall(request_line + head + b"\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := client.recv(1 << 16):
            answer += part
    assert re.match(rb"HTTP/1\.[01] 4\d\d ", answer), answer[:200]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert set(json.loads(body)["error"]) == {"code", "message", "hint"}
    for name in (b"Content-Type: application/json", b"X-Frame-Options: DENY"):
        assert name in head
    assert b"Content-Security-Policy: default-src 'none'" in head
    assert b"root:" not in answer and str(REPOSITORY).encode() not in answer


def test_clients_that_say_nothing_hold_nobody_up(server):
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
    for client in silent[::2]:
        client.sendall(b"GET /healthz HT")
    began = time.monotonic()
    assert server.get("/healthz", {})[0] == 200
    assert time.monotonic() - began < 10
    for client in silent:
        client.close()


def test_metrics_are_of_all_processes(server):
    for _ in range(10):
        server.get("/v1/datasets")
    counts = set()
    for _ in range(6):
        text = server.get("/metrics")[2].decode()
        found = re.search(r'total\{route="datasets",status="200"\} (\d+)', text)
        counts.add(int(found[1]))
    assert len(counts) == 1 and counts.pop() >= 10


def load(server: Server, seconds: float, paths: list[str]) -> collections.Counter:
    """Statuses of what so many clients get that ask without a pause."""
    end = time.monotonic() + seconds

    def ask(number: int) -> collections.Counter:
        found: collections.Counter = collections.Counter()
        connection, step = server.connection(), number
        while time.monotonic() < end:
            path = paths[step % len(paths)].format(step=step)
            try:
                connection.request("GET", path, headers=BEARER)
                answer = connection.getresponse()
                body = answer.read()
                found[answer.status] += 1
                if answer.status != 200:
                    assert "error" in json.loads(body), body
                    time.sleep(float(answer.headers["Retry-After"]))
            except (OSError, http.client.HTTPException) as error:
                found[repr(error)] += 1
                connection.close()
                connection = server.connection()
            step += 1
        connection.close()
        return found

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        return sum(clients.map(ask, range(CLIENTS)), collections.Counter())


def mixed_paths(server: Server) -> list[str]:
    rows = json.loads(server.get("/v1/examples")[2])["examples"]
    key = rows[0]["key"]
    batches = ["/v1/batch?step={step}&batch_size=2"] * 3
    return [
        *batches,
        "/v1/examples?q=p1",
        f"/v1/examples/{key}.png?mask=0.5",
        f"/v1/examples/{key}",
        "/metrics",
    ]


@pytest.mark.parametrize(
    "seconds", [3, pytest.param(30, marks=pytest.mark.slow)], ids=str
)
def test_two_hundred_clients_at_once(server, seconds):
    server.get("/v1/batch?batch_size=2")
    statuses = load(server, seconds, mixed_paths(server))
    print(statuses)
    assert set(statuses) <= {200, 429, 503}, statuses
    assert statuses[200] > 100


def test_a_rate_is_kept(folder, tmp_path):
    one = Server(
        tmp_path, folder, "--nowarm_up", "--max_requests_per_second=1", "--workers=1"
    )
    try:
        answers = [one.get("/v1/datasets") for _ in range(8)]
        statuses = [status for status, _, _ in answers]
        assert statuses[0] == 200 and 429 in statuses
        refused = next(one for one in answers if one[0] == 429)
        assert int(refused[1]["Retry-After"]) >= 1
        assert json.loads(refused[2])["error"]["code"] == "too_many_requests"
        assert one.get("/healthz")[0] == 200
    finally:
        one.kill()


def test_sigterm_ends_it_when_what_was_asked_is_answered(folder, tmp_path):
    one = Server(tmp_path, folder, "--workers=1")
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as client:
            # The first batch waits for TensorFlow.
            answer = client.submit(one.get, "/v1/batch?batch_size=2")
            time.sleep(0.5)
            assert one.end() == 0
            assert answer.result()[0] == 200
        with pytest.raises(OSError):
            one.get("/healthz")
        assert "Traceback" not in one.log.read_text()
    finally:
        one.kill()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
