"""Converts a folder of images and annotations into a data set."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence

from tfdicom import contour_origin, dicom, files, processes, splits
from tfdicom.contour_origin import ContourSample
from tfdicom.convert_options import ConvertOptions
from tfdicom.dataset_files import write_dataset_files
from tfdicom.deidentify import (
    Pseudonyms,
    crosswalk_path,
    key_path,
    load_pseudonyms,
)
from tfdicom.examples import AnnotationRules
from tfdicom.ledger import Ledger
from tfdicom.manifest import INDEX, LEDGER, MANIFEST, Manifest
from tfdicom.options import accepts_options
from tfdicom.patients import identify
from tfdicom.plan import Plan, make_plan
from tfdicom.progress import Progress
from tfdicom.reasons import InputSkipped
from tfdicom.scan import scan_headers
from tfdicom.shards import ShardResult, write_shard
from tfdicom.sources import contours
from tfdicom.sources.candidates import SourceListing
from tfdicom.summary import describe

_TEXT_EDGE_RULE = "half_covered"  # what edge_rule=auto means for contour text files


@dataclasses.dataclass(frozen=True)
class ConversionResult:
    """What a conversion did.

    Attributes:
      manifest: The data set; None after ``dry_run``.
      plan: What was planned.
      ledger: What became of each file.
      seconds: Time it took.
      crosswalk: Where the crosswalk lies; None for public data.
    """

    manifest: Manifest | None
    plan: Plan
    ledger: Ledger
    seconds: float
    crosswalk: pathlib.Path | None


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What is known before the first pixel of an example is read."""

    folder: pathlib.Path
    options: ConvertOptions
    plan: Plan
    rules: AnnotationRules
    ledger: Ledger
    pseudonyms: Pseudonyms
    layout: str


@accepts_options(ConvertOptions)
def convert(*, options: ConvertOptions) -> ConversionResult:
    """Converts images and annotations into TFRecord files.

    Returns:
      The manifest of the data set, and what became of each file.

    Raises:
      ValueError: An option or the input does not allow it; the message says what to
        do. Nothing is left in the output folder.
      FileExistsError: The output folder holds a data set and ``overwrite`` is off.
    """
    start = time.monotonic()
    if not options.output_dir and not options.dry_run:
        raise ValueError("output_dir is missing: name the folder for the data set")
    output = files.path_of(options.output_dir)
    if not options.dry_run:
        _refuse_existing(output, options)
    prepared = prepare(options)
    if options.dry_run:
        seconds = time.monotonic() - start
        return ConversionResult(None, prepared.plan, prepared.ledger, seconds, None)
    with _output_folder(output):
        results = _write_shards(prepared, output)
        prepared.ledger.check(options)
        _check_results(results)
        manifest = write_dataset_files(
            output,
            results,
            plan=prepared.plan,
            ledger=prepared.ledger,
            options=options,
            rules=prepared.rules,
            layout=prepared.layout,
        )
    crosswalk = crosswalk_path(prepared.pseudonyms, str(output.absolute()))
    if crosswalk:
        prepared.ledger.write_crosswalk(crosswalk, prepared.plan)
    seconds = time.monotonic() - start
    return ConversionResult(
        manifest, prepared.plan, prepared.ledger, seconds, crosswalk
    )


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

    workers = options.num_workers or processes.default_workers()
    with Progress("headers", len(listing.images), "images") as progress:
        scanned, left = scan_headers(
            folder, listing, workers=workers, progress=progress
        )
    ledger.leave(left)
    plan = make_plan(
        scanned,
        identify(scanned, options.patient_from, several_splits=len(rule.names) > 1),
        structures=_structures(options),
        rule=rule,
        salt=options.split_salt,
        pseudonyms=pseudonyms,
        num_shards=options.num_shards,
        shard_bytes=options.shard_size_mb * 1_000_000,
    )
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
    return Preparation(folder, options, plan, rules, ledger, pseudonyms, listing.layout)


