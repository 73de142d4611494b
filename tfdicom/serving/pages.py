"""The pages for browsers."""

from __future__ import annotations

import flask

blueprint = flask.Blueprint("pages", __name__)


@blueprint.get("/")
def browse() -> str:
    """The first page: examples to browse and search."""
    return flask.render_template("browse.html")
