"""Converts a folder of images and annotations into a data set."""

from __future__ import annotations

import collections
import dataclasses
import functools
import pathlib
import time
from collections.abc import Iterator, Sequence

from tfdicom import files, processes
from tfdicom.convert_options import ConvertOptions
from tfdicom.dataset_files import write_dataset_files
from tfdicom.deidentify import crosswalk_path
from tfdicom.ledger import Ledger
from tfdicom.manifest import Manifest
from tfdicom.options import accepts_options
from tfdicom.output_folder import refuse_existing, replaced_whole
from tfdicom.plan import Plan
from tfdicom.preparation import Preparation, prepare
from tfdicom.progress import Progress
from tfdicom.shards import ShardResult, write_shard
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
    """

    manifest: Manifest | None
    plan: Plan
    survey: Survey
    ledger: Ledger
    seconds: float
    crosswalk: pathlib.Path | None


@accepts_options(ConvertOptions)
@processes.rarely_collecting()
def convert(*, options: ConvertOptions) -> ConversionResult:
    """Converts images and annotations into TFRecord files.

    Returns:
      The manifest of the data set, and what became of each file.

    Raises:
      ValueError: An option or the input does not allow it; the message says what to
        do. The output folder is left as it was.
      FileExistsError: The output folder holds a data set and ``overwrite`` is off.
    """
    start = time.monotonic()
    if options.dry_run:
        prepared = prepare(options)
        return _result(prepared, None, start)
    if not options.output_dir:
        raise ValueError("output_dir is missing: name the folder for the data set")
    output = files.path_of(options.output_dir)
    _refuse_inside(output, options)
    refuse_existing(output, overwrite=options.overwrite)
    with replaced_whole(output) as aside:
        prepared = prepare(options)
        manifest = _write(prepared, aside)
    crosswalk = crosswalk_path(prepared.pseudonyms, str(output.absolute()))
    if crosswalk:
        prepared.ledger.write_crosswalk(crosswalk, prepared.plan)
    return _result(prepared, manifest, start, crosswalk)


def _result(
    prepared: Preparation,
    manifest: Manifest | None,
    start: float,
    crosswalk: pathlib.Path | None = None,
) -> ConversionResult:
    seconds = time.monotonic() - start
    return ConversionResult(
        manifest, prepared.plan, prepared.survey, prepared.ledger, seconds, crosswalk
    )


def _refuse_inside(output: pathlib.Path, options: ConvertOptions) -> None:
    source, target = files.path_of(options.input_dir).resolve(), output.resolve()
    if options.input_dir and source in (target, *target.parents):
        raise ValueError(
            f"output_dir={output} lies in the input folder; choose one outside of it"
        )


def _write(prepared: Preparation, folder: pathlib.Path) -> Manifest:
    """Writes a data set into an empty folder, and checks it."""
    results = _write_shards(prepared, folder)
    prepared.ledger.close(prepared.survey.objects)
    prepared.ledger.check(prepared.options)
    with prepared.ledger.told_with_errors():
        _check_results(results)
    return write_dataset_files(
        folder,
        results,
        plan=prepared.plan,
        ledger=prepared.ledger,
        options=prepared.options,
        rules=prepared.rules,
        survey=prepared.survey,
        labels=prepared.labels,
    )


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
    """Refuses a split whose images all failed, or one image in two splits."""
    examples: collections.Counter = collections.Counter()
    seen: dict[str, tuple[str, str]] = {}
    for result in results:
        split = result.split
        examples[split] += result.info.examples
        for pixel_hash, path in result.pixel_hashes.items():
            other, other_path = seen.setdefault(pixel_hash, (split, path))
            if other != split:
                raise ValueError(
                    f"{path} in split {split!r} and {other_path} in split {other!r} "
                    "hold the same pixels: is it one patient under two names?"
                )
    for split, count in examples.items():
        if not count:
            raise ValueError(f"split {split!r}: none of its images could be converted")


def conversion_summary(result: ConversionResult, options: ConvertOptions) -> str:
    """What a person wants to read when a conversion has ended."""
    lines = list(result.ledger.problem_lines())
    if result.manifest is None:
        lines += [_pairs_found(result.survey), *_plan_lines(result.plan)]
        return "\n".join([*lines, "", "Nothing was written (--dry_run)."])
    total = sum(split.examples for split in result.manifest.splits.values())
    lines += ["", describe(result.manifest), ""]
    lines.append(_pairs_found(result.survey))
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
