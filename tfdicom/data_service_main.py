"""tfdicom_data_service: machines that finish examples for a reader elsewhere.

  tfdicom_data_service --role=dispatcher --port=5050 --work_dir=/var/tmp/dispatcher
      Shares the work out; one for a training. With --work_dir it goes on where it was
      when it is started again.
  tfdicom_data_service --role=worker --port=5051 --dispatcher=HOST:5050
      Reads records and finishes examples; as many as are wanted, on any machine that
      has the data set under the path that the reader gives. A worker that ended is to
      be started again with the same --port (and --worker_address).

The reader: tfdicom.input_fn(data_dir, data_service="grpc://HOST:5050"). Each prints one
line when it is up, and runs until it gets SIGTERM or SIGINT. Nobody is asked who they
are, on any network interface: use a network of your own.

Exit codes: 0 ended by a signal, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

from tfdicom import interrupts

if __name__ == "__main__":  # before all that takes its time to import
    interrupts.end_at_once()

import os
import pathlib
import signal
import socket
import threading
from collections.abc import Sequence
from typing import Any

from absl import flags

from tfdicom import command, service_address
from tfdicom.service_address import PROTOCOL

DISPATCHER, WORKER = "dispatcher", "worker"

_ROLE = flags.DEFINE_enum("role", None, [DISPATCHER, WORKER], "What to be.")
_PORT = flags.DEFINE_integer(
    "port",
    None,
    "TCP port to listen on; 0 takes one that is free, which is another at each start.",
    lower_bound=0,
    upper_bound=65535,
)
_DISPATCHER = flags.DEFINE_string(
    "dispatcher", None, "Of a worker: HOST:PORT of the dispatcher."
)
_WORKER_ADDRESS = flags.DEFINE_string(
    "worker_address",
    None,
    "Of a worker: HOST or HOST:PORT under which the readers reach it; this machine's "
    "address towards the dispatcher, and --port, if not given.",
)
_WORK_DIR = flags.DEFINE_string(
    "work_dir",
    None,
    "Of a dispatcher: folder for its journal and what is registered with it, from "
    "which one that is started again goes on; in memory if not given.",
)
_HEARTBEAT = flags.DEFINE_float(
    "heartbeat_seconds",
    1.0,
    "Of a worker: how often it tells the dispatcher that it is there.",
    lower_bound=0.1,
)
_TIMEOUT = flags.DEFINE_float(
    "timeout_seconds",
    60.0,
    "Of a worker: how long to look for the dispatcher before giving up.",
    lower_bound=0,
)
_COMPILE_CACHE = flags.DEFINE_string(
    "compile_cache",
    None,
    "Of a worker: folder of its own, on its own disk, that keeps what XLA compiled for "
    "the next epochs, each of which compiles anew without it. TensorFlow 2.21 can, "
    "2.15 cannot.",
)
_OF_ONE_ROLE = {
    DISPATCHER: ["work_dir"],
    WORKER: [
        "dispatcher",
        "worker_address",
        "heartbeat_seconds",
        "timeout_seconds",
        "compile_cache",
    ],
}


def dispatcher() -> tuple[Any, tuple[str, int]]:
    """Starts a dispatcher; returns the server, its host and its port."""
    work_dir = _WORK_DIR.value
    if work_dir is not None:
        pathlib.Path(work_dir).mkdir(parents=True, exist_ok=True)

    import tensorflow as tf  # which --help and wrong usage do not wait for

    service = tf.data.experimental.service
    config = service.DispatcherConfig(
        port=_free_port(),
        protocol=PROTOCOL,
        work_dir=work_dir,
        fault_tolerant_mode=work_dir is not None,
    )
    return service.DispatchServer(config), (socket.gethostname(), config.port)


def worker() -> tuple[Any, tuple[str, int]]:
    """Starts a worker once its dispatcher answers; returns it, its host and its port.

    Raises:
      ConnectionError: The dispatcher does not answer.
    """
    host, dispatcher_port = _dispatcher_address()
    own = service_address.own_address(host, dispatcher_port, _TIMEOUT.value)
    _keep_compiled(_COMPILE_CACHE.value)

    import tensorflow as tf

    from tfdicom.kernel import keep_freed_memory

    keep_freed_memory()
    if _COMPILE_CACHE.value and tf.__version__.startswith("2.15."):
        raise ValueError("--compile_cache: TensorFlow 2.15 cannot; leave it out")
    service = tf.data.experimental.service
    port = _free_port()
    address = _announced(port) or (own, port)
    config = service.WorkerConfig(
        dispatcher_address=service_address.join_address(host, dispatcher_port),
        worker_address=service_address.join_address(*address),
        port=port,
        protocol=PROTOCOL,
        heartbeat_interval_ms=round(_HEARTBEAT.value * 1000),
    )
    return service.WorkerServer(config), address


def _keep_compiled(folder: str | None) -> None:
    """To be called before TensorFlow reads its environment."""
    if folder is not None:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        flag = f"--tf_xla_persistent_cache_directory={folder}"
        os.environ["TF_XLA_FLAGS"] = f"{os.environ.get('TF_XLA_FLAGS', '')} {flag}"


def _dispatcher_address() -> tuple[str, int]:
    return service_address.parse_address(_DISPATCHER.value or "", "--dispatcher")


def _announced(port: int) -> tuple[str, int] | None:
    text = _WORKER_ADDRESS.value
    if text is None:
        return None
    return service_address.parse_address(text, "--worker_address", port)


def _free_port() -> int:
    """The port, or a free one for 0; gRPC would share one that another server has."""
    with socket.socket() as taken:
        # As gRPC does: not that of connections that were closed a moment ago.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("", _PORT.value))
        except OSError as error:
            raise OSError(
                f"--port={_PORT.value}: {error.strerror}; choose another, or 0 for a "
                "free one"
            ) from error
        return taken.getsockname()[1]


def _wait_for_signal() -> None:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()


def _check_usage(arguments: Sequence[str]) -> None:
    if arguments:
        raise command.UsageError(f"{' '.join(arguments)!r}: there are flags only")
    role = _ROLE.value
    if role is None or _PORT.value is None:
        raise command.UsageError("--role and --port are wanted")
    for other, names in _OF_ONE_ROLE.items():
        for name in names if other != role else ():
            if flags.FLAGS[name].present:
                raise command.UsageError(f"--{name} is no flag of a {role}")
    if role == WORKER:
        try:
            _ = (_dispatcher_address(), _announced(0))
        except ValueError as error:
            raise command.UsageError(str(error)) from error


def main(arguments: Sequence[str]) -> int:
    """Runs a server until a signal ends it; returns the exit code."""
    _check_usage(arguments)
    server, address = dispatcher() if _ROLE.value == DISPATCHER else worker()
    print(f"{_ROLE.value} at {service_address.target(*address)}", flush=True)
    _wait_for_signal()
    server.stop()
    return command.DONE


def run() -> None:
    """Entry point of the console script."""
    command.run(main)


if __name__ == "__main__":
    run()
