"""What is tried after a worker died while it wrote a shard."""

import dataclasses
import json
import multiprocessing
import os
import signal
import sys

import pytest

from tests.source_folders import convert, examples
from tfdicom import processes, shards
from tfdicom.plan import ShardPlan
from tfdicom.processes import Death
from tfdicom.shard_runners import without_killer
from tfdicom.shards import ShardTask

TASK = ShardTask(ShardPlan("train", "train-00000-of-00001.tfrecord", ()))


@pytest.mark.parametrize("at", ["", "a.dcm"])
def test_the_first_death_changes_nothing(at):
    assert without_killer(TASK, Death(at, "SIGKILL", 1)) == TASK


def test_a_file_that_killed_twice_is_left():
    task = without_killer(TASK, Death("a.dcm", "SIGKILL", 2))
    assert task == dataclasses.replace(TASK, without=frozenset({"a.dcm"}))
    more = without_killer(task, Death("b.dcm", "SIGKILL", 2))
    assert more.without == {"a.dcm", "b.dcm"}


@pytest.mark.parametrize("at", ["", "a.dcm"])
def test_where_no_file_is_to_blame_it_ends(at):
    task = dataclasses.replace(TASK, without=frozenset({"a.dcm"}))
    with pytest.raises(RuntimeError, match="00000-of-00001.*SIGKILL.*fewer"):
        without_killer(task, Death(at, "SIGKILL", 2))


def test_an_image_that_kills_while_it_is_converted_is_listed(
    source, tmp_path, monkeypatch, capfd
):
    context = multiprocessing.get_context("fork")
    monkeypatch.setattr(processes, "_context", lambda: context)
    patient = source.patients[0]
    killer = source.image(patient, 3)
    killer.rename(source.image(patient, 300))
    content_of = shards.content_of

    def deadly(path):
        if path.name == "300.dcm":
            os.kill(os.getpid(), signal.SIGKILL)
        return content_of(path)

    monkeypatch.setattr(shards, "content_of", deadly)
    output = tmp_path / "out"
    convert(source.root, output, num_workers=2, include_unannotated="all")
    assert len(examples(output)) == 8
    ledger = (output / "ledger.jsonl").read_text().splitlines()
    died = [one for one in map(json.loads, ledger) if "worker_died" in one.values()]
    assert [one["kind"] for one in died] == ["image"]
    assert "300.dcm" in capfd.readouterr().err


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
