"""Turns the frames of a series, and their contours, into examples."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfdicom import drawing, example_schema, image_signature, quality
from tfdicom.counted_frames import CountedFrame, count, read_counted
from tfdicom.deidentify import signed_64_bits
from tfdicom.dicom import Frame
from tfdicom.drawing import AnnotationRules, DrawnAnnotation, draw_frame
from tfdicom.example_schema import FrameExample
from tfdicom.intensity_statistics import IntensityStatistics
from tfdicom.quality import SliceArea
from tfdicom.reasons import InputSkipped
from tfdicom.series import FramePlan, SeriesPlan
from tfdicom.sources.candidates import IMAGE, TEXT, Annotation, LeftFile
from tfdicom.value_counts import PixelCounts, Tally

# Decoded frames of a series that are kept between the pass for its statistics and the
# pass for its examples; what does not fit is decoded a second time.
_KEPT_BYTES = 64 << 20


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
    intensities: Mapping[str, PixelCounts] = dataclasses.field(default_factory=dict)


def series_outcomes(
    folder: pathlib.Path, series: SeriesPlan, rules: AnnotationRules
) -> Iterator[FrameOutcome]:
    """Reads a series: first what cannot be decoded, then its examples, in order.

    Args:
      folder: The input folder.
      series: The frames and their annotations.
      rules: How annotations become masks.
    """
    tally, room = Tally(), _KEPT_BYTES
    kept: dict[str, CountedFrame] = {}
    broken: dict[str, InputSkipped] = {}
    counted: set[str] = set()
    for frame in series.frames:
        if frame.name not in counted:  # once, however many raters there are
            counted.add(frame.name)
            try:
                drawing.about_to_open(frame.path, rules)
                read = read_counted(folder / frame.path, frame.header, rules.pixels)
            except InputSkipped as skipped:
                broken[frame.name] = skipped
            else:
                tally.add(read.counts)
                if frame.example and read.nbytes <= room:
                    kept[frame.name] = read
                    room -= read.nbytes
        if frame.name in broken:
            left = tuple(_left(frame, broken[frame.name]))
            yield FrameOutcome(frame, left=left)
    statistics = tally.statistics()
    areas: list[_NamedArea] = []
    examples = [f for f in series.frames if f.example and f.name not in broken]
    last = {frame.name: place for place, frame in enumerate(examples)}
    for place, frame in enumerate(examples):
        try:
            read = kept.get(frame.name) or read_counted(
                folder / frame.path, frame.header, rules.pixels
            )
        except InputSkipped as skipped:  # it could be decoded a moment ago
            yield FrameOutcome(frame, left=tuple(_left(frame, skipped)))
            continue
        outcome, drawn = _outcome(folder, series, frame, read, statistics, rules)
        areas += _areas(frame, drawn)
        if last[frame.name] == place:  # no other rater's
            kept.pop(frame.name, None)
        del read, drawn
        yield outcome
        del outcome  # large, too: the next frame needs the room
    findings = _series_findings(areas)
    if findings:
        yield FrameOutcome(series.frames[0], findings=findings)


#: An annotation, and how much of its slice it covers.
_NamedArea = tuple[Annotation, SliceArea]


def _areas(frame: FramePlan, drawn: Iterable[DrawnAnnotation]) -> Iterator[_NamedArea]:
    plane = frame.header.plane
    if plane is None or frame.slice_index is None:
        return
    pixel = plane.pixel_spacing[0] * plane.pixel_spacing[1]
    for one in drawn:
        area = np.count_nonzero(one.drawing.plane) * pixel
        where = frame.slice_index, frame.phase_index
        yield one.annotation, SliceArea(one.annotation.structure, *where, area)


def _series_findings(areas: Sequence[_NamedArea]) -> dict[str, tuple[str, ...]]:
    """What only neighbouring slices together tell, by candidate."""
    findings: dict[str, tuple[str, ...]] = {}
    for from_text in (True, False):  # of objects, matching knows the gaps
        some = [one for one in areas if (one[0].kind == TEXT) == from_text]
        found = quality.neighbour_findings([one for _, one in some], gaps=from_text)
        findings |= {some[at][0].candidates[0]: codes for at, codes in found.items()}
    return findings


def _left(frame: FramePlan, skipped: InputSkipped) -> Iterator[LeftFile]:
    yield LeftFile(frame.name, IMAGE, skipped.code, skipped.detail)
    for one in frame.annotations:
        for name in one.candidates:
            yield LeftFile(name, one.candidate_kind, "image_unusable", frame.name)


def _outcome(
    folder: pathlib.Path,
    series: SeriesPlan,
    frame: FramePlan,
    read: CountedFrame,
    series_statistics: IntensityStatistics | None,
    rules: AnnotationRules,
) -> tuple[FrameOutcome, list[DrawnAnnotation]]:
    decoded = read.decoded
    shape = decoded.pixels.shape[:2]
    header = dataclasses.replace(frame.header, rows=shape[0], columns=shape[1])
    drawn, left = draw_frame(folder, frame, header, rules)
    annotated = {one.annotation.structure for one in drawn}.union(frame.absent)
    flags = tuple(int(one.annotated(annotated)) for one in rules.classes)
    if frame.annotated and not any(flags):
        left += _without_class(frame, drawn)
        return FrameOutcome(frame, left=tuple(left)), []
    planes = [(one.annotation.structure, one.drawing.plane) for one in drawn]
    masks = drawing.combined(planes, annotated, rules.classes, shape, np.bool_)
    example = _example(
        series,
        frame,
        decoded,
        **example_schema.describe_masks(masks),
        **_annotation(drawn, annotated, shape, rules),
        image_statistics=_floats(read.counts.statistics()),
        series_statistics=_floats(series_statistics),
        classes=tuple(one.name for one in rules.classes),
        class_expressions=tuple(one.expression for one in rules.classes),
        annotated=flags,
    )
    anywhere = np.zeros(shape, np.bool_)
    for mask in masks:
        anywhere |= mask
    inside = decoded.pixels[anywhere]
    outcome = FrameOutcome(
        frame,
        example,
        tuple(left),
        _findings(frame, drawn, decoded, rules),
        image_signature.pixel_hash(decoded.pixels),
        {"all": read.counts, "foreground": count(decoded, inside)},
    )
    return outcome, drawn


def _without_class(
    frame: FramePlan, drawn: Sequence[DrawnAnnotation]
) -> Iterator[LeftFile]:
    reason = "class_incomplete" if drawn else "no_usable_contour"
    yield LeftFile(frame.name, IMAGE, reason)
    for one in drawn:
        for name in one.annotation.candidates:
            yield LeftFile(name, one.annotation.candidate_kind, "class_incomplete")


def _floats(statistics: IntensityStatistics | None) -> tuple[float, ...] | None:
    return statistics.to_floats() if statistics else None


def _findings(
    frame: FramePlan,
    drawn: Sequence[DrawnAnnotation],
    decoded: Frame,
    rules: AnnotationRules,
) -> dict[str, tuple[str, ...]]:
    """What is odd about the frame and about what is drawn on it, by candidate."""
    found: dict[str, dict[str, None]] = {}

    def add(name: str, codes: Iterable[str]) -> None:
        found.setdefault(name, {}).update(dict.fromkeys(codes))

    for name, code in frame.findings:
        add(name, [code])
    planes: dict[str, np.ndarray] = {}
    contours: dict[str, list[np.ndarray]] = {}
    seen: set[tuple[str, int]] = set()
    for one in drawn:  # several ROIs may be one structure, and one ROI be several
        item = one.annotation.path, one.annotation.item
        if item in seen:
            continue
        seen.add(item)
        structure, plane = one.annotation.structure, one.drawing.plane
        planes[structure] = plane | planes[structure] if structure in planes else plane
        outlines = contours.setdefault(structure, [])
        outlines += [each.vertices for each in one.drawing.contours]
    odd = quality.frame_findings(
        decoded.pixels, planes, contours, pairs=quality.nested_pairs(rules.classes)
    )
    for one in drawn:
        name = one.annotation.candidates[0]
        of_parts = {code for _, code in one.drawing.part_findings}
        add(name, (code for code in one.drawing.findings if code not in of_parts))
        add(name, odd.get(one.annotation.structure, ()))
        for part, code in one.drawing.part_findings:
            add(one.annotation.candidate_of(part), [code])
    return {name: tuple(codes) for name, codes in found.items() if codes}


def _annotation(
    drawn: Sequence[DrawnAnnotation],
    annotated: Iterable[str],
    shape: tuple[int, int],
    rules: AnnotationRules,
) -> dict[str, Any]:
    """The fields that say how the masks came to be."""
    from_text = any(one.annotation.kind == TEXT for one in drawn)
    return {
        "covered_fraction": _fractions(drawn, annotated, shape, rules),
        "edge_rule": drawing.rules_used(drawn, "edge_rule"),
        "hole_rule": drawing.rules_used(drawn, "hole_rule"),
        "contour_origin": rules.origin if from_text else None,
        "contour_shift": rules.text.shift if from_text else None,
        **drawing.contour_fields(drawn),
    }


def _fractions(
    drawn: Sequence[DrawnAnnotation],
    annotated: Iterable[str],
    shape: tuple[int, int],
    rules: AnnotationRules,
) -> bytes | None:
    """Covered fractions ``[classes, rows, columns]``, uint8, 255 = all."""
    if not rules.objects.covered_fraction:
        return None
    planes = [
        (
            one.annotation.structure,
            # Masks say all or nothing.
            one.drawing.plane.astype(float)
            if one.drawing.fraction is None
            else one.drawing.fraction,
        )
        for one in drawn
    ]
    whole = drawing.combined(planes, annotated, rules.classes, shape, np.float64)
    return b"".join(np.rint(one * 255).astype(np.uint8).tobytes() for one in whole)


def _example(
    series: SeriesPlan, frame: FramePlan, decoded: Frame, **fields: Any
) -> FrameExample:
    plane = frame.header.plane
    names, values = zip(*frame.labels, strict=True) if frame.labels else (None, None)
    return FrameExample(
        version=example_schema.SCHEMA_VERSION,
        kind=example_schema.KIND_FRAME,
        key=frame.key,
        key_hash=signed_64_bits(frame.key),
        patient=series.patient,
        study=series.study,
        series=series.series,
        instance=frame.instance,
        frame_number=frame.header.frame_number,
        rater=frame.rater,
        position=plane.position if plane else None,
        orientation=plane.orientation if plane else None,
        slice_spacing=series.slice_spacing,
        slice_index=frame.slice_index,
        slice_count=frame.slice_count,
        phase_index=frame.phase_index,
        phase_count=frame.phase_count,
        acquisition_group=series.group,
        label_names=names,
        label_values=values,
        **example_schema.pack_pixels(decoded.pixels, copy=False),
        **decoded.attributes,
        **fields,
    )
