"""Puts the images of a series in order: in space along the normal, then in time."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Sequence

from tfdicom import spatial
from tfdicom.deidentify import Pseudonyms
from tfdicom.dicom import FrameHeader
from tfdicom.scan import ScannedImage
from tfdicom.sources.candidates import ContourFile
from tfdicom.spatial import ImagePlane


@dataclasses.dataclass(frozen=True)
class FramePlan:
    """One image: an example if it has contours, else part of its series only.

    ``slice_index`` and ``slice_count`` are None where the frame says no plane.
    ``shape`` is rows, columns, samples, as the header says.
    """

    path: str
    key: str
    instance: str
    contours: tuple[ContourFile, ...]
    plane: ImagePlane | None
    slice_index: int | None
    slice_count: int | None
    phase_index: int
    phase_count: int
    findings: tuple[str, ...]
    shape: tuple[int, int, int]
    modality: str


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
    images: Sequence[ScannedImage], *, patient: str, pseudonyms: Pseudonyms
) -> Iterator[SeriesPlan]:
    """Plans one series: each part of it in which some image has contours.

    Args:
      images: All images of the series.
      patient: Pseudonym of the patient.
      pseudonyms: Makes keys and pseudonyms.
    """
    header = images[0].header
    # Without a UID of its own, a study or series is known by what it belongs to.
    study = [header.study] if header.study else ["", patient]
    series = [header.series] if header.series else ["", patient, header.study]
    names = (
        patient,
        pseudonyms.of("study", *study),
        pseudonyms.of("series", *series),
    )
    for number, group in enumerate(_groups(images)):
        if any(one.file.contours for one in group):
            spacing, ordered = _in_order(group)
            frames = tuple(_frame(*place, pseudonyms) for place in ordered)
            yield SeriesPlan(*names, number, spacing, frames)


def _groups(images: Sequence[ScannedImage]) -> list[list[ScannedImage]]:
    """Parts of a series that share size, orientation and spacing, in a fixed order."""
    groups: list[list[ScannedImage]] = []
    for one in sorted(images, key=lambda one: one.header.instance):
        for group in groups:
            if _belong_together(group[0].header, one.header):
                group.append(one)
                break
        else:
            groups.append([one])
    return groups


def _belong_together(one: FrameHeader, other: FrameHeader) -> bool:
    if (one.rows, one.columns) != (other.rows, other.columns):
        return False
    if one.plane is None or other.plane is None:
        return one.plane is other.plane
    return one.plane.is_parallel_to(other.plane)


@dataclasses.dataclass(frozen=True)
class _Place:
    slice_index: int | None
    slice_count: int | None
    phase_index: int
    phase_count: int


def _in_order(
    group: Sequence[ScannedImage],
) -> tuple[float | None, list[tuple[ScannedImage, _Place]]]:
    """Slice spacing of a group, and its images with their places, in order."""
    planes = [one.header.plane for one in group if one.header.plane]
    if not planes:
        here = sorted(group, key=_temporal_key)
        return None, [
            (one, _Place(None, None, phase, len(here)))
            for phase, one in enumerate(here)
        ]
    distances = [float(planes[0].normal @ plane.position) for plane in planes]
    by_slice = collections.defaultdict(list)
    for index, one in zip(spatial.slice_indices(distances), group, strict=True):
        by_slice[index].append(one)
    ordered = [
        (one, _Place(index, len(by_slice), phase, len(by_slice[index])))
        for index in sorted(by_slice)
        for phase, one in enumerate(sorted(by_slice[index], key=_temporal_key))
    ]
    return spatial.slice_spacing(distances), ordered


def _temporal_key(one: ScannedImage) -> tuple:
    return (*one.header.temporal_order, one.header.instance)


def _frame(one: ScannedImage, place: _Place, pseudonyms: Pseudonyms) -> FramePlan:
    header = one.header
    return FramePlan(
        path=one.file.path,
        key=pseudonyms.of("example", header.instance, "1", ""),  # frame 1, no rater
        instance=pseudonyms.of("instance", header.instance),
        contours=one.file.contours,
        plane=header.plane,
        findings=header.findings,
        shape=(header.rows, header.columns, header.samples),
        modality=header.modality,
        **dataclasses.asdict(place),
    )
