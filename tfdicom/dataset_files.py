"""Writes what stands beside the shards: index, ledger, and last the manifest."""

from __future__ import annotations

import collections
import pathlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pydicom

from tfdicom import dataset_index, files
from tfdicom.convert_options import ConvertOptions
from tfdicom.deidentify import PUBLIC
from tfdicom.examples import AnnotationRules
from tfdicom.ledger import Ledger
from tfdicom.manifest import (
    LEDGER,
    MANIFEST,
    ClassFrequency,
    ClassInfo,
    FrameKind,
    Manifest,
    SplitInfo,
)
from tfdicom.plan import Plan
from tfdicom.shards import ShardContent, ShardResult
from tfdicom.splits import parse_split
from tfdicom.version import VERSION


def write_dataset_files(
    output: pathlib.Path,
    results: Sequence[ShardResult],
    *,
    plan: Plan,
    ledger: Ledger,
    options: ConvertOptions,
    rules: AnnotationRules,
    layout: str,
) -> Manifest:
    """Writes ``dataset.index``, ``ledger.jsonl`` and, last, ``dataset.json``."""
    dataset_index.write_index(output, (entry for one in results for entry in one.index))
    ledger.write(output / LEDGER)
    content = Manifest(
        classes=tuple(ClassInfo(one.name, one.expression) for one in rules.classes),
        splits=_splits(results, plan, rules),
        split_table=plan.split_table,
        salt=options.split_salt,
        buckets=plan.buckets,
        ledger=ledger.counts(),
        options=_record_options(options, rules, layout, ledger),
        compression=options.compression,
        versions=_versions(options.compression),
    )
    files.write_text(output / MANIFEST, content.to_json())
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
    options: ConvertOptions, rules: AnnotationRules, layout: str, ledger: Ledger
) -> dict[str, Any]:
    """What shaped the records. No path, and nothing that may name a patient."""
    return {
        "annotations": "contours",
        "contour_origin": rules.origin,
        "contour_shift": list(rules.shift),  # as JSON gives it back
        "covered_fraction": rules.covered_fraction,
        "edge_rule": rules.edge_rule,
        "identifiers": PUBLIC if options.id_key_file == PUBLIC else "keyed",
        "identity_key": ledger.key_fingerprint,
        "layout": layout,
        "patient_from": options.patient_from.partition(":")[0],
        "split": _split_as_asked(options),
    }


def _split_as_asked(options: ConvertOptions) -> str:
    if options.folds:
        return f"{options.folds} folds"
    by_name = options.split.endswith(".csv") or parse_split(options.split).patients
    return "by name" if by_name else options.split


def _splits(
    results: Sequence[ShardResult], plan: Plan, rules: AnnotationRules
) -> dict[str, SplitInfo]:
    by_split = collections.defaultdict(list)
    for result in results:
        by_split[result.plan.split].append(result)
    names = [one.name for one in rules.classes]
    return {name: _split(by_split[name], names) for name in plan.split_names}


def _split(results: Sequence[ShardResult], classes: Sequence[str]) -> SplitInfo:
    content = ShardContent()
    for result in results:
        content.merge(result.content)
    kinds = sorted(content.frames.items(), key=lambda item: str(item[0]))
    return SplitInfo(
        examples=sum(result.info.examples for result in results),
        patients=tuple(
            patient.patient for result in results for patient in result.plan.patients
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
    )


def _frequency(figures: Mapping[str, int]) -> ClassFrequency:
    names = ("annotated", "positive", "pixels")
    return ClassFrequency(**{name: figures.get(name, 0) for name in names})
