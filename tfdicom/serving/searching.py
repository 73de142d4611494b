"""Which examples of a catalog a question is after, and in which order."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable

import numpy as np

from tfdicom.serving.catalog import Catalog
from tfdicom.serving.errors import ApiError

_SMALL = 32  # hexadecimal digits of a key


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """What to look for; None for anything. See the route ``/v1/examples``."""

    split: str | None = None
    patient: str | None = None
    series: str | None = None
    shows: str | None = None
    finding: str | None = None
    label: str | None = None
    q: str | None = None
    sort: str = "order"


def search(
    catalog: Catalog, classes: tuple[str, ...], labels: tuple[str, ...], asked: Question
) -> np.ndarray:
    """Places of the examples that are asked for, in the order that is asked for.

    Args:
      catalog: What there is.
      classes: Names of the data set's classes.
      labels: Names of its labels.
      asked: The question.

    Raises:
      ApiError: 404: there is no such split, class, finding or label.
    """
    chosen = np.ones(len(catalog), bool)
    if asked.split is not None:
        chosen &= _in_splits(catalog, asked.split)
    for column, begin in (("patient", asked.patient), ("series", asked.series)):
        if begin is not None:
            chosen &= _of_words(
                catalog, column, functools.partial(_begins, begin=begin)
            )
    if asked.shows is not None:
        chosen &= _showing(catalog, classes, asked.shows)
    if asked.finding is not None:
        chosen &= _with_finding(catalog, asked.finding)
    if asked.label is not None:
        chosen &= _with_label(catalog, labels, asked.label)
    for word in (asked.q or "").lower().split():
        chosen &= _matching(catalog, classes, labels, word)
    return _sorted(catalog, np.flatnonzero(chosen), asked.sort)


def _begins(word: str, begin: str) -> bool:
    return word.startswith(begin)


def _in_splits(catalog: Catalog, text: str) -> np.ndarray:
    numbers = [
        _place("split", name.strip(), catalog.splits) for name in text.split("+")
    ]
    return np.isin(catalog.split, numbers)


def _place(kind: str, name: str, known: Iterable[str]) -> int:
    names = list(known)
    if name not in names:
        raise ApiError(
            404,
            f"no_{kind}",
            f"there is no {kind} {name[:80]!r}",
            f"there is {', '.join(names) or 'none'}",
        )
    return names.index(name)


def _of_words(
    catalog: Catalog, column: str, wanted: Callable[[str], bool]
) -> np.ndarray:
    """Examples whose text in a column is one that is wanted."""
    words = list(catalog.facts.words[column])
    fits = np.array([wanted(word) for word in words] + [False])
    return fits[getattr(catalog.facts, column)]  # -1 is the last


def _showing(catalog: Catalog, classes: tuple[str, ...], text: str) -> np.ndarray:
    place = _place("class", text.removeprefix("!"), classes)
    present = catalog.present[:, place]
    if text.startswith("!"):
        absent: np.ndarray = catalog.annotated[:, place] > present
        return absent
    return present


def _with_finding(catalog: Catalog, code: str) -> np.ndarray:
    if code == "any":
        return np.greater(catalog.findings.sum(axis=1), 0)
    return catalog.findings[:, _place("finding", code, catalog.finding_codes)]


def _with_label(catalog: Catalog, labels: tuple[str, ...], text: str) -> np.ndarray:
    name, _, value = text.partition("=")
    number = _place("label", name, labels)
    words = [*catalog.facts.words[f"label {name}"], None]
    fits = np.array([word == value for word in words], bool)
    return fits[catalog.facts.labels[:, number]]


def _matching(
    catalog: Catalog, classes: tuple[str, ...], labels: tuple[str, ...], word: str
) -> np.ndarray:
    """Examples of which any text has a word in it."""
    found = np.zeros(len(catalog), bool)
    if len(word) <= _SMALL and set(word) <= set("0123456789abcdef"):
        found |= np.char.startswith(catalog.keys, word.encode())
    for column in catalog.facts.TEXTS:
        found |= _of_words(catalog, column, lambda text: word in text.lower())
    splits = [n for n, name in enumerate(catalog.splits) if word in name.lower()]
    found |= np.isin(catalog.split, splits)
    for number, name in enumerate(classes):
        if word in name.lower():
            found |= catalog.present[:, number]
    for number, code in enumerate(catalog.finding_codes):
        if word in code.lower():
            found |= catalog.findings[:, number]
    for number, name in enumerate(labels):
        texts = list(catalog.facts.words[f"label {name}"])
        fits = np.array([word in text.lower() for text in texts] + [False], bool)
        found |= fits[catalog.facts.labels[:, number]]
    return found


def _sorted(catalog: Catalog, places: np.ndarray, sort: str) -> np.ndarray:
    name = sort.removeprefix("-")
    if name == "order":
        return places[::-1] if sort.startswith("-") else places
    values = _values(catalog, name)[places]
    if sort.startswith("-"):
        # Equal ones stay in the data set's order.
        values = np.unique(values, return_inverse=True)[1] * -1
    return places[np.argsort(values, kind="stable")]


def _values(catalog: Catalog, name: str) -> np.ndarray:
    if name == "key":
        return catalog.keys
    if name == "area":
        return np.maximum(catalog.facts.pixels, 0).sum(axis=1)
    if name == "findings":
        return catalog.findings.sum(axis=1)
    return catalog.facts.slice_index
