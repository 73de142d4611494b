"""Places the contours of ROIs on frames, and finds where an ROI is absent."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tfdicom import contour_masks
from tfdicom.frame_headers import FrameHeader
from tfdicom.reasons import InputSkipped
from tfdicom.sources import contour_planes
from tfdicom.sources.annotation_objects import AnnotationObject, LeftItem
from tfdicom.sources.contour_planes import Stack
from tfdicom.sources.rtstruct_file import PatientContour, StructureContours


@dataclasses.dataclass(frozen=True)
class PlacedItem:
    """Where an ROI lies.

    Attributes:
      parts: For each frame with contours, their numbers.
      negatives: Frames on which it is annotated and absent.
      left: Contours that lie nowhere; the whole ROI if none lies anywhere.
      findings: Codes of what is odd.
    """

    parts: Mapping[int, tuple[int, ...]]
    negatives: tuple[int, ...]
    left: tuple[LeftItem, ...]
    findings: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Images:
    """The frames there are, and what the object says of them."""

    frames: Sequence[FrameHeader]
    by_instance: Mapping[str, Sequence[int]]
    stacks: tuple[Stack, ...]
    listed: frozenset[str]
    are_named: bool  # whether any image that the object names is there

    def named_by(self, contour: PatientContour) -> set[int]:
        """Frames that a contour names."""
        return {
            number
            for instance, frame_number in contour.images
            for number in self.by_instance.get(instance, ())
            if frame_number in (None, self.frames[number].frame_number)
        }


def place(
    structures: StructureContours,
    described: AnnotationObject,
    frames: Sequence[FrameHeader],
    items: Sequence[int],
) -> dict[int, PlacedItem]:
    """Places the contours of some ROIs.

    Args:
      structures: The contours.
      described: What the object says of the images that it was drawn on.
      frames: All frames that it may mean.
      items: ROI Numbers.
    """
    by_instance: dict[str, list[int]] = collections.defaultdict(list)
    for number, frame in enumerate(frames):
        by_instance[frame.instance].append(number)
    listed = frozenset(described.referenced_instances)
    in_contours = {
        instance
        for number in items
        for contour in structures.contours.get(number, ())
        for instance, _ in contour.images
    }
    images = _Images(
        frames=frames,
        by_instance=by_instance,
        stacks=contour_planes.stacks_of(frames),
        listed=listed,
        are_named=not (listed | in_contours).isdisjoint(by_instance),
    )
    return {
        number: _placed(
            number,
            structures.contours.get(number, ()),
            images,
            _meant(structures, described, frames, number),
        )
        for number in items
    }


def _meant(
    structures: StructureContours,
    described: AnnotationObject,
    frames: Sequence[FrameHeader],
    item: int,
) -> set[int]:
    """The frames that an ROI may lie on, whose contours name none that is there."""
    reference = structures.frames_of_reference.get(item, "")
    series = structures.series.get(reference) or described.referenced_series
    listed = described.referenced_instances
    reference = reference or described.frame_of_reference
    by_series = {n for n, one in enumerate(frames) if one.series in series}
    used = {one.series for one in frames if one.instance in listed}
    by_instances = {n for n, one in enumerate(frames) if one.series in used}
    by_reference = {
        n
        for n, one in enumerate(frames)
        if reference and one.frame_of_reference == reference
    }
    return by_series or by_instances or by_reference


def _placed(
    item: int, contours: Sequence[PatientContour], images: _Images, meant: set[int]
) -> PlacedItem:
    parts: dict[int, list[int]] = collections.defaultdict(list)
    left, failed = [], []
    for contour in contours:
        try:
            here = _frames_of(contour, images, meant)
        except InputSkipped as skipped:
            left.append(_left(item, contour, skipped, images))
            failed.append(contour)
        else:
            for frame in here:
                parts[frame].append(contour.part)
    if not parts:
        left = _lost(item, left)
    negatives, gaps = _absent(images, parts, failed)
    return PlacedItem(
        parts={frame: tuple(found) for frame, found in parts.items()},
        negatives=tuple(sorted(negatives)),
        left=tuple(left),
        findings=("roi_gap",) if gaps else (),
    )


def _left(
    item: int, contour: PatientContour, skipped: InputSkipped, images: _Images
) -> LeftItem:
    """A contour that lies nowhere, with the image or else the place that it means."""
    where = tuple(dict.fromkeys(instance for instance, _ in contour.images))
    if not where and contour.points is not None and images.stacks:
        along = float((contour.points @ images.stacks[0].normal).mean())
        where = (f"{along:.1f} mm",)
    return LeftItem(item, contour.part, skipped.code, skipped.detail, images=where)


def _lost(item: int, left: Sequence[LeftItem]) -> list[LeftItem]:
    """What is said of an ROI that lies nowhere."""
    codes = collections.Counter(one.reason for one in left)
    if set(codes) == {"contour_image_missing"}:
        where = tuple(dict.fromkeys(name for one in left for name in one.images))
        detail = f"{len(left)} contours"
        return [LeftItem(item, None, "roi_images_missing", detail, images=where)]
    found = ", ".join(f"{count} x {code}" for code, count in codes.items())
    return [*left, LeftItem(item, None, "roi_not_placed", found)]


def _frames_of(
    contour: PatientContour, images: _Images, meant: set[int]
) -> tuple[int, ...]:
    """The frames that a contour lies on.

    Raises:
      InputSkipped: It cannot be used, or lies on none of them.
    """
    points = _outline(contour)
    named = images.named_by(contour)
    if named:
        return contour_planes.frames_on(points, named, images.stacks)
    if not meant or (contour.images and images.are_named):
        raise InputSkipped("contour_image_missing")
    found = contour_planes.frames_on(points, meant, images.stacks)
    if len(found) > 1:
        found = tuple(n for n in found if images.frames[n].instance in images.listed)
    if len(found) != 1:
        detail = "several frames lie there; the object does not name one of them"
        raise InputSkipped("contour_ambiguous", detail)
    return found


_NOT_CLOSED = {"POINT": "contour_of_points", "": "contour_without_type"}


def _outline(contour: PatientContour) -> np.ndarray:
    """The points of a contour that encloses something.

    Raises:
      InputSkipped: It does not, or its points cannot be read.
    """
    if contour.role not in contour_masks.CLOSED_TYPES:
        reason = _NOT_CLOSED.get(contour.role, "contour_not_closed")
        raise InputSkipped(reason, f"type {contour.role[:32]!r}")
    if contour.points is None:
        raise InputSkipped("contour_points_invalid", contour.problem)
    if len(contour.points) < 3:
        raise InputSkipped("contour_too_short", f"{len(contour.points)} points")
    return contour.points


def _absent(
    images: _Images,
    parts: Mapping[int, Sequence[int]],
    failed: Sequence[PatientContour],
) -> tuple[set[int], bool]:
    """Frames on which an ROI is annotated and absent, and whether there are gaps."""
    absent: set[int] = set()
    gaps = False
    for stack in images.stacks:
        outlined = {
            place
            for frame, place in zip(stack.frames, stack.slices, strict=True)
            if frame in parts
        }
        if outlined:
            between = set(contour_planes.gaps_between(outlined))
            gaps = gaps or bool(between)
            elsewhere = set(stack.slices) - outlined - between
            absent |= {
                frame for place in elsewhere for frame in _single(stack, place, images)
            }
            for contour in failed:
                absent -= set(_doubtful(stack, contour, images))
    return absent, gaps


def _single(stack: Stack, place: int, images: _Images) -> Iterator[int]:
    """The frame of a slice; of several the one that the object names."""
    found = stack.frames_of(place)
    if len(found) > 1:
        found = tuple(n for n in found if images.frames[n].instance in images.listed)
    if len(found) == 1:
        yield found[0]


def _doubtful(
    stack: Stack, contour: PatientContour, images: _Images
) -> tuple[int, ...]:
    """Frames on which a contour might lie that could not be used."""
    named = images.named_by(contour)
    if contour.points is not None:
        return (*stack.frames_near(contour.points), *named)
    return tuple(named) or stack.frames
