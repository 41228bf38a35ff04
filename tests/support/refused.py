"""What every refusal has in common, asserted in one place."""

from __future__ import annotations

from typing import Any

import requests

from exchange.errors import REASONS
from tests.support.service import RunningService


def assert_refused(service: RunningService, answer: requests.Response, reason: str) -> dict[str, Any]:
    """Assert that ``answer`` is the refusal ``reason``, recorded once, with nothing minted; return its record."""
    entry = REASONS[reason]
    body = answer.json()
    assert (answer.status_code, body["error"], body["reason"]) == (entry.status, entry.error, reason), body
    assert set(body) == {"error", "error_description", "error_uri", "reason", "request_id"}
    assert body["error_uri"] == f"{service.issuer}/errors#{reason}"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Request-ID"] == body["request_id"]
    records = service.audit(request_id=body["request_id"])
    assert len(records) == 1, records
    assert records[0]["reason"] == reason
    assert records[0]["outcome"] in {"refused", "failed"}
    assert "issued" not in records[0], "something was minted"
    found: dict[str, Any] = records[0]
    return found


def assert_issued(service: RunningService, answer: requests.Response) -> dict[str, Any]:
    """Assert that ``answer`` hands out a token and that this was recorded once; return the record."""
    assert answer.status_code == 200, answer.text
    assert answer.json()["access_token"]
    records = service.audit(request_id=answer.headers["X-Request-ID"])
    assert [record["outcome"] for record in records] == ["issued"]
    found: dict[str, Any] = records[0]
    return found
