"""JSON files that end in a checksum of their own, so that damage is told from content.

What lies beside a data set for later conversions is copied into new data sets without
being made again: a digit that has changed there would go unnoticed.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import google_crc32c

from tfdicom import files

_NAME = "crc32c"
_TAIL = ',\n"{name}": "{checksum:08x}"\n}}\n'
_LENGTH = len(_TAIL.format(name=_NAME, checksum=0))


def write(path: pathlib.Path, fields: Mapping[str, Any], *, indent: int | None) -> None:
    """Writes a file, whole or not at all; equal fields give equal bytes.

    Args:
      path: The file.
      fields: What JSON holds; at least one, and none named ``crc32c``.
      indent: Spaces before what is inside; None for the shortest text.
    """
    separators = (",", ":") if indent is None else None
    text = json.dumps(fields, indent=indent, separators=separators, sort_keys=True)
    body = text.removesuffix("}").rstrip()
    checksum = google_crc32c.value(body.encode())
    files.write_text(path, body + _TAIL.format(name=_NAME, checksum=checksum))


class NoChecksum(ValueError):
    """The file is of a time when such files had no checksum."""


def read(path: pathlib.Path) -> dict[str, Any]:
    """Reads what ``write`` wrote.

    Raises:
      FileNotFoundError: There is no such file.
      NoChecksum: It is JSON as it was written before there were checksums.
      ValueError: It is not what was written.
    """
    data = files.read_bytes(path)
    body = data[:-_LENGTH]
    tail = _TAIL.format(name=_NAME, checksum=google_crc32c.value(body))
    if not body or data[-_LENGTH:] != tail.encode():
        if _is_without(data):
            raise NoChecksum("it has no checksum")
        raise ValueError("its checksum is not that of its content")
    fields = json.loads(data)
    del fields[_NAME]
    return fields


def _is_without(data: bytes) -> bool:
    """Whether there never was a checksum; with one, the last line is not indented."""
    if b'\n"' in data:
        return False
    try:
        fields = json.loads(data)
    except ValueError:
        return False
    return isinstance(fields, dict) and _NAME not in fields


def unreadable(
    path: pathlib.Path, folder: pathlib.Path, error: Exception
) -> ValueError:
    """What to raise where a file of a data set cannot be read; says what to do.

    Args:
      path: The file.
      folder: The data set's.
      error: Why it cannot be read.
    """
    repair = f"tfdicom_inspect repair --data_dir={folder}"
    if isinstance(error, NoChecksum):
        return ValueError(
            f"{path} cannot be trusted: the data set was made by an earlier tfdicom, "
            f"without checksums. {repair} adds them; or convert anew with --overwrite"
        )
    return ValueError(
        f"{path} cannot be read ({error!r}): mend it with {repair}, or convert anew "
        "with --overwrite"
    )
