"""What is known of the places where files lie: by the scheme of their paths."""

from __future__ import annotations

import pathlib
from typing import Any

LOCAL_SCHEMES = ("file://", "local://")
# An object is there when its upload has ended, or not at all; and it lies in no folder.
_OBJECT_STORES = frozenset(
    {"abfs", "abfss", "az", "gcs", "gs", "memory", "oci", "oss", "r2", "s3", "s3a"}
)


def scheme(path: Any) -> str:
    """The scheme of a path; empty for a local one."""
    return "" if isinstance(path, pathlib.Path) else path.protocol


def has_folders(path: Any) -> bool:
    """Whether files lie in folders there, which have to be made."""
    return scheme(path) not in _OBJECT_STORES


def writes_whole(path: Any) -> bool:
    """Whether a file appears there only when it has been written to its end."""
    return scheme(path) in _OBJECT_STORES


def is_of_one_process(path: Any) -> bool:
    """Whether other processes see nothing of what lies there."""
    return scheme(path) == "memory"
