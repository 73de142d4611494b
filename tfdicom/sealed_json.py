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


def read(path: pathlib.Path) -> dict[str, Any]:
    """Reads what ``write`` wrote.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It is not what was written.
    """
    data = files.read_bytes(path)
    body = data[:-_LENGTH]
    tail = _TAIL.format(name=_NAME, checksum=google_crc32c.value(body))
    if not body or data[-_LENGTH:] != tail.encode():
        raise ValueError("its checksum is not that of its content")
    fields = json.loads(data)
    del fields[_NAME]
    return fields
