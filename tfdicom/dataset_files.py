"""Writes what stands beside the shards: index, ledger, and last the manifest."""

from __future__ import annotations

import collections
import pathlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pydicom

from tfdicom import dataset_index, label_kinds
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import PUBLIC
from tfdicom.drawing import AnnotationRules
from tfdicom.file_checksums import write_manifest
from tfdicom.label_kinds import LabelInfo
from tfdicom.ledger import Ledger
from tfdicom.manifest import (
    LEDGER,
    ClassFrequency,
    ClassInfo,
    FrameKind,
    Manifest,
    SplitInfo,
)
from tfdicom.plan import Plan
from tfdicom.privacy_options import KEPT, applied_options
from tfdicom.shard_content import ShardContent
from tfdicom.shard_results import ShardResult
from tfdicom.sources.candidates import TEXT
from tfdicom.survey import Survey
from tfdicom.version import VERSION


def write_dataset_files(
    output: pathlib.Path,
    results: Sequence[ShardResult],
    contents: Mapping[str, ShardContent],
    *,
    plan: Plan,
    ledger: Ledger,
    options: ConvertOptions,
    rules: AnnotationRules,
    survey: Survey,
    labels: Sequence[LabelInfo] = (),
) -> Manifest:
    """Writes ``dataset.index``, ``ledger.jsonl`` and, last, ``dataset.json``.

    Args:
      output: Folder to write to.
      results: What came of each shard; ``slim`` suffices.
      contents: What each split adds up to, from ``merge_contents``.
      plan: What was planned.
      ledger: What became of each file.
      options: What was asked for.
      rules: How annotations became masks.
      survey: What was found.
      labels: Those beside the masks.
    """
    write_index(output, results)
    ledger.write(output / LEDGER)
    content = Manifest(
        classes=tuple(ClassInfo(one.name, one.expression) for one in rules.classes),
        splits=split_infos(
            results, contents, [one.name for one in rules.classes], labels
        ),
        split_table=plan.split_table,
        salt=plan.salt,
        buckets=plan.buckets,
        ledger=ledger.counts(),
        options={
            **_record_options(options, rules, survey, ledger),
            **plan.split_options,
        },
        compression=options.compression,
        versions=_versions(options.compression),
        labels=tuple(labels),
    )
    write_manifest(output, content)
    return content


def _versions(compression: str) -> dict[str, str]:
    """Versions of what shapes the bytes; workers run what this process does."""
    versions = {
        "numpy": np.__version__,
        "pydicom": pydicom.__version__,
        "tfdicom": VERSION,
    }
    if compression != "none":
        versions["zlib"] = zlib.ZLIB_RUNTIME_VERSION
    return versions


def _record_options(
    options: ConvertOptions, rules: AnnotationRules, survey: Survey, ledger: Ledger
) -> dict[str, Any]:
    """What shaped the records. No path, and nothing that may name a patient."""
    return {
        "annotations": "+".join(survey.kinds) or "none",
        "contour_origin": rules.origin,
        "contour_shift": list(rules.text.shift),  # as JSON gives it back
        "covered_fraction": rules.objects.covered_fraction,
        "edge_rule": _edge_rule(options, rules, survey),
        "fractional_threshold": rules.objects.fractional_threshold,
        "hole_rule": rules.objects.hole_rule,
        "deidentification": applied_options(options.fact_rules),
        "identifiers": _identifiers(options),
        "identity_key": ledger.key_fingerprint,
        "include_unannotated": options.include_unannotated,
        "layout": survey.listing.layout,
        "patient_from": options.patient_from.partition(":")[0],
        "several_annotations": options.several_annotations,
    }


def _identifiers(options: ConvertOptions) -> str:
    if options.keep_identifiers:
        return KEPT
    return PUBLIC if options.id_key_file == PUBLIC else "keyed"


def _edge_rule(options: ConvertOptions, rules: AnnotationRules, survey: Survey) -> str:
    """The rule; ``auto`` where it depends on the ROI."""
    return rules.text.edge_rule if survey.kinds == (TEXT,) else options.edge_rule


def write_index(output: pathlib.Path, results: Sequence[ShardResult]) -> None:
    """Writes ``dataset.index``."""
    entries = (
        entry
        for result in results
        for patient in result.patients
        for entry in patient.entries
    )
    dataset_index.write_index(output, entries)


def split_infos(
    results: Sequence[ShardResult],
    contents: Mapping[str, ShardContent],
    class_names: Sequence[str],
    labels: Sequence[LabelInfo],
) -> dict[str, SplitInfo]:
    """What the manifest says of each split, in the order of the contents."""
    by_split = collections.defaultdict(list)
    for result in results:
        by_split[result.split].append(result)
    return {
        name: _split(by_split[name], content, class_names, labels)
        for name, content in contents.items()
    }


def merge_contents(
    contents: Mapping[str, ShardContent], results: Iterable[ShardResult]
) -> None:
    """Adds shards, in the manifest's order, to what their splits add up to."""
    for result in results:
        for patient in result.patients:
            contents[result.split].merge(patient.content)


def _split(
    results: Sequence[ShardResult],
    content: ShardContent,
    classes: Sequence[str],
    labels: Sequence[LabelInfo],
) -> SplitInfo:
    kinds = sorted(content.frames.items(), key=lambda item: str(item[0]))
    return SplitInfo(
        examples=sum(result.info.examples for result in results),
        patients=tuple(
            patient.patient for result in results for patient in result.patients
        ),
        shards=tuple(result.info for result in results),
        frames=tuple(
            FrameKind(shape, dtype, modality, units, count)
            for (shape, dtype, modality, units), count in kinds
        ),
        classes={name: _frequency(content.classes.get(name, {})) for name in classes},
        intensities={
            name: counts.statistics() if counts else None
            for name in ("all", "foreground")
            for counts in [content.intensities.get(name)]
        },
        pixel_spacing=tuple(content.spacings) or None,
        labels=label_kinds.label_frequencies(labels, content.labels),
    )


def _frequency(figures: Mapping[str, int]) -> ClassFrequency:
    names = ("annotated", "positive", "pixels")
    return ClassFrequency(**{name: figures.get(name, 0) for name in names})
