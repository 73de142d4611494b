"""A data set at a glance, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfdicom.label_kinds import describe_label
from tfdicom.manifest import (
    CONVERTED,
    LEFT_OUT,
    SKIPPED,
    Manifest,
    SplitInfo,
)
from tfdicom.privacy_options import KEPT
from tfdicom.reasons import FINDINGS, REASONS


def describe(manifest: Manifest) -> str:
    """Splits, classes, grey values and the ledger's counts of a data set."""
    parts = [
        _table(_split_rows(manifest)),
        _key_values(_facts(manifest)),
        _table(_file_rows(manifest.ledger)),
        reason_lines(manifest.ledger),
    ]
    return "\n\n".join(part for part in parts if part)


def _split_rows(manifest: Manifest) -> Iterable[Sequence[str]]:
    names = manifest.class_names
    yield ("split", "patients", "examples", *names, "shards", "MB")
    for split, info in manifest.splits.items():
        frequencies = (info.classes[name] for name in names)
        yield (
            split,
            str(len(info.patients)),
            str(info.examples),
            *(f"{one.positive}/{one.annotated}" for one in frequencies),
            str(len(info.shards)),
            f"{sum(shard.size for shard in info.shards) / 1e6:.1f}",
        )


def _facts(manifest: Manifest) -> Iterable[tuple[str, str]]:
    if manifest.options.get("identifiers") == KEPT:
        yield "IDENTIFIERS", "KEPT: the records name patients"
    if not manifest.classes:
        yield from _labels(manifest)
        yield from _kinds(manifest)
        return
    classes = (
        one.name if one.name == one.expression else f"{one.name} = {one.expression}"
        for one in manifest.classes
    )
    yield "classes", ", ".join(classes) + "  (columns above: present/annotated)"
    yield "masks", _mask_rules(manifest.options)
    yield from _labels(manifest)
    yield from _kinds(manifest)


def _labels(manifest: Manifest) -> Iterable[tuple[str, str]]:
    for label in manifest.labels:
        for split, info in manifest.splits.items():
            if info.examples:
                known = describe_label(label, info.labels.get(label.name))
                yield f"label {label.name}, {split}", known


def _kinds(manifest: Manifest) -> Iterable[tuple[str, str]]:
    for split, info in manifest.splits.items():
        if info.examples:
            yield split, _frames(info)


def _mask_rules(options: Mapping[str, Any]) -> str:
    rules = [f"from {options['annotations']}", f"edge rule {options['edge_rule']}"]
    if options["contour_origin"]:
        column, row = options["contour_shift"]
        origin = f"contour origin {options['contour_origin']}"
        rules.append(f"{origin} (shift {column:g}, {row:g})")
    if "rtstruct" in options["annotations"]:
        rules.append(f"hole rule {options['hole_rule']}")
    return ", ".join(rules)


def _frames(info: SplitInfo) -> str:
    kinds = (
        f"{kind.examples} {kind.modality} {'x'.join(map(str, kind.shape))} {kind.dtype}"
        for kind in info.frames
    )
    spacing = ""
    if info.pixel_spacing:
        low, high = info.pixel_spacing
        spacing = f", {low:.4g} to {high:.4g} mm" if low < high else f", {low:.4g} mm"
    grey = info.intensities["all"]
    values = f", values {grey.minimum:g} to {grey.maximum:g}" if grey else ""
    return ", ".join(kinds) + spacing + values


def _file_rows(ledger: Mapping[str, Mapping[str, int]]) -> Iterable[Sequence[str]]:
    yield ("files", "found", "converted", "skipped", "left out")
    for kind, counts in ledger.items():
        if kind not in ("reasons", "findings"):
            states = [counts.get(name, 0) for name in (CONVERTED, SKIPPED, LEFT_OUT)]
            yield (kind, *map(str, (sum(states), *states)))


def reason_lines(ledger: Mapping[str, Mapping[str, int]]) -> str:
    """Why files were skipped or left out, and what was odd about converted ones."""
    lines = []
    for code, count in ledger.get("reasons", {}).items():
        word = SKIPPED if REASONS[code].fault else "left out"
        lines.append(f"{count} {word}: {code}. {REASONS[code].sentence}")
    for code, count in ledger.get("findings", {}).items():
        lines.append(f"{count} converted with {code}. {FINDINGS[code]}")
    return "\n".join(lines)


def _table(rows: Iterable[Sequence[str]]) -> str:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *others = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join((first, *others)))
    return "\n".join(lines)


def _key_values(pairs: Iterable[tuple[str, str]]) -> str:
    pairs = list(pairs)
    width = max(len(name) for name, _ in pairs)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in pairs)
