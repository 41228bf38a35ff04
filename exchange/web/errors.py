"""The only way an error becomes a response, and the page that explains each reason."""

from __future__ import annotations

import logging
import secrets
import traceback
from html import escape

import flask
from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException

from exchange.errors import REASONS, Refusal
from exchange.web.serving import snapshot
from exchange.web.token_response import json_response, refusal_response

log = logging.getLogger("exchange.web")

# Outside the closed set of reasons: these requests reached no endpoint, so nothing was attempted.
_HTTP_ERRORS = {
    404: (
        "not_found",
        "There is nothing here; see /.well-known/oauth-authorization-server for what there is.",
    ),
    405: ("method_not_allowed", "This endpoint does not take that method; see the Allow header."),
}


def install_error_handlers(app: Flask) -> None:
    """Register the handlers and the request id on ``app``."""
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)
    app.after_request(_name_the_request)


def request_id() -> str:
    """Return the id of this request: the attempt's, where there is one."""
    if "request_id" not in g:
        g.request_id = secrets.token_hex(16)
    found: str = g.request_id
    return found


def _name_the_request(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id()
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _refused(refusal: Refusal) -> Response:
    g.reason = refusal.reason.slug
    scheme = flask.request.headers.get("Authorization", "").partition(" ")[0]
    return refusal_response(
        refusal,
        request_id=request_id(),
        error_page=snapshot().urls.errors,
        basic_was_tried=scheme.lower() == "basic",
    )


def _http_error(error: HTTPException) -> Response:
    if error.code not in _HTTP_ERRORS:
        return _refused(Refusal("body_too_large" if error.code == 413 else "parameter_malformed"))  # noqa: PLR2004
    reason, description = _HTTP_ERRORS[error.code]
    allow = ", ".join(getattr(error, "valid_methods", None) or ())
    body = {
        "error": "invalid_request",
        "error_description": description,
        "error_uri": f"{snapshot().urls.errors}#{reason}",
        "reason": reason,
        "request_id": request_id(),
    }
    return json_response(body, error.code, {"Allow": allow} if allow else None)


def _unexpected(error: Exception) -> Response:
    # Frames and the type only: the text of an exception may quote a token.
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("internal error %s in request %s\n%s", type(error).__name__, request_id(), frames)
    return _refused(Refusal("internal_error"))


def error_page() -> str:
    """Return every reason as a small HTML page; ``error_uri`` points to its entries."""
    entries = "\n".join(
        f'<dt id="{reason.slug}"><code>{reason.slug}</code></dt>'
        f"<dd><code>{reason.error}</code>, status {reason.status}. {escape(reason.description)}</dd>"
        for reason in REASONS.values()
    )
    entries += "\n" + "\n".join(
        f'<dt id="{slug}"><code>{slug}</code></dt><dd>status {status}. {escape(text)}</dd>'
        for status, (slug, text) in _HTTP_ERRORS.items()
    )
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Errors of the token exchange</title>\n'
        "<h1>Errors of the token exchange</h1>\n"
        "<p>Each refusal carries one of these as <code>reason</code>. Name its <code>request_id</code>"
        f" when you ask the operator.</p>\n<dl>\n{entries}\n</dl>\n</html>\n"
    )
