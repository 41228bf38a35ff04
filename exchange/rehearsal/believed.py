"""The issuers of a rehearsal: those of ``policies/``, and this service itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from exchange.config.values import Policies, TrustedIssuer
from exchange.jose import MalformedJws, parse_unverified
from exchange.model import Secret
from exchange.trust import own_issuer

NO_KEYS: Final[Mapping[str, Any]] = MappingProxyType({"keys": ()})
"""Of this service, where its signing keys are not read: a signed token of ours has an unknown key then."""


def says_it_is_ours(token: Secret, policies: Policies) -> bool:
    """Tell whether the unverified ``iss`` is this service."""
    try:
        return parse_unverified(token).claims.get("iss") == policies.server.issuer
    except MalformedJws:
        return False


def believed_issuers(
    policies: Policies, public_jwks: Mapping[str, Any] = NO_KEYS
) -> Mapping[str, TrustedIssuer]:
    """Return the issuers by ``iss``, as ``TrustedIssuers`` finds them: ourselves before all others."""
    own = own_issuer(policies, public_jwks)
    return MappingProxyType({**policies.issuers, own.issuer: own})
