"""Whose image it is: the source patient identifier, from where the user says."""

from __future__ import annotations

import collections
import csv
import io
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from tfdicom import files, redaction
from tfdicom.annotated_frames import AnnotatedFrame
from tfdicom.scan import ScannedFrame

_NOBODY = {"", "anonymous", "anon", "anonymized", "anonymised", "unknown", "none", "0"}


def identify(
    frames: Sequence[AnnotatedFrame],
    patient_from: str,
    *,
    several_splits: bool,
    every: bool = False,
    known: Mapping[str, str] | None = None,
) -> list[str]:
    """The source patient identifier of each image.

    Args:
      frames: Frames with their headers and annotations.
      patient_from: ``tag``, ``study``, ``folder:REGEX`` or ``csv:FILE``.
      several_splits: Whether patients are to be kept apart.
      every: Whether frames without an annotation become examples too.
      known: Patients by path that are known already, from a table of masks.

    Raises:
      ValueError: An annotated image has no patient, or all have one and the same
        though they are to be kept apart.
    """
    identifier = identifier_from(patient_from)
    known = known or {}
    patients = [
        known.get(one.path)
        or identifier(one.path, one.header.patient_id, one.header.study)
        for one in frames
    ]
    redaction.note_identifiers("patient", patients)
    nameless = [
        one.path
        for one, patient in zip(frames, patients, strict=True)
        if is_nobody(patient) and (every or one.annotated)
    ]
    if nameless:
        images = "images" if every else "annotated images"
        raise ValueError(
            f"{len(nameless)} {images} do not say whose they are, "
            f"{nameless[0]} among them: {_WHERE[patient_from.partition(':')[0]]} is "
            f"blank or says 'Anonymous' or the like. {_ADVICE}"
        )
    annotated = {
        patient
        for one, patient in zip(frames, patients, strict=True)
        if every or one.annotated
    }
    if len(annotated) == 1 and several_splits:
        raise ValueError(
            f"all annotated images are of one patient, {annotated.pop()!r}, who cannot "
            f"be in several splits. {_ADVICE} If it really is one patient, ask for one "
            "split: --split=train"
        )
    return patients


def refuse_shared_instances(
    frames: Sequence[ScannedFrame],
    owner: Callable[[ScannedFrame], str],
    may_part: Callable[[str, str], bool],
) -> None:
    """Refuses a SOP Instance of two patients who could be in two splits.

    Args:
      frames: Frames of files that have their SOP Instance UID in common with another.
      owner: Gives the source patient of a frame; of nobody is no other patient.
      may_part: Tells of two source patients whether they could be in two splits.

    Raises:
      ValueError: Names the files and the patients.
    """
    found: list[str] = []
    paths: dict[str, dict[str, str]] = collections.defaultdict(dict)
    for one in frames:
        patient = owner(one)
        if is_nobody(patient):
            continue
        others = paths[one.header.instance]
        for other, path in others.items():
            if other != patient and may_part(other, patient):
                redaction.note_identifiers("patient", (patient, other))
                found.append(
                    f"{one.path} of patient {patient!r} is the same SOP Instance as "
                    f"{path} of patient {other!r}"
                )
                break
        others.setdefault(patient, one.path)
    if found:
        more = [f"and {len(found) - _NAMED} more such pairs"] if found[_NAMED:] else []
        raise ValueError(
            "\n".join(
                [
                    "one image is of two patients, so that it could be in two splits:",
                    *found[:_NAMED],
                    *more,
                    "Is it one patient under two names? --patient_from=study, "
                    "folder:REGEX or csv:FILE can make them one; or take one of the "
                    "two files out of the input folder",
                ]
            )
        )


_NAMED = 10  # pairs in a message
_ADVICE = (
    "Choose where the patient comes from with --patient_from=tag, study, folder:REGEX "
    "or csv:FILE."
)
_WHERE = {
    "tag": "(0010,0020) 'Patient ID'",
    "study": "(0020,000D) 'Study Instance UID'",
    "folder": "the group of --patient_from",
    "csv": "the file of --patient_from",
}


def is_nobody(patient: str) -> bool:
    """Whether an identifier is blank or says that it is none."""
    return patient.strip().lower() in _NOBODY


#: The patient of a file: of its path, Patient ID and Study Instance UID.
Identifier = Callable[[str, str, str], str]


def identifier_from(patient_from: str) -> Identifier:
    """What tells the patient of a file.

    Args:
      patient_from: ``tag``, ``study``, ``folder:REGEX`` or ``csv:FILE``.

    Raises:
      ValueError: The CSV cannot be read.
    """
    kind, _, value = patient_from.partition(":")
    if kind == "tag":
        return lambda path, patient_id, study: patient_id
    if kind == "study":
        return lambda path, patient_id, study: study
    if kind == "folder":
        return _from_folder(value)
    return _from_table(files.path_of(value))


def _from_folder(pattern: str) -> Identifier:
    regex = re.compile(pattern)

    def identifier(path: str, patient_id: str, study: str) -> str:
        match = regex.search(path)
        if not match:
            return ""
        return (match[1] if regex.groups else match[0]) or ""

    return identifier


def _from_table(path: pathlib.Path) -> Identifier:
    text = files.read_text(path, flag="--patient_from")
    table = _parse_table(text, source=f"--patient_from: {path}")
    return lambda path, patient_id, study: _longest_prefix(table, path)


def _parse_table(text: str, *, source: str) -> dict[str, str]:
    """Patients by path, of a CSV with the columns ``path`` and ``patient_id``."""
    reader = csv.DictReader(io.StringIO(text))
    if not {"path", "patient_id"} <= set(reader.fieldnames or ()):
        raise ValueError(
            f"{source}: the columns path and patient_id are wanted, got "
            f"{', '.join(reader.fieldnames or ()) or 'none'}"
        )
    table: dict[str, str] = {}
    for row in reader:
        name, patient = row["path"], row["patient_id"]
        if name is None or patient is None:
            given = ", ".join(value for value in row.values() if value)
            raise ValueError(
                f"{source}, line {reader.line_num}: a path and a patient_id are "
                f"wanted, got {given!r}"
            )
        name = name.strip("/")
        if table.setdefault(name, patient) != patient:
            raise ValueError(
                f"{source}, line {reader.line_num}: {name!r} is of {patient!r} here "
                f"and of {table[name]!r} before"
            )
    return table


def _longest_prefix(table: Mapping[str, str], path: str) -> str:
    parts: Iterable[int] = range(path.count("/") + 1, 0, -1)
    folders = path.split("/")
    names = ("/".join(folders[:count]) for count in parts)
    return next((table[name] for name in names if name in table), "")
