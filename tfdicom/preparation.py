"""Surveys, identifies and plans: all that comes before the first example."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import sys
from collections.abc import Iterator, Sequence

from tfdicom import (
    contour_origin,
    dicom,
    file_owners,
    files,
    kept_facts,
    redaction,
    splits,
)
from tfdicom.annotated_frames import AnnotatedFrame
from tfdicom.contour_origin import ContourSample
from tfdicom.conversion_state import ConversionState
from tfdicom.convert_options import ALL, DEFAULT_SPLIT, ConvertOptions
from tfdicom.deidentify import Pseudonyms, key_path, load_pseudonyms
from tfdicom.dicom import PixelRules
from tfdicom.drawing import AnnotationRules
from tfdicom.fixed_patients import fixed_patients
from tfdicom.header_cache import NO_CACHE
from tfdicom.input_scope import InputScope
from tfdicom.label_kinds import LabelInfo
from tfdicom.label_table import (
    FrameIdentity,
    LabelMatches,
    LabelTable,
    match_frames,
    read_label_table,
)
from tfdicom.ledger import Ledger, Owner
from tfdicom.patients import identifier_from, identify
from tfdicom.plan import Plan, make_plan
from tfdicom.privacy_options import IDENTIFIERS_KEPT
from tfdicom.reasons import InputSkipped
from tfdicom.sources import contours
from tfdicom.sources.annotation_objects import DrawingRules
from tfdicom.sources.candidates import TEXT, PathListing
from tfdicom.split_choice import SplitChoice, check_stratify_label, choose_splits
from tfdicom.survey import Survey, survey

_TEXT_EDGE_RULE = "half_covered"  # what edge_rule=auto means for contour text files
_OBJECT_EDGE_RULE = "center"  # and for objects whose reader says nothing else


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What is known before the first pixel of an example is read."""

    folder: pathlib.Path
    options: ConvertOptions
    survey: Survey
    plan: Plan
    rules: AnnotationRules
    ledger: Ledger
    pseudonyms: Pseudonyms
    labels: tuple[LabelInfo, ...] = ()
    labelled: frozenset[str] = frozenset()  # patients that the table of labels names


def prepare(
    options: ConvertOptions,
    *,
    pseudonyms: Pseudonyms | None = None,
    before: ConversionState | None = None,
    scope: InputScope | None = None,
) -> Preparation:
    """Surveys, identifies and plans; reads headers only.

    Args:
      options: What is asked for.
      pseudonyms: What ``identity_of`` gave for the options, where it was asked.
      before: What an earlier conversion into the same data set has decided.
      scope: Which part of the input folder to look at; None for all of it.

    Raises:
      ValueError: The input does not allow a data set to be made.
    """
    if not options.input_dir:
        raise ValueError("input_dir is missing: name the folder to convert")
    folder = files.path_of(options.input_dir)
    if not files.is_folder(folder):
        raise ValueError(f"input_dir={options.input_dir}: there is no such folder")
    pseudonyms = pseudonyms or identity_of(options)
    choice = choose_splits(
        options,
        pseudonyms,
        before.split_table if before else None,
        before.fixed_splits if before else (),
        before.stratified if before else None,
    )
    ledger = Ledger(pseudonyms)
    table = read_label_table(options.labels) if options.labels else None
    check_stratify_label(choice.stratify, table)
    redaction.note_identifiers("patient", choice.rule.patients)
    fixed = fixed_patients(before, choice.fixed, pseudonyms)
    found = survey(folder, options, ledger, scope, fixed, choice.may_part)
    part = scope is not None and scope.patients is not None
    if table:  # also rows of nobody who is here
        cells = (cell for row in table.rows for cell in row)
        redaction.note_identifiers("patient", cells)
    plan = _plan(found, choice, options, ledger, pseudonyms, table, before, part=part)
    ledger.leave(plan.left)
    for warning in () if part else plan.warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    rules = _rules(folder, found, plan, options, before)
    return Preparation(
        folder,
        options,
        found,
        plan,
        rules,
        ledger,
        pseudonyms,
        table.columns if table else (),
        table.patients if table else frozenset(),
    )


