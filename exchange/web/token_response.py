"""``IssuedToken`` and ``Refusal`` to HTTP (RFC 8693 §2.2, RFC 6749 §5)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from flask import Response

from exchange.errors import INVALID_CLIENT, Refusal
from exchange.model import IssuedToken

NO_STORE: Mapping[str, str] = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_CHALLENGE = 'Basic realm="token exchange", charset="UTF-8"'


def json_response(
    body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return ``body`` as JSON."""
    text = json.dumps(body, separators=(",", ":"))
    return Response(text, status=status, mimetype="application/json", headers=dict(headers or {}))


def token_response_body(issued: IssuedToken) -> dict[str, object]:
    """Return the members of RFC 8693 §2.2.1; ``scope`` is always said, for it may differ from what was
    asked.
    """
    body: dict[str, object] = {
        "access_token": issued.access_token.reveal(),
        "issued_token_type": issued.issued_token_type.value,
        "token_type": issued.token_type,
        "expires_in": issued.expires_in,
    }
    if issued.scopes:
        body["scope"] = " ".join(issued.scopes)
    return body


def refusal_response(
    refusal: Refusal, *, request_id: str, error_page: str, basic_was_tried: bool
) -> Response:
    """Return the error of RFC 6749 §5.2 with our ``reason`` and ``request_id``; nothing of the request is
    echoed.
    """
    reason = refusal.reason
    headers = dict(NO_STORE)
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    if reason.error == INVALID_CLIENT and basic_was_tried:
        headers["WWW-Authenticate"] = _CHALLENGE  # RFC 6749 §5.2
    body = {
        "error": reason.error,
        "error_description": reason.description,
        "error_uri": f"{error_page}#{reason.slug}",
        "reason": reason.slug,
        "request_id": request_id,
    }
    return json_response(body, reason.status, headers)
