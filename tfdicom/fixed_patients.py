"""Keeps what is new of patients in a fixed split out, so that the split stays as it is.

New are files that the data set was not made of when the split was fixed, or since: more
images of a patient, and what was drawn on the old ones later.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence

from tfdicom import conversion_state
from tfdicom.conversion_state import ConversionState
from tfdicom.deidentify import Pseudonyms
from tfdicom.matching import Finder
from tfdicom.scan import Scan, ScannedFrame
from tfdicom.sources.annotation_objects import AnnotationObject
from tfdicom.sources.candidates import (
    IMAGE,
    MASK,
    MASKS,
    OBJECT,
    Annotation,
    LeftFile,
)

_REASON = "split_is_fixed"


@dataclasses.dataclass(frozen=True)
class FixedPatients:
    """Patients of fixed splits, and the files that a data set is made of.

    Attributes:
      patients: Pseudonyms.
      inputs: Files that are known, as ``conversion_state.input_digest`` names them.
      pseudonyms: Made with the data set's key.
    """

    patients: frozenset[str]
    inputs: frozenset[str]
    pseudonyms: Pseudonyms

    def is_new(self, path: str) -> bool:
        """Whether the data set was not made of a file."""
        return conversion_state.input_digest(self.pseudonyms, path) not in self.inputs


def fixed_patients(
    before: ConversionState | None, splits: Collection[str], pseudonyms: Pseudonyms
) -> FixedPatients | None:
    """Those of a data set that goes on; None if there are none.

    Args:
      before: Its state.
      splits: Those that are fixed.
      pseudonyms: Made with its key.
    """
    table = before.split_table if before else {}
    patients = frozenset(one for one, split in table.items() if split in splits)
    if before is None or not patients:
        return None
    return FixedPatients(patients, frozenset(before.inputs), pseudonyms)


class NewFiles:
    """Finds what is new of fixed patients in what was surveyed, and takes it out.

    Attributes:
      left: What was taken out, with a reason code.
      files: Its files.
    """

    def __init__(
        self,
        fixed: FixedPatients,
        frames: Sequence[ScannedFrame],
        owner: Callable[[ScannedFrame], str],
    ) -> None:
        """Looks at frames only.

        Args:
          fixed: The patients.
          frames: All that were found.
          owner: Tells the source patient of each.
        """
        self._fixed, self._frames = fixed, frames
        of = fixed.pseudonyms.of
        whose = {one: of("patient", one) for one in {owner(each) for each in frames}}
        self._theirs = {
            one.path for one in frames if whose[owner(one)] in fixed.patients
        }
        self.left: list[LeftFile] = []
        self.files: set[str] = set()

    def without_images(self, scan: Scan) -> Scan:
        """What the headers tell, without new images of theirs."""
        paths = {one.path for one in scan.frames} & self._theirs
        new = {path for path in paths if self._fixed.is_new(path)}
        self.files |= new
        left = [
            LeftFile(
                one.name,
                IMAGE,
                _REASON,
                patient_id=one.header.patient_id,
                study=one.header.study,
            )
            for one in scan.frames
            if one.path in new
        ]
        self.left += left
        return dataclasses.replace(
            scan,
            frames=tuple(one for one in scan.frames if one.path not in new),
            left=(*scan.left, *left),
        )

    def without_contours(
        self, images: Mapping[str, tuple[Annotation, ...]]
    ) -> dict[str, tuple[Annotation, ...]]:
        """Contour files by image, without new ones on images of theirs."""
        found = dict(images)
        for path in self._theirs.intersection(images):
            if self._fixed.is_new(path):
                continue  # it is taken out itself
            kept = []
            for one in images[path]:
                if self._fixed.is_new(one.path):
                    kind = one.candidate_kind
                    self.left.append(LeftFile(one.path, kind, _REASON, near=path))
                    self.files.add(one.path)
                else:
                    kept.append(one)
            found[path] = tuple(kept)
        return found

    def without_objects(
        self, objects: Sequence[AnnotationObject]
    ) -> list[AnnotationObject]:
        """The objects, without new ones that mean images of theirs."""
        find = Finder(self._frames if objects else ())
        kept = []
        for one in objects:
            places = find.frames_of(one) if self._fixed.is_new(one.path) else ()
            if self._theirs.isdisjoint(self._frames[place].path for place in places):
                kept.append(one)
                continue
            self.files.add(one.path)
            self.left.append(
                LeftFile(
                    one.path,
                    MASK if one.kind == MASKS else OBJECT,
                    _REASON,
                    patient_id=one.patient_id,
                    study=one.study,
                )
            )
        return kept
