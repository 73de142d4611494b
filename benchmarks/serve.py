"""Measures tfdicom_serve on loopback, as Markdown tables.

  python benchmarks/serve.py              # batches as npz: pairs a second
  python benchmarks/serve.py --pages      # the first answers for 100,000 examples
  python benchmarks/serve.py --smoke      # both, tiny

The clients run on the same processors as the server. ``bytes`` clients take what comes
off the connection, ``arrays`` clients are ``tfdicom.remote_batches``, which also check
and decode it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from absl import app, flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_EXAMPLES = flags.DEFINE_integer("examples", 512, "Pairs of 256 x 256.", lower_bound=16)
_BATCH = flags.DEFINE_integer("batch_size", 8, "Examples in a batch.", lower_bound=1)
_CLIENTS = flags.DEFINE_integer("clients", 2, "Processes that ask.", lower_bound=1)
_WORKERS = flags.DEFINE_integer("workers", 2, "Processes that answer.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 10.0, "Of each measurement.", lower_bound=0.2)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Rounds.", lower_bound=1)
_PAGES = flags.DEFINE_bool("pages", False, "Measure searching, not batches.")
_MANY = flags.DEFINE_integer("many", 100_000, "Examples to search.", lower_bound=100)
_SMOKE = flags.DEFINE_bool("smoke", False, "Tiny sizes: shows that it runs.")

_ADDRESS = re.compile(r"tfdicom_serve at (http://127\.0\.0\.1:(\d+))/")
_UP = 300  # seconds
# One client for so many seconds: rows of (examples that came) and processor seconds.
_CLIENT = """
import http.client, json, sys, time
kind, port, batch, seconds, augment, first = json.loads(sys.argv[1])
options = {"augment": augment} if augment else {}
count, end = 0, None
if kind == "arrays":
    import tfdicom
    batches = tfdicom.remote_batches(
        f"http://127.0.0.1:{port}", batch_size=batch, steps=10**9, start_step=first,
        prefetch=2, **options)
    passing = iter(batches)
    next(passing)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        count += len(next(passing)[0])
else:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    buffer, step = bytearray(1 << 26), first
    query = "&augment=" + augment if augment else ""
    while end is None or time.monotonic() < end:
        path = f"/v1/batch?batch_size={batch}&step={step}{query}"
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        while answer.readinto(buffer):
            pass
        if end is None:
            end = time.monotonic() + seconds
        else:
            count += batch
        step += 1
print(count, flush=True)
__import__("os")._exit(0)  # does not wait for what was asked for ahead
"""


@contextlib.contextmanager
def server(folder: pathlib.Path) -> Iterator[tuple[int, subprocess.Popen]]:
    """A server of a data set on a free port."""
    command = [sys.executable, "-m", "tfdicom.serve_main", f"--data_dir={folder}"]
    command += ["--port=0", f"--workers={_WORKERS.value}", "--queue_seconds=600"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        found = _ADDRESS.match(process.stdout.readline())
        if not found:
            raise RuntimeError("no server came up")
        port = int(found[2])
        _wait(port)
        yield port, process
    finally:
        process.terminate()
        process.wait(60)


def _wait(port: int) -> None:
    end = time.monotonic() + _UP
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if _ask(port, "/healthz")[0] == 200:
                return
        time.sleep(0.1)
    raise RuntimeError("the server does not answer")


def _ask(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_UP)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def _processor_seconds(parent: int) -> float:
    """What the children of a process have used of all processors."""
    ticks = 0
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def speed(
    port: int, kind: str, augment: str, seconds: float, server: int = 0
) -> tuple[float, float]:
    """Pairs a second of all clients together; the server's processor ms a pair."""
    used = _processor_seconds(server)
    clients = []
    for number in range(_CLIENTS.value):
        asked = [kind, port, _BATCH.value, seconds, augment, number * 1000]
        command = [sys.executable, "-c", _CLIENT, json.dumps(asked)]
        clients.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    counts = [int(one.communicate()[0].split()[0]) for one in clients]
    used = _processor_seconds(server) - used
    return sum(counts) / seconds, 1000 * used / max(sum(counts), 1)


def batches(folder: pathlib.Path) -> None:
    """The table of batches."""
    import dataset  # TensorFlow

    dataset.write(folder, size=256, examples=_EXAMPLES.value, shards=2, by_hand=False)
    rows = [
        (kind, change) for change in ("", "standard") for kind in ("bytes", "arrays")
    ]
    found: dict[tuple[str, str], list[tuple]] = {row: [] for row in rows}
    with server(folder / dataset.COMPACT) as (port, process):
        for kind, change in rows:  # each process compiles, and each file is read
            speed(port, kind, change, max(_SECONDS.value, 0.2))
        for _ in range(_REPEATS.value):
            for kind, change in rows:
                asked = (port, kind, change, _SECONDS.value, process.pid)
                found[kind, change].append(speed(*asked))
    print(
        "| batches as npz | clients take | pairs/s, rounds | best | server, ms a pair |"
    )
    print("|---|---|---|---|---|")
    for (kind, change), speeds in found.items():
        rates, costs = zip(*speeds, strict=True)
        words = ", ".join(f"{one:.0f}" for one in rates)
        cells = (
            change or "plain",
            kind,
            words,
            f"{max(rates):.0f}",
            f"{min(costs):.2f}",
        )
        print(f"| {' | '.join(cells)} |")


def pages(folder: pathlib.Path) -> None:
    """The table of first answers."""
    import many_records

    many_records.write(folder, _MANY.value)
    began = time.perf_counter()
    with server(folder) as (port, _):
        print(f"| {_MANY.value} examples | ms |\n|---|---|")
        print(
            f"| start, until it answers | {1000 * (time.perf_counter() - began):.0f} |"
        )
        for path in (
            "/",
            "/v1/examples",
            "/v1/examples?q=p1&sort=-findings",
            "/v1/examples?split=train&class=inner&sort=-area&offset=50",
            "/v1/datasets",
            "/v1/statistics",
        ):
            times = []
            for _ in range(5):
                began = time.perf_counter()
                status, _ = _ask(port, path)
                times.append(1000 * (time.perf_counter() - began))
                assert status == 200, path
            print(f"| `{path}`: first, then best | {times[0]:.0f}, {min(times):.0f} |")


def main(_: list[str]) -> None:
    """Writes a data set, serves it, measures, prints."""
    if _SMOKE.value:
        flags.FLAGS.examples, flags.FLAGS.many = 16, 200
        flags.FLAGS.seconds, flags.FLAGS.repeats = 0.2, 1
    with tempfile.TemporaryDirectory() as scratch:
        if not _PAGES.value:
            batches(pathlib.Path(scratch))
        if _PAGES.value or _SMOKE.value:
            print()
            pages(pathlib.Path(scratch) / "many")


if __name__ == "__main__":
    app.run(main)
