"""Who may ask, and what browsers are told: token, cookie, headers, prefix."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from typing import Any

import flask

from tfdicom.serving.errors import ApiError, wants_page
from tfdicom.serving.serve_options import PREFIX, ServeOptions, is_own_host

COOKIE = "tfdicom_session"
#: Endpoints that answer without a token: nothing of a data set is there.
OPEN_ENDPOINTS = ("api.healthz", "login.login", "static")

#: No inline script or style, nothing from elsewhere, no frame around it.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: "
    "data:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
#: Of every answer.
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_SCHEME = "Bearer "
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::[0-9]*)?")


def cookie_value(token: str) -> str:
    """What the cookie of a browser holds that logged in: not the token itself."""
    key, text = token.encode(), b"tfdicom browser session"
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def is_allowed(token: str | None, request: flask.Request) -> bool:
    """Whether a request shows the token, or a cookie that was given for it."""
    if token is None:
        return True
    shown = request.headers.get("Authorization", "")
    if shown[: len(_SCHEME)].lower() == _SCHEME.lower():
        return same(shown[len(_SCHEME) :].strip(), token)
    return same(request.cookies.get(COOKIE, ""), cookie_value(token))


def same(shown: str, wanted: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(shown.encode(), wanted.encode())


def is_known_host(options: ServeOptions, shown: str | None) -> bool:
    """Whether a request names this server as somebody who may ask does.

    Without a token the pages of an attacker's site could ask as well, when its name
    leads to this machine (DNS rebinding): such a name is what tells them.

    Args:
      options: How it is served.
      shown: The header ``Host``; browsers always send one.
    """
    if options.token is not None or shown is None:
        return True
    found = _HOST.fullmatch(shown.strip().lower())
    if found is None:
        return False
    name = found[1].strip("[]").rstrip(".")
    return is_own_host(name) or name in options.host_names


def install(app: flask.Flask, options: ServeOptions) -> None:
    """Lets an app ask for the token, and tell browsers what they may do."""

    @app.before_request
    def look_at_host() -> None:
        shown = flask.request.environ.get("HTTP_HOST")
        if not is_known_host(options, shown):
            raise ApiError(
                421,
                "unknown_host",
                f"this server is not called {str(shown)[:80]!r}",
                "ask for localhost, let the proxy say so as Host, or name the host in "
                "--allowed_hosts",
            )

    @app.before_request
    def ask_for_token() -> Any:
        endpoint = flask.request.endpoint
        if endpoint in OPEN_ENDPOINTS or is_allowed(options.token, flask.request):
            return None
        if _is_page(flask.request) and wants_page():
            return flask.redirect(flask.url_for("login.login"), 303)
        raise ApiError(
            401,
            "no_token",
            "the token is missing or wrong",
            "send it as the header 'Authorization: Bearer TOKEN'",
            headers={"WWW-Authenticate": 'Bearer realm="tfdicom"'},
        )

    @app.after_request
    def add_headers(response: flask.Response) -> flask.Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def _is_page(request: flask.Request) -> bool:
    return (request.endpoint or "").startswith("pages.")


class Prefixed:
    """WSGI middleware: lets an app work below a path prefix.

    Proxies either leave the prefix in the path or cut it off; both are understood. A
    prefix that the proxy says as ``X-Forwarded-Prefix`` is used if none was given.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], prefix: str) -> None:
        """Takes the app and the prefix, which may be empty."""
        self._app, self._prefix = app, prefix

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answers a request."""
        said = environ.get("HTTP_X_FORWARDED_PREFIX", "").rstrip("/")
        prefix = self._prefix or (said if PREFIX.fullmatch(said) else "")
        if prefix:
            path = environ.get("PATH_INFO", "")
            if path == prefix or path.startswith(prefix + "/"):
                environ["PATH_INFO"] = path[len(prefix) :] or "/"
            environ["SCRIPT_NAME"] = prefix
        return self._app(environ, start_response)
