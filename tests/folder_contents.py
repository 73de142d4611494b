"""What lies in a folder, to be compared with what lies elsewhere or lay there."""

import pathlib


def files_of(folder: pathlib.Path) -> dict[str, bytes]:
    """The bytes of every file in a folder and below it, by relative path."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
