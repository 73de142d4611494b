"""The pictures of a report as its template takes them: with words, and as room is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfdicom import report_pictures
from tfdicom.manifest import Manifest
from tfdicom.reasons import FINDINGS
from tfdicom.report_facts import ExampleFacts
from tfdicom.report_pictures import Row, Sheet

_MOST_KEYS = 200  # listed for one finding
_MOST_UNSEEN = 12  # keys of pictures of a row that there is no room for


class Gallery:
    """Gives each example of a row its picture, or none, and its words."""

    def __init__(
        self,
        manifest: Manifest,
        findings: Mapping[str, Sequence[str]],
        rows: Sequence[Row],
        drawn: Mapping[str, str],
        budget: int = report_pictures.BUDGET,
    ) -> None:
        """Takes what the pictures are of.

        Args:
          manifest: Of the data set.
          findings: What is odd about the examples, by key.
          rows: All that is to be shown, the most important first.
          drawn: Data URIs by key.
          budget: Bytes that all pictures may take.
        """
        self._names, self._findings, self._drawn = manifest.class_names, findings, drawn
        self._labels = [one.name for one in manifest.labels]
        fit = report_pictures.within_budget(rows, drawn, budget)
        self._fit = {(id(rows[number]), key) for number, key in fit}
        self.count = len(fit)

    def sheet(self, sheet: Sheet) -> dict[str, Any]:
        """A sheet's title and its rows that are not empty."""
        rows = [
            {"title": row.title, **self._row(row)} for row in sheet.rows if row.examples
        ]
        return {"title": sheet.title, "rows": rows}

    def cases(
        self, cases: Mapping[str, Row], examples: Sequence[ExampleFacts]
    ) -> list[dict[str, Any]]:
        """Each finding with its pictures, and the keys of further examples."""
        keys: dict[str, list[str]] = {code: [] for code in cases}
        for one in examples:
            for code in self._findings.get(one.key, ()):
                keys[code].append(one.key)
        return [
            {
                "code": code,
                "sentence": FINDINGS.get(code, ""),
                "count": len(keys[code]),
                **self._row(row),
                "others": keys[code][len(row.examples) :][:_MOST_KEYS],
                "more": max(len(keys[code]) - len(row.examples) - _MOST_KEYS, 0),
            }
            for code, row in cases.items()
        ]

    def _row(self, row: Row) -> dict[str, Any]:
        """Pictures that there is room for, and the keys of others."""
        seen = [one for one in row.examples if (id(row), one.key) in self._fit]
        unseen = [
            one.key for one in row.examples if (id(row), one.key) not in self._fit
        ]
        pictures = [
            {
                "key": one.key,
                "uri": self._drawn[one.key],
                "alt": f"Example {one.key[:8]}: {self._place(one)}. {self._masks(one)}",
                "place": self._place(one),
                "masks": self._masks(one),
                "findings": ", ".join(self._findings.get(one.key, ())),
            }
            for one in seen
        ]
        return {
            "pictures": pictures,
            "unseen": unseen[:_MOST_UNSEEN],
            "unseen_count": len(unseen),
        }

    def _place(self, one: ExampleFacts) -> str:
        parts = [f"patient {one.patient[:6]}"]
        if one.slice_index is not None:
            parts.append(f"slice {one.slice_index}")
        if one.phase_index is not None:
            parts.append(f"phase {one.phase_index}")
        return ", ".join(parts)

    def _masks(self, one: ExampleFacts) -> str:
        parts = [
            self._mask(one, place)
            for place in range(len(self._names))
            if one.pixels[place]
        ]
        parts += [
            f"{name}: {word}"
            for name, word in zip(self._labels, one.words, strict=False)
            if word
        ]
        return ", ".join(parts) or ("no class is present" if self._names else "")

    def _mask(self, one: ExampleFacts, place: int) -> str:
        area = one.area(place)
        size = f"{one.pixels[place]} pixels" if area is None else f"{area:.4g} mm²"
        return f"{self._names[place]} {size}"
