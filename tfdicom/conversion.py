"""Converts a folder of images and annotations into a data set, or goes on with one."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

from tfdicom import (
    conversion_audit,
    conversion_record,
    conversion_state,
    files,
    going_on,
    header_cache,
    output_folder,
    processes,
    shard_results,
    withdrawn_patients,
)
from tfdicom.conversion_state import InputsChanged
from tfdicom.convert_options import ConvertOptions
from tfdicom.dataset_files import merge_contents, write_dataset_files
from tfdicom.deidentify import Pseudonyms, crosswalk_path
from tfdicom.input_scope import InputScope
from tfdicom.leakage import refuse_leaks
from tfdicom.ledger import Ledger
from tfdicom.manifest import MANIFEST, Manifest
from tfdicom.options import accepts_options
from tfdicom.plan import Plan, ShardPlan
from tfdicom.preparation import Preparation, identity_of, prepare
from tfdicom.progress import Progress
from tfdicom.reuse import Work, find_work
from tfdicom.shard_content import ShardContent
from tfdicom.shard_results import ShardResult
from tfdicom.shard_runners import run_shards
from tfdicom.shards import ShardJob
from tfdicom.source_contents import SourceContents, journal_path
from tfdicom.structures import terms_of
from tfdicom.summary import describe
from tfdicom.survey import Survey


@dataclasses.dataclass(frozen=True)
class ConversionResult:
    """What a conversion did.

    Attributes:
      manifest: The data set; None after ``dry_run``.
      plan: What was planned.
      survey: What was found, and what belongs together.
      ledger: What became of each file.
      seconds: Time it took.
      crosswalk: Where the crosswalk lies; None for public data.
      written: Shards that were written.
      reused: Number of shards that were there already, from before or from a run
        that was stopped.
      kept_patients: Patients whose records were there already.
    """

    manifest: Manifest | None
    plan: Plan
    survey: Survey
    ledger: Ledger
    seconds: float
    crosswalk: pathlib.Path | None = None
    written: tuple[str, ...] = ()
    reused: int = 0
    kept_patients: int = 0


@accepts_options(ConvertOptions)
@processes.rarely_collecting()
def convert(*, options: ConvertOptions) -> ConversionResult:
    """Converts images and annotations into TFRecord files.

    A conversion that was stopped goes on where it was; a data set that is there already
    is extended by what is new in the input, and nobody moves to another split or shard.

    Returns:
      The manifest of the data set, and what became of each file.

    Raises:
      ValueError: An option or the input does not allow it; the message says what to
        do. A data set in the output folder is left as it was.
      FileExistsError: The output folder holds records of another origin.
    """
    start = time.monotonic()
    if options.dry_run:
        prepared = _planned(options)
        return ConversionResult(
            None,
            prepared.plan,
            prepared.survey,
            prepared.ledger,
            time.monotonic() - start,
        )
    return _run(options, thorough=False)


def _planned(options: ConvertOptions) -> Preparation:
    """What a conversion would do; it goes on with what is there, and writes nothing."""
    pseudonyms = identity_of(options)
    before = None
    if options.output_dir and not options.overwrite:
        output = files.path_of(options.output_dir)
        before = conversion_state.read_unfinished(output / output_folder.ASIDE)
        before = before or conversion_state.read_state(output)
    if before:
        conversion_state.refuse_changes(before, options, pseudonyms)
    return prepare(options, pseudonyms=pseudonyms, before=before)


@processes.rarely_collecting()
def rebuild(options: ConvertOptions) -> ConversionResult:
    """Makes all files of a data set that are not as they were written anew.

    As ``convert``, but it reads every shard that is there, and takes nothing in that
    was not in the input folder then.

    Args:
      options: Those that the data set was made with.

    Raises:
      ValueError: As ``convert``.
    """
    return _run(options, thorough=True)


def _run(options: ConvertOptions, *, thorough: bool) -> ConversionResult:
    start = time.monotonic()
    if not options.output_dir:
        raise ValueError("output_dir is missing: name the folder for the data set")
    output = files.path_of(options.output_dir)
    _refuse_inside(output, options)
    output_folder.refuse_foreign(output, overwrite=options.overwrite)
    with output_folder.workspace(output) as aside:
        try:
            result = _convert(output, aside, options, thorough)
        except InputsChanged:
            # Who mends what a conversion was refused for does not go on with that one.
            if not output_folder.is_refused(aside):
                raise
            output_folder.clear(aside)
            result = _convert(output, aside, options, thorough)
    return dataclasses.replace(result, seconds=time.monotonic() - start)


def _refuse_inside(output: pathlib.Path, options: ConvertOptions) -> None:
    source, target = files.path_of(options.input_dir).resolve(), output.resolve()
    if options.input_dir and source in (target, *target.parents):
        raise ValueError(
            f"output_dir={output} lies in the input folder; choose one outside of it"
        )


def _convert(
    output: pathlib.Path, aside: pathlib.Path, options: ConvertOptions, thorough: bool
) -> ConversionResult:
    """Converts into a folder that nobody else writes to."""
    pseudonyms = identity_of(options)
    before = going_on.state_before(output, aside, options, pseudonyms)
    scope = InputScope(before, pseudonyms) if thorough and before else None
    prepared = prepare(options, pseudonyms=pseudonyms, before=before, scope=scope)
    withdrawn = withdrawn_patients.withdrawn_from(output)
    owners = prepared.ledger.owners
    of_files = {one: owners[one] for one in prepared.survey.files if one in owners}
    withdrawn_patients.refuse_withdrawn(
        output, withdrawn, pseudonyms, of_files, prepared.labelled
    )
    replaces = options.overwrite and files.exists(output / MANIFEST)
    state = going_on.state_of(prepared, withdrawn, replaces=replaces)
    if before:
        going_on.refuse_vanished(before, state, prepared, output)
    cache = header_cache.cache_path(options.header_cache, prepared.folder)
    contents = SourceContents(prepared.folder, journal_path(cache))
    job = ShardJob(
        prepared.folder, aside, prepared.rules, options.compression, pseudonyms
    )
    folders = [aside] if replaces else [aside, output]
    names = {pseudonyms.of("candidate", path): path for path in prepared.survey.files}
    work = find_work(
        prepared.plan,
        job,
        folders if before else [],
        contents,
        names,
        thorough=thorough,
    )
    _announce(work)
    conversion_state.write_state(aside, state)
    _write_shards(prepared, job, work, contents)
    manifest = _finish(prepared, aside, work)
    _take_place_if_new(aside, output)
    crosswalk = crosswalk_path(pseudonyms, str(output.absolute()))
    if crosswalk:
        prepared.ledger.write_crosswalk(crosswalk)
    record = conversion_record.path_for(pseudonyms, output)
    conversion_record.write(record, options)
    return ConversionResult(
        manifest,
        prepared.plan,
        prepared.survey,
        prepared.ledger,
        0.0,
        crosswalk,
        written=tuple(task.shard.file for task in work.tasks),
        reused=len(work.whole),
        kept_patients=work.kept_patients,
    )


def _announce(work: Work) -> None:
    if work.kept_patients:
        shards = len(work.whole)
        print(
            f"Going on: {work.kept_patients} patients are there already, {shards} of "
            f"{shards + len(work.tasks)} shards as they are.",
            file=sys.stderr,
        )


def _write_shards(
    prepared: Preparation, job: ShardJob, work: Work, contents: SourceContents
) -> None:
    total = sum(
        len(series.frames)
        for task in work.tasks
        for patient in task.shard.patients
        if patient.patient not in task.kept
        for series in patient.series
    )
    with Progress("images", total, "images") as progress:
        written = run_shards(job, work.tasks, prepared.options, progress)
        with contextlib.closing(written):
            for notes in written:
                contents.add(notes.contents)
                prepared.ledger.add_details(notes.details)


def _finish(prepared: Preparation, aside: pathlib.Path, work: Work) -> Manifest:
    """Gathers what came of all shards, checks it, and writes the other files."""
    results = []
    contents = {name: ShardContent() for name in prepared.plan.split_names}
    for shard in prepared.plan.shards:
        result = shard_results.read(work.whole.get(shard.file, aside), shard.file)
        prepared.ledger.add_shard(result, _names(shard, prepared.pseudonyms))
        merge_contents(contents, [result])
        results.append(result.slim())
    prepared.ledger.close(prepared.survey.objects)
    try:
        prepared.ledger.check(prepared.options, prepared.plan)
        with prepared.ledger.told_with_errors():
            notes = _check_results(results, contents, prepared)
    except ValueError:
        output_folder.mark_refused(aside)
        raise
    for note in notes:
        print(f"Warning: {note}", file=sys.stderr)
    output_folder.keep_only(aside, {shard.file for shard in prepared.plan.shards})
    return write_dataset_files(
        aside,
        results,
        contents,
        plan=prepared.plan,
        ledger=prepared.ledger,
        options=prepared.options,
        rules=prepared.rules,
        survey=prepared.survey,
        labels=prepared.labels,
    )


def _names(shard: ShardPlan, pseudonyms: Pseudonyms) -> dict[str, str]:
    """Paths, and names of parts, of a shard's candidates by pseudonym."""
    names: set[str] = set()
    for patient in shard.patients:
        for series in patient.series:
            for frame in series.frames:
                names |= {frame.name, frame.path}
                for one in frame.annotations:
                    names.update((one.path, *one.candidates))
    of = pseudonyms.of
    return {sys.intern(of("candidate", name)): name for name in names}


