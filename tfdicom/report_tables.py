"""The tables of a report: what the manifest and the pass over the records tell."""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfdicom.intensity_statistics import FIGURES, percentile_index
from tfdicom.label_kinds import describe_label
from tfdicom.manifest import CONVERTED, LEFT_OUT, SKIPPED, Manifest
from tfdicom.reasons import FINDINGS, REASONS
from tfdicom.report_facts import ALL_PIXELS, DatasetFacts, ExampleFacts
from tfdicom.report_pictures import Row

_MOST_KINDS = 30  # of cameras, spacings and the like
_MOST_PATIENTS = 2000
_AREA_PERCENTILES = (0, 5, 50, 95, 100)
_GREY_PERCENTILES = (0.5, 50.0, 99.5)


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: its caption, its head, and its rows, whose first cell is their title."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def overview(manifest: Manifest, facts: DatasetFacts) -> Table:
    """Splits at a glance."""
    by_split: dict[str, list[ExampleFacts]] = {name: [] for name in manifest.splits}
    for one in facts.examples:
        by_split[one.split].append(one)
    rows = []
    for split, info in manifest.splits.items():
        members = by_split[split]
        rows.append(
            (
                split,
                f"{len(info.patients):,}",
                f"{len({one.study for one in members}):,}",
                f"{len({one.series for one in members}):,}",
                f"{info.examples:,}",
                *_present(manifest, split),
                f"{sum(shard.size for shard in info.shards) / 1e6:,.1f}",
            )
        )
    names = [f"{name}: present / annotated" for name in manifest.class_names]
    head = ("split", "patients", "studies", "series", "examples", *names, "MB")
    return Table("Splits: what each of them holds", head, rows)


def _present(manifest: Manifest, split: str) -> Iterator[str]:
    classes = manifest.splits[split].classes
    for name in manifest.class_names:
        yield f"{classes[name].positive:,} / {classes[name].annotated:,}"


def frames(manifest: Manifest) -> Table:
    """Modality, size and dtype of the images."""
    rows = [
        (
            split,
            kind.modality or "not known",
            " x ".join(map(str, kind.shape)),
            kind.dtype,
            kind.units or "not known",
            f"{kind.examples:,}",
        )
        for split, info in manifest.splits.items()
        for kind in sorted(info.frames, key=lambda one: -one.examples)[:_MOST_KINDS]
    ]
    head = ("split", "modality", "rows x columns x samples", "dtype", "units", "images")
    return Table("Images by kind", head, rows)


def counted(caption: str, what: str, counts: collections.Counter[str]) -> Table:
    """What occurs how often, the most frequent first."""
    rows = [(name, f"{count:,}") for name, count in counts.most_common(_MOST_KINDS)]
    more = len(counts) - len(rows)
    note = f"and {more:,} more, each less frequent" if more else ""
    return Table(caption, (what, "images"), rows, note)


def by_split_and_class(
    manifest: Manifest, examples: Sequence[ExampleFacts], places: Sequence[int]
) -> Iterator[tuple[str, int, list[ExampleFacts]]]:
    """Class, its place, and for each split (in turn) the examples that show it."""
    for place in places:
        having: dict[str, list[ExampleFacts]] = {name: [] for name in manifest.splits}
        for one in examples:
            if one.pixels[place]:
                having[one.split].append(one)
        for split, members in having.items():
            yield split, place, members


def unit_of(examples: Sequence[ExampleFacts]) -> str:
    """``mm`` if the spacing of every example is known, else ``pixels``."""
    return "mm" if all(one.spacing for one in examples) else "pixels"


def sizes(members: Sequence[ExampleFacts], place: int, unit: str) -> np.ndarray:
    """Areas of a class in mm2 or pixels, float ``[n]``."""
    areas = (
        (one.area(place) if unit == "mm" else one.pixels[place]) for one in members
    )
    return np.array([area or 0 for area in areas], float)


def positions(members: Sequence[ExampleFacts], place: int, unit: str) -> np.ndarray:
    """Centroids from the middle of the image, across and down, float ``[n, 2]``."""
    found = []
    for one in members:
        centre = one.centres[place]
        if centre is not None:
            across = centre[0] - (one.shape[1] - 1) / 2
            down = centre[1] - (one.shape[0] - 1) / 2
            rows, columns = one.spacing if one.spacing and unit == "mm" else (1.0, 1.0)
            found.append((across * columns, down * rows))
    return np.array(found, float).reshape(-1, 2)


def areas(
    manifest: Manifest, examples: Sequence[ExampleFacts], places: Sequence[int]
) -> Table:
    """How large the masks are."""
    unit = unit_of(examples)
    rows = []
    for split, place, members in by_split_and_class(manifest, examples, places):
        if members:
            found = sizes(members, place, unit)
            figures = np.percentile(found, _AREA_PERCENTILES)
            name = manifest.class_names[place]
            rows.append((name, split, f"{len(members):,}", *map(_figure, figures)))
    squared = "mm²" if unit == "mm" else unit
    head = ("class", "split", "masks", "smallest", "5 %", "median", "95 %", "largest")
    return Table(f"Area of the masks, {squared}", head, rows)


