"""What goes to and fro between a Beam run and its workers."""

import sys

import pytest

from tests import s3_server
from tfdicom import beam_folder
from tfdicom.beam_folder import Failure


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def folder(request, tmp_path):
    if request.param == "local":
        yield tmp_path / "work"
    else:
        with s3_server.running(tmp_path) as server:
            yield server.path() / "work"


def test_what_is_written_is_read(folder):
    beam_folder.make(folder)
    beam_folder.write_function(folder, len, sorted)
    beam_folder.write_items(folder, 7, ("a", 3))
    assert beam_folder.read_function(folder) == (len, sorted)
    assert beam_folder.read_items(folder, 7) == ["a", 3]
    assert list(beam_folder.results(folder)) == []
    beam_folder.write_results(folder, 7, ["b"], 64)
    beam_folder.write_results(folder, 1_000_000, Failure(ValueError("no"), "where"), 0)
    found = sorted(beam_folder.results(folder), key=lambda one: one.piece)
    assert [(one.piece, one.done) for one in found] == [(7, 64), (1_000_000, None)]
    assert found[0].take() == ["b"]
    assert str(found[1].take().error) == "no"
    assert list(beam_folder.results(folder)) == []
    beam_folder.remove(folder)
    beam_folder.remove(folder)
    with pytest.raises(FileNotFoundError):
        beam_folder.read_items(folder, 7)


def test_a_worker_of_another_version_is_refused(tmp_path, monkeypatch):
    beam_folder.write_function(tmp_path, len, sorted)
    monkeypatch.setattr(beam_folder, "VERSION", "0.0.1")
    with pytest.raises(RuntimeError, match=r"worker has tfdicom 0\.0\.1, .*the same"):
        beam_folder.read_function(tmp_path)


def test_what_is_being_written_is_no_result(tmp_path):
    beam_folder.make(tmp_path)
    (tmp_path / "results" / "000003-64.0a1b.partial").write_bytes(b"half")
    assert list(beam_folder.results(tmp_path)) == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
