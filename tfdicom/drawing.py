"""Draws the annotations of a frame: one plane for each structure, and what is odd."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tfdicom import contour_masks, processes
from tfdicom.classes import SegmentationClass
from tfdicom.contour_masks import PlanarContour
from tfdicom.dicom import PixelRules
from tfdicom.frame_headers import FrameHeader
from tfdicom.reasons import InputSkipped
from tfdicom.series import FramePlan
from tfdicom.sources import contours
from tfdicom.sources.annotation_objects import Drawing, DrawingRules
from tfdicom.sources.candidates import TEXT, Annotation, LeftFile, candidate_name
from tfdicom.sources.readers import READERS


@dataclasses.dataclass(frozen=True)
class AnnotationRules:
    """How annotations become masks.

    Attributes:
      classes: The classes, in the order of the planes.
      text: Rules for contour text files.
      objects: Rules for everything else.
      origin: Name of the contour files' origin; empty without such files.
      fixed_edge_rule: Whether the user chose the edge rule, for every object.
      pixels: Which images are read.
      deadly: Files that are not to be opened: worker processes died of them.
    """

    classes: tuple[SegmentationClass, ...]
    text: DrawingRules
    objects: DrawingRules
    origin: str = ""
    fixed_edge_rule: bool = False
    pixels: PixelRules = PixelRules()
    deadly: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class DrawnAnnotation:
    """An annotation and what it draws."""

    annotation: Annotation
    drawing: Drawing


def about_to_open(path: str, rules: AnnotationRules) -> None:
    """Says which file this worker opens next.

    Raises:
      InputSkipped: Workers died of it.
    """
    if path in rules.deadly:
        raise InputSkipped("worker_died")
    processes.now_at(path)


def draw_frame(
    folder: pathlib.Path,
    frame: FramePlan,
    header: FrameHeader,
    rules: AnnotationRules,
) -> tuple[list[DrawnAnnotation], list[LeftFile]]:
    """Draws all annotations of a frame.

    Args:
      folder: The input folder.
      frame: The frame.
      header: Its header, with the rows and columns that were decoded.
      rules: How annotations become masks.

    Returns:
      What is drawn, and the candidates that draw nothing.
    """
    drawn: list[DrawnAnnotation] = []
    left: list[LeftFile] = []
    failed: set[str] = set()
    for one in frame.annotations:
        try:
            about_to_open(one.path, rules)
            drawing = _draw(folder / one.path, one, header, rules)
        except InputSkipped as skipped:
            left += (
                LeftFile(name, one.candidate_kind, skipped.code, skipped.detail)
                for name in one.candidates
            )
            failed.add(one.structure)
            continue
        drawn.append(DrawnAnnotation(one, drawing))
        left += _parts_left(one, drawing)
    # One ROI drawn and another not is no mask of both.
    left += (
        LeftFile(name, one.annotation.candidate_kind, "class_incomplete")
        for one in drawn
        if one.annotation.structure in failed
        for name in one.annotation.candidates
    )
    return [one for one in drawn if one.annotation.structure not in failed], left


def _draw(
    path: pathlib.Path, one: Annotation, header: FrameHeader, rules: AnnotationRules
) -> Drawing:
    if one.kind == TEXT:
        vertices = contours.read_contour(path) + rules.text.shift
        return contour_masks.draw_contours(
            [PlanarContour(1, vertices)], (header.rows, header.columns), rules.text
        )
    chosen = rules.objects
    if one.edge_rule and not rules.fixed_edge_rule:
        chosen = dataclasses.replace(chosen, edge_rule=one.edge_rule)
    return READERS[one.kind].draw(path, one.item, one.parts, header, chosen)


def _parts_left(one: Annotation, drawing: Drawing) -> Iterator[LeftFile]:
    for left in drawing.left:
        name = candidate_name(one.path, one.item, left.part)
        yield LeftFile(name, one.candidate_kind, left.reason, left.detail)


def combined(
    planes: Iterable[tuple[str, np.ndarray]],
    annotated: Iterable[str],
    classes: Sequence[SegmentationClass],
    shape: tuple[int, int],
    dtype: type,
) -> list[np.ndarray]:
    """The plane of each class ``[rows, columns]``; empty if not annotated.

    That of a class of one structure is the structure's: it is not copied.

    Args:
      planes: Structure and plane; of several of one structure the largest counts.
      annotated: Structures that are annotated, drawn or absent.
      classes: The classes.
      shape: Rows and columns.
      dtype: bool, or float for covered fractions.
    """
    by_structure: dict[str, np.ndarray] = {}
    for name, plane in planes:
        before = by_structure.get(name)
        by_structure[name] = plane if before is None else np.maximum(before, plane)
    for name in annotated:
        if name not in by_structure:
            by_structure[name] = np.zeros(shape, dtype)
    return [
        one.combine(by_structure)
        if one.annotated(by_structure)
        else np.zeros(shape, dtype)
        for one in classes
    ]


def rules_used(drawn: Sequence[DrawnAnnotation], name: str) -> str | None:
    """The edge or hole rules that were used, joined by ``,``; None without any."""
    used = {getattr(one.drawing, name) for one in drawn} - {None}
    return ",".join(sorted(used)) or None


def contour_fields(drawn: Sequence[DrawnAnnotation]) -> Mapping[str, tuple]:
    """The fields of the record that hold contours; none where there are none."""
    outlines = [
        (one.annotation.structure, contour)
        for one in drawn
        for contour in one.drawing.contours
    ]
    if not outlines:
        return {}
    points = np.concatenate([contour.vertices for _, contour in outlines])
    return {
        "contour_points": tuple(points.ravel().tolist()),
        "contour_lengths": tuple(len(contour.vertices) for _, contour in outlines),
        "contour_structures": tuple(structure for structure, _ in outlines),
        "contour_roles": tuple(contour.role for _, contour in outlines),
        "contour_centres_on_path": tuple(
            contour.centres_on_path for _, contour in outlines
        ),
    }
