import os
import signal
import sys
import threading

import pytest

from tfdicom import files, output_folder
from tfdicom.output_folder import ASIDE, refuse_existing, replaced_whole

OLD = {
    "a-00000-of-00002.tfrecord": "old a0",
    "a-00001-of-00002.tfrecord": "old a1",
    "dataset.index": "old index",
    "dataset.json": "old manifest",
    "ledger.jsonl": "old ledger",
    "notes.txt": "not ours",
}
NEW = {
    "a-00000-of-00002.tfrecord": "new a0",
    "b-00000-of-00001.tfrecord": "new b0",
    "dataset.index": "new index",
    "dataset.json": "new manifest",
    "ledger.jsonl": "new ledger",
}


def write(folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in content.items():
        (folder / name).write_text(text)


def content(folder):
    paths = (path for path in folder.iterdir() if path.name != ASIDE)
    return {path.name: path.read_text() for path in paths}


@pytest.fixture
def output(tmp_path):
    folder = tmp_path / "out"
    write(folder, OLD)
    return folder


def test_new_data_set_replaces_the_old_and_nothing_else(output):
    with replaced_whole(output) as aside:
        write(aside, NEW)
        assert content(output) == OLD
    assert content(output) == {**NEW, "notes.txt": "not ours"}
    assert not (output / ASIDE).exists()


@pytest.mark.parametrize("place", ["new", "deep/new", "memory"])
def test_folder_that_is_not_there_is_made(tmp_path, place):
    memory = f"memory://{tmp_path.name}/new"
    folder = files.path_of(memory if place == "memory" else tmp_path / place)
    with replaced_whole(folder) as aside:
        write(aside, NEW)
    assert content(folder) == NEW


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_failure_leaves_what_was_there(output, tmp_path, error):
    for folder in (output, tmp_path / "new"):
        with pytest.raises(error), replaced_whole(folder) as aside:
            write(aside, NEW)
            raise error
    assert content(output) == OLD and not (output / ASIDE).exists()
    assert not (tmp_path / "new").exists()


def test_manifest_goes_first_and_comes_last(output, monkeypatch):
    seen = []

    def move(source, target):
        seen.append((target.name, (output / "dataset.json").exists()))
        original(source, target)

    original = files.move
    with replaced_whole(output) as aside:
        write(aside, NEW)
        monkeypatch.setattr(files, "move", move)
    assert [name for name, _ in seen][-1] == "dataset.json"
    assert not any(there for _, there in seen)


def test_interrupt_waits_until_the_data_set_is_in_its_place(output, monkeypatch):
    def move(source, target):
        os.kill(os.getpid(), signal.SIGINT)
        original(source, target)

    original = files.move
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), replaced_whole(output) as aside:
        write(aside, NEW)
        monkeypatch.setattr(files, "move", move)
    assert content(output) == {**NEW, "notes.txt": "not ours"}
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_may_replace_it_too(output):
    def replace():
        with replaced_whole(output) as aside:
            write(aside, NEW)

    thread = threading.Thread(target=replace)
    thread.start()
    thread.join()
    assert content(output) == {**NEW, "notes.txt": "not ours"}


def test_what_was_killed_on_its_way_into_place_is_cleared(output, monkeypatch):
    def killed(source, target):
        raise SystemExit("killed")

    with pytest.raises(SystemExit), replaced_whole(output) as aside:
        write(aside, NEW)
        monkeypatch.setattr(files, "move", killed)
    monkeypatch.undo()
    assert not (output / "dataset.json").exists()
    refuse_existing(output, overwrite=False)
    with replaced_whole(output) as aside:
        assert [path.name for path in aside.iterdir()] == ["ledger.jsonl"]
        write(aside, NEW)
    assert content(output) == {**NEW, "notes.txt": "not ours"}


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (["dataset.json", "ledger.jsonl"], "already holds a data set.*--overwrite"),
        (["a-00000-of-00001.tfrecord"], "TFRecord files of another origin"),
        (["a-00000-of-00001.tfrecord", f"{ASIDE}/ledger.jsonl"], "another origin"),
        (["a-00000-of-00001.tfrecord", f"{ASIDE}/dataset.json"], None),
        (["a-00000-of-00001.tfrecord", "ledger.jsonl"], None),
        (["notes.txt"], None),
        ([], None),
    ],
)
def test_what_is_refused(tmp_path, there, words):
    for name in there:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    refuse_existing(tmp_path, overwrite=True)
    if words is None:
        refuse_existing(tmp_path, overwrite=False)
        return
    with pytest.raises(FileExistsError, match=words):
        refuse_existing(tmp_path, overwrite=False)


def test_folder_that_cannot_be_written_to(tmp_path):
    # Below a file: also root cannot write there.
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(ValueError, match="output_dir=.*cannot be written to"),
        output_folder.replaced_whole(tmp_path / "file" / "out"),
    ):
        pytest.fail("it was entered")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
