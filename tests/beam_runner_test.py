"""The same data set from Apache Beam; what goes wrong ends, and is gone on with."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
import uuid

import pytest

from tests import real_data, s3_server, source_folders
from tests.folder_contents import files_of
from tests.source_folders import convert
from tfdicom import beam_job, beam_runner, processes, shard_runners
from tfdicom.beam_runner import BeamRunner
from tfdicom.shards import ShardJob, ShardNotes, ShardTask, write_shard

apache_beam = pytest.importorskip("apache_beam")
pytestmark = pytest.mark.slow

TWO_PROCESSES = (
    "--runner=DirectRunner --direct_running_mode=multi_processing "
    "--direct_num_workers=2"
)
IN_MEMORY = "--runner=DirectRunner"
_START_SECONDS = 60


@pytest.fixture(autouse=True)
def mark(monkeypatch, tmp_path):
    """Nothing that a test has started is there when it has ended."""
    name = f"TFDICOM_TEST_{uuid.uuid4().hex}"
    monkeypatch.setenv(name, "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    yield name
    _wait_until(lambda: not processes_with(name))
    assert not [path for path in (tmp_path / "tmp").glob("tfdicom-*")]


def processes_with(name):
    """Processes with a variable in the environment that they were started with."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if name.encode() in (path / "environ").read_bytes():
                if "Z" not in (path / "stat").read_text().rpartition(")")[2].split()[0]:
                    found.append(int(path.name))
    return found


def _wait_until(true, seconds=10):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not in {seconds} s"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def job_server(tmp_path_factory):
    """Beam's own job server, in a process of its own on loopback."""
    folder = tmp_path_factory.mktemp("job server")
    module = "apache_beam.runners.portability.local_job_service_main"
    command = [sys.executable, "-m", module, f"--port_file={folder / 'port'}"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_until((folder / "port").exists, _START_SECONDS)
        yield f"localhost:{(folder / 'port').read_text()}"
    finally:
        server.terminate()
        server.wait()


def by_beam(root, output, beam_args, **options):
    return convert(
        root,
        output,
        runner="beam",
        beam_args=beam_args,
        **{"beam_timeout": _START_SECONDS, **options},
    )


@pytest.mark.parametrize("environment", ["LOOPBACK", "subprocess"])
def test_the_portable_job_api_gives_the_same_bytes(
    source, tmp_path, job_server, environment
):
    options = {}
    if environment == "subprocess":
        for patient in source.patients:
            images = [source.image(patient, number) for number in (1, 2)]
            drawn = {"heart": source.inner(patient, 1)}
            path = source.root / f"{patient}.dcm"
            source_folders.write_structure_set(path, images, drawn)
        options = {"annotations": "rtstruct", "classes": "heart"}
    convert(source.root, tmp_path / "local", **options)
    kind = "beam:env:harness_subprocess_python:v1"
    worker = f"{sys.executable} -m apache_beam.runners.worker.sdk_worker_main"
    how = f"--environment_type={kind} --environment_config='{worker}'"
    if environment == "LOOPBACK":
        how = "--environment_type=LOOPBACK --experiments=use_loopback_process_worker"
    arguments = f"--runner=PortableRunner --job_endpoint={job_server} {how}"
    by_beam(source.root, tmp_path / "beam", arguments, **options)
    assert files_of(tmp_path / "beam") == files_of(tmp_path / "local")


@real_data.needs_sunnybrook
def test_real_data_in_two_processes_give_the_same_bytes(tmp_path, monkeypatch):
    options = {"num_shards": 2, "split": "train:0.67,test:0.33"}
    convert(real_data.SUNNYBROOK, tmp_path / "local", **options)
    # Workers elsewhere know nothing of where this process is.
    monkeypatch.chdir(tmp_path)
    by_beam(real_data.SUNNYBROOK, pathlib.Path("beam"), TWO_PROCESSES, **options)
    found = files_of(tmp_path / "beam")
    assert found == files_of(tmp_path / "local")
    assert len([name for name in found if name.endswith(".tfrecord")]) == 3


def write_or_kill(job: ShardJob, task: ShardTask) -> ShardNotes:
    """Kills Beam's worker once: at the first shard that begins when one is whole."""
    mark = job.input_dir.parent / "killed"
    whole = list((job.output_dir / ".conversion").glob("*.tfrecord.json"))
    if whole and not mark.exists():
        mark.touch()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    return write_shard(job, task)


def test_a_killed_worker_ends_the_run_and_the_next_goes_on(
    source, tmp_path, monkeypatch
):
    output, options = tmp_path / "beam", {"num_shards": 2, "split": "train:.7,test:.3"}
    convert(source.root, tmp_path / "local", **options)
    convert(source.root, tmp_path / "headers are known", **options)
    monkeypatch.setattr(shard_runners, "write_shard", write_or_kill)
    with pytest.raises(RuntimeError, match="no result for 25 s, after [12] of 3"):
        by_beam(source.root, output, TWO_PROCESSES, **options, beam_timeout=25)
    assert not (output / "dataset.json").exists()
    result = by_beam(source.root, output, TWO_PROCESSES, **options)
    assert result.reused in (1, 2)
    assert files_of(output) == files_of(tmp_path / "local")


def count(item):
    processes.count_done(10)
    if item == "fail":
        raise OSError(28, "No space left on device", "some/file")
    if item == "forever":
        time.sleep(600)
    return item, os.getpid()


def _same(item, death):
    return item


def mapped(arguments, items, progress=lambda done: None, timeout=_START_SECONDS):
    runner = BeamRunner(tuple(arguments.split()), timeout)
    return runner.map(count, items, progress=progress, on_death=_same, together=4)


def test_items_are_brought_together_and_counted():
    counts = []
    found = list(mapped(IN_MEMORY, range(300), counts.append))
    assert [item for item, _ in found] == list(range(300))
    assert os.getpid() not in {pid for _, pid in found}
    assert counts[0] == 0 and counts[-1] == 3000 and counts == sorted(counts)


def test_nothing_to_do_starts_nothing(mark):
    counts = []
    assert list(mapped("--no_such_thing", [], counts.append)) == []
    assert counts == [0]


def test_an_error_is_that_of_the_function():
    with pytest.raises(OSError) as error:
        list(mapped(IN_MEMORY, ["fail"]))
    assert (error.value.errno, error.value.filename) == (28, "some/file")
    assert "in count" in str(error.value.__cause__)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ("--direct_num_wrokers=2", ValueError, "does not take.*--direct_num_wrokers=2"),
        ("--runner=NoRunner", RuntimeError, "ended with status 1.*NoRunner"),
    ],
)
def test_wrong_arguments_are_told(arguments, kind, words):
    with pytest.raises(kind, match=f"(?s){words}"):
        list(mapped(arguments, [1]))


