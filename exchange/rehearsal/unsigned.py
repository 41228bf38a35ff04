"""Tokens for rehearsals: the claims are given, and there is no signature."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Final

from exchange.config.tenant_template import expand
from exchange.config.values import Policies, TrustedIssuer
from exchange.model import Claims, Secret
from exchange.rehearsal.believed import believed_issuers

LIFETIME: Final = 3600
"""Seconds until a token expires whose claims have no ``exp``, or fewer where its issuer allows fewer."""


def unsigned_token(
    claims: Claims, *, issuer: str | None, header: Claims | None, policies: Policies, now: float
) -> Secret:
    """Return a compact JWS of ``claims`` with an empty signature, which nothing but a rehearsal accepts.

    ``issuer`` is the name of a file in ``issuers/`` and gives ``iss`` where the claims have none; of many
    tenants that of the tenant that the claims name, allowed or not, or the first one's. ``iat`` and
    ``exp`` are filled in, and in the header ``alg``. ``typ`` is not: a marker that the header carries must be
    said, or an ID token would rehearse as an access token.
    """
    named = _iss(issuer, claims, policies) if issuer is not None else None
    given = dict(claims)
    if named is not None:
        given.setdefault("iss", named)
    iss = given.get("iss")
    trusted = believed_issuers(policies).get(iss) if isinstance(iss, str) else None
    given.setdefault("iat", int(now))
    given.setdefault("exp", _expiry(given["iat"], trusted, now))
    return Secret(
        ".".join((_segment({"alg": _algorithm(trusted, policies), **(header or {})}), _segment(given), ""))
    )


def issuer_named(name: str, policies: Policies) -> str | None:
    """Return the ``iss`` of ``issuers/NAME.yaml``, the first of several, or of this service for ``self``.

    ``None`` if it is unknown.
    """
    return next((iss for iss, issuer in believed_issuers(policies).items() if issuer.name == name), None)


def _iss(name: str, claims: Claims, policies: Policies) -> str | None:
    iss = issuer_named(name, policies)
    issuer = policies.issuers.get(iss) if iss is not None else None
    if issuer is None or issuer.tenant is None:
        return iss
    tenant = issuer.tenant.claim.find(claims)
    return expand(issuer.tenant.template, tenant) if isinstance(tenant, str) else iss


def _expiry(issued_at: object, trusted: TrustedIssuer | None, now: float) -> int:
    expires_at = int(now) + LIFETIME
    if trusted is None or not isinstance(issued_at, int):
        return expires_at
    return min(expires_at, issued_at + trusted.max_token_lifetime)


def _algorithm(trusted: TrustedIssuer | None, policies: Policies) -> str:
    """What the issuer signs with; any, where there is no such issuer."""
    return min(trusted.algorithms) if trusted is not None else policies.server.signing_algorithm


def _segment(members: Mapping[str, object]) -> str:
    text = json.dumps(members, allow_nan=False, separators=(",", ":"), default=dict)  # read-only mappings
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
