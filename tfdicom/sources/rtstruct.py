"""RT Structure Sets as annotations: ROIs are the items, contours their parts.

A contour belongs to the images that it names, if it lies on their planes; where it
names none, or where none of the images that the object names is there, to the slice
that it lies on, of the series (or else of the Frame of Reference) that the object
names. A contour in a file is in millimetres, so images without a plane get none.

An ROI is annotated on every slice of the stack that it has contours on: slices without
a contour are negatives, but between two slices with contours, and where a contour could
not be used, nothing is known. Of several frames at one place only those are annotated
that are named.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Collection, Sequence

import numpy as np

from tfdicom import contour_masks, dicom_elements
from tfdicom.contour_masks import PlanarContour
from tfdicom.frame_headers import FrameHeader
from tfdicom.reasons import InputSkipped
from tfdicom.sources import rtstruct_file, rtstruct_header, rtstruct_placement
from tfdicom.sources.annotation_objects import (
    AnnotationObject,
    Drawing,
    DrawingRules,
    LeftItem,
    Match,
    Matches,
)
from tfdicom.sources.rtstruct_file import PatientContour
from tfdicom.sources.rtstruct_placement import PlacedItem

# An outline that was traced along the pixel centres of a mask has nearly all of its
# vertices there; of one that was drawn, fewer than one in fifty are.
_CENTRE_DISTANCE = 0.02
_CENTRE_SHARE = 0.9
# Of a pixel. Decimals of the file and the change of coordinates err by less, and would
# decide at random which side of a row a vertex is on that was meant to lie on it.
_DIGITS = 5


def read_object(path: pathlib.Path, name: str) -> AnnotationObject:
    """Reads the header; no coordinate is looked at.

    Args:
      path: The file.
      name: Its path relative to the input folder.

    Raises:
      InputSkipped: The file cannot be read, or describes no ROI.
    """
    dataset = rtstruct_file.open_dataset(path, rtstruct_file.HEADER_KEYWORDS)
    with dicom_elements.quiet():
        return rtstruct_header.describe(dataset, name)


def match(
    path: pathlib.Path,
    described: AnnotationObject,
    frames: Sequence[FrameHeader],
    items: Collection[int],
) -> Matches:
    """Finds the frames that contours lie on.

    Args:
      path: The file.
      described: What `read_object` said of it.
      frames: All frames of all series that the object may mean.
      items: Numbers of the ROIs that are wanted.

    Returns:
      Parts are numbers of contours within their ROI, from 1. Contours that are not
      closed, cannot be read or lie on none of the frames are left. An ROI of which no
      contour is placed is left as a whole, too.

    Raises:
      InputSkipped: The file cannot be read.
    """
    structures = rtstruct_file.read_contours(path)
    wanted = sorted(set(items))
    placed = rtstruct_placement.place(structures, described, frames, wanted)
    matches: list[Match] = []
    left: list[LeftItem] = []
    for number, one in placed.items():
        matches += [Match(frame, number, parts) for frame, parts in one.parts.items()]
        matches += [Match(frame, number) for frame in one.negatives]
        left += one.left
    return Matches(
        matches=tuple(sorted(matches, key=lambda one: (one.frame, one.item))),
        left=tuple(left),
        findings={n: one.findings for n, one in placed.items() if one.findings},
        edge_rules={
            number: _edge_rule(structures.contours[number], one, frames)
            for number, one in placed.items()
            if one.parts
        },
    )


def _edge_rule(
    contours: Sequence[PatientContour],
    placed: PlacedItem,
    frames: Sequence[FrameHeader],
) -> str:
    by_part = {one.part: one for one in contours}
    vertices = [
        _in_pixels(by_part[part], frames[frame])
        for frame, parts in placed.parts.items()
        for part in parts
    ]
    return "inside" if _is_traced(np.concatenate(vertices)) else "center"


def _is_traced(vertices: np.ndarray) -> bool:
    off = np.hypot(*(vertices - np.rint(vertices)).T)
    return bool((off <= _CENTRE_DISTANCE).mean() > _CENTRE_SHARE)


def _in_pixels(contour: PatientContour, frame: FrameHeader) -> np.ndarray:
    """Vertices as (column, row).

    Raises:
      InputSkipped: The contour's points or the frame's plane are unknown.
    """
    if frame.plane is None:
        raise InputSkipped("frame_without_geometry")
    if contour.points is None:
        raise InputSkipped("contour_points_invalid", contour.problem)
    return np.round(frame.plane.to_pixels(contour.points)[0], _DIGITS)


def draw(
    path: pathlib.Path,
    item: int,
    parts: Collection[int],
    frame_header: FrameHeader,
    rules: DrawingRules,
) -> Drawing:
    """Draws an ROI on one frame.

    Under the edge rule ``inside`` an outline that was traced along pixel centres gets
    a tolerance of at least 0.02 pixel, for decimals cut its coordinates.

    Args:
      path: The file; its contours are remembered from call to call.
      item: ROI Number.
      parts: Its contours on this frame, as `match` says; none: an empty mask.
      frame_header: The frame.
      rules: How contours become a mask.

    Raises:
      InputSkipped: Nothing can be drawn.
    """
    shape = frame_header.rows, frame_header.columns
    if not parts:
        return _absent(shape, rules)
    contours = rtstruct_file.read_contours(path).contours.get(item, ())
    drawn = [
        PlanarContour(one.part, _in_pixels(one, frame_header), one.role)
        for one in contours
        if one.part in parts
    ]
    if len(drawn) < len(set(parts)):
        raise InputSkipped("rtstruct_changed")
    if rules.edge_rule == "inside" and _is_traced(
        np.concatenate([one.vertices for one in drawn])
    ):
        tolerance = max(rules.tolerance, _CENTRE_DISTANCE)
        rules = dataclasses.replace(rules, tolerance=tolerance)
    return contour_masks.draw_contours(drawn, shape, rules, item=item)


def _absent(shape: tuple[int, int], rules: DrawingRules) -> Drawing:
    """The drawing of an ROI that is annotated and not there."""
    return Drawing(
        plane=np.zeros(shape, np.bool_),
        fraction=np.zeros(shape) if rules.covered_fraction else None,
        edge_rule=rules.edge_rule,
        hole_rule=rules.hole_rule,
    )
