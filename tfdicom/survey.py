"""Surveys an input folder: images, annotations, and how they belong together."""

from __future__ import annotations

import collections
import dataclasses
import operator
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from tfdicom import candidate_search, matching
from tfdicom.annotated_frames import AnnotatedFrame
from tfdicom.candidate_search import KIND_NAMES
from tfdicom.classes import SegmentationClass, parse_classes, structures_of
from tfdicom.convert_options import ConvertOptions
from tfdicom.fixed_patients import FixedPatients, NewFiles
from tfdicom.input_scope import InputScope
from tfdicom.input_stamps import InputStamps
from tfdicom.ledger import Ledger
from tfdicom.patients import identifier_from, refuse_shared_instances
from tfdicom.progress import Progress
from tfdicom.reasons import REASONS
from tfdicom.runner_choice import runner_of
from tfdicom.scan import Scan, ScannedFrame
from tfdicom.sources import contours
from tfdicom.sources.annotation_objects import AnnotationObject
from tfdicom.sources.candidates import (
    OBJECT,
    TEXT,
    Annotation,
    PathListing,
)
from tfdicom.sources.mask_listing import MaskListing
from tfdicom.structures import (
    StructureNames,
    check_terms,
    structure_names,
    suggestion,
)

_TEXT_CLASSES = "inner;outer"  # what the layouts that are known by name outline


@dataclasses.dataclass(frozen=True)
class Survey:
    """What an input folder holds.

    Attributes:
      frames: Every frame that can be used, with its annotations.
      classes: The classes.
      listing: What the paths told of contour text files.
      pairs: What table or paths told of mask images.
      objects: Paths of the annotation objects.
      kinds: Kinds of annotations that were found.
      paired: Number of images with annotations, and of those annotations; whatever
        the classes make of them.
      names: Names of the structures, and what they were taken for.
      files: Every file in the folder.
      named: Patient ID and Study Instance UID of files that give no frame, by path.
      stamps: What the files were before any was read.
      held: Files that are new of patients of whom nothing new is taken in.
    """

    frames: tuple[AnnotatedFrame, ...]
    classes: tuple[SegmentationClass, ...]
    listing: PathListing
    pairs: MaskListing
    objects: tuple[str, ...]
    kinds: tuple[str, ...]
    names: StructureNames
    paired: tuple[int, int]
    files: tuple[str, ...] = ()
    named: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    stamps: InputStamps | None = None
    held: frozenset[str] = frozenset()


def survey(
    folder: pathlib.Path,
    options: ConvertOptions,
    ledger: Ledger,
    scope: InputScope | None = None,
    fixed: FixedPatients | None = None,
    may_part: Callable[[str, str], bool] = operator.ne,
) -> Survey:
    """Finds images and annotations and brings them together; reads headers only.

    Args:
      folder: The input folder.
      options: What is asked for.
      ledger: Gets what becomes nothing.
      scope: Which of the files, and whose, count; None for all.
      fixed: Patients of whom nothing new is taken in.
      may_part: Tells of two source patients whether they could be in two splits.

    Raises:
      ValueError: There is nothing that could be converted.
    """
    found = candidate_search.find(folder, options, scope)
    owner = _owner(found.pairs, options)
    refuse_shared_instances(found.scan.shared, owner, may_part)
    new = NewFiles(fixed, found.scan.frames, owner) if fixed else None
    if new:
        scan = new.without_images(found.scan)
        images = new.without_contours(found.listing.images)
        listing = dataclasses.replace(found.listing, images=images)
        found = dataclasses.replace(found, listing=listing, scan=scan)
    listing, scan = found.listing, found.scan
    for left in (listing.left, found.pairs.left, scan.left):
        ledger.leave(left)
    ledger.leave(matching.paired_left(listing.images, scan.left))
    objects = candidate_search.objects_of(found, options, ledger)
    if new:
        objects = new.without_objects(objects)
        ledger.leave(new.left)
    drawn = [one for each in listing.images.values() for one in each]
    usable = {one.path for one in scan.frames}
    paired = {path: each for path, each in listing.images.items() if path in usable}
    with ledger.told_with_errors():
        if not scan.frames:
            count = len(listing.images) + len(listing.others)
            told = f"none of the {count} files found is a usable image"
            raise ValueError(told + _left_by_risk(scan))
        if not any(paired.values()) and not objects and not options.without_masks:
            raise ValueError(_nothing_drawn(folder, listing, scan, options))
        classes = _classes(drawn, objects, options)
        names = structure_names(drawn, objects, structures_of(classes))
        for line in _found(scan, drawn, names):
            print(line, file=sys.stderr)
        check_terms(classes, names)
    terms = structures_of(classes)
    ledger.leave(list(matching.without_terms(ledger.left, terms)))
    frames = _matched(folder, scan, paired, objects, classes, options, ledger)
    if scope:
        frames = [one for one in frames if scope.has(owner(one))]
    kinds = {one.kind for one in drawn} | {one.kind for one in objects}
    return Survey(
        frames=tuple(frames),
        classes=classes,
        listing=listing,
        pairs=found.pairs,
        objects=tuple(one.path for one in objects),
        kinds=tuple(kind for kind in KIND_NAMES if kind in kinds),
        names=names,
        paired=_paired(paired, frames),
        files=found.paths,
        named=scan.named,
        stamps=found.stamps,
        held=frozenset(new.files if new else ()),
    )


