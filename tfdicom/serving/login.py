"""The page on which a browser shows the token once, and gets a cookie for it."""

from __future__ import annotations

from typing import Any

import flask

from tfdicom.serving import security

blueprint = flask.Blueprint("login", __name__)


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> Any:
    """Shows the form; with the right token, sends on to the first page."""
    token = flask.current_app.extensions["tfdicom"].options.token
    if token is None:
        return flask.redirect(flask.url_for("pages.browse"), 303)
    wrong = False
    if flask.request.method == "POST":
        shown = flask.request.form.get("token", "").strip()
        if security.same(shown, token):
            response = flask.redirect(flask.url_for("pages.browse"), 303)
            response.set_cookie(
                security.COOKIE,
                security.cookie_value(token),
                httponly=True,
                samesite="Strict",
                secure=_is_https(),
                path=flask.request.script_root or "/",
            )
            return response
        wrong = True
    page = flask.render_template("login.html", wrong=wrong)
    return page, (401 if wrong else 200)


def _is_https() -> bool:
    said = flask.request.headers.get("X-Forwarded-Proto", "")
    return flask.request.is_secure or said.split(",")[0].strip() == "https"
