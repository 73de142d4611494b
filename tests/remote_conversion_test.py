"""Conversions from and to an S3 server, with workers, and what reads them there."""

import hashlib
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

import tfdicom
from tests import s3_server, source_folders
from tfdicom import dataset_reading, files, folder_lock
from tfdicom.manifest import load_manifest, read_ledger

REPOSITORY = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with s3_server.running(tmp_path_factory.mktemp("s3")) as one:
        yield one


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A folder with contour files, a structure set, and compressed pixels."""
    root = tmp_path_factory.mktemp("in")
    folder = source_folders.write_folder(root)
    for number in (1, 2):
        image = pydicom.dcmread(folder.image(folder.patients[0], number))
        image.compress(RLELossless, generate_instance_uid=False)
        image.save_as(folder.image(folder.patients[0], number))
    images = [folder.image(folder.patients[1], number) for number in (1, 2, 3)]
    outlines = {"inner": source_folders.disc(30, 30, 6)}
    source_folders.write_structure_set(root / "rtstruct.dcm", images, outlines)
    return root


@pytest.fixture(scope="module")
def remote(server, local):
    folder = server.path()
    _upload(local, folder)
    return folder


def _upload(local, remote):
    for name in files.walk(local):
        (remote / name).write_bytes((local / name).read_bytes())


def _convert(source, output, **options):
    fields = {
        "input_dir": str(source),
        "output_dir": str(output),
        "split": "train:0.5,test:0.5",
        "classes": "inner;outer",
        "id_key_file": "public",
        "num_workers": 2,
    }
    return tfdicom.convert(**{**fields, **options})


def _digests(folder):
    return {
        name: hashlib.sha256(files.read_bytes(folder / name)).hexdigest()
        for name in files.walk(folder)
    }


@pytest.fixture(scope="module")
def expected(local, tmp_path_factory):
    output = tmp_path_factory.mktemp("out") / "data"
    _convert(local, output, num_workers=1)
    return output


@pytest.fixture(scope="module")
def converted(remote, server, expected):
    """A data set in the store, and the requests that it took."""
    output = server.path()
    server.requests()
    _convert(remote, output)
    return output, server.requests()


def test_the_bytes_are_those_of_a_local_conversion(converted, expected):
    assert len(_digests(expected)) > 5
    assert _digests(converted[0]) == _digests(expected)


def test_each_source_costs_two_requests_and_a_look(converted, local, server, remote):
    """For the header and the whole; and whether it changed, but none for sizes."""
    sources = len(files.walk(local))
    _, requests = converted
    few = 66  # listings, locks, whose run it is, the output, two checksums of it
    assert requests["GET"] <= 2 * sources + few
    assert sources <= requests["HEAD"] <= sources + few


def test_headers_and_contents_are_known_the_next_time(converted, remote, server):
    server.requests()
    result = _convert(remote, converted[0])
    assert server.requests()["GET"] <= 66
    assert load_manifest(converted[0]) == result.manifest


def test_a_source_that_changed_is_read_again(local, server):
    source, output = server.path(), server.path()
    _upload(local, source)
    _convert(source, output, num_workers=1)
    name = next(n for n in files.walk(local) if n.endswith("icontour-manual.txt"))
    moved = [
        f"{float(x) + 1:.2f} {y}"
        for x, y in map(str.split, (local / name).read_text().splitlines())
    ]
    (source / name).write_text("\n".join(moved))
    before = _masks(output)
    with pytest.raises(ValueError, match="overwrite"):
        _convert(source, output, num_workers=1)
    _convert(source, output, num_workers=1, overwrite=True)
    after = _masks(output)
    assert len([key for key in before if before[key] != after[key]]) == 1


def _masks(folder):
    return {
        one.key: np.array(one.masks).tobytes()
        for one in dataset_reading.read_examples(folder)
    }


def test_a_memory_folder_is_written_by_this_process(local, expected):
    output = files.path_of("memory://converted/out")
    _convert(local, output)
    assert _digests(output) == _digests(expected)


def test_commands_take_remote_folders(remote, server, expected, tmp_path):
    output = server.path()
    _run(
        "tfdicom.convert_main",
        f"--input_dir={remote}",
        f"--output_dir={output}",
        "--split=train:0.5,test:0.5",
        "--classes=inner;outer",
        "--id_key_file=public",
        "--num_workers=1",
    )
    assert _digests(output) == _digests(expected)
    summary = _run("tfdicom.inspect_main", f"--data_dir={output}")
    local = _run("tfdicom.inspect_main", f"--data_dir={expected}")
    assert summary.replace(str(output), "") == local.replace(str(expected), "")
    sheet = tmp_path / "sheet.png"
    _run("tfdicom.inspect_main", "show", f"--data_dir={output}", f"--out={sheet}")
    assert sheet.read_bytes().startswith(b"\x89PNG")


def _run(module, *arguments):
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stderr  # 3: with skips
    return done.stdout


def test_an_output_that_is_locked_is_refused(remote, server, monkeypatch):
    output = server.path()
    for name in ("_PATIENCE_SECONDS", "_REMOTE_POLL_SECONDS", "RENEWAL_SECONDS"):
        monkeypatch.setattr(folder_lock, name, 0.1)
    with files.lock(output):
        time.sleep(0.3)
        with pytest.raises(ValueError, match="another conversion writes to"):
            _convert(remote, output)
    assert files.walk(output) == []


def test_the_ledger_and_the_examples_are_read_there(converted, expected):
    output, _ = converted
    assert list(read_ledger(output)) == list(read_ledger(expected))
    found = list(dataset_reading.read_examples(output))
    assert found == list(dataset_reading.read_examples(expected))
    assert any(np.frombuffer(one.pixels, np.uint8).any() for one in found)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
