"""Makes damaged shards of a data set anew, and nothing else, from the source.

Only files of the patients in these shards are read, and of the input folder only what
the data set is made of is looked at: it may have grown, shrunk or changed elsewhere. A
shard takes its place when it is, byte for byte, what was written first.
"""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from tfdicom import (
    conversion_state,
    dataset_index,
    file_checksums,
    files,
    output_folder,
    processes,
    shard_results,
    shards,
)
from tfdicom.conversion_state import ConversionState
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import Pseudonyms
from tfdicom.header_cache import cache_path
from tfdicom.input_scope import InputScope
from tfdicom.manifest import Manifest, ShardInfo
from tfdicom.plan import ShardPlan
from tfdicom.preparation import Preparation, prepare
from tfdicom.progress import Progress
from tfdicom.reuse import changed_sources
from tfdicom.shard_results import CONVERSION, ShardResult
from tfdicom.shard_runners import run_shards
from tfdicom.sharding import virtual_bucket
from tfdicom.shards import ShardJob, ShardTask
from tfdicom.source_contents import SourceContents, journal_path

_ASIDE = "mended"  # in what a conversion that was stopped leaves, and would not keep
_SHOWN = 5


def damaged_shards(
    output: pathlib.Path, manifest: Manifest
) -> dict[str, ShardResult | None]:
    """Shards that are not what was written, or whose result is not.

    Args:
      output: Folder of the data set.
      manifest: Its manifest.

    Returns:
      What came of each when it was written, by file name; None where that is lost.
    """
    found: dict[str, ShardResult | None] = {}
    for split, info in manifest.splits.items():
        for shard in info.shards:
            try:
                result = shard_results.read(output, shard.file)
            except (FileNotFoundError, ValueError):
                found[shard.file] = None
                continue
            if result.split != split or result.info.file != shard.file:
                found[shard.file] = None
            elif not _is_as_written(output, result.info):
                found[shard.file] = result
    return found


def _is_as_written(output: pathlib.Path, info: ShardInfo) -> bool:
    try:
        path = output / info.file
        size, _ = files.stamp(path)
        return size == info.size and files.sha256_of(path) == info.sha256
    except FileNotFoundError:
        return False


@processes.rarely_collecting()
def rebuild_shards(
    options: ConvertOptions,
    manifest: Manifest,
    state: ConversionState,
    pseudonyms: Pseudonyms,
    damaged: Mapping[str, ShardResult | None],
) -> None:
    """Makes shards anew.

    Args:
      options: Those that the data set was made with.
      manifest: Of the data set.
      state: Of the data set.
      pseudonyms: Made with its key.
      damaged: From ``damaged_shards``.

    Raises:
      ValueError: Options or sources are not what they were, or other bytes come of
        them; the data set is left as it was.
    """
    conversion_state.refuse_changes(state, options, pseudonyms)
    output = files.path_of(options.output_dir)
    patients = patients_of(manifest, damaged)
    told = {
        one.file: (split, one)
        for split, each in manifest.splits.items()
        for one in each.shards
    }
    with output_folder.workspace(output) as aside, _folder(aside) as folder:
        for file, mine in patients.items():
            if not mine:
                split, _ = told[file]
                shards.write_empty(folder, split, file, options.compression)
        filled = {file: mine for file, mine in patients.items() if mine}
        if filled:
            _make(options, state, pseudonyms, folder, filled, damaged)
        for file, before in damaged.items():
            _refuse_other_bytes(folder, before.info if before else told[file][1])
        files.check_held(output)
        for file in damaged:
            files.move(folder / file, output / file)
            result = shard_results.path_of(folder, file)
            files.move(result, shard_results.path_of(output, file))


def _make(
    options: ConvertOptions,
    state: ConversionState,
    pseudonyms: Pseudonyms,
    folder: pathlib.Path,
    patients: Mapping[str, Sequence[str]],
    damaged: Mapping[str, ShardResult | None],
) -> None:
    """Makes shards of some patients, by the shard's file name, in a folder."""
    wanted = {one for each in patients.values() for one in each}
    scope = InputScope(state, pseudonyms, wanted)
    try:
        prepared = prepare(options, pseudonyms=pseudonyms, before=state, scope=scope)
    except ValueError as error:
        named = ", ".join(patients)
        raise ValueError(f"{named} cannot be made again: {error}") from error
    cache = cache_path(options.header_cache, prepared.folder)
    contents = SourceContents(prepared.folder, journal_path(cache))
    _refuse_other_sources(prepared, contents, damaged)
    _write(prepared, folder, _plans(prepared, patients), contents)


