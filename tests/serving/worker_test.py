"""The process that answers, without one."""

import logging
import os
import sys

import pytest
from gunicorn.config import Config

from tfdicom.serving.worker import Worker


def test_a_process_that_is_replaced_gives_slow_clients_their_answers():
    config = Config()
    config.set("threads", 4)
    worker = Worker(1, os.getppid(), [], None, 30, config, logging.getLogger())
    worker.method_queue.init()
    patience = worker._slow.patience
    try:
        worker.replace()
        assert not worker.alive
        assert worker._slow.patience == patience
        assert os.read(worker.method_queue.fileno(), 9)  # it hears of it at once
    finally:
        worker.method_queue.close()
        worker.tmp.close()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
