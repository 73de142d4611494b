"""Headers that were read before: by path, size and time of the last change.

Headers name patients, so the file is the user's alone (0600), lies in the user's cache
folder and never in a data set. It is read back by an unpickler that knows nothing but
the values that are written here, so that a file of somebody else's making can do no
more than be refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import pathlib
import pickle
from collections.abc import Mapping
from typing import Any

import pydicom

from tfdicom import files
from tfdicom.frame_headers import FrameHeader
from tfdicom.native_pixels import NativePixels
from tfdicom.patient_facts import PatientFacts
from tfdicom.sources.annotation_objects import (
    AnnotatedItem,
    AnnotationObject,
    LeftItem,
)
from tfdicom.sources.candidates import LeftFile
from tfdicom.spatial import ImagePlane
from tfdicom.version import VERSION

NO_CACHE = "none"
_FORM = 3  # of the pickled values; those of another are not read

_VALUES = (
    AnnotatedItem,
    AnnotationObject,
    FrameHeader,
    ImagePlane,
    LeftFile,
    LeftItem,
    NativePixels,
    PatientFacts,
)
_KNOWN = {(one.__module__, one.__qualname__): one for one in _VALUES}

#: The stamp of a file when it was read, and what was asked of it.
Stamp = tuple[Any, ...]


def cache_path(option: str | None, folder: pathlib.Path) -> pathlib.Path | None:
    """The file that holds the headers of an input folder.

    Args:
      option: ``--header_cache``: a folder, ``none``, or None for ``tfdicom`` in the
        user's cache folder.
      folder: The input folder.
    """
    if option == NO_CACHE:
        return None
    usual = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "tfdicom"
    base = (pathlib.Path(option) if option else usual).expanduser()
    fields = [[field.name for field in dataclasses.fields(one)] for one in _VALUES]
    versions = (VERSION, _FORM, pydicom.__version__, fields)
    where = str(folder.resolve() if isinstance(folder, pathlib.Path) else folder)
    name = hashlib.sha256(repr((where, versions)).encode()).hexdigest()
    return base / f"headers-{name[:16]}"


def load(path: pathlib.Path | None) -> dict[str, tuple[Stamp, Any]]:
    """What was found before, by relative path; nothing if the file is of no use."""
    if path is None:
        return {}
    try:
        found = _Unpickler(io.BytesIO(path.read_bytes())).load()
    except Exception:  # damaged, foreign or absent: it is read again and replaced
        return {}
    return found if isinstance(found, dict) else {}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name} is no header")
        return _KNOWN[module, name]


def save(path: pathlib.Path | None, found: Mapping[str, tuple[Stamp, Any]]) -> None:
    """Writes what was found, whole or not at all; a disk that is full is no failure."""
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with files.written_whole(path) as file:
            os.fchmod(file.fileno(), 0o600)
            pickle.dump(dict(found), file, protocol=5)
