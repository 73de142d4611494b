"""The OpenAPI document, made from the table of routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfdicom.serving import answers
from tfdicom.serving.routes import Route
from tfdicom.version import VERSION

_ERRORS = {
    400: "A parameter is unknown or not allowed.",
    401: "The token is missing or wrong.",
    404: "There is no such data set, split, example or series.",
    421: "Host is no name of this server.",
    413: "More is asked for than the server gives at once.",
    429: "This client asks too often; Retry-After says when to ask again.",
    503: "The server is busy, or the data set has changed; Retry-After says when to "
    "ask again.",
    500: "A record is damaged (code damaged), or the server failed; its log says why.",
}
_EVERYWHERE = (400, 429)


def document(routes: Sequence[Route], *, server: str, with_token: bool) -> dict:
    """The document.

    Args:
      routes: All routes.
      server: Where they are, as a path: the prefix, or ``/``.
      with_token: Whether a token is wanted.
    """
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "tfdicom",
            "version": VERSION,
            "description": "DICOM images with annotations: examples and batches.",
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "paths": {one.path: _path(one, with_token) for one in routes},
        "components": {"schemas": {"Error": answers.ERROR}},
    }
    if with_token:
        scheme = {"type": "http", "scheme": "bearer"}
        found["components"]["securitySchemes"] = {"token": scheme}
        found["security"] = [{"token": []}]
    return found


def _path(route: Route, with_token: bool) -> dict[str, Any]:
    codes = [*_EVERYWHERE, *route.errors, 500]
    if not with_token:
        codes.append(421)
    elif not route.open:
        codes.append(401)
    responses: dict[str, Any] = {"200": _success(route)}
    for code in sorted(codes):
        responses[str(code)] = {
            "description": _ERRORS[code],
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/Error"},
                }
            },
        }
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [one.to_openapi() for one in route.parameters],
        "responses": responses,
    }
    if route.open:
        operation["security"] = []
    return {"get": operation}


def _success(route: Route) -> dict[str, Any]:
    binary = {"type": "string", "format": "binary"}
    found: dict[str, Any] = {
        "description": route.summary,
        "content": {
            kind: {"schema": schema if schema is not None else binary}
            for kind, schema in route.answers.items()
        },
    }
    if route.headers:
        found["headers"] = {
            name: {"description": words, "schema": {"type": "string"}}
            for name, words in route.headers.items()
        }
    return found