def test_a_job_server_that_is_not_there_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(beam_job, "_SECONDS_TO_ANSWER", 0.2)
    arguments = ["--runner=PortableRunner", "--job_endpoint=localhost:9"]
    with pytest.raises(SystemExit) as ended:
        beam_job.run(str(tmp_path), 1, arguments)
    assert ended.value.code == beam_job.NO_SERVER
    assert "no job server answered at localhost:9 within" in capsys.readouterr().out
    program = f"raise SystemExit({beam_job.NO_SERVER})"
    monkeypatch.setattr(beam_runner, "_PROGRAM", program)
    with pytest.raises(
        RuntimeError, match="job_endpoint names no job server that runs"
    ):
        list(mapped("--runner=PortableRunner", [1]))


def test_a_killed_conversion_leaves_no_process_and_no_folder(mark, tmp_path):
    program = (
        "from tests.beam_runner_test import mapped\n"
        f"list(mapped({TWO_PROCESSES!r}, ['forever'] * 2))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    driver = subprocess.Popen([sys.executable, "-c", program], env=environment)
    try:
        _wait_until(lambda: len(processes_with(mark)) >= 6, _START_SECONDS)
        assert list((tmp_path / "tmp").glob("tfdicom-*/items/*"))
    finally:
        driver.kill()
        driver.wait()


def test_the_folder_of_a_run_may_be_far(tmp_path):
    with s3_server.running(tmp_path) as server:
        folder = server.path()
        arguments = f"{IN_MEMORY} --temp_location={folder}"
        found = list(mapped(arguments, range(3)))
        assert [item for item, _ in found] == [0, 1, 2]
        assert server.requests().get("PUT", 0) >= 7
        folder.fs.invalidate_cache()
        assert folder.fs.find(folder.path) == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
