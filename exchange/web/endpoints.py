"""The HTTP endpoints, each a checklist; the error handlers of ``errors`` are the only way an error gets
out.
"""

from __future__ import annotations

from typing import cast

import flask
from flask import Blueprint, Response, g

from exchange.metrics import CONTENT_TYPE
from exchange.web.address_limits import limited_by_address
from exchange.web.client_address import client_address
from exchange.web.credentials import parse_credentials
from exchange.web.dpop_header import hand_out_nonce, unverified_dpop
from exchange.web.errors import error_page
from exchange.web.form import parse_form
from exchange.web.serving import serving, snapshot
from exchange.web.token_exchange_grant import FormRequest
from exchange.web.token_response import json_response

endpoints = Blueprint("endpoints", __name__)

_METADATA = "/.well-known/oauth-authorization-server"
_PUBLIC = {"Cache-Control": "public, max-age=300"}


@endpoints.post("/token", provide_automatic_options=False)
def token() -> Response:
    """RFC 8693 §2: every attempt is recorded once, on return and on raise."""
    taken = snapshot()
    with serving().audit.attempt() as attempt:
        g.request_id = attempt.request_id
        attempt.policies = taken.policies.sha256
        address = client_address(flask.request, serving().proxies)
        attempt.client_address = address.text or None
        with limited_by_address(taken.limits, address):
            form = parse_form(flask.request)
            credentials = parse_credentials(flask.request, form, serving().certificate_header)
            request = FormRequest(
                taken.urls.token,
                form,
                credentials=credentials,
                unverified_dpop=unverified_dpop(flask.request),
                attempt=attempt,
            )
            return cast("Response", taken.server.create_token_response(request))


@endpoints.after_request
def _hand_out_dpop_nonce(response: Response) -> Response:
    if flask.request.endpoint == "endpoints.token":
        asked_for = g.get("reason") == "dpop_nonce_required"
        required = snapshot().policies.server.dpop_nonce == "required"
        hand_out_nonce(flask.request, response, serving().fresh_dpop_nonce, is_needed=required or asked_for)
    return response


@endpoints.get(_METADATA, provide_automatic_options=False)
def metadata() -> Response:
    """RFC 8414 §3."""
    return json_response(snapshot().metadata, headers=_PUBLIC)


@endpoints.get(f"{_METADATA}/<path:issuer_path>", provide_automatic_options=False)
def metadata_of_issuer_with_path(issuer_path: str) -> Response:
    """RFC 8414 §3.1: the well-known part goes between the host and the issuer's path."""
    if f"/{issuer_path}" != snapshot().urls.path:
        flask.abort(404)
    return metadata()


@endpoints.get("/jwks.json", provide_automatic_options=False)
def jwks() -> Response:
    """RFC 7517 §5: the keys that verify what we issue."""
    return json_response(snapshot().public_jwks(), headers=_PUBLIC)


@endpoints.get("/errors", provide_automatic_options=False)
def errors() -> Response:
    """Where every ``error_uri`` points."""
    return Response(error_page(), mimetype="text/html", headers=_PUBLIC)


@endpoints.get("/healthz", provide_automatic_options=False)
def healthz() -> Response:
    """Alive: the process answers."""
    return json_response({"status": "ok"}, headers={"Cache-Control": "no-store"})


@endpoints.get("/readyz", provide_automatic_options=False)
def readyz() -> Response:
    """Able to answer, or what is not. An IdP that is down is not our unreadiness."""
    checks: dict[str, object] = {"policies": _policies_check()}
    checks["keys"] = {"ok": bool(snapshot().public_jwks().get("keys"))}
    try:
        serving().check_store()
        checks["store"] = {"ok": True}
    except Exception:  # noqa: BLE001  # whatever it is, the store does not answer; its text stays inside
        checks["store"] = {"ok": False, "reason": "store_unavailable"}
    ready = all(isinstance(check, dict) and check["ok"] for check in checks.values())
    body = {"status": "ready" if ready else "not_ready", "checks": checks}
    return json_response(body, 200 if ready else 503, {"Cache-Control": "no-store"})


def _policies_check() -> dict[str, object]:
    """Always ok: the last good policies are in force, whatever the directory holds by now."""
    taken, not_taken = snapshot(), serving().not_taken
    check = {
        "ok": True,
        "sha256": taken.policies.sha256,
        "loaded_at": taken.loaded_at,
        "faults": not_taken.faults if not_taken else 0,
    }
    return {**check, "fault": not_taken.first} if not_taken else check


@endpoints.get("/metrics", provide_automatic_options=False)
def metrics() -> Response:
    """Prometheus' text format."""
    return Response(
        serving().metrics.exposition(), content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"}
    )
