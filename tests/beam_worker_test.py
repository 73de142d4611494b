"""A piece of work as a worker of Beam does it; Beam itself is not needed."""

import os
import signal
import sys

import pytest

from tfdicom import beam_folder, beam_worker, processes


def _double(item):
    processes.now_at(str(item))
    if item == 5:
        raise KeyError("five")
    if item == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    processes.count_done(10)
    return 2 * item


def _fourteen(item, death):
    return 14 if death.count == 2 else item


@pytest.fixture
def folder(tmp_path):
    beam_folder.make(tmp_path)
    beam_folder.write_function(tmp_path, _double, _fourteen)
    for piece, items in enumerate([(1, 2), (3, 13), (4, 5, 6)]):
        beam_folder.write_items(tmp_path, piece, items)
    yield tmp_path
    beam_worker.rest()


def _found(folder, piece):
    (one,) = (one for one in beam_folder.results(folder) if one.piece == piece)
    return one.take(), one.done


def test_a_piece_is_done(folder):
    beam_worker.do_piece(str(folder), 0)
    assert _found(folder, 0) == ([2, 4], 20)


def test_what_kills_is_tried_and_left(folder):
    beam_worker.do_piece(str(folder), 1)
    assert _found(folder, 1) == ([6, 28], 20)


def test_an_error_is_a_result(folder):
    beam_worker.do_piece(str(folder), 2)
    failure, done = _found(folder, 2)
    assert done is None and repr(failure.error) == "KeyError('five')"
    assert "_double" in failure.traceback


def test_another_run_has_another_function(folder, tmp_path):
    beam_worker.do_piece(str(folder), 0)
    other = tmp_path / "other"
    beam_folder.make(other)
    beam_folder.write_function(other, abs, _fourteen)
    beam_folder.write_items(other, 0, [-3])
    beam_worker.do_piece(str(other), 0)
    assert _found(other, 0) == ([3], 0)


def test_a_folder_of_another_machine_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not see.*--temp_location"):
        beam_worker.do_piece(str(tmp_path / "elsewhere"), 0)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
