"""The state of a data set, put together again from what else tells of it."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from tfdicom import conversion_state, files
from tfdicom.conversion_state import ConversionState
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import Pseudonyms
from tfdicom.manifest import Manifest, read_ledger


def mended_state(
    output: pathlib.Path,
    manifest: Manifest,
    options: ConvertOptions,
    pseudonyms: Pseudonyms,
) -> ConversionState:
    """What ``state.json`` held.

    Args:
      output: Folder of the data set, whose ledger is whole.
      manifest: Its manifest.
      options: Those that the data set was made with.
      pseudonyms: Made with its key.

    Raises:
      ValueError: The key or the version is another, or the ledger cannot be read.
      OSError: The ledger or the input folder cannot be read.
    """
    told = manifest.options
    state = ConversionState(
        options=conversion_state.option_digests(options, pseudonyms),
        identity_key=str(told["identity_key"]),
        split_table=manifest.split_table,
        buckets=manifest.buckets,
        shard_counts={
            name: len(split.shards) for name, split in manifest.splits.items()
        },
        contour_origin=str(told["contour_origin"]),
        contour_shift=tuple(told["contour_shift"]),
        classes=tuple((one.name, one.expression) for one in manifest.classes),
        inputs=_inputs(output, options, pseudonyms),
        fixed_splits=tuple(told["fixed_splits"]),
        stratified=told["stratify"],
        withdrawn=conversion_state.withdrawn_in(output),
        version=manifest.versions["tfdicom"],
    )
    conversion_state.refuse_changes(state, options, pseudonyms)
    return state


def _named_tables(options: ConvertOptions) -> Iterator[str]:
    """Tables in the input folder that options name, relative to it."""
    folder = files.path_of(options.input_dir)
    split = options.split if options.split.endswith(".csv") else None
    kind, _, patients = options.patient_from.partition(":")
    named = (options.labels, options.mask_table, options.splits_from, split)
    for text in (*named, patients if kind == "csv" else None):
        path = files.path_of(text) if text else folder
        if path.is_relative_to(folder):
            yield path.relative_to(folder).as_posix()


def _inputs(
    output: pathlib.Path, options: ConvertOptions, pseudonyms: Pseudonyms
) -> tuple[str, ...]:
    """Files that the ledger lists, and tables; those that are gone by now are lost."""
    width = conversion_state.DIGITS
    listed = {line["candidate"][:width] for line in read_ledger(output)}
    tables = {layout.link_file for layout in options.layouts}
    tables |= set(_named_tables(options))
    found = []
    for path in files.walk(files.path_of(options.input_dir)):
        digest = conversion_state.input_digest(pseudonyms, path)
        if digest in listed or path in tables:
            found.append(digest)
    return tuple(sorted(found))
