"""The charts of a report: areas, positions and grey values, split against split."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tfdicom import charts, report_tables
from tfdicom.charts import Axis, Chart, Dots, Line
from tfdicom.dataset_reading import spread
from tfdicom.manifest import Manifest
from tfdicom.report_facts import ALL_PIXELS, DatasetFacts, ExampleFacts
from tfdicom.value_counts import ValueCounts

_BINS = 48
_MOST_DOTS = 20_000  # in all charts together
_DOTS = 1200  # in one of them
# The plot of a chart is so much wider than high.
_WIDER = 340 / 160


def presence(manifest: Manifest, places: Sequence[int]) -> Iterator[Chart]:
    """For each split: on how many of the images that could show it a class is."""
    names = [manifest.class_names[place] for place in places]
    for split, info in manifest.splits.items():
        parts = [
            info.classes[name].positive / max(info.classes[name].annotated, 1)
            for name in names
        ]
        if info.examples and names:
            told = ", ".join(
                f"{name} {part:.1%}" for name, part in zip(names, parts, strict=True)
            )
            title = (
                f"Split {split}: images that show a class, of those annotated for it"
            )
            rows = [(n, p, f"{p:.1%}") for n, p in zip(names, parts, strict=True)]
            yield charts.bars(title, told, rows, whole=1.0)


def areas(
    manifest: Manifest, examples: Sequence[ExampleFacts], places: Sequence[int]
) -> Iterator[Chart]:
    """For each class a histogram of the masks' areas."""
    unit = report_tables.unit_of(examples)
    squared = "mm²" if unit == "mm" else "pixels"
    for place, by_split in _by_class(manifest, examples, places):
        found = {
            split: report_tables.sizes(members, place, unit)
            for split, members in by_split.items()
        }
        top = max(one.max() for one in found.values())
        masks = sum(map(len, found.values()))
        bins = min(max(int(masks**0.5), 6), _BINS)
        edges = np.linspace(0, top * 1.001 or 1, bins + 1)
        lines = [
            Line(split, np.histogram(one, edges)[0] / len(one))
            for split, one in found.items()
        ]
        told = "; ".join(
            f"{split}: median {np.median(one):.4g} {squared}, from {one.min():.4g} to "
            f"{one.max():.4g}"
            for split, one in found.items()
        )
        title = f"Area of {manifest.class_names[place]}"
        words = f"area of {manifest.class_names[place]}, {squared}"
        yield charts.histogram(title, told, edges, lines, words)


def positions(
    manifest: Manifest, examples: Sequence[ExampleFacts], places: Sequence[int]
) -> Iterator[Chart]:
    """For each class the centroids, as they lie in the image."""
    unit = report_tables.unit_of(examples)
    most = min(_DOTS, _MOST_DOTS // max(len(places), 1))
    for place, by_split in _by_class(manifest, examples, places):
        found = {
            split: report_tables.positions(members, place, unit)
            for split, members in by_split.items()
        }
        whole = np.concatenate(list(found.values()))
        middle = (whole.min(axis=0) + whole.max(axis=0)) / 2
        across, down = (whole.max(axis=0) - whole.min(axis=0)) / 2
        half = max(down, across / _WIDER, 5.0) * 1.15
        told = "; ".join(
            f"{split}: on average {one[:, 0].mean():+.1f} to the right and "
            f"{one[:, 1].mean():+.1f} {unit} down"
            for split, one in found.items()
        )
        name = manifest.class_names[place]
        yield charts.scatter(
            f"Centroids of {name} from the middle of the image",
            told,
            [
                Dots(split, _thinned(one, len(whole), most))
                for split, one in found.items()
            ],
            _axis(f"{name}: to the right, {unit}", middle[0], half * _WIDER),
            _axis(f"downwards, {unit}", middle[1], half),
        )


def _by_class(
    manifest: Manifest, examples: Sequence[ExampleFacts], places: Sequence[int]
) -> Iterator[tuple[int, dict[str, list[ExampleFacts]]]]:
    """Examples that show a class, by split; classes that are shown at all."""
    found: dict[int, dict[str, list[ExampleFacts]]] = collections.defaultdict(dict)
    for split, place, members in report_tables.by_split_and_class(
        manifest, examples, places
    ):
        if members:
            found[place][split] = members
    yield from found.items()


def _axis(words: str, middle: float, half: float) -> Axis:
    return Axis(words, float(middle - half), float(middle + half))


def _thinned(points: np.ndarray, total: int, most: int) -> np.ndarray:
    """Every so-manieth point, so that of all series ``most`` are left."""
    count = max(len(points) * most // max(total, 1), 1)
    return points[sorted(spread(len(points), count))] if total > most else points


def greys(facts: DatasetFacts, manifest: Manifest) -> Iterator[Chart]:
    """Histograms of grey values: of all pixels, then of those of each class."""
    order = [ALL_PIXELS, *manifest.class_names]
    by_what: dict[tuple[str, str], dict[str, ValueCounts]] = {}
    for (split, kind, what), counts in facts.greys.items():
        if counts.count:
            by_what.setdefault((kind, what), {})[split] = counts
    splits = list(manifest.splits)
    for kind, what in sorted(by_what, key=lambda one: (one[0], order.index(one[1]))):
        found = by_what[kind, what]
        found = {name: found[name] for name in splits if name in found}
        yield _grey_chart(kind, what or "all pixels", found)


def _grey_chart(kind: str, what: str, found: Mapping[str, ValueCounts]) -> Chart:
    edges = grey_edges(list(found.values()))
    lines, told = [], []
    for split, counts in found.items():
        heights, _ = np.histogram(counts.values, edges, weights=counts.counts)
        lines.append(Line(split, heights / counts.count))
        statistics = counts.statistics()
        if statistics is not None:
            told.append(
                f"{split}: mean {statistics.mean:.4g}, deviation "
                f"{statistics.deviation:.4g}"
            )
    title = f"Grey values of {what}, {kind}"
    return charts.histogram(
        title, "; ".join(told), edges, lines, f"{what}: grey value, {kind}"
    )


def grey_edges(found: Sequence[ValueCounts]) -> np.ndarray:
    """Edges of bins from the 0.5th to the 99.5th percentile of all together.

    Where values are whole numbers each bin holds as many of them as any other.
    """
    figures = [one.statistics() for one in found]
    known = [one for one in figures if one is not None]
    low = min(one.percentiles[0] for one in known)
    high = max(one.percentiles[-1] for one in known)
    if all((one.values == np.rint(one.values)).all() for one in found):
        step = max(int(np.ceil((high - low + 1) / _BINS)), 1)
        return np.arange(low - 0.5, high + step + 0.5, step)
    return np.linspace(low, high if high > low else low + 1, _BINS + 1)
