"""Measures tfdicom's converter and its peers side by side, as a Markdown table.

  python benchmarks/convert.py                          # 21,000 files, many minutes
  python benchmarks/convert.py --files=2100 --rounds=1
  python benchmarks/convert.py --cold                   # files are not in memory
  python benchmarks/convert.py --smoke                  # tiny, seconds

All read the same files: real images and contours under many names (134 kB an image,
2.8 GB in all, in a temporary folder or in --data_dir). Every row is measured in a
process of its own, once in each round, and the table shows the median of the rounds.
Imports are shown apart, as start-up. A ratio in brackets is that of processor time. The
slow peers read fewer files. Without --cold all files are read once before the first
round. ``bash tools/peers.sh`` installs the peers.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence

import dicom_copies
import rounds
from absl import app, flags

_ROOT = rounds.HERE.parent
_PEERS = _ROOT / ".venv" / "peers" / "bin" / "python"
_SAMPLE = _ROOT / "examples" / "sample"
_SHARED = pathlib.Path(
    os.environ.get("TFDICOM_SHARED_DATA") or _ROOT.parent / "shared" / "data"
)

_FILES = flags.DEFINE_integer("files", 21_000, "Images to read.", lower_bound=20)
_SLOW_FILES = flags.DEFINE_integer(
    "slow_files", 2100, "Images that SimpleITK and MONAI read.", lower_bound=1
)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds.", lower_bound=1)
_WORKERS = flags.DEFINE_list("workers", ["1", "2"], "Worker processes of tfdicom.")
_SOURCE = flags.DEFINE_string(
    "source", None, "Folder to copy: the shared Sunnybrook data, or the sample."
)
_DATA = flags.DEFINE_string("data_dir", None, "Keep the images here, to use again.")
_PYTHON = flags.DEFINE_string("peers_python", str(_PEERS), "Python with the peers.")
_ONLY = flags.DEFINE_list("only", [], "Only rows whose name holds one of these.")
_COLD = flags.DEFINE_bool("cold", False, "Forget the files before each measurement.")
_SMOKE = flags.DEFINE_bool("smoke", False, "Tiny sizes: shows that it runs.")

flags.register_validator(
    "workers",
    lambda found: bool(found) and all(one.isdigit() and int(one) for one in found),
    message="numbers from 1 on are wanted, as 1,2",
)

#: Row of tfdicom -> its name in convert_job.py.
_OWN_ROWS = {
    "scan": "scan",
    "scan with cached headers": "cached_scan",
    "conversion": "conversion",
    "conversion, every image an example": "conversion_of_all",
}
#: Row -> its name in convert_job.py, whether it runs beside tfdicom, and is slow.
_PEER_ROWS = {
    "pydicom, dcmread(stop_before_pixels=True)": ("header_loop", True, False),
    "pydicom, dcmread().pixel_array": ("pixel_loop", True, False),
    "SimpleITK, ReadImage": ("simpleitk", True, True),
    "MONAI, PydicomReader": ("monai_pydicom", False, True),
    "MONAI, ITKReader": ("monai_itk", False, True),
}


def _source() -> pathlib.Path:
    if _SOURCE.value:
        return pathlib.Path(_SOURCE.value)
    shared = _SHARED / "sunnybrook"
    return shared if shared.is_dir() and not _SMOKE.value else _SAMPLE


@contextlib.contextmanager
def _images() -> Iterator[pathlib.Path]:
    """The input folder: a new one, or the one that is kept."""
    with contextlib.ExitStack() as stack:
        if _DATA.value:
            folder = pathlib.Path(_DATA.value) / f"{_FILES.value}"
        else:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if not (folder / dicom_copies.LINK_FILE).exists():
            dicom_copies.write(_source(), folder, files=_FILES.value)
            os.sync()  # what is not written yet cannot be forgotten
        yield folder


def _touch(folder: pathlib.Path) -> int:
    """Reads all files, or has the system forget them; how many bytes they are."""
    size = 0
    for path in folder.rglob("*.*"):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            size += path.stat().st_size
            if _COLD.value:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            else:
                file.read()
    return size


class _Row:
    """One row: what it measures, and the start-ups that it saw."""

    def __init__(
        self, job: str, folder: pathlib.Path, python: str, *options: str
    ) -> None:
        self._command = (python, "convert_job.py", job, f"--folder={folder}", *options)
        self._folder = folder
        self._start_ups: list[float] = []

    def measure(self) -> rounds.Found:
        """Files a second, and processor milliseconds a file."""
        if _COLD.value:
            _touch(self._folder)
        found = rounds.in_new_process(*self._command)
        if "skipped" in found:
            return f"skipped: {found['skipped']}"
        self._start_ups.append(found["start_up"])
        files = found["files"]
        return rounds.Speed(
            files / found["seconds"], 1000 * found["processor_seconds"] / files
        )

    @property
    def start_up(self) -> str:
        """The median, in seconds; empty where nothing was measured."""
        found = self._start_ups
        return rounds.number(statistics.median(found), ".2f") if found else ""


def _own_name(job: str, workers: str) -> str:
    return f"tfdicom, {job}, {workers} worker{'s' if workers != '1' else ''}"


def _rows(folder: pathlib.Path) -> dict[str, _Row]:
    """Every row that was asked for."""
    rows = {
        _own_name(title, workers): _Row(
            job, folder, sys.executable, f"--workers={workers}"
        )
        for title, job in _OWN_ROWS.items()
        for workers in _WORKERS.value
    }
    for name, (job, beside, slow) in _PEER_ROWS.items():
        python = sys.executable if beside else _PYTHON.value
        files = f"--files={_SLOW_FILES.value if slow else 0}"
        rows[name] = _Row(job, folder, python, files)
    only = _ONLY.value
    return {
        name: row
        for name, row in rows.items()
        if not only or any(word in name for word in only)
    }


def _print(folder: pathlib.Path, size: int) -> None:
    rows = _rows(folder)
    measures = {name: row.measure for name, row in rows.items()}
    rates = rounds.in_rounds(measures, _ROUNDS.value)
    jobs = ("scan", "conversion")
    most = _WORKERS.value[-1]
    ours = [rates.get(_own_name(job, most)) for job in jobs]
    table = []
    for name, rate in rates.items():
        ratios = [rounds.ratio(one, rate) for one in ours]
        table.append([name, *rounds.speed_cells(rate), rows[name].start_up, *ratios])
    cache = "not in memory" if _COLD.value else "in memory"
    title = f"{_FILES.value:,} files, {size / 1e9:.2g} GB, {cache}"
    faster = (f"{job}, {most} workers / this" for job in jobs)
    rounds.markdown([title, "files/s", "CPU ms/file", "start-up, s", *faster], table)


def main(arguments: Sequence[str]) -> None:
    """Prints the table."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected argument {arguments[1]!r}")
    if _SMOKE.value:
        for name, value in {"files": 40, "slow_files": 4, "rounds": 1}.items():
            flags.FLAGS[name].value = value
    with _images() as folder:
        _print(folder, _touch(folder))


if __name__ == "__main__":
    app.run(main)
