"""What one file is: frames of an image, an annotation object, or of no use."""

from __future__ import annotations

import dataclasses
import pathlib

from tfdicom import dicom_file
from tfdicom.dicom_elements import HeaderDataset, quiet, readable_text
from tfdicom.frame_headers import FrameHeader, frame_headers
from tfdicom.reasons import REASONS, InputSkipped
from tfdicom.sources import readers
from tfdicom.sources.annotation_objects import AnnotationObject
from tfdicom.sources.candidates import (
    IMAGE,
    MASK,
    MASKS,
    OBJECT,
    OTHER,
    RTSTRUCT,
    SEG,
    LeftFile,
    Loss,
)
from tfdicom.sources.mask_listing import is_mask_format
from tfdicom.sources.readers import KINDS, READERS

_OBJECTS = frozenset(KINDS.values())
# Why nothing of a file could be read.
_UNREAD = ("file_unreadable", "not_dicom", "object_truncated", "worker_died")

#: What a path alone says of a file.
AN_IMAGE, A_MASK, ANYTHING = "image", "mask", "anything"


@dataclasses.dataclass(frozen=True, slots=True)
class FileToScan:
    """A file, relative to the input folder.

    ``role`` is ``AN_IMAGE``, ``A_MASK`` or ``ANYTHING``; ``class_name`` is what all
    values of a mask are together, where something says; ``size``, in bytes, is known
    of remote files.
    """

    path: str
    role: str = ANYTHING
    class_name: str | None = None
    size: int | None = None

    @property
    def kind(self) -> str:
        """Its kind in the ledger, where it does not say another itself."""
        return MASK if self.role == A_MASK else IMAGE


@dataclasses.dataclass(frozen=True)
class ScanRules:
    """What is asked of the files.

    Attributes:
      kinds: Kinds of DICOM objects that are wanted; the others are not read.
      mask_values: Value and name of the values of mask images that have one; None
        takes them as they come.
      text_risk: Whether images are taken that may have text in their pixels.
    """

    kinds: tuple[str, ...] = (RTSTRUCT, SEG)
    mask_values: tuple[tuple[int, str], ...] | None = None
    text_risk: bool = False


#: Headers of frames, the header of an object, or why the file is neither.
Found = tuple[FrameHeader, ...] | AnnotationObject | LeftFile


def read(folder: pathlib.Path, file: FileToScan, rules: ScanRules) -> Found:
    """Reads the header of a file."""
    path = folder / file.path
    kind = file.kind
    sop_class, names = "", ("", "")
    try:
        if file.role == A_MASK and is_mask_format(file.path):
            return _read_mask(path, file, rules)
        header = dicom_file.open_header(path)
        sop_class, names = header.sop_class, _names(header)
        if header.sop_class in KINDS:
            kind = OBJECT
            wanted = KINDS[header.sop_class]
            if wanted not in rules.kinds:
                return _left(file.path, OBJECT, "object_not_asked_for", "", names)
            return readers.read_object(wanted, path, file.path)
        if file.role == A_MASK:
            return _read_mask(path, file, rules)
        headers = frame_headers(header)
    except InputSkipped as skipped:
        if file.role == ANYTHING and kind == IMAGE and _is_stray(file.path, skipped):
            return _left(file.path, OTHER, "stray_file", skipped.detail, names)
        if not sop_class:
            return unread(file, skipped, rules, kind)
        return _left(file.path, kind, skipped.code, skipped.detail, names)
    if headers[0].burned_in:
        return _left(file.path, IMAGE, "burned_in", "", names)
    return headers


def unread(
    file: FileToScan, skipped: InputSkipped, rules: ScanRules, kind: str = ""
) -> LeftFile:
    """A file that does not say what it is: if nothing else does, an object perhaps."""
    kind = kind or file.kind
    may_be_object = (
        kind == IMAGE and file.role == ANYTHING and not _OBJECTS.isdisjoint(rules.kinds)
    )
    loss = Loss() if may_be_object and skipped.code in _UNREAD else None
    return LeftFile(file.path, kind, skipped.code, skipped.detail, loss=loss)


def _names(header: HeaderDataset) -> tuple[str, str]:
    """Patient ID and Study Instance UID; empty where they cannot be read."""
    with quiet():
        patient, study = "PatientID", "StudyInstanceUID"
        return readable_text(header, patient), readable_text(header, study)


def _left(
    path: str, kind: str, reason: str, detail: str, names: tuple[str, str]
) -> LeftFile:
    patient, study = names
    return LeftFile(path, kind, reason, detail, patient_id=patient, study=study)


def _read_mask(
    path: pathlib.Path, file: FileToScan, rules: ScanRules
) -> AnnotationObject:
    values = None if rules.mask_values is None else dict(rules.mask_values)
    return READERS[MASKS].read_object(
        path, file.path, values=values, class_name=file.class_name
    )


def _is_stray(path: str, skipped: InputSkipped) -> bool:
    """Whether a file claims to be an image neither by its name nor inside."""
    if not REASONS[skipped.code].fault:
        return True
    return skipped.code == "not_dicom" and not path.lower().endswith((".dcm", ".ima"))
