"""The claims of an issued token (RFC 9068 §2.2), built from empty."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from exchange.model import Claims, Permit

RESERVED_CLAIMS: Final = frozenset(
    {
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope"),
        *("act", "may_act", "cnf", "txn"),
    }
)
"""What only this module may say; a rule's ``claims`` never does."""


def access_token_claims(
    permit: Permit, *, issuer: str, issued_at: int, expires_at: int, token_id: str
) -> Claims:
    """Return the claims to sign, as plain JSON inside; times in seconds since the epoch.

    One audience is a string (RFC 7519 §4.1.3), which verifiers that compare strings take too. ``scope`` is
    left out where nothing is granted, since RFC 6749 §3.3 has no empty scope. ``act``, ``may_act`` (RFC 8693
    §4.1, §4.4) and ``cnf`` are there when the permit has them. Raises ``ValueError``, a defect and no answer,
    when the permit names a reserved claim.
    """
    overridden = RESERVED_CLAIMS.intersection(permit.claims)
    if overridden:
        raise ValueError(f"a rule cannot set reserved claims: {sorted(overridden)}")
    claims: dict[str, object] = {
        "iss": issuer,
        "sub": permit.subject,
        "aud": permit.audience[0] if len(permit.audience) == 1 else list(permit.audience),
        "client_id": permit.client_id,
        "iat": issued_at,
        "exp": expires_at,
        "jti": token_id,
    }
    if permit.scopes:
        claims["scope"] = " ".join(permit.scopes)  # RFC 9068 §2.2.3, RFC 8693 §4.2
    if permit.act is not None:
        claims["act"] = _plain(permit.act)
    if permit.may_act is not None:
        claims["may_act"] = _plain(permit.may_act)
    if permit.confirmation is not None:
        claims["cnf"] = _plain(permit.confirmation)  # RFC 7800 §3.1, RFC 9449 §6.1, RFC 8705 §3.1
    claims.update((name, _plain(value)) for name, value in permit.claims.items())
    return MappingProxyType(claims)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
