import re
import signal
import socket
import subprocess
import sys

import pytest
import tensorflow as tf

from tests import real_data
from tests.service_processes import UP, Server, free_port

pytestmark = pytest.mark.long

DISPATCHER, WORKER = "--role=dispatcher", "--role=worker"


def main(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tfdicom.data_service_main", *map(str, arguments)],
        cwd=real_data.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--role and --port are wanted"),
        ([DISPATCHER], "--role and --port are wanted"),
        (["--role=judge", "--port=1"], "--role=judge: value should be one of"),
        ([DISPATCHER, "--port=70000"], "--port=70000"),
        ([DISPATCHER, "--port=1", "now"], "'now': there are flags only"),
        ([DISPATCHER, "--port=1", "--dispatcher=a:1"], "no flag of a dispatcher"),
        ([WORKER, "--port=1", "--work_dir=x"], "--work_dir is no flag of a worker"),
        ([WORKER, "--port=1"], "--dispatcher='': HOST:PORT is wanted"),
        ([WORKER, "--port=1", "--dispatcher=a"], "--dispatcher='a': HOST:PORT is"),
        (
            [WORKER, "--port=1", "--dispatcher=a:1", "--worker_address=b:c"],
            "--worker_address='b:c': HOST or HOST:PORT is wanted",
        ),
    ],
)
def test_wrong_usage(arguments, words):
    done = main(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_without_a_dispatcher():
    address = f"localhost:{free_port()}"
    done = main(WORKER, "--port=0", f"--dispatcher={address}", "--timeout_seconds=0.5")
    assert done.returncode == 1
    assert f"nobody answers at grpc://{address} (" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    done = main(DISPATCHER, "--port=0", f"--work_dir={tmp_path}/file/folder")
    assert done.returncode == 1
    assert f"{tmp_path}/file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_port_that_is_taken():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        done = main(DISPATCHER, f"--port={port}")
    assert done.returncode == 1
    assert f"Error: --port={port}: Address already in use; choose" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """A dispatcher on any free port, and a worker that is announced by a name."""
    folder = tmp_path_factory.mktemp("servers")
    started = [Server(folder, DISPATCHER, "--port=0")]
    try:
        started[0].line()
        found = re.search(r":(\d+)$", started[0].line())
        port = free_port()
        started.append(
            Server(
                folder,
                WORKER,
                f"--port={port}",
                f"--dispatcher=localhost:{found[1]}",
                "--worker_address=localhost",
            )
        )
        assert started[1].line() == f"worker at grpc://localhost:{port}"
        yield started, f"grpc://localhost:{found[1]}"
    finally:
        for one in started:
            one.kill()


@pytest.mark.slow
def test_servers_do_the_work_and_end_on_a_signal(servers):
    (dispatcher, worker), address = servers
    line = f"dispatcher at grpc://{socket.gethostname()}:{address.rpartition(':')[2]}"
    assert dispatcher.line() == line
    dataset = tf.data.Dataset.range(10).map(lambda number: number**2)
    policy = tf.data.experimental.service.ShardingPolicy.DYNAMIC
    shared = dataset.apply(
        tf.data.experimental.service.distribute(policy, address, compression=None)
    )
    assert sorted(shared.as_numpy_iterator()) == [n**2 for n in range(10)]
    assert worker.end(signal.SIGTERM) == 0
    assert dispatcher.end(signal.SIGINT) == 0
    assert "Traceback" not in worker.stderr.read_text() + dispatcher.stderr.read_text()


@pytest.mark.slow
def test_compiled_code_is_kept(tmp_path):
    cache = tmp_path / "compiled"
    port = free_port()
    started = [Server(tmp_path, DISPATCHER, f"--port={port}")]
    try:
        started.append(
            Server(
                tmp_path,
                WORKER,
                "--port=0",
                f"--dispatcher=localhost:{port}",
                f"--compile_cache={cache}",
            )
        )
        if tf.__version__.startswith("2.15."):
            assert started[1].process.wait(UP) == 1
            assert "TensorFlow 2.15 cannot" in started[1].stderr.read_text()
            return
        started[1].line()
        twice = tf.function(lambda number: 2 * number, jit_compile=True)
        shared = (
            tf.data.Dataset.range(4)
            .map(twice)
            .apply(
                tf.data.experimental.service.distribute(
                    "distributed_epoch", f"grpc://localhost:{port}"
                )
            )
        )
        assert sorted(shared.as_numpy_iterator()) == [0, 2, 4, 6]
        assert list(cache.iterdir())
    finally:
        for one in started:
            one.kill()


def test_help_names_every_flag():
    done = main("--help")
    assert done.returncode == 0
    for flag in ("role", "port", "dispatcher", "worker_address", "work_dir"):
        assert f"--{flag}" in done.stdout


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
