import contextlib
import sys

import pytest

from tests.source_folders import convert
from tfdicom import files, shard_runners
from tfdicom.current_run import check_run, current_run
from tfdicom.shard_results import CONVERSION
from tfdicom.shards import write_shard


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    if request.param == "local":
        return tmp_path
    return files.path_of(f"memory://{tmp_path.name}")


def test_a_run_may_write_until_it_ends(folder):
    with current_run(folder) as run:
        check_run(folder, run)
    with pytest.raises(RuntimeError, match="driver has ended"):
        check_run(folder, run)
    assert files.walk(folder) == []


def test_one_that_was_killed_may_not_when_another_has_begun(folder):
    files.make_folder(folder / CONVERSION)
    files.write_text(folder / CONVERSION / "run-of-yore", "")
    check_run(folder, "run-of-yore")
    with current_run(folder) as run:
        with pytest.raises(RuntimeError, match="another conversion has begun"):
            check_run(folder, "run-of-yore")
        check_run(folder, run)


def content(folder):
    return {name: files.read_bytes(folder / name) for name in files.walk(folder)}


class Interrupted(Exception):
    pass


def test_workers_of_a_killed_run_write_nothing_into_the_next(
    source, tmp_path, monkeypatch
):
    """A job on a cluster that goes on after its driver has died."""
    output, late = tmp_path / "out", []

    def killed(job, task):
        late.append((job, task))
        raise Interrupted

    def meanwhile(job, task):
        notes = write_shard(job, task)
        before = content(output)
        for old in late:
            with pytest.raises(RuntimeError, match="no longer this run's"):
                write_shard(*old)
        assert content(output) == before
        return notes

    with monkeypatch.context() as patch:
        patch.setattr(shard_runners, "write_shard", killed)
        with contextlib.suppress(Interrupted):
            convert(source.root, output, num_workers=1, classes="inner")
    monkeypatch.setattr(shard_runners, "write_shard", meanwhile)
    convert(source.root, output, num_workers=1, overwrite=True)
    before = content(output)
    assert late and not [name for name in before if "run-" in name]
    with pytest.raises((RuntimeError, FileNotFoundError)):
        write_shard(*late[0])
    assert content(output) == before


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