def centres(
    manifest: Manifest, examples: Sequence[ExampleFacts], places: Sequence[int]
) -> Table:
    """Where the masks lie."""
    unit = unit_of(examples)
    rows = []
    for split, place, members in by_split_and_class(manifest, examples, places):
        if members:
            found = positions(members, place, unit)
            mean, deviation = found.mean(axis=0), found.std(axis=0)
            cells = (
                f"{one:+.1f} ± {other:.1f}"
                for one, other in zip(mean, deviation, strict=True)
            )
            rows.append((manifest.class_names[place], split, *cells))
    head = ("class", "split", "to the right", "downwards")
    caption = (
        f"Centroid of the masks from the middle of the image, {unit}: mean ± deviation"
    )
    return Table(caption, head, rows)


def greys(manifest: Manifest, facts: DatasetFacts) -> Table:
    """What the grey values are."""
    order = (ALL_PIXELS, *manifest.class_names)
    rows = []
    for (split, kind, what), counts in sorted(
        facts.greys.items(), key=lambda item: (item[0][1], order.index(item[0][2]))
    ):
        statistics = counts.statistics()
        if statistics is not None:
            floats = statistics.to_floats()
            shown = [floats[FIGURES.index("mean")], floats[FIGURES.index("deviation")]]
            shown += [floats[percentile_index(one)] for one in _GREY_PERCENTILES]
            name = what or "all pixels"
            rows.append((kind, name, split, f"{counts.count:,}", *map(_figure, shown)))
    percentiles = (f"{one:g} %" for one in _GREY_PERCENTILES)
    figures = ("pixels", "mean", "deviation", *percentiles)
    head = ("kind", "pixels of", "split", *figures)
    caption = "Grey values (stored value x slope + intercept, without padding)"
    return Table(caption, head, rows)


def labels(manifest: Manifest) -> Table:
    """Labels beside the masks."""
    rows = [
        (one.name, split, describe_label(one, info.labels.get(one.name)))
        for one in manifest.labels
        for split, info in manifest.splits.items()
        if info.examples
    ]
    return Table("Labels beside the masks", ("label", "split", "values"), rows)


def findings(manifest: Manifest, rows: Mapping[str, Row]) -> Table:
    """Codes of what was odd, in words."""
    counts = manifest.ledger.get("findings", {})
    codes = [*rows, *(code for code in counts if code not in rows)]
    shown = [
        (code, f"{counts.get(code, 0):,}", FINDINGS.get(code, "")) for code in codes
    ]
    head = ("finding", "files", "what it means")
    return Table("What was odd about what was converted", head, shown)


def patients(manifest: Manifest, examples: Sequence[ExampleFacts]) -> Table:
    """The split table."""
    counts = collections.Counter(one.patient for one in examples)
    rows = [
        (patient, split, f"{counts[patient]:,}")
        for split, info in manifest.splits.items()
        for patient in info.patients
    ]
    more = len(rows) - _MOST_PATIENTS
    note = f"and {more:,} more: dataset.json has all of them" if more > 0 else ""
    head = ("patient (pseudonym)", "split", "examples")
    return Table("Split of each patient", head, rows[:_MOST_PATIENTS], note)


def files(ledger: Mapping[str, Mapping[str, int]]) -> Table:
    """What became of the input's files."""
    rows = []
    for kind, counts in ledger.items():
        if kind not in ("reasons", "findings"):
            states = [counts.get(name, 0) for name in (CONVERTED, SKIPPED, LEFT_OUT)]
            rows.append((kind, *(f"{one:,}" for one in (sum(states), *states))))
    head = ("files", "found", "converted", "skipped", "left out")
    return Table("What became of each file of the input", head, rows)


def reasons(ledger: Mapping[str, Mapping[str, int]]) -> Table:
    """Why files are not in the data set."""
    rows = [
        (
            code,
            SKIPPED if REASONS[code].fault else "left out",
            f"{count:,}",
            REASONS[code].sentence,
            REASONS[code].hint,
        )
        for code, count in ledger.get("reasons", {}).items()
    ]
    head = ("reason", "file was", "files", "what it means", "what to do")
    return Table("Why files are not in the data set", head, rows)


def key_values(caption: str, head: Sequence[str], pairs: Mapping[str, Any]) -> Table:
    """Names and values, as JSON has them."""
    rows = [(name, _text(value)) for name, value in sorted(pairs.items())]
    return Table(caption, head, rows)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 600 else text[:600] + "…"


def _figure(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def with_rows(tables: Iterable[Table]) -> list[Table]:
    """Those that are not empty."""
    return [one for one in tables if one.rows]