def _rules(
    folder: pathlib.Path,
    found: Survey,
    plan: Plan,
    options: ConvertOptions,
    before: ConversionState | None,
) -> AnnotationRules:
    pixels = PixelRules(max_frame_pixels=options.max_frame_pixels, color=options.color)
    origin, shift = "", (0.0, 0.0)
    if before and before.contour_origin:
        origin, shift = before.contour_origin, before.contour_shift
    elif TEXT in found.kinds:
        samples = _contour_samples(folder, plan, pixels)
        origin, shift = _origin(found.listing, samples, options)
    chosen = options.edge_rule != "auto"
    objects = DrawingRules(
        edge_rule=options.edge_rule if chosen else _OBJECT_EDGE_RULE,
        hole_rule=options.hole_rule,
        covered_fraction=options.covered_fraction,
        fractional_threshold=options.fractional_threshold,
    )
    text = dataclasses.replace(
        objects,
        edge_rule=options.edge_rule if chosen else _TEXT_EDGE_RULE,
        tolerance=0.02 if found.listing.decimals <= 2 else 0.001,
        shift=shift,
    )
    return AnnotationRules(found.classes, text, objects, origin, chosen, pixels)


def _plan(
    found: Survey,
    choice: SplitChoice,
    options: ConvertOptions,
    ledger: Ledger,
    pseudonyms: Pseudonyms,
    table: LabelTable | None,
    before: ConversionState | None,
    *,
    part: bool,
) -> Plan:
    include = ALL if options.without_masks else options.include_unannotated
    named = set(found.pairs.splits.values())
    with ledger.told_with_errors():
        patients = identify(
            found.frames,
            options.patient_from,
            several_splits=not part and len(named or choice.rule.names) > 1,
            every=include == ALL,
            known=found.pairs.patients,
        )
        ledger.know_owners(_owners(found, patients, ledger, options, pseudonyms))
        if found.pairs.splits:
            choice = choice.by_name(_split_of_table(found, patients, options))
        if choice.rule.patients:
            ledger.leave_others_out(choice.rule.patients)
        frames = _labelled(found.frames, patients, table)
        kept_facts.check_labels(frames, patients)
        frames = kept_facts.with_facts(frames, patients, options.fact_rules, pseudonyms)
        plan = make_plan(
            frames,
            patients,
            classes=found.classes,
            rule=choice.rule,
            salt=choice.salt,
            pseudonyms=pseudonyms,
            num_shards=options.num_shards,
            shard_bytes=options.shard_size_mb * 1_000_000,
            include=include,
            frozen=choice.frozen,
            fixed=choice.fixed,
            stratify=choice.stratify,
            stratified=choice.stratified,
            frozen_shards=before.shards if before else None,
            stamps=found.stamps,
        )
        if table and not part:
            print(_label_matches(plan, table), file=sys.stderr)
        return plan


def _owners(
    found: Survey,
    patients: Sequence[str],
    ledger: Ledger,
    options: ConvertOptions,
    pseudonyms: Pseudonyms,
) -> dict[str, Owner]:
    """Whose each file and each part of one is, by name, as far as anything tells."""
    owners = file_owners.patients_of_frames(found.frames, patients)
    others = file_owners.patients_of_others(
        {**found.pairs.patients, **owners},
        found.files,
        ledger.left,
        found.named,
        identifier_from(options.patient_from),
    )
    redaction.note_identifiers("patient", others.values())
    owners |= others
    of = {one: (pseudonyms.of("patient", one), one) for one in set(owners.values())}
    return {name: of[patient] for name, patient in owners.items()}