def patients_of(
    manifest: Manifest, shards: Mapping[str, object]
) -> dict[str, list[str]]:
    """The patients of shards, in the records' order, by the shard's file name."""
    found: dict[str, list[str]] = {file: [] for file in shards}
    for split, info in manifest.splits.items():
        buckets = manifest.buckets[split]
        for patient in info.patients:
            file = info.shards[buckets[str(virtual_bucket(patient))]].file
            if file in found:
                found[file].append(patient)
    return found


def _refuse_other_sources(
    prepared: Preparation,
    contents: SourceContents,
    damaged: Mapping[str, ShardResult | None],
) -> None:
    """Refuses sources that are not what records were made of, as far as is known."""
    pseudonyms = prepared.pseudonyms
    paths = {pseudonyms.of("candidate", one): one for one in prepared.survey.files}
    changed: list[str] = []
    gone = 0
    for result in damaged.values():
        for patient in result.patients if result else ():
            changed += changed_sources(patient, contents, paths, pseudonyms)
            gone += sum(one not in paths for one in patient.sources)
    if changed or gone:
        shown = ", ".join(changed[:_SHOWN]) + (", ..." if len(changed) > _SHOWN else "")
        told = [f"{len(changed)} source files have changed: {shown}"] if changed else []
        told += [f"{gone} source files are gone"] if gone else []
        raise ValueError(
            f"{', '.join(damaged)}: of the patients in it, {', and '.join(told)}. "
            "Restore them; or convert anew with --overwrite"
        )


def _plans(
    prepared: Preparation, patients: Mapping[str, Sequence[str]]
) -> list[ShardPlan]:
    planned = {shard.file: shard for shard in prepared.plan.shards}
    for file, wanted in patients.items():
        found = [one.patient for one in planned[file].patients]
        missing = sorted(set(wanted).difference(found))
        if missing:
            raise ValueError(
                f"{file}: {len(missing)} of its {len(wanted)} patients have no "
                f"annotated image in {prepared.options.input_dir} any more, "
                f"{missing[0]} among them (tfdicom_inspect explain names the files): "
                "put their files back, or take them out with --withdraw=PATIENT"
            )
    return [planned[file] for file in patients]


@contextlib.contextmanager
def _folder(aside: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder to write to; what an unfinished conversion left is not touched."""
    folder = aside / CONVERSION / _ASIDE
    output_folder.clear(folder)
    try:
        yield folder
    finally:
        output_folder.remove(folder)


def _write(
    prepared: Preparation,
    folder: pathlib.Path,
    plans: Sequence[ShardPlan],
    contents: SourceContents,
) -> None:
    options = prepared.options
    job = ShardJob(
        prepared.folder,
        folder,
        prepared.rules,
        options.compression,
        prepared.pseudonyms,
    )
    total = sum(
        len(series.frames)
        for shard in plans
        for patient in shard.patients
        for series in patient.series
    )
    tasks = [ShardTask(shard) for shard in plans]
    with Progress("images", total, "images") as progress:
        written = run_shards(job, tasks, options, progress)
        with contextlib.closing(written):
            for notes in written:
                contents.add(notes.contents)


def _refuse_other_bytes(folder: pathlib.Path, info: ShardInfo) -> None:
    now = shard_results.read(folder, info.file).info
    if now != info:
        raise ValueError(
            f"{info.file}: made again it has {now.examples} examples and SHA-256 "
            f"{now.sha256[:12]}..., when it was written {info.examples} and "
            f"{info.sha256[:12]}...; has a file of its patients changed, or a table, "
            "or a library (the manifest's versions)? The data set is left as it was"
        )


def mend_index(output: pathlib.Path, manifest: Manifest) -> bool:
    """Writes ``dataset.index`` again where it is not what the results say.

    Args:
      output: Folder of the data set, whose results are whole.
      manifest: Its manifest.

    Returns:
      Whether it was written.
    """
    entries = [
        entry
        for split in manifest.splits.values()
        for shard in split.shards
        for patient in shard_results.read(output, shard.file).patients
        for entry in patient.entries
    ]
    try:
        same_bytes = dataset_index.INDEX not in file_checksums.wrong_files(output)
        if same_bytes and list(dataset_index.read_index(output)) == entries:
            return False
    except (FileNotFoundError, ValueError):
        pass
    dataset_index.write_index(output, entries)
    return True
