import os
import pathlib
import signal
import sys
import threading

import pytest

from tfdicom import files, folder_lock, output_folder
from tfdicom.output_folder import ASIDE, refuse_foreign, take_place, workspace
from tfdicom.shard_results import CONVERSION

A0, A1, B0 = (
    "a-00000-of-00002.tfrecord",
    "a-00001-of-00002.tfrecord",
    "b-00000-of-00001.tfrecord",
)


def data_set(age, *shards):
    """What a data set of these shards is made of; its manifest names them."""
    return {
        **{name: f"{age} {name}" for name in shards},
        **{f"{CONVERSION}/{name}.json": f"{age} result {name}" for name in shards},
        f"{CONVERSION}/state.json": f"{age} state",
        "dataset.index": f"{age} index",
        "dataset.json": f"{age} manifest of " + ", ".join(f'"{n}"' for n in shards),
        "ledger.jsonl": f"{age} ledger",
    }


OLD, NEW = data_set("old", A0, A1), data_set("new", A0, B0)
NOTES = {"notes.txt": "not ours", f"{CONVERSION}/notes.txt": "not ours"}


def write(folder, content):
    for name, text in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def content(folder):
    """Everything but what is aside."""
    found = {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return {name: text for name, text in found.items() if not name.startswith(ASIDE)}


@pytest.fixture
def output(tmp_path):
    folder = tmp_path / "out"
    write(folder, {**OLD, **NOTES})
    return folder


def test_new_data_set_replaces_the_old_and_nothing_else(output):
    with workspace(output) as aside:
        write(aside, NEW)
        assert content(output) == {**OLD, **NOTES}
        take_place(output)
    assert content(output) == {**NEW, **NOTES}
    assert not (output / ASIDE).exists()


def test_shards_that_stay_are_not_aside(output):
    new = data_set("new", A0, A1)
    changed = {name: text for name, text in new.items() if A0 not in name}
    with workspace(output) as aside:
        write(aside, changed)
        take_place(output)
    kept = {name: OLD[name] for name in (A0, f"{CONVERSION}/{A0}.json")}
    assert content(output) == {**new, **kept, **NOTES}


@pytest.mark.parametrize("place", ["new", "deep/new", "memory"])
def test_folder_that_is_not_there_is_made(tmp_path, monkeypatch, place):
    monkeypatch.setattr(folder_lock, "_SETTLE_SECONDS", 0)
    memory = f"memory://{tmp_path.name}/new"
    folder = files.path_of(memory if place == "memory" else tmp_path / place)
    with workspace(folder) as aside:
        assert aside == folder / ASIDE
        for name, text in NEW.items():
            files.make_folder((aside / name).parent)
            files.write_text(aside / name, text)
        take_place(folder)
    for name, text in NEW.items():
        assert (folder / name).read_text() == text
    assert not (folder / ASIDE / "dataset.json").exists()


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_failure_before_the_first_shard_leaves_nothing(output, tmp_path, error):
    for folder in (output, tmp_path / "new", tmp_path / "deep" / "new"):
        with pytest.raises(error), workspace(folder) as aside:
            write(aside, {f"{CONVERSION}/state.json": "state"})
            raise error
        assert not (folder / ASIDE).exists()
    assert content(output) == {**OLD, **NOTES}
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_failure_after_a_shard_leaves_it_aside(output, tmp_path, error):
    begun = {B0: "a shard", f"{CONVERSION}/state.json": "state"}
    for folder in (output, tmp_path / "new"):
        with pytest.raises(error), workspace(folder) as aside:
            write(aside, begun)
            raise error
        with workspace(folder) as aside:
            assert content(aside) == begun
    assert content(output) == {**OLD, **NOTES}
    assert content(tmp_path / "new") == {}


def test_what_killed_workers_left_is_removed(output):
    aside = output / ASIDE
    rest = (f"{A0}{files.PARTIAL}", f"{CONVERSION}/{A0}.json{files.PARTIAL}")
    write(aside, {A1: "a shard", **dict.fromkeys(rest, "a part")})
    with workspace(output) as aside:
        assert content(aside) == {A1: "a shard"}


def test_clear_leaves_the_folder(output):
    with workspace(output) as aside:
        write(aside, NEW)
        output_folder.mark_refused(aside)
        output_folder.clear(aside)
        assert content(aside) == {} and (aside / CONVERSION).is_dir()
        assert not output_folder.is_refused(aside)
    assert content(output) == {**OLD, **NOTES}


def test_refusal_is_noted_until_the_data_set_takes_its_place(output):
    with workspace(output) as aside:
        assert not output_folder.is_refused(aside)
        write(aside, NEW)
        output_folder.mark_refused(aside)
        assert output_folder.is_refused(aside)
        take_place(output)
    assert content(output) == {**NEW, **NOTES}


def test_keep_only(output):
    with workspace(output) as aside:
        write(aside, NEW)
        output_folder.keep_only(aside, {B0, A1})
        left = {name: text for name, text in NEW.items() if A0 not in name}
        assert content(aside) == left


def test_manifest_goes_first_and_comes_last(output, monkeypatch):
    seen = []

    def recorded(original):
        def change(path, *arguments, **keywords):
            if path != output / "dataset.json":
                seen.append((path.name, (output / "dataset.json").exists()))
            return original(path, *arguments, **keywords)

        return change

    with workspace(output) as aside:
        write(aside, NEW)
        monkeypatch.setattr(files, "move", recorded(files.move))
        monkeypatch.setattr(pathlib.Path, "unlink", recorded(pathlib.Path.unlink))
        take_place(output)
        monkeypatch.undo()
    names = [name for name, _ in seen]
    assert {A1, f"{A1}.json"} <= set(names) and len(names) == len(NEW) + 2
    assert names[-1] == "dataset.json"
    assert not any(there for _, there in seen)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError, SystemExit])
