"""What of the annotations is lost: how many, and of which patients' images.

Some are lost before the plan: images that cannot be read, contours without an image,
objects that were cut short. They count as those do that fail while shards are written.
What a policy leaves out does not count.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterator, Mapping

from tfdicom.manifest import LEFT_OUT, SKIPPED, LedgerEntry
from tfdicom.plan import Plan
from tfdicom.sources.candidates import (
    IMAGE,
    MASK,
    OBJECT,
    OTHER,
    LeftFile,
    Loss,
    file_of,
)

# What structure sets have beside outlines.
_CRUMBS = ("contour_too_short", "contour_outside_image")
_NOT_DRAWN = (IMAGE, OBJECT, OTHER)


@dataclasses.dataclass(frozen=True)
class PatientLoss:
    """A patient's annotated images, for a message.

    Attributes:
      patient: Who it is, in words.
      lost: How many are lost.
      annotated: How many there were.
      planned: Whether any of them is in the plan.
    """

    patient: str
    lost: int
    annotated: int
    planned: bool

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left of the patient."""
        return not self.planned


class AnnotationLosses:
    """What is lost, once all shards are written."""

    def __init__(
        self, entries: Mapping[str, LedgerEntry], left: Mapping[str, LeftFile]
    ) -> None:
        """Looks at the ledger.

        Args:
          entries: By path or name of a part.
          left: What became nothing before the shards were written, likewise.
        """
        drawn = {
            name: entry
            for name, entry in entries.items()
            if entry.kind not in _NOT_DRAWN and entry.status != LEFT_OUT
        }
        failed = {
            name
            for name, entry in drawn.items()
            if entry.status == SKIPPED and not _is_crumb(name, entry)
        }
        in_parts = {file_of(name) for name in failed}
        self._entries = entries
        skipped = [one for name, one in left.items() if _is_skipped(entries[name])]
        self._before = [
            one
            for one in skipped
            if one.path in failed or (one.kind == OBJECT and one.path not in in_parts)
        ]
        # Files of which nobody knows what they are; images of annotations are known.
        images = {name for one in self._before for name in _images(one)}
        self._unknown = [
            one
            for one in skipped
            if one.kind == IMAGE and one.loss and one.path not in images
        ]
        objects = (one for one in self._before if one.kind == OBJECT)
        whole = sum(_loss(one).count for one in objects) + len(self._unknown)
        self.failed = len(failed) + whole
        self.annotations = len(drawn) + whole

    @property
    def structures(self) -> list[tuple[str, ...]]:
        """All names of each structure that was lost before the plan."""
        return [_loss(one).names for one in self._before if _loss(one).names]

    def patients(
        self, plan: Plan, owner: Callable[[str], str]
    ) -> Iterator[PatientLoss]:
        """What each patient loses, those first who are in the plan.

        Args:
          plan: Which annotated images there are.
          owner: Gives the source patient of a file or a part; empty if nobody knows.
        """
        images: dict[str, dict[str, bool]] = collections.defaultdict(dict)
        planned: set[str] = set()
        for _, patient, frame in plan.frames:
            if frame.example and frame.annotated:
                lost = _is_skipped(self._entries.get(frame.name))
                images[_named(patient.source_patient)][frame.name] = lost
                planned.add(frame.name)
        in_plan = set(images)
        for one in self._before:
            for image in _images(one):
                if image not in planned:
                    images[_whose(one, owner)][image] = True
        for who, mine in images.items():
            yield PatientLoss(who, sum(mine.values()), len(mine), who in in_plan)


def _is_crumb(name: str, entry: LedgerEntry) -> bool:
    return file_of(name) != name and entry.reason in _CRUMBS


def _is_skipped(entry: LedgerEntry | None) -> bool:
    return entry is not None and entry.status == SKIPPED


def _loss(one: LeftFile) -> Loss:
    return one.loss or Loss()


def _images(one: LeftFile) -> tuple[str, ...]:
    """What tells the annotated images apart that are lost with it."""
    if one.kind == MASK and not _loss(one).images:
        return (one.near,) if one.near else ()  # of no image, as far as names tell
    return _loss(one).images or (file_of(one.path),)


def _whose(one: LeftFile, owner: Callable[[str], str]) -> str:
    patient = owner(one.path) or owner(one.near)
    return _named(patient) if patient else f"the patient of {one.near or one.path}"


def _named(patient: str) -> str:
    return f"patient {patient!r}"
