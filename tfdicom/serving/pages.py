"""The pages for browsers: what they show comes from the handlers of the API."""

from __future__ import annotations

from typing import Any

import flask

from tfdicom.augment.presets import PRESETS
from tfdicom.serving import api, browsing, statistics_page
from tfdicom.serving.data_sets import Served
from tfdicom.serving.errors import ApiError, page_failed, problem
from tfdicom.serving.parameters import Parameter, read_query
from tfdicom.serving.route_parameters import DATASET
from tfdicom.serving.served import ServedDataSet

blueprint = flask.Blueprint("pages", __name__)
blueprint.register_error_handler(ApiError, problem)
blueprint.register_error_handler(Exception, page_failed)

_MENU = (("pages.browse", "Examples"), ("pages.statistics", "Statistics"))
_PICTURE = 200  # screen pixels, of the pictures of an augmentation


def _number(name: str, default: int, lower: int, upper: int) -> Parameter:
    return Parameter(
        name=name, doc="", kind=int, default=default, lower=lower, upper=upper
    )


_AUGMENTED = (
    DATASET,
    Parameter(name="preset", doc="", choices=tuple(PRESETS), default="standard"),
    Parameter(name="changes", doc=""),
    _number("seed", 0, 0, 2**31 - 1),
    _number("epoch", 0, 0, 2**31 - 1),
    _number("seeds", 3, 1, 8),
    _number("epochs", 4, 1, 12),
)


@blueprint.get("/")
def browse() -> str:
    """The first page: examples to browse and search."""
    served = _served()
    asked = _query(browsing.parameters())
    one = served.data_set(asked["dataset"])
    found = api.examples(served, asked)
    return _page(
        "browse.html",
        one,
        asked["dataset"],
        asked=asked,
        found=found,
        page=browsing.page(found, asked),
        cards=[browsing.card(one, row, asked) for row in found["examples"]],
        choices=browsing.choices(one),
        classes=browsing.class_colors(one),
        thumbnail=browsing.THUMBNAIL,
    )


@blueprint.get("/examples/<key>")
def example(key: str) -> str:
    """One example, to look at: its pixels are drawn by the browser."""
    one, chosen = _data_set_of(key, _query((DATASET,), or_more=True))
    link = flask.url_for(
        "api.example_png", key=key, dataset=chosen, mask=0.35, contours=1
    )
    return _page("example.html", one, chosen, key=key, picture=link)


@blueprint.get("/examples/<key>/augmented")
def augmented(key: str) -> str:
    """One example under several seeds and epochs of augmentation."""
    asked = _query(_AUGMENTED)
    one, chosen = _data_set_of(key, asked)
    text = ",".join(filter(None, (asked["preset"], asked["changes"])))
    epochs = range(asked["epoch"], asked["epoch"] + asked["epochs"])
    seeds = range(asked["seed"], asked["seed"] + asked["seeds"])

    def link(seed: int, epoch: int) -> str:
        return flask.url_for(
            "api.augmented",
            key=key,
            dataset=chosen,
            augment=text,
            seed=seed,
            epoch=epoch,
            size=_PICTURE,
        )

    original = flask.url_for(
        "api.example_png", key=key, dataset=chosen, mask=0.3, size=_PICTURE
    )
    limits = {one.name: (one.lower, one.upper) for one in _AUGMENTED}
    return _page(
        "augmented.html",
        one,
        chosen,
        key=key,
        asked=asked,
        text=text,
        epochs=epochs,
        rows=[
            (seed, [(epoch, link(seed, epoch)) for epoch in epochs]) for seed in seeds
        ],
        presets=[(name, name) for name in PRESETS],
        limits=limits,
        original=original,
        size=_PICTURE,
    )


@blueprint.get("/statistics")
def statistics() -> str:
    """Figures and charts of a data set."""
    served = _served()
    asked = _query((DATASET,))
    one = served.data_set(asked["dataset"])
    known = api.statistics(served, asked)
    return _page(
        "statistics.html",
        one,
        asked["dataset"],
        figures=statistics_page.figures(known),
        charts=statistics_page.charts(one, known),
        findings=known["findings"],
        frames=[
            (name, frame)
            for name, split in known["splits"].items()
            for frame in split["frames"]
        ],
    )


def _served() -> Served:
    return flask.current_app.extensions["tfdicom"]


def _query(known: tuple[Parameter, ...], *, or_more: bool = False) -> dict[str, Any]:
    """The values of the query; forms send fields that are empty as if not given."""
    names = {one.name for one in known}
    pairs = flask.request.args.items(multi=True)
    given = [(name, text) for name, text in pairs if text.strip()]
    if or_more:  # how the browser draws it
        given = [(name, text) for name, text in given if name in names]
    return read_query(known, given)


def _data_set_of(key: str, asked: dict[str, Any]) -> tuple[ServedDataSet, str | None]:
    """The data set that holds an example, and the name that was given for it.

    Raises:
      ApiError: 404: there is none. 500: its record is damaged.
    """
    one = _served().data_set(asked["dataset"])
    one.record(one.place_of(key))
    return one, asked["dataset"]


def _page(template: str, one: ServedDataSet, chosen: str | None, **values: Any) -> str:
    return flask.render_template(
        template,
        data_set=one,
        data_sets=_served().names,
        chosen=chosen,
        pages=_MENU,
        **values,
    )
