"""What lies in a folder, to be compared with what lies elsewhere or lay there."""

import pathlib

from tfdicom import output_folder


def files_of(folder: pathlib.Path) -> dict[str, bytes]:
    """The bytes of every file in a folder and below it, by relative path."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def finished(folder: pathlib.Path) -> dict[str, bytes]:
    """What readers take for a data set; not what is still aside."""
    found = files_of(folder)
    return {n: b for n, b in found.items() if not n.startswith(output_folder.ASIDE)}
