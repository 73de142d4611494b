"""Whose each file of an input folder is, also of those that became nothing.

A patient can be taken out of a data set only with all that the ledger says of their
files. Of an image and what is drawn on it, the patient is known. Of other files, what
tells is, in this order: what the user said patients come from (a header that could be
read, the path, a table), a file that it belongs to, and the folder, where all files
below it whose patient is known are of one patient.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from tfdicom.annotated_frames import AnnotatedFrame
from tfdicom.patients import Identifier, is_nobody
from tfdicom.sources.candidates import LeftFile, file_of

_NO_NAMES = ("", "")


def patients_of_frames(
    frames: Sequence[AnnotatedFrame], patients: Sequence[str]
) -> dict[str, str]:
    """Source patient of each file and each part of one that became a frame.

    Args:
      frames: Frames with their annotations.
      patients: Source patient identifier of each.

    Returns:
      By path, or name of a part.
    """
    found: dict[str, str] = {}
    for frame, patient in zip(frames, patients, strict=True):
        names = {frame.path, frame.name}
        for one in frame.annotations:
            names.update((one.path, *one.candidates))
        found.update(dict.fromkeys(names, patient))
    return found


def patients_of_others(
    known: Mapping[str, str],
    files: Iterable[str],
    left: Collection[LeftFile],
    named: Mapping[str, tuple[str, str]],
    identifier: Identifier,
) -> dict[str, str]:
    """Source patient of the other files, as far as anything tells.

    Args:
      known: From ``patients_of_frames``.
      files: Every file of the folder.
      left: What became nothing; files that are not there may be among it.
      named: Patient ID and Study Instance UID of files that give no frame.
      identifier: From ``patients.identifier_from``.
    """
    there = set(files)
    near = {_file(one.path, there): _near(one) for one in left}
    others = [path for path in sorted(there | near.keys()) if path not in known]
    found = {}
    for path in others:
        patient = identifier(path, *named.get(path, _NO_NAMES))
        if not is_nobody(patient):
            found[path] = patient
    for path in others:
        other = _file(near.get(path, ""), there)
        if path not in found and (owner := known.get(other) or found.get(other)):
            found[path] = owner
    unknown = [path for path in others if path not in found]
    if unknown:
        folders = _folders({**known, **found})
        for path in unknown:
            if owner := _of_folder(path, folders):
                found[path] = owner
    return found


def _near(left: LeftFile) -> str:
    """A file that is of the same patient; empty if none is known."""
    return left.near or next(iter(left.loss.images if left.loss else ()), "")


def _file(name: str, files: Collection[str]) -> str:
    """The file, or that of a part."""
    return name if name in files else file_of(name)


def _folders(patients: Mapping[str, str]) -> dict[str, str | None]:
    """The one patient of each folder's files; None where there are several."""
    folders: dict[str, str | None] = {}
    for path, patient in patients.items():
        for folder in _parents(path):
            if folders.setdefault(folder, patient) != patient:
                folders[folder] = None
    return folders


def _of_folder(path: str, folders: Mapping[str, str | None]) -> str | None:
    """The patient of the nearest folder that has files of a known one.

    The input folder itself tells nothing: what lies there may be about everybody.
    """
    return next((folders[one] for one in _parents(path) if one in folders), None)


def _parents(path: str) -> Iterator[str]:
    """The folders above a file, the nearest first, without the input folder."""
    folder = path.rpartition("/")[0]
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
