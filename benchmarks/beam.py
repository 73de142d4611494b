"""Converts the same folder on this machine and by Apache Beam: bytes, time, memory.

  python benchmarks/beam.py                    # 6,300 files, minutes
  python benchmarks/beam.py --files=40 --ways=local,processes

Prints one SHA-256 over all files of each data set, the seconds that it took, and for
each kind of process the processor time and the largest memory (Linux). Images are real
ones under many names; every image becomes an example.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence

import dicom_copies
import rounds
from absl import app, flags

_ROOT = rounds.HERE.parent
_FILES = flags.DEFINE_integer("files", 6300, "Images to convert.", lower_bound=20)
_WAYS = flags.DEFINE_list("ways", ["local", "processes", "job_server"], "What to run.")
_SOURCE = flags.DEFINE_string(
    "source", str(_ROOT / "examples" / "sample"), "Folder to copy images of."
)

_LOOK_SECONDS = 0.1
_TICKS = os.sysconf("SC_CLK_TCK")
_BEAM = {
    "processes": "--runner=DirectRunner --direct_running_mode=multi_processing "
    "--direct_num_workers=2",
    "job_server": "--runner=PortableRunner --environment_type=LOOPBACK "
    "--experiments=use_loopback_process_worker --job_endpoint=",
}
#: Part of a command line -> what that process is; the first that fits.
_KINDS = {
    "sdk_worker_main": "Beam's workers",
    "SdkHarness": "Beam's workers",
    "tfdicom.beam_job": "pipeline",
    "spawn_main": "our workers",
    "tfdicom.convert_main": "tfdicom_convert",
}


class _Watch:
    """Processor seconds and MiB of all processes that have a mark."""

    def __init__(self, mark: str) -> None:
        self._mark = mark.encode()
        self._seconds: dict[int, float] = {}
        self._memory: dict[int, float] = {}
        self._kinds: dict[int, str] = {}

    def look(self) -> None:
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                if self._mark in (path / "environ").read_bytes():
                    self._note(int(path.name), path)

    def _note(self, number: int, path: pathlib.Path) -> None:
        fields = (path / "stat").read_text().rpartition(")")[2].split()
        self._seconds[number] = (int(fields[11]) + int(fields[12])) / _TICKS
        for line in (path / "status").read_text().splitlines():
            if line.startswith("VmHWM"):
                self._memory[number] = int(line.split()[1]) / 1024
        command = (path / "cmdline").read_text().replace("\0", " ")
        found = (kind for word, kind in _KINDS.items() if word in command)
        self._kinds[number] = next(found, "others")

    def result(self) -> Mapping[str, tuple[int, float, float]]:
        """Of each kind: how many, seconds of all, MiB of the largest."""
        groups = collections.defaultdict(list)
        for number, kind in self._kinds.items():
            groups[kind].append(number)
        return {
            kind: (
                len(members),
                sum(self._seconds[one] for one in members),
                max(self._memory.get(one, 0.0) for one in members),
            )
            for kind, members in groups.items()
        }


def _convert(
    folder: pathlib.Path, output: pathlib.Path, beam_args: str
) -> tuple[float, _Watch]:
    mark = f"TFDICOM_BENCHMARK_{uuid.uuid4().hex}"
    command = [
        *(sys.executable, "-m", "tfdicom.convert_main"),
        f"--input_dir={folder}",
        f"--output_dir={output}",
        *("--id_key_file=public", "--header_cache=none", "--layout=sunnybrook"),
        *("--include_unannotated=all", "--split=train", "--num_workers=2"),
    ]
    if beam_args:
        command += ["--runner=beam", f"--beam_args={beam_args}"]
    watch, start = _Watch(mark), time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=said, env={**os.environ, mark: "1"}, cwd=_ROOT
        )
        while process.poll() is None:
            watch.look()
            time.sleep(_LOOK_SECONDS)
        if process.returncode not in (0, 3):
            said.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{said.read()}")
    return time.monotonic() - start, watch


@contextlib.contextmanager
def _job_server(folder: pathlib.Path) -> Iterator[str]:
    """Beam's job server in a process of its own; gives its address."""
    module = "apache_beam.runners.portability.local_job_service_main"
    port = folder / "port"
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", module, f"--port_file={port}"],
            stdout=log,
            stderr=log,
        )
    try:
        while not port.exists():
            if server.poll() is not None:
                raise SystemExit((folder / "log").read_text())
            time.sleep(_LOOK_SECONDS)
        yield f"localhost:{port.read_text()}"
    finally:
        server.terminate()
        server.wait()


def _digest(folder: pathlib.Path) -> str:
    """SHA-256 over the names and bytes of all files."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def main(arguments: Sequence[str]) -> None:
    """Prints the tables."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected argument {arguments[1]!r}")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        dicom_copies.write(
            pathlib.Path(_SOURCE.value), folder / "in", files=_FILES.value
        )
        runs, kinds = [], []
        for number, way in enumerate(_WAYS.value):
            beam_args = _BEAM.get(way, "")
            if way == "job_server":
                beam_args += stack.enter_context(_job_server(folder))
            seconds, watch = _convert(folder / "in", folder / f"{number}", beam_args)
            runs.append([way, f"{seconds:.1f}", _digest(folder / f"{number}")])
            for kind, (count, used, memory) in sorted(watch.result().items()):
                cells = [f"{used:.1f}", f"{1000 * used / _FILES.value:.2f}"]
                kinds.append([way, kind, str(count), *cells, f"{memory:.0f}"])
        title = f"{_FILES.value:,} files"
        rounds.markdown([title, "seconds", "SHA-256 of all files"], runs)
        header = ["processes", "number", "CPU s", "CPU ms/file", "largest MiB"]
        rounds.markdown(["way", *header], kinds)


if __name__ == "__main__":
    app.run(main)
