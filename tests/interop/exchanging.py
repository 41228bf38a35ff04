"""A real IdP's token at ``/token``: a service that trusts that IdP, and what its answer must be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import requests
from jwt.algorithms import ECAlgorithm

from tests.support import keys
from tests.support.idp import BACKEND
from tests.support.policies import (
    AUDIENCE,
    BASIC,
    SECRET_CLIENT,
    issuer_file,
    secret_client_file,
    write_policies,
)
from tests.support.service import RunningService


def service_that_trusts(issuer: str, profile: str, directory: Path, **changes: Any) -> RunningService:
    """Return a service, not yet started, whose one issuer is ``issuer``; ``changes`` go into its file."""
    trusted = issuer_file(issuer, profile=profile, audience=[BACKEND], **changes)
    return RunningService(write_policies(directory / "policies", issuer=issuer, issuers={"idp": trusted}))


def service_that_asks(issuer: str, endpoint: str, client: tuple[str, str], directory: Path) -> RunningService:
    """Return a service, not yet started, that asks ``endpoint`` about each token of ``issuer`` (RFC 7662)."""
    introspection = {
        "endpoint": endpoint,
        "client_id": client[0],
        "client_secret": "${INTROSPECTION_SECRET}",
    }
    policies = write_policies(
        directory / "policies",
        issuer=issuer,
        issuers={"idp": issuer_file(issuer, profile="opaque", introspection=introspection)},
        clients={SECRET_CLIENT: secret_client_file(opaque_tokens_from="idp")},
    )
    return RunningService(policies, {"INTROSPECTION_SECRET": client[1]})


def exchange(service: RunningService, token: str, **parameters: str) -> requests.Response:
    """Exchange ``token`` as the backend does."""
    return service.exchange(token, BASIC, audience=AUDIENCE, **parameters)


def issued(answer: requests.Response) -> dict[str, Any]:
    """Return the claims of what was issued; the answer must be yes."""
    assert answer.status_code == 200, answer.text
    return unverified(answer.json()["access_token"])


def unverified(token: str) -> dict[str, Any]:
    """Return the claims of a token, whoever signed it."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def assert_refused(service: RunningService, answer: requests.Response, reason: str) -> dict[str, Any]:
    """Assert that nothing was issued, for this reason and in one audit record; returns that record."""
    body = answer.json()
    assert (answer.status_code, body["error"]) == (400, "invalid_request"), body
    assert body["reason"] == reason, body
    assert "access_token" not in body
    [record] = service.audit(request_id=body["request_id"])
    assert (record["outcome"], record["reason"]) == ("refused", reason)
    return record


def private_jwk() -> dict[str, Any]:
    """Return the private key of ``KEY_CLIENT`` as client libraries take it."""
    jwk = ECAlgorithm.to_jwk(keys.private_key("ES256", "client"), as_dict=True)
    return {**jwk, "alg": "ES256", "kid": "ES256-client", "key_ops": ["sign"]}
