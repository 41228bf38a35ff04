"""The issuers of a rehearsal: those of ``policies/``, and this service itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from exchange.config.values import Policies, TrustedIssuer
from exchange.jose import MalformedJws, parse_unverified
from exchange.model import Secret, TokenTypeIdentifier
from exchange.trust import own_issuer

NO_KEYS: Final[Mapping[str, Any]] = MappingProxyType({"keys": ()})
"""Of this service, where its signing keys are not read: a signed token of ours has an unknown key then."""


def says_it_is_ours(token: Secret, policies: Policies) -> bool:
    """Tell whether the unverified ``iss`` is this service."""
    try:
        return parse_unverified(token).claims.get("iss") == policies.server.issuer
    except MalformedJws:
        return False


def type_to_declare(token: Secret, policies: Policies) -> TokenTypeIdentifier:
    """Return what a client calls a token that knows whose it is: a workload's is a JWT (RFC 8693 §3)."""
    try:
        iss = parse_unverified(token).claims.get("iss")
    except MalformedJws:
        return TokenTypeIdentifier.ACCESS_TOKEN
    issuer = policies.issuers.get(iss) if isinstance(iss, str) else None
    if issuer is not None and issuer.kind == "workload":
        return TokenTypeIdentifier.JWT
    return TokenTypeIdentifier.ACCESS_TOKEN


def believed_issuers(
    policies: Policies, public_jwks: Mapping[str, Any] = NO_KEYS
) -> Mapping[str, TrustedIssuer]:
    """Return the issuers by ``iss``, as ``TrustedIssuers`` finds them: ourselves before all others."""
    own = own_issuer(policies, public_jwks)
    return MappingProxyType({**policies.issuers, own.issuer: own})