def test_stopped_at_any_move_the_next_goes_on(tmp_path, monkeypatch, stop):
    def move(source, target):
        if len(moved) == steps:
            raise stop
        moved.append(target)
        original(source, target)

    original = files.move
    for steps in range(len(NEW)):
        output, moved = tmp_path / f"{steps}", []
        write(output, {**OLD, **NOTES})
        with monkeypatch.context() as patch, pytest.raises(stop):
            with workspace(output) as aside:
                write(aside, NEW)
                patch.setattr(files, "move", move)
                take_place(output)
        assert len(moved) == steps
        assert not (output / "dataset.json").exists()
        refuse_foreign(output, overwrite=False)
        with workspace(output) as aside:
            assert content(output) == {**NEW, **NOTES}
            assert content(aside) == {}


def test_nothing_takes_its_place_without_a_manifest(output):
    unfinished = {name: text for name, text in NEW.items() if name != "dataset.json"}
    write(output / ASIDE, unfinished)
    take_place(output)
    assert content(output) == {**OLD, **NOTES}
    assert content(output / ASIDE) == unfinished


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_waits_until_the_data_set_is_in_its_place(
    output, monkeypatch, number
):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    def move(source, target):
        os.kill(os.getpid(), number)
        original(source, target)

    original = files.move
    usual = signal.signal(number, interrupted)
    with pytest.raises(KeyboardInterrupt), workspace(output) as aside:
        write(aside, NEW)
        monkeypatch.setattr(files, "move", move)
        take_place(output)
    assert content(output) == {**NEW, **NOTES}
    assert signal.signal(number, usual) is interrupted


def test_who_has_lost_the_lock_replaces_nothing(output, monkeypatch):
    def lost(self):
        raise ValueError("somebody else has it")

    with workspace(output) as aside:
        write(aside, NEW)
        monkeypatch.setattr(folder_lock.Lock, "check", lost)
        before = content(output)
        with pytest.raises(ValueError, match="somebody else"):
            take_place(output)
        assert content(output) == before
        monkeypatch.undo()


def test_a_thread_may_replace_it_too(output):
    def replace():
        with workspace(output) as aside:
            write(aside, NEW)
            take_place(output)

    thread = threading.Thread(target=replace)
    thread.start()
    thread.join()
    assert content(output) == {**NEW, **NOTES}


def test_another_conversion_is_kept_out(output, monkeypatch):
    monkeypatch.setattr(folder_lock, "_PATIENCE_SECONDS", 0.1)
    with workspace(output) as aside:
        write(aside, {B0: "a shard"})
        with pytest.raises(ValueError, match="another conversion writes to .*out"):
            workspace(output).__enter__()
        assert content(aside) == {B0: "a shard"}
    with workspace(output) as aside:
        assert content(aside) == {B0: "a shard"}


@pytest.mark.parametrize(
    ("there", "foreign"),
    [
        ([A0], True),
        ([A0, f"{ASIDE}/ledger.jsonl"], True),
        ([A0, f"{ASIDE}/dataset.json"], False),
        ([A0, "dataset.json", "ledger.jsonl"], False),
        ([A0, "ledger.jsonl"], False),
        (["notes.txt"], False),
        ([f"{ASIDE}/{A0}"], False),
        ([], False),
    ],
)
def test_what_is_refused(tmp_path, there, foreign):
    write(tmp_path, dict.fromkeys(there, "x"))
    refuse_foreign(tmp_path, overwrite=True)
    if not foreign:
        refuse_foreign(tmp_path, overwrite=False)
        return
    with pytest.raises(FileExistsError, match="TFRecord files of another origin"):
        refuse_foreign(tmp_path, overwrite=False)


def test_folder_that_cannot_be_written_to(tmp_path):
    # Below a file: also root cannot write there.
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(ValueError, match="output_dir=.*cannot be written to"),
        workspace(tmp_path / "file" / "out"),
    ):
        pytest.fail("it was entered")
    assert (tmp_path / "file").read_text() == "x"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
