"""Puts the images of a series in order: in space along the normal, then in time."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Sequence

from tfdicom import quality, spatial
from tfdicom.annotated_frames import AnnotatedFrame
from tfdicom.convert_options import ALL, NO
from tfdicom.deidentify import Pseudonyms
from tfdicom.frame_headers import FrameHeader
from tfdicom.sources.candidates import Annotation


@dataclasses.dataclass(frozen=True, slots=True)
class FramePlan:
    """One frame: an example, or part of its series only.

    Attributes:
      path: File, relative to the input folder.
      name: Of the frame, as in the ledger.
      header: Its header.
      key: Key of the example.
      instance: Pseudonym of the SOP Instance.
      rater: Pseudonym of who drew it; None where raters are not kept apart.
      example: Whether it becomes an example.
      annotations: What is drawn on it, by terms of the classes.
      absent: Terms that were looked for and are not there.
      slice_index: Place along the normal; None where the frame says no plane.
      slice_count: Number of such places.
      phase_index: Place in time at this slice.
      phase_count: Number of such places.
      findings: What is odd, by candidate.
      labels: Names and values from the table of labels.
    """

    path: str
    name: str
    header: FrameHeader
    key: str
    instance: str
    rater: str | None
    example: bool
    annotations: tuple[Annotation, ...]
    absent: tuple[str, ...]
    slice_index: int | None
    slice_count: int | None
    phase_index: int
    phase_count: int
    findings: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def annotated(self) -> frozenset[str]:
        """Terms that are annotated here, drawn or absent."""
        return frozenset(one.structure for one in self.annotations).union(self.absent)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, samples, as the header says."""
        return self.header.rows, self.header.columns, self.header.samples


@dataclasses.dataclass(frozen=True)
class SeriesPlan:
    """Frames of one series that share orientation, spacing and size, in order."""

    patient: str
    study: str
    series: str
    group: int
    slice_spacing: float | None
    frames: tuple[FramePlan, ...]


def plan_series(
    frames: Sequence[AnnotatedFrame],
    *,
    patient: str,
    pseudonyms: Pseudonyms,
    include: str = NO,
) -> Iterator[SeriesPlan]:
    """Plans one series: each part of it in which some frame becomes an example.

    Args:
      frames: All frames of the series; one for each rater.
      patient: Pseudonym of the patient.
      pseudonyms: Makes keys and pseudonyms.
      include: Which frames without an annotation become examples too: ``no``,
        ``neighbours`` (next to an annotated one in space, in the same phase) or
        ``all``.
    """
    header = frames[0].header
    # Without a UID of its own, a study or series is known by what it belongs to.
    study = [header.study] if header.study else ["", patient]
    series = [header.series] if header.series else ["", patient, header.study]
    names = (
        patient,
        pseudonyms.of("study", *study),
        pseudonyms.of("series", *series),
    )
    odd = quality.series_findings(one.header.plane for one in frames)
    for number, group in enumerate(_groups(frames)):
        spacing, ordered = _in_order(group)
        chosen = _examples(ordered, include)
        if chosen:
            planned = tuple(
                _frame(one, place, place in chosen and is_example, pseudonyms)
                for raters, place in ordered
                for one, is_example in zip(raters, _own(raters), strict=True)
            )
            planned = _with_series_findings(planned, odd)
            yield SeriesPlan(*names, number, spacing, planned)


#: The entries of one frame: one, or one for each rater.
_Raters = tuple[AnnotatedFrame, ...]


def _with_series_findings(
    planned: tuple[FramePlan, ...], codes: Sequence[str]
) -> tuple[FramePlan, ...]:
    """The frames; the first example tells what is odd about its series."""
    first = next(place for place, one in enumerate(planned) if one.example)
    told = tuple((planned[first].name, code) for code in codes)
    changed = dataclasses.replace(
        planned[first], findings=planned[first].findings + told
    )
    return (*planned[:first], changed, *planned[first + 1 :])


def _own(raters: _Raters) -> list[bool]:
    """Which entries become examples where the frame does: one, if nobody drew."""
    if any(one.annotated for one in raters):
        return [bool(one.annotated) for one in raters]
    return [place == 0 for place in range(len(raters))]


def _groups(frames: Sequence[AnnotatedFrame]) -> list[list[_Raters]]:
    """Parts of a series that share size, orientation and spacing, in a fixed order."""
    by_frame = collections.defaultdict(list)
    for one in frames:
        by_frame[one.header.instance, one.header.frame_number].append(one)
    groups: list[list[_Raters]] = []
    for _, raters in sorted(by_frame.items()):
        for group in groups:
            if _belong_together(group[0][0].header, raters[0].header):
                group.append(tuple(raters))
                break
        else:
            groups.append([tuple(raters)])
    return groups


def _belong_together(one: FrameHeader, other: FrameHeader) -> bool:
    if (one.rows, one.columns) != (other.rows, other.columns):
        return False
    if one.plane is None or other.plane is None:
        return one.plane is other.plane
    return one.plane.is_parallel_to(other.plane)


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    slice_index: int | None
    slice_count: int | None
    phase_index: int
    phase_count: int


def _in_order(
    group: Sequence[_Raters],
) -> tuple[float | None, list[tuple[_Raters, _Place]]]:
    """Slice spacing of a group, and its frames with their places, in order."""
    planes = [one[0].header.plane for one in group if one[0].header.plane]
    if not planes:
        here = sorted(group, key=_temporal_key)
        return None, [
            (one, _Place(None, None, phase, len(here)))
            for phase, one in enumerate(here)
        ]
    normal = planes[0].normal
    distances = [float(normal @ plane.position) for plane in planes]
    by_slice = collections.defaultdict(list)
    for index, one in zip(spatial.slice_indices(distances), group, strict=True):
        by_slice[index].append(one)
    ordered = [
        (one, _Place(index, len(by_slice), phase, len(by_slice[index])))
        for index in sorted(by_slice)
        for phase, one in enumerate(sorted(by_slice[index], key=_temporal_key))
    ]
    return spatial.slice_spacing(distances), ordered


def _temporal_key(raters: _Raters) -> tuple:
    header = raters[0].header
    return (*header.temporal_order, header.instance, header.frame_number)


def _examples(ordered: Sequence[tuple[_Raters, _Place]], include: str) -> set[_Place]:
    """Places of the frames that become examples."""
    annotated = {
        place for raters, place in ordered if any(one.annotated for one in raters)
    }
    if include == NO:
        return annotated
    if include == ALL:
        return {place for _, place in ordered}
    near = {
        (place.slice_index + step, place.phase_index)
        for place in annotated
        if place.slice_index is not None
        for step in (-1, 1)
    }
    return annotated.union(
        place for _, place in ordered if (place.slice_index, place.phase_index) in near
    )


def _frame(
    one: AnnotatedFrame, place: _Place, example: bool, pseudonyms: Pseudonyms
) -> FramePlan:
    header = one.header
    rater = pseudonyms.of("rater", one.rater) if one.rater else ""
    number = str(header.frame_number)
    odd = tuple((one.name, code) for code in header.findings)
    return FramePlan(
        path=one.path,
        name=one.name,
        header=header,
        key=pseudonyms.of("example", header.instance, number, rater),
        instance=pseudonyms.of("instance", header.instance),
        rater=rater or None,
        example=example,
        annotations=one.annotations,
        absent=one.absent,
        findings=odd + one.findings,
        labels=one.labels,
        slice_index=place.slice_index,
        slice_count=place.slice_count,
        phase_index=place.phase_index,
        phase_count=place.phase_count,
    )
