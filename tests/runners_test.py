"""The runner of this machine."""

import contextlib
import os
import pathlib
import sys

import pytest

from tfdicom.runners import LocalRunner


def _square(item):
    return item * item, os.getpid()


def _same(item, death):
    return item


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_from_so_many_processes(workers):
    counts = []
    mapped = LocalRunner(workers).map(
        _square, range(20), progress=counts.append, on_death=_same, together=3
    )
    with contextlib.closing(mapped):
        found = list(mapped)
    assert [square for square, _ in found] == [item * item for item in range(20)]
    assert ({pid for _, pid in found} == {os.getpid()}) == (workers == 1)
    assert counts[0] == 0


def test_folders_are_called_as_they_are():
    folder = pathlib.Path("some/where")
    assert LocalRunner(2).whereabouts(folder) == folder


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
