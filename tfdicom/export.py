"""A data set as files that other programs read: PNG pictures, or NIfTI volumes."""

from __future__ import annotations

import collections
import csv
import dataclasses
import functools
import importlib.util
import io
import itertools
import json
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tfdicom import (
    export_names,
    export_nifti,
    export_png,
    files,
    options,
    processes,
)
from tfdicom.dataset_reading import shard_examples
from tfdicom.example_schema import FrameExample
from tfdicom.export_options import ExportOptions
from tfdicom.manifest import Manifest, load_manifest, split_names
from tfdicom.progress import Progress

TABLE, LABELS = "examples.csv", "labels.json"
_COLUMNS = ("key", "split", "patient", "study", "series", "slice_index", "phase_index")
_NIFTI_COLUMNS = ("k", "t")


@dataclasses.dataclass(frozen=True)
class ExportResult:
    """What was written.

    Attributes:
      out: The folder.
      examples: How many are in it.
      images: Files of images.
      masks: Files of masks.
      notes: What should be known of them.
    """

    out: str
    examples: int
    images: int
    masks: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """For a terminal."""
        lines = [f"Note: {note}." for note in self.notes]
        lines.append(
            f"{self.out}: {self.examples} examples in {self.images} image files and "
            f"{self.masks} mask files; {TABLE} says which is which."
        )
        return "\n".join(lines)


@options.accepts_options(ExportOptions)
def export(
    data_dir: str | pathlib.Path,
    out: str | pathlib.Path,
    splits: str | None = None,
    *,
    options: ExportOptions,
    num_workers: int = 0,
) -> ExportResult:
    """Writes a data set, or some splits of it, into a folder.

    Args:
      data_dir: Folder of the data set.
      out: A folder that is empty or not there, local or with a scheme.
      splits: Names joined by ``+``; None for all.
      options: What is written.
      num_workers: Processes; 0: one for each processor.

    Raises:
      FileExistsError: The folder is not empty.
      ValueError: A split is unknown, a record is damaged, something does not fit the
        format, or nothing could be written.
    """
    if options.format == "nifti" and importlib.util.find_spec("nibabel") is None:
        raise ValueError("format='nifti' needs nibabel: pip install 'tfdicom[nifti]'")
    manifest, target = load_manifest(data_dir), files.path_of(out)
    if files.exists(target) and files.walk(target):
        raise FileExistsError(f"{out} is not empty: choose another folder")
    names = split_names(manifest, splits) if splits else list(manifest.splits)
    shards = [
        (name, one.file) for name in names for one in manifest.splits[name].shards
    ]
    total = sum(manifest.splits[name].examples for name in names)
    write = functools.partial(
        _export_shard, files.path_of(data_dir), target, manifest, options
    )
    rows: list[dict[str, Any]] = []
    notes: collections.Counter[str] = collections.Counter()
    with Progress("examples", total, "examples") as progress:
        for more, counted in processes.map_in_processes(
            write,
            shards,
            workers=num_workers or processes.default_workers(),
            progress=progress,
        ):
            rows += more
            notes.update(counted)
    if not rows:
        raise ValueError(f"{data_dir}: nothing could be written; {_told(notes)}")
    _write_table(target / TABLE, rows, manifest, options)
    if options.mask_form == "label_map":
        labels = json.dumps(export_png.labels_of(manifest.class_names), indent=1)
        files.write_text(target / LABELS, labels + "\n")
    masks = {row[name] for row in rows for name in row if name.split(" ")[0] == "mask"}
    images = {row["image"] for row in rows}
    return ExportResult(str(out), len(rows), len(images), len(masks), _sentences(notes))


def _sentences(notes: collections.Counter[str]) -> tuple[str, ...]:
    return tuple(f"{count} {note}" for note, count in sorted(notes.items()) if count)


def _told(notes: collections.Counter[str]) -> str:
    return "; ".join(_sentences(notes)) or "there is no example"


def _export_shard(
    folder: pathlib.Path,
    target: pathlib.Path,
    manifest: Manifest,
    options: ExportOptions,
    shard: tuple[str, str],
) -> tuple[list[dict[str, Any]], collections.Counter[str]]:
    """Rows of the table, and notes, of one shard; patients stand together in it."""
    split, file = shard
    notes: collections.Counter[str] = collections.Counter()
    words = export_names.file_words(manifest.class_names)
    examples = (one for _, one in shard_examples(folder / file, manifest.compression))
    rows = []
    for patient, members in itertools.groupby(examples, lambda one: one.patient):
        where = target / split / patient
        files.make_folder(where)
        for one, told in _written(where, members, words, options, notes):
            prefix = f"{split}/{patient}/"
            rows.append(_row(split, one, told, prefix))
    return rows, notes


def _written(
    folder: pathlib.Path,
    examples: Iterable[FrameExample],
    words: Sequence[str],
    options: ExportOptions,
    notes: collections.Counter[str],
) -> Iterator[tuple[FrameExample, dict[str, Any]]]:
    if options.format == "png":
        for one in examples:
            yield one, export_png.write(folder, one, words, options)
            processes.count_done(1)
        return
    members = list(examples)
    yield from export_nifti.write(folder, members, words, options, notes)
    processes.count_done(len(members))


def _row(
    split: str, one: FrameExample, told: dict[str, Any], prefix: str
) -> dict[str, Any]:
    row = {name: getattr(one, name) for name in _COLUMNS if name != "split"}
    for name, value in told.items():
        is_file = name.split(" ")[0] in ("image", "mask")
        row[name] = prefix + value if is_file else value
    row |= {"slope": one.rescale_slope, "intercept": one.rescale_intercept}
    return {**row, "split": split}


def _write_table(
    path: pathlib.Path,
    rows: Sequence[dict[str, Any]],
    manifest: Manifest,
    options: ExportOptions,
) -> None:
    columns = [*_COLUMNS, "image"]
    columns += _NIFTI_COLUMNS if options.format == "nifti" else ()
    columns += ["stored_offset"] if options.image_values == "stored" else []
    columns += ["slope", "intercept"]
    planes = [f"mask {name}" for name in manifest.class_names]
    columns += ["mask"] if options.mask_form == "label_map" else planes
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(path, text.getvalue())
