"""What examples add up to: the counts and statistics of a patient, shard or split."""

from __future__ import annotations

import base64
import collections
import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfdicom import label_kinds
from tfdicom.example_schema import FrameExample
from tfdicom.intensity_statistics import IntensityStatistics
from tfdicom.label_kinds import LabelCounts
from tfdicom.value_counts import PixelCounts, Tally, ValueCounts


@dataclasses.dataclass(frozen=True)
class StoredTally:
    """Counts as JSON holds them: a small part of the memory that they take else.

    The parent process of a conversion has those of every patient.
    """

    fields: Mapping[str, Any]

    def counts(self) -> ValueCounts:
        """All that was counted."""
        return _counts_from_json(self.fields)

    def statistics(self) -> IntensityStatistics | None:
        """The figures, or None where no pixel was counted."""
        return self.counts().statistics()


@dataclasses.dataclass
class ShardContent:
    """What the examples of a patient, of a shard or of a split add up to."""

    frames: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    annotated: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    classes: dict[str, collections.Counter] = dataclasses.field(default_factory=dict)
    intensities: dict[str, Tally | StoredTally] = dataclasses.field(
        default_factory=dict
    )
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
            tally = self.intensities.setdefault(name, Tally())
            if isinstance(tally, StoredTally):
                stored = tally.counts()
                self.intensities[name] = tally = Tally()
                tally.add(stored)
            tally.add(more)

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
        content.intensities[name] = StoredTally(counts)
    return content


def _sorted(counter: collections.Counter) -> list[tuple[Any, int]]:
    return sorted(counter.items(), key=lambda item: str(item[0]))


def _counts_to_json(counts: ValueCounts) -> dict[str, Any]:
    if not counts.count:
        return {}
    return {
        **_values_to_json(counts.values),
        "counts": _packed(counts.counts, ("<u1", "<u2", "<u4", "<i8")),
        "total": counts.total,
        "squared_deviations": counts.squared_deviations,
        "minimum": counts.minimum,
        "maximum": counts.maximum,
    }


def _values_to_json(values: np.ndarray) -> dict[str, Any]:
    """Whole numbers, as most are, by the steps between them: a byte for each."""
    first = float(values[0])
    steps = np.diff(values)
    if _from_steps(first, steps).tobytes() == values.tobytes():
        with contextlib.suppress(_NotExact):
            return {"first": first, "steps": _packed(steps, ("<u1", "<u2", "<u4"))}
    return {"values": _packed(values, ("<f4", "<f8"))}


def _counts_from_json(fields: Mapping[str, Any]) -> ValueCounts:
    if not fields:
        return ValueCounts.empty()
    rest = dict(fields)
    if "steps" in fields:
        steps = _unpacked(rest.pop("steps")).astype(np.float64)
        values = _from_steps(rest.pop("first"), steps)
    else:
        values = _unpacked(rest.pop("values")).astype(np.float64)
    counts = _unpacked(rest.pop("counts")).astype(np.int64)
    return ValueCounts(values, counts, **rest)


def _from_steps(first: float, steps: np.ndarray) -> np.ndarray:
    return np.cumsum(np.concatenate([[first], steps]))


class _NotExact(ValueError):
    """No dtype holds the values."""


def _packed(array: np.ndarray, dtypes: Sequence[str]) -> str:
    """The array in the first dtype that holds it without loss."""
    for dtype in dtypes:
        with np.errstate(all="ignore"):
            narrow = array.astype(dtype)
        if narrow.astype(array.dtype).tobytes() == array.tobytes():
            return f"{dtype}:{base64.b64encode(narrow.tobytes()).decode()}"
    raise _NotExact


def _unpacked(text: str) -> np.ndarray:
    dtype, _, data = text.partition(":")
    return np.frombuffer(base64.b64decode(data), dtype)