def _check_results(
    results: Sequence[ShardResult],
    contents: Mapping[str, ShardContent],
    prepared: Preparation,
) -> list[str]:
    """Refuses a split or class of which nothing is left, or anything in two splits.

    Returns:
      What else is shared or looks alike, for the terminal.
    """
    examples: collections.Counter = collections.Counter()
    for result in results:
        examples[result.split] += result.info.examples
    for split, count in examples.items():
        if not count:
            raise ValueError(f"split {split!r}: none of its images could be converted")
    _check_splits(prepared)
    _check_classes(contents, prepared)
    audit = conversion_audit.audit(results, prepared.plan, prepared.ledger)
    refuse_leaks(audit.leakage)
    return audit.notes()


def _check_splits(prepared: Preparation) -> None:
    """Refuses a split that nobody is in where somebody lost all annotated images."""
    plan = prepared.plan
    empty = set(plan.split_names).difference(plan.split_table.values())
    lost = [one.patient for one in prepared.ledger.lost_images(plan) if one.is_gone]
    if empty and lost:
        raise ValueError(
            f"split {sorted(empty)[0]!r} has no patient, and nothing is left of "
            f"{len(lost)}: {', '.join(lost[:3])}{', ...' if lost[3:] else ''}"
        )


def _check_classes(contents: Mapping[str, ShardContent], prepared: Preparation) -> None:
    annotated: collections.Counter = collections.Counter()
    for content in contents.values():
        for name, figures in content.classes.items():
            annotated[name] += figures["annotated"]
    lost = prepared.ledger.losses.structures
    for one in prepared.rules.classes:
        planned = sum(
            one.annotated(frame.annotated)
            for _, _, frame in prepared.plan.frames
            if frame.example
        )
        planned += sum(bool(terms_of(names, one.structures)) for names in lost)
        if planned and not annotated[one.name]:
            raise ValueError(
                f"class {one.name!r}: it was to be annotated on {planned} images, and "
                "could be drawn on none of them"
            )


