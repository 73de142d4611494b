"""Finds, pairs, identifies and plans: all that comes before the first example."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import sys
from collections.abc import Iterator

from tfdicom import contour_origin, dicom, files, processes, splits
from tfdicom.contour_origin import ContourSample
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import Pseudonyms, key_path, load_pseudonyms
from tfdicom.examples import AnnotationRules
from tfdicom.ledger import Ledger
from tfdicom.patients import identify
from tfdicom.plan import Plan, make_plan
from tfdicom.progress import Progress
from tfdicom.reasons import InputSkipped
from tfdicom.scan import ScannedImage, scan_headers
from tfdicom.sources import contours
from tfdicom.sources.candidates import SourceListing

_TEXT_EDGE_RULE = "half_covered"  # what edge_rule=auto means for contour text files


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What is known before the first pixel of an example is read."""

    folder: pathlib.Path
    options: ConvertOptions
    listing: SourceListing
    plan: Plan
    rules: AnnotationRules
    ledger: Ledger
    pseudonyms: Pseudonyms


def prepare(options: ConvertOptions) -> Preparation:
    """Finds, pairs, identifies and plans; reads headers only.

    Raises:
      ValueError: The input does not allow a data set to be made.
    """
    if not options.input_dir:
        raise ValueError("input_dir is missing: name the folder to convert")
    folder = files.path_of(options.input_dir)
    if not folder.is_dir():
        raise ValueError(f"input_dir={options.input_dir}: there is no such folder")
    rule = _split_rule(options)
    pseudonyms = _pseudonyms(options)
    structures = contours.parse_structures(options.structures)
    listing = contours.find(folder, layouts=options.layouts, structures=structures)
    ledger = Ledger(pseudonyms)
    ledger.leave(listing.left)
    _check_structures(listing, options, ledger)

    scanned = _scan(folder, listing, options, ledger)
    plan = _plan(scanned, rule, options, ledger, pseudonyms)
    ledger.leave(plan.left)
    for warning in plan.warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    origin, shift = _origin(folder, listing, plan, options)
    rules = AnnotationRules(
        classes=options.parsed_classes,
        edge_rule=_TEXT_EDGE_RULE if options.edge_rule == "auto" else options.edge_rule,
        tolerance=0.02 if listing.decimals <= 2 else 0.001,
        origin=origin,
        shift=shift,
        covered_fraction=options.covered_fraction,
    )
    return Preparation(folder, options, listing, plan, rules, ledger, pseudonyms)


def _scan(
    folder: pathlib.Path,
    listing: SourceListing,
    options: ConvertOptions,
    ledger: Ledger,
) -> list[ScannedImage]:
    """The images that can be used, with their headers."""
    workers = options.num_workers or processes.default_workers()
    with Progress("headers", len(listing.images), "images") as progress:
        scanned, left = scan_headers(
            folder, listing, workers=workers, progress=progress
        )
    ledger.leave(left)
    with ledger.told_with_errors():
        if not scanned:
            count = len(listing.images)
            raise ValueError(f"none of the {count} images found can be used")
        if not any(one.file.contours for one in scanned):
            count = sum(bool(image.contours) for image in listing.images)
            raise ValueError(f"none of the {count} images with contours can be used")
    return scanned


def _plan(
    scanned: list[ScannedImage],
    rule: splits.SplitRule,
    options: ConvertOptions,
    ledger: Ledger,
    pseudonyms: Pseudonyms,
) -> Plan:
    several = len(rule.names) > 1
    with ledger.told_with_errors():
        return make_plan(
            scanned,
            identify(scanned, options.patient_from, several_splits=several),
            classes=options.parsed_classes,
            rule=rule,
            salt=options.split_salt,
            pseudonyms=pseudonyms,
            num_shards=options.num_shards,
            shard_bytes=options.shard_size_mb * 1_000_000,
        )


def _split_rule(options: ConvertOptions) -> splits.SplitRule:
    if options.folds:
        names = tuple(f"fold{index}" for index in range(options.folds))
        return splits.SplitRule(names, dict.fromkeys(names, 1 / len(names)), {})
    if options.split.endswith(".csv"):
        path = files.path_of(options.split)
        text = files.read_text(path, flag="--split")
        return splits.parse_split_table(text, source=f"--split: {path}")
    return splits.parse_split(options.split)


def _pseudonyms(options: ConvertOptions) -> Pseudonyms:
    path = key_path(options.id_key_file)
    output = files.path_of(options.output_dir).resolve()
    if path and options.output_dir and output in path.resolve().parents:
        raise ValueError(f"id_key_file={path}: the key must not lie in the data set")
    if path and options.dry_run and not path.exists():
        return Pseudonyms(b"")  # a plan shows no pseudonym, and makes no key
    pseudonyms, made = load_pseudonyms(options.id_key_file)
    if made:
        print(
            f"Made the key of the pseudonyms, {pseudonyms.path}. Keep it safe: with it "
            "patients can be found again, without it later data will not match.",
            file=sys.stderr,
        )
    return pseudonyms


def _structures(options: ConvertOptions) -> list[str]:
    every = (name for one in options.parsed_classes for name in one.structures)
    return list(dict.fromkeys(every))


def _check_structures(
    listing: SourceListing, options: ConvertOptions, ledger: Ledger
) -> None:
    found = {c.structure for image in listing.images for c in image.contours}
    if not found:
        problem = "no contour could be paired with an image"
        raise ValueError("\n".join([problem, *ledger.problem_lines()]))
    missing = [name for name in _structures(options) if name not in found]
    if missing:
        raise ValueError(
            f"classes={options.classes!r} wants the structure {missing[0]!r}; the "
            f"contours outline {', '.join(sorted(found))}"
        )


def _origin(
    folder: pathlib.Path, listing: SourceListing, plan: Plan, options: ConvertOptions
) -> tuple[str, tuple[float, float]]:
    """Name and shift of the contours' origin."""
    text = options.contour_origin or listing.default_origin or ""
    asked = contour_origin.parse_origin(text)
    if asked.shift is not None:
        return asked.name, asked.shift
    default = listing.default_origin or "center0"
    samples = _contour_samples(folder, plan)
    fit = contour_origin.fit_origin(samples, default=default)
    warning = "" if fit.fitted else "Warning: "
    print(f"{warning}contour_origin=auto: {fit.reason}", file=sys.stderr)
    return fit.name, fit.shift


def _contour_samples(folder: pathlib.Path, plan: Plan) -> Iterator[ContourSample]:
    for _, patient, frame in plan.frames:
        for contour in frame.contours:
            with contextlib.suppress(InputSkipped):  # listed when it is converted
                vertices = contours.read_contour(folder / contour.path)
                pixels = dicom.read_frame(folder / frame.path).pixels
                if pixels.ndim == 2:
                    yield ContourSample(
                        patient.patient, pixels, vertices, contour.structure
                    )
