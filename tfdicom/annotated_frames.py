"""Frames with their annotations, and which of several annotations is taken."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from tfdicom.convert_options import ERROR, NEWEST, RATERS
from tfdicom.frame_headers import FrameHeader
from tfdicom.scan import ScannedFrame, frame_name
from tfdicom.sources.annotation_objects import AnnotationObject
from tfdicom.sources.candidates import RTSTRUCT, Annotation, LeftFile, loss_of


@dataclasses.dataclass(frozen=True, slots=True)
class AnnotatedFrame:
    """A frame, and what is drawn on it.

    Attributes:
      path: File, relative to the input folder.
      header: Its header.
      annotations: What is drawn; ``structure`` is a term of the classes.
      absent: Terms that were looked for here and are not there.
      rater: Who drew it, as the object says, where raters are kept apart.
      findings: Codes of what is odd, by candidate.
      labels: Name and value of each label, from the table of labels.
    """

    path: str
    header: FrameHeader
    annotations: tuple[Annotation, ...] = ()
    absent: tuple[str, ...] = ()
    rater: str = ""
    findings: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """As in the ledger: the file, and the frame's number where it has several."""
        return frame_name(self.path, self.header)

    @property
    def annotated(self) -> frozenset[str]:
        """Terms that are annotated here, drawn or absent."""
        return frozenset(one.structure for one in self.annotations).union(self.absent)


@dataclasses.dataclass(slots=True)
class DrawnHere:
    """What the objects say of one frame, in the objects' order."""

    annotations: list[tuple[AnnotationObject | None, Annotation]]
    absent: list[tuple[AnnotationObject, str]]
    findings: list[tuple[str, str]]


def resolved(
    frame: ScannedFrame, drawn: DrawnHere, policy: str, left: list[LeftFile]
) -> Iterator[AnnotatedFrame]:
    """The frame with what is taken of several: once, or once for each rater.

    Args:
      frame: The frame.
      drawn: All that is drawn on it.
      policy: ``newest``, ``raters`` or ``error``.
      left: Gets what is not taken.

    Raises:
      ValueError: Two objects draw one structure, and the policy is ``error``.
    """
    by_structure: dict[str, dict[str, AnnotationObject | None]]
    by_structure = collections.defaultdict(dict)
    sources = [(one, note.structure, note.path) for one, note in drawn.annotations]
    sources += [(one, term, one.path) for one, term in drawn.absent]
    for described, term, path in sources:
        # Contour text files are one source together.
        by_structure[term][path if described else ""] = described
    if policy == RATERS:
        yield from _by_rater(frame, drawn, left)
        return
    refused: set[tuple[str, str]] = set()
    findings = list(drawn.findings)
    present = {note.structure for _, note in drawn.annotations}
    for term, objects in by_structure.items():
        agree = term not in present  # that it is absent
        if len(objects) > 1 and (not agree or policy == ERROR):
            newest = _newest(frame, term, objects, policy)
            reason = "annotated_again_later" if newest else "annotated_twice"
            if newest and _only_implied(term, newest, objects[newest], drawn):
                newest, reason = None, "drawn_and_absent"
            refused |= {(term, path) for path in objects if path != newest}
            findings += _tell_refused(frame, drawn, term, newest, reason, left)
    yield _frame(frame, drawn, refused, "", findings)


def _newest(
    frame: ScannedFrame,
    term: str,
    objects: Mapping[str, AnnotationObject | None],
    policy: str,
) -> str | None:
    """Path of the newest object; None where dates do not tell."""
    if policy == ERROR:
        names = " and ".join(path or "a contour file" for path in sorted(objects))
        raise ValueError(
            f"{names} both annotate {term!r} on {frame.name}; "
            "--several_annotations=newest takes the newest, raters keeps all"
        )
    created = {path: one.created if one else "" for path, one in objects.items()}
    newest = max(created.values())
    found = [path for path, value in created.items() if value == newest]
    # One without a date may be older or newer than all others.
    return found[0] if all(created.values()) and len(found) == 1 else None


def _only_implied(
    term: str, newest: str, described: AnnotationObject | None, drawn: DrawnHere
) -> bool:
    """Whether the newest object has no more to say than that it drew nothing here.

    A SEG says where a structure is absent; a structure set just has no contour there.
    """
    draws = any(
        note.structure == term and note.path == newest for _, note in drawn.annotations
    )
    return not draws and described is not None and described.kind == RTSTRUCT


def _tell_refused(
    frame: ScannedFrame,
    drawn: DrawnHere,
    term: str,
    newest: str | None,
    reason: str,
    left: list[LeftFile],
) -> Iterator[tuple[str, str]]:
    for described, one in drawn.annotations:
        source = one.path if described else ""
        if one.structure != term:
            continue
        if newest is not None and source == newest:
            yield one.candidates[0], "annotated_again"
        else:
            left += (
                LeftFile(
                    name,
                    one.candidate_kind,
                    reason,
                    f"on {frame.name}",
                    loss=loss_of(one, frame.name),
                )
                for name in one.candidates
            )


def _frame(
    frame: ScannedFrame,
    drawn: DrawnHere,
    refused: set[tuple[str, str]],
    rater: str,
    findings: Iterable[tuple[str, str]],
) -> AnnotatedFrame:
    kept = [
        (described, one)
        for described, one in drawn.annotations
        if (one.structure, one.path if described else "") not in refused
    ]
    annotations = tuple(one for _, one in sorted(kept, key=_order))
    present = {one.structure for one in annotations}
    absent = dict.fromkeys(
        term
        for described, term in drawn.absent
        if (term, described.path) not in refused and term not in present
    )
    return AnnotatedFrame(
        frame.path, frame.header, annotations, tuple(absent), rater, tuple(findings)
    )


def _order(
    drawn: tuple[AnnotationObject | None, Annotation],
) -> tuple[str, str, int, tuple[int, ...]]:
    """An order that no file name decides where the object has a UID."""
    described, one = drawn
    name = described.instance if described else one.path
    return one.structure, name, one.item, one.parts


def _by_rater(
    frame: ScannedFrame, drawn: DrawnHere, left: list[LeftFile]
) -> Iterator[AnnotatedFrame]:
    """The frame once for each rater; of two objects of one rater the newest counts."""
    raters: dict[str, DrawnHere] = {}
    for described, one in drawn.annotations:
        mine = raters.setdefault(_rater(described), DrawnHere([], [], []))
        mine.annotations.append((described, one))
    for described, term in drawn.absent:
        mine = raters.setdefault(_rater(described), DrawnHere([], [], []))
        mine.absent.append((described, term))
    if not raters:
        yield AnnotatedFrame(frame.path, frame.header)
    for rater, mine in sorted(raters.items()):
        names = {one.path for _, one in mine.annotations}
        names |= {name for _, one in mine.annotations for name in one.candidates}
        mine.findings = [one for one in drawn.findings if one[0] in names]
        for found in resolved(frame, mine, NEWEST, left):
            yield dataclasses.replace(found, rater=rater)


def _rater(described: AnnotationObject | None) -> str:
    return (described.rater or described.instance) if described else ""