def _split_of_table(
    found: Survey, patients: Sequence[str], options: ConvertOptions
) -> splits.SplitRule:
    """The split that the table of masks gives."""
    if options.folds or options.split != DEFAULT_SPLIT:
        raise ValueError(
            "mask_table has a column split, and split or folds is given too: one of "
            "them decides"
        )
    by_patient: dict[str, str] = {}
    for frame, patient in zip(found.frames, patients, strict=True):
        split = found.pairs.splits.get(frame.path)
        if split and by_patient.setdefault(patient, split) != split:
            raise ValueError(
                f"mask_table: patient {patient!r} is in split {split!r} and in "
                f"{by_patient[patient]!r}"
            )
    names = tuple(dict.fromkeys(found.pairs.splits.values()))
    return splits.SplitRule(names, {}, by_patient)


def _labelled(
    frames: Sequence[AnnotatedFrame],
    patients: Sequence[str],
    table: LabelTable | None,
) -> Sequence[AnnotatedFrame]:
    """The frames with their labels."""
    if table is None:
        return frames
    found = []
    for frame, patient in zip(frames, patients, strict=True):
        header = frame.header
        names, values = table.for_frame(
            patient=patient,
            study=header.study,
            series=header.series,
            instance=header.instance,
        )
        labels = tuple(zip(names, values, strict=True))
        found.append(dataclasses.replace(frame, labels=labels))
    return found


def _label_matches(plan: Plan, table: LabelTable) -> LabelMatches:
    return match_frames(
        table,
        (
            FrameIdentity(
                patient.source_patient,
                frame.header.study,
                frame.header.series,
                frame.header.instance,
            )
            for _, patient, frame in plan.frames
            if frame.example
        ),
    )


def identity_of(options: ConvertOptions) -> Pseudonyms:
    """The pseudonyms that the options ask for; a key is made on first use.

    Raises:
      ValueError: The key cannot be used, or would lie in the data set.
    """
    path = key_path(options.id_key_file)
    output = files.path_of(options.output_dir).resolve()
    if path and options.output_dir and output in path.resolve().parents:
        raise ValueError(f"id_key_file={path}: the key must not lie in the data set")
    cache = options.header_cache
    if cache and cache != NO_CACHE and options.output_dir:
        folder = files.path_of(cache).resolve()
        if output in (folder, *folder.parents):
            raise ValueError(
                f"header_cache={cache}: headers name patients, so that they must not "
                "lie in the data set"
            )
    if path and (options.dry_run or options.withdraw) and not path.exists():
        return Pseudonyms(b"")  # only what writes pseudonyms makes a key
    pseudonyms, made = load_pseudonyms(options.id_key_file)
    redaction.note_key(pseudonyms)
    if options.keep_identifiers:
        print(f"WARNING: {IDENTIFIERS_KEPT}", file=sys.stderr)
    if made:
        print(
            f"Made the key of the pseudonyms, {pseudonyms.path}. Keep it safe: with it "
            "patients can be found again, without it later data will not match.",
            file=sys.stderr,
        )
    return pseudonyms


def _origin(
    listing: PathListing, samples: Iterator[ContourSample], options: ConvertOptions
) -> tuple[str, tuple[float, float]]:
    """Name and shift of the contours' origin."""
    text = options.contour_origin or listing.default_origin or ""
    asked = contour_origin.parse_origin(text)
    if asked.shift is not None:
        return asked.name, asked.shift
    default = listing.default_origin or "center0"
    fit = contour_origin.fit_origin(samples, default=default)
    warning = "" if fit.fitted else "Warning: "
    print(f"{warning}contour_origin=auto: {fit.reason}", file=sys.stderr)
    return fit.name, fit.shift


def _contour_samples(
    folder: pathlib.Path, plan: Plan, rules: PixelRules
) -> Iterator[ContourSample]:
    for _, patient, frame in plan.frames:
        for contour in frame.annotations:
            if contour.kind != TEXT:
                continue
            with contextlib.suppress(InputSkipped):  # listed when it is converted
                vertices = contours.read_contour(folder / contour.path)
                path = folder / frame.path
                pixels = dicom.read_frame(path, frame.header, rules).pixels
                if pixels.ndim == 2:
                    yield ContourSample(
                        patient.patient, pixels, vertices, contour.structure
                    )
