"""One way to read or convert a folder of images, as JSON: how long that took.

python benchmarks/convert_job.py pixel_loop --folder=D --files=1000

Runs in a process of its own, so that what one imports does not weigh on the next.
"""

from __future__ import annotations

import argparse
import functools
import json
import pathlib
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from peer_job import package

#: Reads one image; what it gives is let go.
Reader = Callable[[str], Any]


def header_loop() -> Reader:
    """Plain pydicom, headers only."""
    return functools.partial(package("pydicom").dcmread, stop_before_pixels=True)


def pixel_loop() -> Reader:
    """Plain pydicom, decoded."""
    read = package("pydicom").dcmread
    return lambda path: read(path).pixel_array


def simpleitk() -> Reader:
    """SimpleITK, decoded, as arrays."""
    itk = package("SimpleITK")
    return lambda path: itk.GetArrayFromImage(itk.ReadImage(path))


def monai_pydicom() -> Reader:
    """MONAI's reader with pydicom beneath."""
    package("pydicom")  # MONAI itself would not say what it misses
    reader = package("monai.data").PydicomReader()
    return lambda path: reader.get_data(reader.read(path))


def monai_itk() -> Reader:
    """MONAI's reader with ITK beneath."""
    package("itk")
    reader = package("monai.data").ITKReader()
    return lambda path: reader.get_data(reader.read(path))


LOOPS: dict[str, Callable[[], Reader]] = {
    "header_loop": header_loop,
    "pixel_loop": pixel_loop,
    "simpleitk": simpleitk,
    "monai_pydicom": monai_pydicom,
    "monai_itk": monai_itk,
}
#: Those of tfdicom, and their options. Headers are read anew, but in the cached scan.
CONVERSIONS: dict[str, dict[str, Any]] = {
    "scan": {"dry_run": True},
    "cached_scan": {"dry_run": True},
    "conversion": {},
    "conversion_of_all": {"include_unannotated": "all"},
}


def _loop(name: str, paths: Sequence[pathlib.Path]) -> Callable[[], None]:
    read, names = LOOPS[name](), list(map(str, paths))

    def job() -> None:
        for path in names:
            read(path)

    return job


def _conversion(arguments: argparse.Namespace, folder: str) -> Callable[[], Any]:
    """What ``tfdicom_convert`` does, or its ``--dry_run``."""
    convert = package("tfdicom.conversion").convert
    return functools.partial(
        convert,
        input_dir=str(arguments.folder),
        output_dir=f"{folder}/output",
        header_cache=f"{folder}/cache" if _is_cached(arguments.name) else "none",
        num_workers=arguments.workers,
        split="train",  # copies share their pixels, which two splits may not do
        id_key_file="public",
        **CONVERSIONS[arguments.name],
    )


def _is_cached(name: str) -> bool:
    return name == "cached_scan"


def _processor_seconds() -> float:
    """Of this process and its children that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds to be ready, seconds and processor seconds of the work, and files."""
    paths = sorted(arguments.folder.rglob("*.dcm"))
    paths = paths[: arguments.files or len(paths)]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        try:
            job = (
                _loop(arguments.name, paths)
                if arguments.name in LOOPS
                else _conversion(arguments, folder)
            )
        except ModuleNotFoundError as error:
            return {"skipped": f"not installed: {error.name}"}
        ready = time.perf_counter()
        if _is_cached(arguments.name):
            job()  # fills the cache
        begin, before = time.perf_counter(), _processor_seconds()
        job()
        taken = time.perf_counter() - begin
    return {
        "files": len(paths),
        "start_up": ready - start,
        "seconds": taken,
        "processor_seconds": _processor_seconds() - before,
    }


def main() -> None:
    """Measures one job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=[*LOOPS, *CONVERSIONS])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--files", type=int, default=0, help="0: all")
    parser.add_argument("--workers", type=int, default=1)
    print(json.dumps(measure(parser.parse_args())), flush=True)


if __name__ == "__main__":
    main()
