"""The difference between two data sets, as values, as JSON and in words."""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tfdicom.example_changes import ExampleChanges

_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Difference:
    """What is different in the second of two data sets.

    Attributes:
      matched_by: ``key``, or ``pixels`` where the pseudonyms are not comparable.
      examples_before: Number of examples of the first.
      examples_after: Of the second.
      added: Keys of examples that only the second has.
      removed: Keys that only the first has.
      changes: What is different in the examples of both.
      moved: Patients that are in another split: (before, after).
      patients_added: Split of patients that only the second has.
      patients_removed: Split of patients that only the first has.
      manifest: What the manifests say otherwise: (before, after) by name.
      same_files: Whether the shards are the same files.
    """

    matched_by: str
    examples_before: int
    examples_after: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changes: ExampleChanges
    moved: Mapping[str, tuple[str, str]]
    patients_added: Mapping[str, str]
    patients_removed: Mapping[str, str]
    manifest: Mapping[str, tuple[Any, Any]]
    same_files: bool

    @property
    def is_none(self) -> bool:
        """Whether the two are the same, down to the bytes of their shards."""
        content = (self.added, self.removed, self.changes.examples, self.moved)
        patients = (self.patients_added, self.patients_removed)
        return self.same_files and not any((*content, *patients, self.manifest))

    def to_json(self) -> str:
        """All of it."""
        fields = {"same": self.is_none, **dataclasses.asdict(self)}
        return json.dumps(fields, indent=1) + "\n"

    def __str__(self) -> str:
        """For a terminal."""
        if self.is_none:
            return f"The same: {self.examples_after} examples, byte for byte."
        lines = [
            *self._example_lines(),
            *self._class_lines(),
            *self._patient_lines(),
            *self._manifest_lines(),
        ]
        return "\n".join(lines)

    def _example_lines(self) -> Iterator[str]:
        common = self.examples_after - len(self.added)
        yield (
            f"Examples: {self.examples_before} before, {self.examples_after} after, "
            f"{common} in both"
        )
        if self.matched_by == "pixels":
            yield (
                "  matched by their pixels: the pseudonyms were made with different "
                "keys, or by a version that does not say"
            )
        for word, keys in (("added", self.added), ("removed", self.removed)):
            if keys:
                yield f"  {len(keys)} {word}: {_some(keys)}"
        same = common - self.changes.examples
        if common:
            yield f"  {self.changes.examples} changed, {same} the same"
        for key, one in self.changes.features.items():
            yield f"    {one.examples} in {key}: {_some(one.keys, one.examples)}"
        by_key = self.matched_by == "key"
        whole = same == self.examples_before == self.examples_after
        if by_key and whole and not self.same_files:
            yield "  The records are the same, and stored in other shards."

    def _class_lines(self) -> Iterator[str]:
        for name, one in self.changes.classes.items():
            yield (
                f"Masks of {name}: {one.examples} changed, {one.pixels_added} pixels "
                f"added, {one.pixels_removed} removed; {one.annotated} annotated in "
                "one of the two alone"
            )
            worst = (f"{key} ({dice:.3f})" for dice, key in one.worst[:_SHOWN])
            if one.worst:
                yield f"  least Dice: {', '.join(worst)}"

    def _patient_lines(self) -> Iterator[str]:
        ways = collections.Counter(self.moved.values())
        for (before, after), count in sorted(ways.items()):
            some = [one for one, way in self.moved.items() if way == (before, after)]
            yield f"Patients moved from {before} to {after}: {count}, {_some(some)}"
        for word, table in (
            ("added to", self.patients_added),
            ("removed from", self.patients_removed),
        ):
            for split in dict.fromkeys(table.values()):
                some = [one for one, where in table.items() if where == split]
                yield f"Patients {word} {split}: {len(some)}, {_some(some)}"

    def _manifest_lines(self) -> Iterator[str]:
        if self.manifest:
            yield "What the manifests say:"
        # What was asked for first, then what came of it.
        order = sorted(self.manifest, key=lambda name: name.startswith("splits."))
        for name in order:
            before, after = self.manifest[name]
            yield f"  {name}: {_shown(before)} -> {_shown(after)}"


def _some(names: Any, count: int | None = None) -> str:
    names = list(names)
    more = ", ..." if (count or len(names)) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _shown(value: Any) -> str:
    return (
        "-"
        if value is None
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
