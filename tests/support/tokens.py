"""Trusted issuers for tests of ``exchange.tokens``, made without files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jwt
from jwt.utils import base64url_encode

from exchange.claim_path import ClaimPath
from exchange.config.values import (
    KeySource,
    MarkerAlternative,
    Profile,
    ServerSettings,
    Source,
    TrustedIssuer,
)
from exchange.introspection import Introspections
from exchange.matchers import Condition, compile_matcher
from exchange.model import Secret
from exchange.outbound import Fetcher
from exchange.tokens.validate import TokenValidator
from exchange.trust import KeyCaches, TrustedIssuers
from tests.support import keys

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
        "keys": inline_keys(keys.public_jwk("ES256")),
        "marker": alternatives,
        "tolerate": frozenset(),
        "required_claims": paths("sub", "iat", "exp"),
        "require": (),
        "subject": paths("sub"),
        "subject_otherwise": None,
        "subject_format": "qualified",
        "scope": paths("scope", "scp"),
        "client": paths("client_id"),
        "audience_claim": ClaimPath("aud"),
        "max_token_age": None,
        "max_token_lifetime": 25 * 3600,
    }
    return TrustedIssuer(**(settings | changes))


NOW = 1_800_000_000
"""What the clock of these tests says, in seconds since the epoch."""


def genuine_claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of an RFC 9068 access token of ``trusted_issuer()``; ``...`` leaves a claim out."""
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "sub": "u1",
        "aud": AUDIENCE,
        "exp": NOW + 300,
        "iat": NOW - 10,
        "jti": "t1",
        "client_id": "web",
        "scope": "orders.read orders.write",
    }
    return {name: value for name, value in (claims | changes).items() if value is not ...}


def inline_keys(*jwks: Mapping[str, Any]) -> KeySource:
    return KeySource(document=json.dumps({"keys": list(jwks)}))


@cache
def _fetcher() -> Fetcher:
    return Fetcher()  # reads the system's authorities, which takes a while


def token_validator(
    *issuers: TrustedIssuer,
    now: float = NOW,
    clock_skew: int = 30,
    introspections: Introspections | None = None,
) -> TokenValidator:
    """Return a validator that trusts ``issuers``; its key caches are real and reach loopback alone."""

    def clock() -> float:
        return now

    server = ServerSettings(
        issuer="https://exchange.example",
        signing_algorithm="ES256",
        token_lifetime=300,
        max_token_lifetime=3600,
        clock_skew=clock_skew,
        max_delegation_depth=4,
        max_targets=1,
    )
    trusted = TrustedIssuers({issuer.issuer: issuer for issuer in issuers}, KeyCaches(_fetcher(), clock))
    return TokenValidator(issuers=trusted, server=server, clock=clock, introspections=introspections)


def signing_input(header: Mapping[str, Any], claims: Mapping[str, Any] | str) -> bytes:
    """Return what is signed; ``claims`` may be JSON text that no encoder would write."""
    payload = claims if isinstance(claims, str) else json.dumps(claims)
    return b".".join(base64url_encode(text.encode()) for text in (json.dumps(header), payload))


def signed_as_it_is(
    header: Mapping[str, Any], claims: Mapping[str, Any] | str, *, algorithm: str = "ES256", label: str = "a"
) -> Secret:
    """Sign what PyJWT would refuse to; ``alg`` and ``kid`` are there unless ``header`` has its own."""
    unsigned = signing_input({"alg": algorithm, "kid": f"{algorithm}-{label}"} | dict(header), claims)
    signature = jwt.get_algorithm_by_name(algorithm).sign(unsigned, keys.private_key(algorithm, label))
    return Secret((unsigned + b"." + base64url_encode(signature)).decode())