def _split_rule(options: ConvertOptions) -> splits.SplitRule:
    if options.folds:
        names = tuple(f"fold{index}" for index in range(options.folds))
        return splits.SplitRule(names, dict.fromkeys(names, 1 / len(names)), {})
    if options.split.endswith(".csv"):
        path = files.path_of(options.split)
        return splits.parse_split_table(path.read_text(), source=str(path))
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


def _refuse_existing(output: pathlib.Path, options: ConvertOptions) -> None:
    if (output / MANIFEST).exists() and not options.overwrite:
        raise FileExistsError(
            f"{output} already holds a data set; choose another --output_dir, or "
            "replace it with --overwrite"
        )
    source, target = files.path_of(options.input_dir).resolve(), output.resolve()
    if options.input_dir and source in (target, *target.parents):
        raise ValueError(
            f"output_dir={output} lies in the input folder; choose one outside of it"
        )


@contextlib.contextmanager
def _output_folder(output: pathlib.Path) -> Iterator[None]:
    """A folder without a data set; if the body fails, it is left without one.

    Raises:
      ValueError: It cannot be written to.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        _remove_dataset(output)
        with files.written_whole(output / LEDGER) as file:
            file.write(b"")
    except OSError as error:
        raise ValueError(
            f"output_dir={output} cannot be written to: {error}"
        ) from error
    try:
        yield
    except BaseException:
        _remove_dataset(output)
        raise


def _remove_dataset(output: pathlib.Path) -> None:
    """Removes what an earlier conversion wrote; the manifest goes first."""
    for name in (MANIFEST, INDEX, LEDGER):
        (output / name).unlink(missing_ok=True)
    for pattern in ("*-of-*.tfrecord", f"*{files.PARTIAL}"):
        for path in output.glob(pattern):
            path.unlink(missing_ok=True)


def _write_shards(prepared: Preparation, output: pathlib.Path) -> list[ShardResult]:
    options = prepared.options
    total = sum(1 for _ in prepared.plan.frames)
    write = functools.partial(
        write_shard, prepared.folder, output, prepared.rules, options.compression
    )
    results = []
    with Progress("images", total, "images") as progress:
        for result in processes.map_in_processes(
            write,
            prepared.plan.shards,
            workers=options.num_workers or processes.default_workers(),
            progress=progress,
        ):
            prepared.ledger.add_shard(result)
            results.append(result)
    return results


def _check_results(results: Sequence[ShardResult]) -> None:
    """Refuses a data set with an empty split, or one image in two splits."""
    examples: dict[str, int] = {}
    seen: dict[str, tuple[str, str]] = {}
    studies: dict[str, str] = {}
    for result in results:
        split = result.plan.split
        examples[split] = examples.get(split, 0) + result.info.examples
        for pixel_hash, path in result.pixel_hashes.items():
            other, other_path = seen.setdefault(pixel_hash, (split, path))
            if other != split:
                raise ValueError(
                    f"{path} in split {split!r} and {other_path} in split {other!r} "
                    "hold the same pixels: is it one patient under two names?"
                )
        for patient in result.plan.patients:
            for series in patient.series:
                if studies.setdefault(series.study, split) != split:
                    raise ValueError(
                        f"a study of patient {patient.source_patient!r} is in the "
                        f"splits {split!r} and {studies[series.study]!r}: two patients "
                        "share one Study Instance UID"
                    )
    for split, count in examples.items():
        if not count:
            raise ValueError(f"split {split!r}: none of its images could be converted")


def conversion_summary(result: ConversionResult, options: ConvertOptions) -> str:
    """What a person wants to read when a conversion has ended."""
    lines = list(result.ledger.problem_lines())
    if result.manifest is None:
        lines += _plan_lines(result.plan)
        return "\n".join([*lines, "", "Nothing was written (--dry_run)."])
    total = sum(split.examples for split in result.manifest.splits.values())
    lines += ["", describe(result.manifest), ""]
    lines.append(
        f"{total} examples in {options.output_dir}, {result.seconds:.1f} s. See them: "
        f"tfdicom_inspect show --data_dir={options.output_dir} --out=sheet.png"
    )
    if result.crosswalk:
        lines.append(f"Pseudonyms: the crosswalk is {result.crosswalk}")
    return "\n".join(lines)


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
