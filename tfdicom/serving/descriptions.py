"""Examples and data sets as the values that become JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfdicom import example_history, files
from tfdicom.contact_sheet import COLORS
from tfdicom.example_schema import FrameExample
from tfdicom.intensity_statistics import PERCENTILES, IntensityStatistics
from tfdicom.manifest import LEDGER, ClassInfo, SplitInfo, ledger_of
from tfdicom.reasons import FINDINGS
from tfdicom.serving.json_values import plain
from tfdicom.serving.served import ServedDataSet

_OTHER_COLOR = "#ffffff"
_IMAGE = (
    *("shape", "dtype", "rescale_slope", "rescale_intercept", "units"),
    *("photometric_interpretation", "padding", "modality", "manufacturer", "model"),
    *("field_strength", "suv_factor", "window"),
)
_GEOMETRY = (
    *("pixel_spacing", "slice_spacing", "position", "orientation", "slice_index"),
    *("slice_count", "phase_index", "phase_count", "trigger_time"),
    "acquisition_group",
)
_RULES = ("edge_rule", "hole_rule", "contour_origin", "contour_shift", "rater")
_PATIENT = ("age_band", "sex", "weight", "study_date", "acquisition_date")


def color_of(number: int) -> str:
    """Colour of the class of that number, as CSS writes it."""
    red, green, blue = COLORS[number % len(COLORS)]
    return f"#{red:02x}{green:02x}{blue:02x}"


def data_set(one: ServedDataSet) -> dict[str, Any]:
    """What ``/v1/datasets`` says of a data set."""
    whole, catalog = one.manifest, one.catalog
    frames = [frame for split in whole.splits.values() for frame in split.frames]
    counts = catalog.findings.sum(axis=0)
    return {
        "name": one.name,
        "examples": len(catalog),
        "patients": _patients(whole.splits.values()),
        "splits": {
            name: {"examples": split.examples, "patients": len(split.patients)}
            for name, split in whole.splits.items()
        },
        "classes": [_class(info) for info in whole.classes],
        "labels": [
            {"name": label.name, "kind": label.kind, "words": list(label.vocabulary)}
            for label in whole.labels
        ],
        "findings": {
            code: int(count)
            for code, count in zip(catalog.finding_codes, counts, strict=True)
        },
        "shapes": sorted({frame.shape for frame in frames}),
        "modalities": sorted({frame.modality for frame in frames}),
        "facts_complete": catalog.facts.complete,
    }


def _class(info: ClassInfo) -> dict[str, Any]:
    return {"name": info.name, "expression": info.expression}


def _patients(splits: Any) -> int:
    return len({patient for split in splits for patient in split.patients})


def row(one: ServedDataSet, place: int) -> dict[str, Any]:
    """What a search says of an example."""
    is_known = one.learn(place)
    catalog, facts = one.catalog, one.catalog.facts
    seen = zip(
        one.manifest.class_names,
        catalog.annotated[place].tolist(),
        catalog.present[place].tolist(),
        facts.pixels[place].tolist(),
        strict=True,
    )
    index, phase = int(facts.slice_index[place]), int(facts.phase_index[place])
    return {
        "key": catalog.keys[place].decode(),
        "split": one.split_of(place),
        "patient": facts.text("patient", place),
        "series": facts.text("series", place),
        "modality": facts.text("modality", place),
        "shape": [
            int(getattr(facts, name)[place])
            for name in (("rows", "columns", "samples") if is_known else ())
        ],
        "slice_index": index if index >= 0 else None,
        "phase_index": phase if phase >= 0 else None,
        "classes": {
            name: {
                "annotated": annotated,
                "present": present,
                "pixels": pixels if pixels >= 0 else None,
            }
            for name, annotated, present, pixels in seen
        },
        "findings": findings_of(one, place),
        "labels": facts.label_texts(place),
        "damaged": bool(facts.damaged[place]),
    }


def findings_of(one: ServedDataSet, place: int) -> list[str]:
    """Codes of the findings of an example."""
    flags = np.flatnonzero(one.catalog.findings[place])
    return [one.catalog.finding_codes[number] for number in flags]


def example(one: ServedDataSet, place: int) -> dict[str, Any]:
    """All that a record says, but for pixels and planes."""
    found = one.example(place)
    around = one.series_around(place)
    index = place - int(around[0])
    keys = [one.catalog.keys[other].decode() for other in around]
    return {
        "dataset": one.name,
        "key": found.key,
        "split": one.split_of(place),
        "kind": found.kind,
        **{name: getattr(found, name) for name in ("patient", "study", "series")},
        "instance": found.instance,
        "frame_number": found.frame_number,
        "image": _fields(found, _IMAGE),
        "geometry": _fields(found, _GEOMETRY),
        "statistics": {
            "image": _figures(found.image_statistics),
            "series": _figures(found.series_statistics),
        },
        "classes": _classes(found),
        "contours": _contours(found),
        "rules": _fields(found, _RULES),
        "labels": dict(
            zip(found.label_names or (), found.label_values or (), strict=True)
        ),
        "patient_facts": _fields(found, _PATIENT),
        "findings": [
            {"code": code, "sentence": FINDINGS.get(code, "")}
            for code in findings_of(one, place)
        ],
        "neighbours": {
            "index": index,
            "count": len(keys),
            "previous": keys[index - 1] if index else None,
            "next": keys[index + 1] if index + 1 < len(keys) else None,
        },
    }


def _fields(found: FrameExample, names: Sequence[str]) -> dict[str, Any]:
    """Those that are there; what is absent is not mentioned."""
    values = {name: getattr(found, name) for name in names}
    return {name: plain(value) for name, value in values.items() if value is not None}


def _figures(values: Sequence[float] | None) -> dict[str, Any] | None:
    """Statistics of a record by name."""
    if values is None or not np.isfinite(values).all():
        return None
    names = ("mean", "deviation", "minimum", "maximum")
    figures: dict[str, Any] = dict(zip(names, values, strict=False))
    percentiles = zip(PERCENTILES, values[len(names) :], strict=True)
    figures["percentiles"] = {f"{percent:g}": value for percent, value in percentiles}
    return figures


def _classes(found: FrameExample) -> list[dict[str, Any]]:
    boxes = np.reshape(found.bounding_box, (-1, 4)).tolist()
    area = math.prod(found.pixel_spacing) if found.pixel_spacing else None
    seen = zip(
        found.classes,
        found.class_expressions,
        found.annotated,
        found.pixel_count,
        boxes,
        strict=True,
    )
    return [
        {
            "name": name,
            "expression": expression,
            "annotated": bool(annotated),
            "pixels": pixels,
            "area_mm2": None if area is None else pixels * area,
            "bounding_box": box if pixels else None,
            "color": color_of(number),
        }
        for number, (name, expression, annotated, pixels, box) in enumerate(seen)
    ]


def _contours(found: FrameExample) -> list[dict[str, Any]]:
    terms = list(found.class_expressions)
    lines = []
    for number, (structure, points) in enumerate(found.contours):
        is_class = structure in terms
        roles, centres = found.contour_roles, found.contour_centres_on_path
        lines.append(
            {
                "structure": structure,
                "role": roles[number] if roles else "",
                "color": color_of(terms.index(structure)) if is_class else _OTHER_COLOR,
                "centres_on_path": centres[number] if centres else None,
                "points": points.round(4).tolist(),
            }
        )
    return lines


def series(one: ServedDataSet, place: int) -> dict[str, Any]:
    """What ``/v1/series`` says, of the series of an example."""
    around = one.series_around(place)
    for other in around:
        one.learn(int(other))
    facts = one.catalog.facts
    return {
        "dataset": one.name,
        "series": facts.text("series", place),
        "patient": facts.text("patient", place),
        "split": one.split_of(place),
        "keys": [one.catalog.keys[other].decode() for other in around],
        "slices": _known(facts.slice_index[around]),
        "phases": _known(facts.phase_index[around]),
    }


def _known(numbers: np.ndarray) -> list[int | None]:
    return [number if number >= 0 else None for number in numbers.tolist()]


def history(one: ServedDataSet, place: int) -> dict[str, Any]:
    """What ``/v1/examples/{key}/history`` says."""
    found = one.example(place)
    ledger = []
    if files.exists(one.folder / LEDGER):
        ledger = ledger_of(one.folder, found.key)
    lines = example_history.history(found, ledger)
    return {
        "dataset": one.name,
        "key": found.key,
        "lines": [list(line) for line in lines],
    }


def statistics(one: ServedDataSet) -> dict[str, Any]:
    """What ``/v1/statistics`` says."""
    whole = one.manifest
    counts = one.catalog.findings.sum(axis=0)
    return {
        "dataset": one.name,
        "examples": len(one.catalog),
        "patients": _patients(whole.splits.values()),
        "splits": {name: _split(split) for name, split in whole.splits.items()},
        "ledger": whole.ledger,
        "findings": [
            {"code": code, "sentence": FINDINGS.get(code, ""), "count": int(count)}
            for code, count in zip(one.catalog.finding_codes, counts, strict=True)
        ],
        "versions": whole.versions,
    }


def _split(split: SplitInfo) -> dict[str, Any]:
    return {
        "examples": split.examples,
        "patients": len(split.patients),
        "classes": {
            name: dataclasses.asdict(one) for name, one in split.classes.items()
        },
        "intensities": {
            name: _intensities(one) for name, one in split.intensities.items()
        },
        "frames": [
            {**dataclasses.asdict(frame), "shape": list(frame.shape)}
            for frame in split.frames
        ],
        "pixel_spacing": plain(split.pixel_spacing),
        "labels": {name: dataclasses.asdict(one) for name, one in split.labels.items()},
    }


def _intensities(found: IntensityStatistics | None) -> dict[str, Any] | None:
    return None if found is None else _figures(found.to_floats())
