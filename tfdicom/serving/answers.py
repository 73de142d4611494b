"""JSON schemas of the answers, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_WHOLE: Schema = {"type": "integer"}
_NUMBER: Schema = {"type": "number"}
_YES_NO: Schema = {"type": "boolean"}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _map(of: Schema) -> Schema:
    return {"type": "object", "additionalProperties": of}


def _or_null(of: Schema) -> Schema:
    return {"anyOf": [of, {"type": "null"}]}


def _object(**fields: Schema) -> Schema:
    """An object with these fields, all of them, and no other."""
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


_KEY: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}

ERROR = _object(error=_object(code=_TEXT, message=_TEXT, hint=_TEXT))
HEALTH = _object(status={"type": "string", "enum": ["ok"]}, version=_TEXT)

DATASETS = _object(
    datasets=_list(
        _object(
            name=_TEXT,
            examples=_COUNT,
            patients=_COUNT,
            splits=_map(_object(examples=_COUNT, patients=_COUNT)),
            classes=_list(_object(name=_TEXT, expression=_TEXT)),
            labels=_list(_object(name=_TEXT, kind=_TEXT, words=_list(_TEXT))),
            findings=_map(_COUNT),
            shapes=_list(_list(_COUNT)),
            modalities=_list(_TEXT),
            facts_complete=_YES_NO,
        )
    )
)

_SEEN = _object(annotated=_YES_NO, present=_YES_NO, pixels=_or_null(_COUNT))
_ROW = _object(
    key=_KEY,
    split=_TEXT,
    patient=_TEXT,
    series=_TEXT,
    modality=_TEXT,
    shape=_list(_COUNT),
    slice_index=_or_null(_WHOLE),
    phase_index=_or_null(_WHOLE),
    classes=_map(_SEEN),
    findings=_list(_TEXT),
    labels=_map(_TEXT),
    damaged=_YES_NO,
)
EXAMPLES = _object(
    dataset=_TEXT,
    total=_COUNT,
    offset=_COUNT,
    facts_complete=_YES_NO,
    examples=_list(_ROW),
)
HISTORY = _object(dataset=_TEXT, key=_KEY, lines=_list(_list(_TEXT)))
SERIES = _object(
    dataset=_TEXT,
    series=_TEXT,
    patient=_TEXT,
    split=_TEXT,
    keys=_list(_KEY),
    slices=_list(_or_null(_COUNT)),
    phases=_list(_or_null(_COUNT)),
)

_STATISTICS_OF_PIXELS = _or_null(
    {
        "type": "object",
        "properties": {"percentiles": _map(_NUMBER)},
        "additionalProperties": _NUMBER,
    }
)
EXAMPLE = _object(
    dataset=_TEXT,
    key=_KEY,
    split=_TEXT,
    kind=_TEXT,
    patient=_TEXT,
    study=_TEXT,
    series=_TEXT,
    instance=_TEXT,
    frame_number=_COUNT,
    image={"type": "object"},
    geometry={"type": "object"},
    statistics=_object(image=_STATISTICS_OF_PIXELS, series=_STATISTICS_OF_PIXELS),
    classes=_list(
        _object(
            name=_TEXT,
            expression=_TEXT,
            annotated=_YES_NO,
            pixels=_COUNT,
            area_mm2=_or_null(_NUMBER),
            bounding_box=_or_null(_list(_COUNT)),
            color=_TEXT,
        )
    ),
    contours=_list(
        _object(
            structure=_TEXT,
            role=_TEXT,
            color=_TEXT,
            centres_on_path=_or_null(_COUNT),
            points=_list(_list(_NUMBER)),
        )
    ),
    rules={"type": "object"},
    labels=_map(_TEXT),
    patient_facts={"type": "object"},
    findings=_list(_object(code=_TEXT, sentence=_TEXT)),
    neighbours=_object(
        index=_COUNT,
        count=_COUNT,
        previous=_or_null(_KEY),
        next=_or_null(_KEY),
    ),
)

STATISTICS = _object(
    dataset=_TEXT,
    examples=_COUNT,
    patients=_COUNT,
    splits=_map(
        _object(
            examples=_COUNT,
            patients=_COUNT,
            classes=_map(_object(annotated=_COUNT, positive=_COUNT, pixels=_COUNT)),
            intensities=_map(_STATISTICS_OF_PIXELS),
            frames=_list({"type": "object"}),
            pixel_spacing=_or_null(_list(_NUMBER)),
            labels=_map({"type": "object"}),
        )
    ),
    ledger=_map(_map(_COUNT)),
    findings=_list(_object(code=_TEXT, sentence=_TEXT, count=_COUNT)),
    versions=_map(_TEXT),
)

_ARRAY = _object(dtype=_TEXT, shape=_list(_COUNT), data={})
BATCH = _object(
    dataset=_TEXT, split=_TEXT, step=_COUNT, epoch=_COUNT, arrays=_map(_ARRAY)
)
