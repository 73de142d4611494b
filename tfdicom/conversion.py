"""Converts a folder of images and annotations into a data set."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
import time
from collections.abc import Iterator, Sequence

from tfdicom import files, processes
from tfdicom.convert_options import ConvertOptions
from tfdicom.dataset_files import write_dataset_files
from tfdicom.deidentify import (
    crosswalk_path,
)
from tfdicom.ledger import Ledger
from tfdicom.manifest import INDEX, LEDGER, MANIFEST, Manifest
from tfdicom.options import accepts_options
from tfdicom.plan import Plan
from tfdicom.preparation import Preparation, prepare
from tfdicom.progress import Progress
from tfdicom.shards import ShardResult, write_shard
from tfdicom.summary import describe

_SHARDS = "*-of-*.tfrecord"


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


def _refuse_existing(output: pathlib.Path, options: ConvertOptions) -> None:
    if (output / MANIFEST).exists() and not options.overwrite:
        raise FileExistsError(
            f"{output} already holds a data set; choose another --output_dir, or "
            "replace it with --overwrite"
        )
    ours = (output / LEDGER).exists()  # what a killed conversion leaves
    if not ours and any(output.glob(_SHARDS)) and not options.overwrite:
        raise FileExistsError(
            f"{output} holds TFRecord files of another origin; choose another "
            "--output_dir, or have them removed with --overwrite"
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
    unfinished = (name + files.PARTIAL for name in (_SHARDS, MANIFEST, INDEX, LEDGER))
    for pattern in (_SHARDS, *unfinished):
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
        lines += [_pairs_found(result.plan), *_plan_lines(result.plan)]
        return "\n".join([*lines, "", "Nothing was written (--dry_run)."])
    total = sum(split.examples for split in result.manifest.splits.values())
    lines += ["", describe(result.manifest), ""]
    lines.append(_pairs_found(result.plan))
    lines.append(
        f"{total} examples in {options.output_dir}, {result.seconds:.1f} s. See them: "
        f"tfdicom_inspect show --data_dir={options.output_dir} --out=sheet.png"
    )
    if result.crosswalk:
        lines.append(f"Pseudonyms: the crosswalk is {result.crosswalk}")
    return "\n".join(lines)


def _pairs_found(plan: Plan) -> str:
    contours = [frame.contours for _, _, frame in plan.frames if frame.contours]
    return f"Paired: {len(contours)} images with {sum(map(len, contours))} contours."


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