def _owner(
    pairs: MaskListing, options: ConvertOptions
) -> Callable[[AnnotatedFrame | ScannedFrame], str]:
    """Tells the source patient of a frame."""
    identifier = identifier_from(options.patient_from)

    def owner(one: AnnotatedFrame | ScannedFrame) -> str:
        named = pairs.patients.get(one.path)
        return named or identifier(one.path, one.header.patient_id, one.header.study)

    return owner


def _matched(
    folder: pathlib.Path,
    scan: Scan,
    paired: Mapping[str, tuple[Annotation, ...]],
    objects: Sequence[AnnotationObject],
    classes: Sequence[SegmentationClass],
    options: ConvertOptions,
    ledger: Ledger,
) -> list[AnnotatedFrame]:
    """Every frame with what is annotated on it."""
    with Progress("annotations", len(objects), "objects") as progress:
        frames, left = matching.match_annotations(
            folder,
            scan.frames,
            paired,
            objects,
            structures_of(classes),
            policy=options.several_annotations,
            runner=runner_of(options),
            progress=progress,
            left_out=scan.left_out,
        )
    ledger.leave(left)
    return frames


def _paired(
    by_name: Mapping[str, Sequence[Annotation]], frames: Sequence[AnnotatedFrame]
) -> tuple[int, int]:
    count = sum(map(len, by_name.values()))
    images = {path for path, drawn in by_name.items() if drawn}
    for frame in frames:
        matched = sum(one.kind != TEXT for one in frame.annotations)
        count += matched
        images |= {frame.name} if matched else set()
    return len(images), count


def _left_by_risk(scan: Scan) -> str:
    count = sum(one.reason == "pixel_text_risk" for one in scan.left)
    hint = REASONS["pixel_text_risk"].hint
    return f"; {count} may have text in their pixels. {hint}" if count else ""


def _nothing_drawn(
    folder: pathlib.Path, listing: PathListing, scan: Scan, options: ConvertOptions
) -> str:
    drawn = sum(bool(one) for one in listing.images.values())
    if listing.layout and drawn:
        return f"none of the {drawn} images with contours can be used"
    if listing.layout:
        return "no contour could be paired with an image"
    if any(one.kind == OBJECT and REASONS[one.reason].fault for one in scan.left):
        return f"{folder}: none of the annotations found can be used"
    lines = [f"{folder}: no annotation was found (--annotations={options.annotations})"]
    if options.annotations == "auto":
        lines.append(contours.no_layout(folder, options.layouts, listing.others))
    return "\n".join(lines)


def _classes(
    drawn: Sequence[Annotation],
    objects: Sequence[AnnotationObject],
    options: ConvertOptions,
) -> tuple[SegmentationClass, ...]:
    if options.without_masks:
        return ()
    if options.classes is not None:
        return parse_classes(options.classes)
    if drawn and not objects:
        return parse_classes(_TEXT_CLASSES)
    names = structure_names(drawn, objects, ())
    lines = (f"  {name!r} ({count})" for name, count in names.found.items())
    raise ValueError(
        "\n".join(
            [
                "classes: say which structures to convert. Found are",
                *lines,
                f"For all of them: {suggestion(names)}",
            ]
        )
    )


def _found(
    scan: Scan, drawn: Sequence[Annotation], names: StructureNames
) -> Iterator[str]:
    """For the terminal: what the folder holds."""
    modality = collections.Counter(one.header.modality or "?" for one in scan.frames)
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(modality.items()))
    series = {(one.header.study, one.header.series) for one in scan.frames}
    patients = {one.header.patient_id for one in scan.frames}
    counts = collections.Counter(one.kind for one in drawn)
    counts.update(one.kind for one in scan.objects)
    notes = [
        f"{counts[kind]} {name}" for kind, name in KIND_NAMES.items() if counts[kind]
    ]
    yield (
        f"Found {len(scan.frames)} frames ({kinds}) of {len(series)} series and "
        f"{len(patients)} patients; {', '.join(notes) or 'no annotations'}."
    )
    if scan.objects:
        yield "Structures, and the terms of --classes that they match:"
        yield from names.lines()