def _take_place_if_new(aside: pathlib.Path, output: pathlib.Path) -> None:
    """Puts the data set in its place, unless the same is there already."""
    for name in files.walk(aside):
        if not _is_same(aside / name, output / name):
            break
    else:
        output_folder.remove(aside)
        return
    output_folder.take_place(output)


def _is_same(path: pathlib.Path, other: pathlib.Path) -> bool:
    try:
        return files.read_bytes(path) == files.read_bytes(other)
    except FileNotFoundError:
        return False


def conversion_summary(result: ConversionResult, options: ConvertOptions) -> str:
    """What a person wants to read when a conversion has ended."""
    lines = list(result.ledger.problem_lines())
    if result.manifest is None:
        lines += [_pairs_found(result.survey), *_plan_lines(result.plan)]
        return "\n".join([*lines, "", "Nothing was written (--dry_run)."])
    total = sum(split.examples for split in result.manifest.splits.values())
    lines += ["", describe(result.manifest), ""]
    lines.append(_pairs_found(result.survey))
    if result.kept_patients:
        lines.append(
            f"Reused: {result.reused} shards as they were, {result.kept_patients} "
            f"patients; written: {len(result.written)} shards."
        )
    lines.append(
        f"{total} examples in {options.output_dir}, {result.seconds:.1f} s. See them: "
        f"tfdicom_inspect show --data_dir={options.output_dir} --out=sheet.png"
    )
    if result.crosswalk:
        lines.append(f"Pseudonyms: the crosswalk is {result.crosswalk}")
    return "\n".join(lines)


def _pairs_found(survey: Survey) -> str:
    images, annotations = survey.paired
    return f"Paired: {images} images with {annotations} annotations."


def _plan_lines(plan: Plan) -> Iterator[str]:
    for shard in plan.shards:
        count = sum(patient.examples for patient in shard.patients)
        yield f"{shard.file}: {len(shard.patients)} patients, {count} images"
    for split in plan.split_names:
        members = [
            patient
            for shard in plan.shards
            if shard.split == split
            for patient in shard.patients
        ]
        names = ", ".join(sorted(patient.source_patient for patient in members))
        yield f"{split}: {names or 'nobody'}"
