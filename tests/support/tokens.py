"""Trusted issuers for tests of ``exchange.tokens``, made without files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exchange.claim_path import ClaimPath
from exchange.config.values import KeySource, MarkerAlternative, Profile, Source, TrustedIssuer
from exchange.matchers import Condition, compile_matcher

ISSUER = "https://idp.example"
AUDIENCE = "https://api.example"
KEYCLOAK_MARKER = ({"claims": {"typ": {"one_of": ["Bearer", "DPoP"]}}}, {"header": {"typ": "at+jwt"}})
RFC9068_MARKER = ({"header": {"typ": "at+jwt"}},)

Marker = Sequence[Mapping[str, Mapping[str, Any]]]


def conditions(spec: Mapping[str, Any]) -> tuple[Condition, ...]:
    return tuple(Condition(ClaimPath(name), compile_matcher(matcher)) for name, matcher in spec.items())


def paths(*names: str) -> tuple[ClaimPath, ...]:
    return tuple(ClaimPath(name) for name in names)


def trusted_issuer(*, marker: Marker = RFC9068_MARKER, **changes: Any) -> TrustedIssuer:
    """Return an issuer with the settings of the profile ``rfc9068``, but for ``marker`` and ``changes``."""
    alternatives = tuple(
        MarkerAlternative(
            header=conditions(spec.get("header", {})),
            claims=conditions(spec.get("claims", {})),
            label=f"test[{index}]",
        )
        for index, spec in enumerate(marker)
    )
    settings: dict[str, Any] = {
        "name": "idp",
        "source": Source("issuers/idp.yaml", 1, 1),
        "issuer": ISSUER,
        "profile": Profile("test", "Test", never=None, weak=None, advice="Ask for advice."),
        "enabled": True,
        "audience": frozenset({AUDIENCE}),
        "algorithms": frozenset({"ES256"}),
        "keys": KeySource(document='{"keys": []}'),
        "marker": alternatives,
        "tolerate": frozenset(),
        "required_claims": paths("sub", "iat", "exp"),
        "require": (),
        "subject": paths("sub"),
        "subject_format": "qualified",
        "scope": paths("scope", "scp"),
        "client": paths("client_id"),
        "audience_claim": ClaimPath("aud"),
        "max_token_age": None,
        "max_token_lifetime": 25 * 3600,
    }
    return TrustedIssuer(**(settings | changes))
