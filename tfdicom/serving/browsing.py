"""What the first page shows: filters to choose from, cards, links to other pages."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import flask

from tfdicom.serving import descriptions
from tfdicom.serving.parameters import Parameter
from tfdicom.serving.route_parameters import searching
from tfdicom.serving.served import ServedDataSet

#: Side of the pictures, screen pixels.
THUMBNAIL = 176
_PER_PAGE = 48
_SHORT = 8  # characters of a pseudonym
_MOST_CHOICES = 200

_ORDERS = (
    ("", "as in the data set"),
    ("-area", "largest masks first"),
    ("area", "smallest masks first"),
    ("-findings", "most findings first"),
    ("slice", "by slice"),
    ("key", "by key"),
)
_SHOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "both": ("masks and contours", {"mask": 0.35, "contours": 1}),
    "near": ("around the masks", {"mask": 0.35, "contours": 1, "crop": 1}),
    "contours": ("contours", {"contours": 1}),
    "image": ("image only", {}),
}


def parameters() -> tuple[Parameter, ...]:
    """What the page understands: a search of the API, and how it is shown."""
    found = {one.name: one for one in searching()}
    found["limit"] = dataclasses.replace(found["limit"], default=_PER_PAGE)
    found["show"] = Parameter(
        name="show", doc="", choices=tuple(_SHOWN), default="both"
    )
    return tuple(found.values())


def choices(one: ServedDataSet) -> dict[str, list[tuple[str, str]]]:
    """Words and texts of each filter's options, with counts where they are known."""
    known = descriptions.data_set(one)
    splits = known["splits"].items()
    names = [info["name"] for info in known["classes"]]
    findings = known["findings"].items()
    return {
        "split": [
            ("", "any"),
            *((name, f"{name} ({split['examples']:,})") for name, split in splits),
        ],
        "class": [
            ("", "any"),
            *((name, name) for name in names),
            *((f"!{name}", f"no {name}") for name in names),
        ],
        "finding": [
            ("", "any or none"),
            *((("any", "at least one"),) if findings else ()),
            *((code, f"{code} ({count:,})") for code, count in findings),
        ],
        "label": _labels(one),
        "sort": list(_ORDERS),
        "show": [(word, text) for word, (text, _) in _SHOWN.items()],
    }


def _labels(one: ServedDataSet) -> list[tuple[str, str]]:
    """Values of labels, of which there may be none."""
    found = [
        f"{name}={value}"
        for name in one.label_names
        for value in sorted(one.catalog.facts.words[f"label {name}"])
        if value
    ]
    options = [(text, text.replace("=", ": ")) for text in found[:_MOST_CHOICES]]
    return [("", "any"), *options] if options else []


def class_colors(one: ServedDataSet) -> list[dict[str, str]]:
    """Name and colour of each class."""
    return [
        {"name": name, "color": descriptions.color_of(number)}
        for number, name in enumerate(one.manifest.class_names)
    ]


def card(
    one: ServedDataSet, row: Mapping[str, Any], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """What is shown of an example that was found.

    Args:
      one: Its data set.
      row: What the search says of it.
      asked: The values of the page's query.
    """
    key, dataset = row["key"], asked["dataset"]
    drawn = _SHOWN[asked["show"]][1]
    classes = [
        {"name": color["name"], "color": color["color"], "text": _size(color, row)}
        for color in class_colors(one)
        if row["classes"][color["name"]]["present"]
    ]
    where = _where(row)
    shows = ", ".join(seen["name"] for seen in classes) or "no class"
    return {
        "link": flask.url_for("pages.example", key=key, dataset=dataset),
        "picture": flask.url_for(
            "api.example_png", key=key, dataset=dataset, size=THUMBNAIL, **drawn
        ),
        "alt": f"{row['modality']} image, {where}: shows {shows}",
        "where": where,
        "split": row["split"],
        "patient": row["patient"][:_SHORT],
        "classes": classes,
        "findings": row["findings"],
        "damaged": row["damaged"],
    }


def _where(row: Mapping[str, Any]) -> str:
    parts = [
        f"{word} {row[name]}"
        for word, name in (("slice", "slice_index"), ("phase", "phase_index"))
        if row[name] is not None
    ]
    return ", ".join(parts) or f"key {row['key'][:_SHORT]}"


def _size(color: Mapping[str, str], row: Mapping[str, Any]) -> str:
    pixels = row["classes"][color["name"]]["pixels"]
    return color["name"] if pixels is None else f"{color['name']} {pixels:,} px"


def page(found: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Number of the page among all, and links to the others."""
    total, offset, limit = found["total"], asked["offset"], asked["limit"]
    count, number = max(math.ceil(total / limit), 1), offset // limit
    last = (count - 1) * limit
    before, after = max(offset - limit, 0), offset + limit
    steps = (
        ("First", "", 0 if offset else None),
        ("← Previous", "prev", before if offset else None),
        ("Next →", "next", after if after < total else None),
        ("Last", "", last if after < total else None),
    )
    shown = len(found["examples"])
    words = f"{total:,} example{'' if total == 1 else 's'}"
    if shown < total:
        words = f"{offset + 1:,} to {offset + shown:,} of {words}"
    return {
        "words": words,
        "number": f"{number + 1:,}",
        "count": f"{count:,}",
        "links": [
            (text, rel, None if to is None else _link(to)) for text, rel, to in steps
        ],
    }


def _link(offset: int) -> str:
    pairs = flask.request.args.to_dict()
    given: dict[str, Any] = {name: text for name, text in pairs.items() if text}
    given.pop("offset", None)
    return flask.url_for("pages.browse", **given, offset=offset or None)
