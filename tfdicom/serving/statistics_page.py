"""What the page of statistics shows: figures, charts, and their numbers as tables."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from tfdicom import charts as svg
from tfdicom.charts import Line
from tfdicom.serving import distributions
from tfdicom.serving.distributions import Distribution
from tfdicom.serving.served import ServedDataSet

_MOST_BARS = 60
_SHOWN = ("0.5", "5", "25", "50", "75", "95", "99.5")

Table = list[list[str]]


@dataclasses.dataclass(frozen=True)
class Chart:
    """One chart: a word for its place in the page, a heading, the picture, numbers."""

    name: str
    heading: str
    svg: Markup
    table: Table
    note: str = ""


def figures(known: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Numbers for the head of the page.

    Args:
      known: What ``/v1/statistics`` says.
    """
    classes = {name for split in known["splits"].values() for name in split["classes"]}
    findings = sum(one["count"] for one in known["findings"])
    return [
        (f"{known['examples']:,}", "examples"),
        (f"{known['patients']:,}", "patients"),
        (str(len(known["splits"])), "splits"),
        (str(len(classes)), "classes"),
        (f"{findings:,}", "findings"),
    ]


def charts(one: ServedDataSet, known: Mapping[str, Any]) -> list[Chart]:
    """The charts of a data set, which keeps the grey values that were counted.

    Args:
      one: The data set.
      known: What ``/v1/statistics`` says of it.
    """
    found = [_splits(known)]
    if any(split["classes"] for split in known["splits"].values()):
        found.append(_classes(known))
    areas = distributions.mask_areas(one)
    if areas is not None:
        found.append(_areas(one, areas))
    counted = one.kept.setdefault(
        "grey values", functools.cache(distributions.grey_values)
    )
    grey = counted(one)
    if grey is not None:
        found += _grey_charts(one, known, *grey)
    return found


def _splits(known: Mapping[str, Any]) -> Chart:
    table = [["Split", "Examples", "Patients"]]
    rows = []
    for name, split in known["splits"].items():
        examples, patients = split["examples"], split["patients"]
        rows.append((name, examples, f"{examples:,}"))
        table.append([name, f"{examples:,}", f"{patients:,}"])
    drawn = svg.bars("Examples of each split", _listed(rows), rows)
    return Chart("splits", "Splits", Markup(drawn.svg), table)


def _classes(known: Mapping[str, Any]) -> Chart:
    """On which part of the annotated examples each class is."""
    table = [["Class", "Split", "Annotated", "Present", "Pixels in all"]]
    rows = []
    whole: dict[str, list[int]] = {}
    for split, values in known["splits"].items():
        for name, one in values["classes"].items():
            counted = whole.setdefault(name, [0, 0])
            counted[0] += one["positive"]
            counted[1] += one["annotated"]
            share = one["positive"] / one["annotated"] if one["annotated"] else 0
            rows.append((f"{name}, {split}", share, f"{share:.0%}"))
            counts = (one["annotated"], one["positive"], one["pixels"])
            table.append([name, split, *(f"{count:,}" for count in counts)])
    rows.sort(key=lambda row: row[0].rpartition(", ")[0])
    if len(rows) > _MOST_BARS:  # the table below has each split
        shares = [(name, part / (total or 1)) for name, (part, total) in whole.items()]
        rows = [(name, share, f"{share:.0%}") for name, share in shares]
    title = "Part of the annotated examples that show a class"
    drawn = svg.bars(title, _listed(rows), rows, whole=1.0)
    heading = "Classes: present where annotated"
    return Chart("classes", heading, Markup(drawn.svg), table)


def _listed(rows: list[tuple[str, float, str]]) -> str:
    return ", ".join(f"{name} {text}" for name, _, text in rows)


def _areas(one: ServedDataSet, found: Distribution) -> Chart:
    known = int(one.catalog.facts.known.sum())
    whole = "" if known == len(one.catalog) else f" Of {known:,} examples read so far."
    return Chart(
        "areas",
        "Mask areas",
        _outlines(found, axis="pixels", words="How many pixels the masks have"),
        _histogram_table(found, "Pixels"),
        f"Part of the examples that show the class, by the pixels of its mask.{whole}",
    )


def _grey_charts(
    one: ServedDataSet,
    known: Mapping[str, Any],
    by_split: Distribution,
    by_class: Distribution,
) -> list[Chart]:
    frames = [frame for split in one.manifest.splits.values() for frame in split.frames]
    units = sorted({frame.units for frame in frames if frame.units})
    axis = f"grey value, {', '.join(units)}" if units else "grey value"
    note = "Of some examples of each split, evenly chosen."
    found = [
        Chart(
            "grey",
            "Grey values of each split",
            _outlines(by_split, axis=axis, words="Grey values of each split"),
            _percentiles(known),
            note + " The numbers are exact: percentiles of all pixels.",
        )
    ]
    if by_class.counts:
        drawn = _outlines(by_class, axis=axis, words="Grey values in each class")
        table = _histogram_table(by_class, "Grey value")
        found.append(
            Chart("classes-grey", "Grey values in each class", drawn, table, note)
        )
    return found


def _outlines(found: Distribution, *, axis: str, words: str) -> Markup:
    lines = [Line(name, found.shares(name)) for name in found.counts]
    peaks = [
        f"{name} most often near {found.edges[int(counts.argmax())]:,.4g}"
        for name, counts in found.counts.items()
        if counts.any()
    ]
    drawn = svg.histogram(words, ", ".join(peaks), found.edges, lines, axis)
    return Markup(drawn.svg)


def _histogram_table(found: Distribution, first: str) -> Table:
    table = [[first, *found.counts]]
    for number, (low, high) in enumerate(
        zip(found.edges[:-1], found.edges[1:], strict=True)
    ):
        counts = [f"{int(counts[number]):,}" for counts in found.counts.values()]
        table.append([f"{low:,.4g} to {high:,.4g}", *counts])
    return table


def _percentiles(known: Mapping[str, Any]) -> Table:
    table = [
        ["Split", "Of", "Mean", "Deviation", "Smallest"]
        + [f"{percent} %" for percent in _SHOWN]
        + ["Largest"]
    ]
    for split, values in known["splits"].items():
        for name, one in values["intensities"].items():
            if one is None:
                continue
            numbers = [one["mean"], one["deviation"], one["minimum"]]
            numbers += [one["percentiles"][percent] for percent in _SHOWN]
            numbers.append(one["maximum"])
            table.append([split, name, *(f"{number:,.4g}" for number in numbers)])
    return table
