"""Makes a batch before anybody asks for one: the first of a process takes long.

TensorFlow is loaded for it, which takes seconds and most of the memory of a process.
"""

from __future__ import annotations

import atexit
import logging
import threading

from tfdicom.serving.data_sets import Served
from tfdicom.serving.parameters import read_query
from tfdicom.serving.route_parameters import batch_parameters

_LOG = logging.getLogger("tfdicom.serving")


def start(served: Served) -> threading.Thread:
    """Warms up beside the answers; the end of the process waits for it."""
    thread = threading.Thread(
        target=warm_up, args=(served,), name="warm up", daemon=True
    )
    thread.start()
    # A process does not end well while TensorFlow is being loaded.
    atexit.register(thread.join)
    return thread


def warm_up(served: Served) -> None:
    """Makes the batch of ``/v1/batch`` without any parameter; a fault is logged."""
    try:
        from tfdicom.serving.batch_answers import make_ahead

        make_ahead(served, read_query(batch_parameters(served.options), ()))
    except Exception as error:  # noqa: BLE001  Whoever asks for a batch is told why.
        _LOG.warning("no batch could be made ahead: %s", error)
