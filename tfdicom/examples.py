"""Turns the frames of a series, and their contours, into examples."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfdicom import dicom, example_schema, rasterize
from tfdicom.classes import SegmentationClass
from tfdicom.deidentify import signed_64_bits
from tfdicom.dicom import Frame
from tfdicom.example_schema import FrameExample
from tfdicom.intensity_statistics import IntensityStatistics, ValueCounts
from tfdicom.reasons import InputSkipped
from tfdicom.series import FramePlan, SeriesPlan
from tfdicom.sources import contours
from tfdicom.sources.candidates import CONTOUR, IMAGE, LeftFile

# Decoded frames of a series that are kept between the pass for its statistics and the
# pass for its examples; what does not fit is decoded a second time.
_KEPT_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class AnnotationRules:
    """How contours become masks.

    Attributes:
      classes: The classes, in the order of the planes.
      edge_rule: One of ``rasterize.EDGE_RULES``.
      tolerance: Distance from the path at which a centre is on it, pixels.
      origin: Name of the contours' origin.
      shift: Column and row to add to the coordinates of the files.
      covered_fraction: Whether fractions are stored too.
    """

    classes: tuple[SegmentationClass, ...]
    edge_rule: str
    tolerance: float
    origin: str
    shift: tuple[float, float]
    covered_fraction: bool = False


@dataclasses.dataclass(frozen=True)
class FrameOutcome:
    """What became of one frame.

    Attributes:
      frame: The frame.
      example: Its example, None if it became none.
      left: Files that became nothing though the plan had a use for them.
      findings: What was odd, by path.
      pixel_hash: SHA-256 of pixels that are not all equal, else None.
      intensities: Counts of modality values: ``all`` and ``foreground``.
    """

    frame: FramePlan
    example: FrameExample | None = None
    left: tuple[LeftFile, ...] = ()
    findings: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    pixel_hash: str | None = None
    intensities: Mapping[str, ValueCounts] = dataclasses.field(default_factory=dict)


def series_outcomes(
    folder: pathlib.Path, series: SeriesPlan, rules: AnnotationRules
) -> Iterator[FrameOutcome]:
    """Reads a series: first what cannot be decoded, then its examples, in order.

    Args:
      folder: The input folder.
      series: The frames and their contours.
      rules: How contours become masks.
    """
    counts = ValueCounts.empty()
    kept: dict[str, Frame] = {}
    broken = set()
    for frame in series.frames:
        try:
            decoded = dicom.read_frame(folder / frame.path)
        except InputSkipped as skipped:
            broken.add(frame.path)
            yield FrameOutcome(frame, left=tuple(_left(frame, skipped)))
            continue
        counts = counts.merge(_count(decoded))
        size = sum(one.pixels.nbytes for one in kept.values())
        if frame.contours and size + decoded.pixels.nbytes <= _KEPT_BYTES:
            kept[frame.path] = decoded
    statistics = counts.statistics()
    for frame in series.frames:
        if frame.contours and frame.path not in broken:
            again = kept.pop(frame.path, None)
            decoded = again or dicom.read_frame(folder / frame.path)
            yield _outcome(folder, series, frame, decoded, statistics, rules)


def _left(frame: FramePlan, skipped: InputSkipped) -> Iterator[LeftFile]:
    yield LeftFile(frame.path, IMAGE, skipped.code, skipped.detail)
    for contour in frame.contours:
        yield LeftFile(contour.path, CONTOUR, "image_unusable", frame.path)


def _count(frame: Frame, where: np.ndarray | None = None) -> ValueCounts:
    return ValueCounts.of(
        frame.pixels if where is None else frame.pixels[where],
        slope=frame.attributes["rescale_slope"],
        intercept=frame.attributes["rescale_intercept"],
        padding=frame.attributes["padding"],
    )


@dataclasses.dataclass(frozen=True)
class _Outline:
    """A contour in pixel coordinates, and the pixels that it takes.

    ``fraction`` says how much of each, None where that is not stored.
    """

    path: str
    structure: str
    vertices: np.ndarray
    plane: np.ndarray
    fraction: np.ndarray | None
    findings: tuple[str, ...]


def _outcome(
    folder: pathlib.Path,
    series: SeriesPlan,
    frame: FramePlan,
    decoded: Frame,
    series_statistics: IntensityStatistics | None,
    rules: AnnotationRules,
) -> FrameOutcome:
    shape = decoded.pixels.shape[:2]
    outlines, left = _outlines(folder, frame, shape, rules)
    drawn = {outline.structure for outline in outlines}
    if not any(one.annotated(drawn) for one in rules.classes):
        reason = "class_incomplete" if outlines else "no_usable_contour"
        left.append(LeftFile(frame.path, IMAGE, reason))
        left += [LeftFile(one.path, CONTOUR, "class_incomplete") for one in outlines]
        return FrameOutcome(frame, left=tuple(left))
    masks = _combined({one.structure: one.plane for one in outlines}, rules)
    whole = _count(decoded)
    example = _example(
        series,
        frame,
        decoded,
        **example_schema.describe_masks(masks),
        **_annotation(outlines, shape, rules),
        image_statistics=_floats(whole.statistics()),
        series_statistics=_floats(series_statistics),
        classes=tuple(one.name for one in rules.classes),
        class_expressions=tuple(one.expression for one in rules.classes),
        annotated=tuple(int(one.annotated(drawn)) for one in rules.classes),
    )
    findings = {one.path: one.findings for one in outlines if one.findings}
    if frame.findings:
        findings[frame.path] = frame.findings
    return FrameOutcome(
        frame,
        example,
        tuple(left),
        findings,
        _pixel_hash(decoded.pixels),
        {"all": whole, "foreground": _count(decoded, np.any(masks, axis=0))},
    )


def _floats(statistics: IntensityStatistics | None) -> tuple[float, ...] | None:
    return statistics.to_floats() if statistics else None


def _pixel_hash(pixels: np.ndarray) -> str | None:
    if (pixels == pixels.flat[0]).all():
        return None  # constant frames are alike without being the same image
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def _outlines(
    folder: pathlib.Path,
    frame: FramePlan,
    shape: tuple[int, int],
    rules: AnnotationRules,
) -> tuple[list[_Outline], list[LeftFile]]:
    outlines, left = [], []
    for contour in frame.contours:
        try:
            vertices = contours.read_contour(folder / contour.path) + rules.shift
            drawn = _drawn(vertices, shape, rules)
        except InputSkipped as skipped:
            left.append(LeftFile(contour.path, CONTOUR, skipped.code, skipped.detail))
        else:
            outlines.append(_Outline(contour.path, contour.structure, vertices, *drawn))
    return outlines, left


def _drawn(
    vertices: np.ndarray, shape: tuple[int, int], rules: AnnotationRules
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Pixels that a contour takes, how much of each, and what is odd about it."""
    try:
        plane = rasterize.fill(
            vertices, shape, edge_rule=rules.edge_rule, tolerance=rules.tolerance
        )
        fraction = (
            rasterize.covered_fraction(vertices, shape)
            if rules.covered_fraction
            else None
        )
        findings = tuple(_findings(vertices, shape))
    except rasterize.TooIntricate as error:
        raise InputSkipped("contour_too_intricate", str(error)) from error
    if not plane.any():
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        detail = (
            f"columns {low[0]:g} to {high[0]:g}, rows {low[1]:g} to {high[1]:g}; the "
            f"image has {shape[1]} columns and {shape[0]} rows"
        )
        raise InputSkipped("contour_outside_image", detail)
    return plane, fraction, findings


