"""What examples add up to: the counts and statistics of a patient, shard or split."""

from __future__ import annotations

import base64
import collections
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfdicom import label_kinds
from tfdicom.example_schema import FrameExample
from tfdicom.label_kinds import LabelCounts
from tfdicom.value_counts import PixelCounts, Tally, ValueCounts


@dataclasses.dataclass
class ShardContent:
    """What the examples of a patient, of a shard or of a split add up to."""

    frames: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    annotated: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    classes: dict[str, collections.Counter] = dataclasses.field(default_factory=dict)
    intensities: dict[str, Tally] = dataclasses.field(default_factory=dict)
    spacings: list[float] = dataclasses.field(default_factory=list)
    labels: LabelCounts = dataclasses.field(default_factory=dict)

    def add(self, example: FrameExample, counts: Mapping[str, PixelCounts]) -> None:
        """Adds one example."""
        kind = (example.shape, example.dtype, example.modality, example.units)
        self.frames[kind] += 1
        pattern = label_kinds.known_pattern(example.annotated, example.label_values)
        self.annotated[pattern] += 1
        label_kinds.count_labels(self.labels, example.label_names, example.label_values)
        for name, annotated, pixels in zip(
            example.classes, example.annotated, example.pixel_count, strict=True
        ):
            self._add_class(
                name, annotated=annotated, positive=int(pixels > 0), pixels=pixels
            )
        self._add_intensities(counts)
        self._add_spacings(list(example.pixel_spacing or ()))

    def merge(self, other: ShardContent) -> None:
        """Adds what another adds up to."""
        self.frames.update(other.frames)
        self.annotated.update(other.annotated)
        label_kinds.merge_counts(self.labels, other.labels)
        for name, figures in other.classes.items():
            self._add_class(name, **figures)
        self._add_intensities(
            {name: tally.counts() for name, tally in other.intensities.items()}
        )
        self._add_spacings(other.spacings)

    def _add_class(self, name: str, **figures: int) -> None:
        self.classes.setdefault(name, collections.Counter()).update(figures)

    def _add_intensities(self, counts: Mapping[str, PixelCounts]) -> None:
        for name, more in counts.items():
            self.intensities.setdefault(name, Tally()).add(more)

    def _add_spacings(self, spacings: list[float]) -> None:
        every = self.spacings + spacings
        self.spacings = [min(every), max(every)] if every else []

    def to_json(self) -> dict[str, Any]:
        """As plain values that JSON holds; nothing is lost."""
        return {
            "frames": [
                [list(shape), dtype, modality, units, count]
                for (shape, dtype, modality, units), count in _sorted(self.frames)
            ],
            "annotated": dict(sorted(self.annotated.items())),
            "classes": {name: dict(one) for name, one in sorted(self.classes.items())},
            "intensities": {
                name: _counts_to_json(tally.counts())
                for name, tally in sorted(self.intensities.items())
            },
            "spacings": self.spacings,
            "labels": {
                name: dict(sorted(values.items()))
                for name, values in sorted(self.labels.items())
            },
        }


def content_from_json(fields: Mapping[str, Any]) -> ShardContent:
    """What ``to_json`` gave."""
    content = ShardContent(
        annotated=collections.Counter(fields["annotated"]),
        classes={
            name: collections.Counter(one) for name, one in fields["classes"].items()
        },
        spacings=list(fields["spacings"]),
        labels={
            name: collections.Counter(one) for name, one in fields["labels"].items()
        },
    )
    for shape, dtype, modality, units, count in fields["frames"]:
        content.frames[tuple(shape), dtype, modality, units] = count
    for name, counts in fields["intensities"].items():
        content.intensities[name] = Tally()
        content.intensities[name].add(_counts_from_json(counts))
    return content


def _sorted(counter: collections.Counter) -> list[tuple[Any, int]]:
    return sorted(counter.items(), key=lambda item: str(item[0]))


def _counts_to_json(counts: ValueCounts) -> dict[str, Any]:
    if not counts.count:
        return {}
    return {
        "values": _packed(counts.values, "<f8"),
        "counts": _packed(counts.counts, "<i8"),
        "total": counts.total,
        "squared_deviations": counts.squared_deviations,
        "minimum": counts.minimum,
        "maximum": counts.maximum,
    }


def _counts_from_json(fields: Mapping[str, Any]) -> ValueCounts:
    if not fields:
        return ValueCounts.empty()
    return ValueCounts(
        **{
            **fields,
            "values": _unpacked(fields["values"], "<f8"),
            "counts": _unpacked(fields["counts"], "<i8"),
        }
    )


def _packed(array: np.ndarray, dtype: str) -> str:
    return base64.b64encode(array.astype(dtype).tobytes()).decode()


def _unpacked(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype)
