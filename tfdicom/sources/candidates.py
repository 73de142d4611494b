"""What a source finds: plain values that the plan and the workers pass on."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

#: Kinds of candidates, as the ledger names them.
IMAGE, CONTOUR, SEGMENT, MASK = "image", "contour", "segment", "mask"
OBJECT, OTHER = "object", "other"
KINDS = (IMAGE, CONTOUR, SEGMENT, MASK, OBJECT, OTHER)

#: Kinds of annotations: contour text files, RT Structure Sets, SEG, mask images.
TEXT, RTSTRUCT, SEG, MASKS = "contours", "rtstruct", "seg", "masks"

_CANDIDATE_KIND = {TEXT: CONTOUR, RTSTRUCT: CONTOUR, SEG: SEGMENT, MASKS: MASK}


@dataclasses.dataclass(frozen=True, slots=True)
class Annotation:
    """One structure as one file or object draws it on one frame.

    Attributes:
      kind: ``contours`` (text files), ``rtstruct``, ``seg`` or ``masks``.
      path: File that holds it, relative to the input folder.
      structure: Structure that it is; once planned, the term of ``--classes``.
      item: Number of the ROI or segment, or pixel value; 0 in a contour text file.
      parts: What of the item is drawn here: contours of the ROI, frames of the SEG.
      edge_rule: The rule that ``auto`` came to for this item; empty if it has none.
    """

    kind: str
    path: str
    structure: str
    item: int = 0
    parts: tuple[int, ...] = ()
    edge_rule: str = ""

    @property
    def candidate_kind(self) -> str:
        """Kind of its candidates in the ledger."""
        return _CANDIDATE_KIND[self.kind]

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of what it uses in the ledger: the file, or parts of the object."""
        if not self.parts:
            return (self.candidate_of(None),)
        return tuple(self.candidate_of(part) for part in self.parts)

    def candidate_of(self, part: int | None) -> str:
        """Name of one part."""
        if self.kind == TEXT:
            return self.path
        return candidate_name(self.path, self.item, part)


def candidate_name(path: str, item: int | None, part: int | None) -> str:
    """Name of a part of an object: ``rt.dcm#3.17`` is part 17 of its item 3."""
    name = path if item is None else f"{path}#{item}"
    return name if part is None else f"{name}.{part}"


_PART = re.compile(r"#-?[0-9]+(\.-?[0-9]+)?$")


def file_of(name: str) -> str:
    """The file of a part or of a frame; folders and files may have a # themselves."""
    return _PART.sub("", name)


@dataclasses.dataclass(frozen=True, slots=True)
class Loss:
    """What is lost with a candidate that becomes nothing, as far as it is known.

    Attributes:
      names: All names of the structures.
      images: What tells the annotated images apart that it is on: path, name of a
        frame, SOP Instance UID or place; empty where nothing is known.
      count: How many annotated candidates are lost, at least.
    """

    names: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    count: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class LeftFile:
    """A candidate that becomes no part of an example, and why.

    Attributes:
      path: Relative path, or name of a part of it.
      kind: One of ``KINDS``.
      reason: A reason code.
      detail: What exactly was found; for the terminal only.
      near: Path of a file that is of the same patient, where one is known.
      patient_id: Patient ID (0010,0020) that the file gives, where it could be read.
      study: Study Instance UID, likewise.
      loss: What is lost with it, where it is, or may be, an annotation.
    """

    path: str
    kind: str
    reason: str
    detail: str = ""
    near: str = ""
    patient_id: str = ""
    study: str = ""
    loss: Loss | None = None


def loss_of(annotation: Annotation, image: str) -> Loss:
    """What is lost with an annotation of an image."""
    return Loss((annotation.structure,), (image,))


@dataclasses.dataclass(frozen=True)
class PathListing:
    """What paths alone tell.

    Attributes:
      images: Annotations by the path of their image; images without any too.
      left: Files that are already known to become nothing.
      others: Files that no pattern knows: they may be DICOM objects, or nothing.
      layout: Name of the layout found; empty if none.
      default_origin: Contour origin that the layout is known to have; None if none
        is known.
      decimals: Digits after the point in the contour files.
    """

    images: Mapping[str, tuple[Annotation, ...]]
    left: tuple[LeftFile, ...] = ()
    others: tuple[str, ...] = ()
    layout: str = ""
    default_origin: str | None = None
    decimals: int = 2