def _findings(vertices: np.ndarray, shape: tuple[int, int]) -> Iterator[str]:
    rows, columns = shape
    if (vertices < -0.5).any() or (vertices > (columns - 0.5, rows - 0.5)).any():
        yield "contour_leaves_image"
    if rasterize.crosses_itself(vertices):
        yield "contour_crosses_itself"


def _combined(planes: Mapping[str, np.ndarray], rules: AnnotationRules) -> np.ndarray:
    """Planes of the classes ``[classes, rows, columns]``; empty if not annotated."""
    empty = np.zeros_like(next(iter(planes.values())))
    return np.stack(
        [
            one.combine(planes) if one.annotated(planes) else empty
            for one in rules.classes
        ]
    )


def _fractions(outlines: Sequence[_Outline], rules: AnnotationRules) -> bytes | None:
    """Covered fractions ``[classes, rows, columns]``, uint8, 255 = all."""
    planes = {
        one.structure: one.fraction for one in outlines if one.fraction is not None
    }
    if not planes:
        return None
    return np.rint(_combined(planes, rules) * 255).astype(np.uint8).tobytes()


def _annotation(
    outlines: Sequence[_Outline], shape: tuple[int, int], rules: AnnotationRules
) -> dict[str, Any]:
    """The fields that say how the masks came to be."""
    points = np.concatenate([outline.vertices for outline in outlines])
    return {
        "covered_fraction": _fractions(outlines, rules),
        "edge_rule": rules.edge_rule,
        "contour_origin": rules.origin,
        "contour_shift": rules.shift,
        "contour_points": tuple(points.ravel().tolist()),
        "contour_lengths": tuple(len(one.vertices) for one in outlines),
        "contour_structures": tuple(one.structure for one in outlines),
        "contour_roles": ("CLOSED_PLANAR",) * len(outlines),
        "contour_centres_on_path": tuple(
            rasterize.centres_on_path(one.vertices, shape, tolerance=rules.tolerance)
            for one in outlines
        ),
    }


def _example(
    series: SeriesPlan, frame: FramePlan, decoded: Frame, **fields: Any
) -> FrameExample:
    plane = frame.plane
    return FrameExample(
        version=example_schema.SCHEMA_VERSION,
        kind=example_schema.KIND_FRAME,
        key=frame.key,
        key_hash=signed_64_bits(frame.key),
        patient=series.patient,
        study=series.study,
        series=series.series,
        instance=frame.instance,
        frame_number=1,
        position=plane.position if plane else None,
        orientation=plane.orientation if plane else None,
        slice_spacing=series.slice_spacing,
        slice_index=frame.slice_index,
        slice_count=frame.slice_count,
        phase_index=frame.phase_index,
        phase_count=frame.phase_count,
        acquisition_group=series.group,
        **example_schema.pack_pixels(decoded.pixels),
        **decoded.attributes,
        **fields,
    )
