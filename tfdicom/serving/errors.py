"""Errors as JSON, ``{"error": {"code", "message", "hint"}}``: no path, no trace."""

from __future__ import annotations

import logging
from typing import Any

import flask
from werkzeug.exceptions import HTTPException

_LOG = logging.getLogger("tfdicom.serving")

_WORDS = {
    404: ("not_found", "there is nothing at this address", "see /openapi.json"),
    413: ("too_large", "the request has a body that is too large", ""),
}


class ApiError(Exception):
    """An answer that is an error.

    Attributes:
      status: HTTP status code.
      code: A word for programs.
      message: What was wrong, in words.
      hint: What to do; may be empty.
      headers: Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        hint: str = "",
        *,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Takes the attributes."""
        super().__init__(message)
        self.status, self.code, self.message, self.hint = status, code, message, hint
        self.headers = headers or {}


def busy(message: str, *, seconds: int = 1) -> ApiError:
    """503: to be asked again after so many seconds."""
    return ApiError(
        503,
        "busy",
        message,
        "ask again after the seconds that Retry-After says",
        headers={"Retry-After": str(seconds)},
    )


def error_response(error: ApiError) -> flask.Response:
    """The answer that says an error."""
    fields = {"code": error.code, "message": error.message, "hint": error.hint}
    response = flask.jsonify({"error": fields})
    response.status_code = error.status
    response.headers.update(error.headers)
    return response


def wants_page() -> bool:
    """Whether who asks is a browser, which says that it takes HTML."""
    return "text/html" in flask.request.headers.get("Accept", "")


def problem(error: ApiError) -> Any:
    """An error at a page: a page for browsers, JSON for programs."""
    if not wants_page():
        return error_response(error)
    page = flask.render_template("problem.html", error=error, chosen=None)
    return page, error.status, error.headers


def page_failed(error: Exception) -> Any:
    """What nobody foresaw, at a page."""
    return problem(_unexpected(error))


def install(app: flask.Flask) -> None:
    """Lets every error of an app be answered, as JSON unless it is that of a page."""
    app.register_error_handler(ApiError, error_response)
    app.register_error_handler(HTTPException, _of_flask)
    app.register_error_handler(
        Exception, lambda error: error_response(_unexpected(error))
    )


def _of_flask(error: HTTPException) -> Any:
    if error.code is None or error.code < 400:  # a redirection
        return error
    code, message, hint = _WORDS.get(
        error.code, (error.name.lower().replace(" ", "_"), error.name, "")
    )
    found = ApiError(error.code, code, message, hint)
    # At an address of nothing: one of a page that somebody typed, or a program's.
    return (problem if flask.request.endpoint is None else error_response)(found)


def _unexpected(error: Exception) -> ApiError:
    _LOG.error("%s: %s", flask.request.path, error, exc_info=error)
    return ApiError(
        500,
        "failed",
        "the server failed at this request",
        "its log says why; tfdicom_inspect verify finds damage of a data set",
    )
