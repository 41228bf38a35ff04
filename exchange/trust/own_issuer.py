"""Ourselves as an issuer: tokens of ours are subject tokens too, and are believed no more than any other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from exchange.claim_path import ClaimPath
from exchange.config.values import (
    SELF,
    KeySource,
    MarkerAlternative,
    Policies,
    Profile,
    Source,
    TrustedIssuer,
)
from exchange.matchers import Condition, compile_matcher

_PROFILE: Final = Profile(
    name=SELF,
    title="Tokens of this service",
    never=None,
    weak=None,
    advice="Tokens of this service have the header typ at+jwt.",
)
_MARKER: Final = MarkerAlternative(
    header=(Condition(ClaimPath("typ"), compile_matcher("at+jwt")),), claims=(), label=SELF
)


def own_issuer(policies: Policies, public_jwks: Mapping[str, Any]) -> TrustedIssuer:
    """Return the issuer that we are, with the keys that we publish (RFC 9068 §4).

    Every audience that we issue for, or that a client receives tokens under, is accepted here: the rule's
    ``presenter`` says which of them this client may present. The subject is copied as it is, for it was
    qualified when the first token was issued; to do it again would make another person of it.
    """
    server = policies.server
    algorithms = {server.signing_algorithm, *(key["alg"] for key in public_jwks["keys"])}
    received = (name for client in policies.clients.values() for name in client.audience)
    issued_for = (target.audience for target in policies.targets.values())
    return TrustedIssuer(
        name=SELF,
        source=Source("server.yaml", 1, 1),
        issuer=server.issuer,
        profile=_PROFILE,
        enabled=True,
        audience=frozenset((*received, *issued_for)),
        algorithms=frozenset(algorithms),
        keys=KeySource(document=json.dumps(dict(public_jwks))),
        marker=(_MARKER,),
        tolerate=frozenset(),
        required_claims=tuple(ClaimPath(name) for name in ("sub", "iat", "exp")),
        require=(),
        subject=(ClaimPath("sub"),),
        subject_otherwise=None,
        subject_format="plain",
        scope=(ClaimPath("scope"),),
        client=(ClaimPath("client_id"),),
        audience_claim=ClaimPath("aud"),
        max_token_age=None,
        max_token_lifetime=server.max_token_lifetime,
    )
