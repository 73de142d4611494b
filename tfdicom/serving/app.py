"""The WSGI application."""

from __future__ import annotations

import atexit
import logging
import mmap
import time

import flask

from tfdicom.serving import api, errors, login, pages, security, warming
from tfdicom.serving.data_sets import Served
from tfdicom.serving.limits import Gate, Rate
from tfdicom.serving.metrics import Metrics
from tfdicom.serving.room import Room
from tfdicom.serving.routes import routes
from tfdicom.serving.serve_options import ServeOptions

_LONGEST_BODY = 4096  # bytes: a login form
_LONGEST_QUERY = 4096


def create_app(
    options: ServeOptions,
    *,
    table: mmap.mmap | None = None,
    row: int = 0,
    may_wait: bool = False,
) -> flask.Flask:
    """Makes the application of one process.

    ``app.extensions["tfdicom"]`` is its ``Served``: options, data sets by name, tools.

    Args:
      options: How to serve.
      table: Of ``metrics.table_for``, where several processes count together.
      row: Number of this process among them.
      may_wait: Whether a data set that cannot be read now is tried again at each
        request, instead of raising: it may just be written.

    Raises:
      FileNotFoundError: There is no data set.
      ValueError: A data set cannot be read, or none is named.
    """
    app = flask.Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = _LONGEST_BODY
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = False
    served = Served(options)
    try:
        served.open()
    except (OSError, ValueError) as error:
        if not may_wait:
            raise
        logging.getLogger("tfdicom.serving").error("%s", error)
    atexit.register(served.close)
    table_of_routes = routes(options)
    served.tools.update(
        routes=table_of_routes,
        metrics=Metrics([one.name for one in table_of_routes], table=table, row=row),
        gate=Gate(options.max_batches_at_once, options.queue_seconds),
        room=Room(options.max_memory_mb << 20),
        rate=Rate(options.max_requests_per_second),
    )
    app.extensions["tfdicom"] = served
    _measure(app, served)
    security.install(app, options)
    errors.install(app)
    app.register_blueprint(api.blueprint(served))
    app.register_blueprint(login.blueprint)
    app.register_blueprint(pages.blueprint)
    app.wsgi_app = security.Prefixed(app.wsgi_app, options.url_prefix)  # type: ignore[method-assign]
    if options.warm_up:
        warming.start(served)
    return app


def _refuse_other_methods(request: flask.Request) -> None:
    """Only GET and HEAD, and the POST of the login page."""
    allowed = ["GET", "HEAD"]
    if request.endpoint == "login.login":
        allowed.append("POST")
    if request.method not in allowed:
        raise errors.ApiError(
            405,
            "method_not_allowed",
            f"only {', '.join(allowed)} are answered here",
            headers={"Allow": ", ".join(allowed)},
        )


def _measure(app: flask.Flask, served: Served) -> None:
    """Counts requests, and refuses what is too long or too often."""
    figures: Metrics = served.tools["metrics"]

    @app.before_request
    def begin() -> None:
        flask.g.began = time.perf_counter()
        figures.add("requests_in_progress")
        _refuse_other_methods(flask.request)
        if len(flask.request.query_string) > _LONGEST_QUERY:
            raise errors.ApiError(
                400, "too_long", f"the query is longer than {_LONGEST_QUERY} bytes"
            )
        if flask.request.endpoint != "api.healthz":
            served.tools["rate"].take(flask.request.remote_addr or "")

    @app.after_request
    def end(response: flask.Response) -> flask.Response:
        seconds = time.perf_counter() - flask.g.get("began", time.perf_counter())
        name = (flask.request.endpoint or "").removeprefix("api.")
        figures.answered(name, response.status_code, seconds)
        figures.add("sent_bytes_total", response.content_length or 0)
        return response

    @app.teardown_request
    def forget(error: BaseException | None) -> None:
        figures.add("requests_in_progress", -1)
