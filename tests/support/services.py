"""More backends than one: clients with a secret each, and what a downstream API reads in a token."""

from __future__ import annotations

from typing import Any

import jwt

from tests.support.policies import secret_client_file, secret_hash
from tests.support.service import RunningService


def secret_of(client_id: str) -> str:
    """Return the secret of a client of ``api_client``."""
    return f"the-secret-that-only-{client_id}-knows_0123456789"


def basic(client_id: str) -> tuple[str, str]:
    """Return how a client of ``api_client`` authenticates."""
    return client_id, secret_of(client_id)


def api_client(client_id: str, audience: str, **changes: Any) -> dict[str, Any]:
    """``clients/CLIENT_ID.yaml`` of a backend that receives its tokens as ``audience``."""
    method = {"client_secret": {"hash": [secret_hash(secret_of(client_id))]}}
    return secret_client_file(client_id=client_id, audience=[audience], authentication=method, **changes)


def verified_claims(service: RunningService, token: str, audience: str) -> dict[str, Any]:
    """Return the claims, verified as the API ``audience`` would: by ``/jwks.json``, issuer and audience."""
    header = jwt.get_unverified_header(token)
    assert header["typ"] == "at+jwt"
    (key,) = [key for key in service.jwks()["keys"] if key["kid"] == header["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token, jwt.PyJWK(key), algorithms=[key["alg"]], audience=audience, issuer=service.issuer
    )
    return claims
