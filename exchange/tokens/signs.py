"""What a JWT says about its own kind: the tables that ``classify`` reads, and nothing else.

Each row was seen in a real product or stands in a specification; the tables only ever *refuse*. What proves
an access token is never here: it is the marker of the issuer's profile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from exchange.model import Claims, TokenKind

ACCESS_TOKEN_TYPE: Final = "at+jwt"
"""RFC 9068 §2.1, as ``normalised_type`` gives it."""

UNINFORMATIVE_TYPES: Final = frozenset({"jwt", "jose"})
"""RFC 7519 §5.1 and RFC 7515 §4.1.9: any JWT, any JWS. They say as little as no ``typ`` at all."""

OTHER_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "rt+jwt": "refresh token",
        "logout+jwt": "logout token",  # OpenID Connect Back-Channel Logout §2.4
        "secevent+jwt": "security event token",  # RFC 8417 §2.3
        "dpop+jwt": "DPoP proof",  # RFC 9449 §4.2
        "oauth-authz-req+jwt": "request object",  # RFC 9101 §10.8
        "client-authentication+jwt": "client assertion",
        "token-introspection+jwt": "introspection response",  # RFC 9701 §5
        "entity-statement+jwt": "entity statement",
        "trust-mark+jwt": "trust mark",
        "txntoken+jwt": "transaction token",
        "oauth-id-jag+jwt": "identity assertion authorization grant",
        "kb+jwt": "key binding of a credential",  # RFC 9901
        "wit+jwt": "workload identity token",
        "vc+jwt": "credential",
        "vp+jwt": "presentation of a credential",
        "dc+sd-jwt": "credential",
        "oauth-client-attestation+jwt": "client attestation",
        "oauth-client-attestation-pop+jwt": "client attestation",
        "openid4vci-proof+jwt": "proof for a credential",
        "key-attestation+jwt": "key attestation",
        "okta-internal-at+jwt": "access token of an Okta org server, which only Okta may validate",
    }
)
"""Explicit types (RFC 8725 §3.11) of what is no access token. A type that is not here is refused as well."""


@dataclass(frozen=True, slots=True)
class SelfDescription:
    """One claim in which products write what kind a token is."""

    claim: str
    spelled: Mapping[str, tuple[TokenKind, str]]
    """Kind and canonical spelling, by the value in lower case: products differ in case, and change it."""
    exhaustive: bool
    """The claim has no other use: any other value describes another kind."""


def _describes(
    claim: str,
    *,
    id_token: Iterable[str] = (),
    other: Iterable[str] = (),
    access_token: Iterable[str] = (),
    exhaustive: bool = False,
) -> SelfDescription:
    columns = (
        (TokenKind.ID_TOKEN, id_token),
        (TokenKind.OTHER, other),
        (TokenKind.ACCESS_TOKEN, access_token),
    )
    spelled = {text.lower(): (kind, text) for kind, texts in columns for text in texts}
    return SelfDescription(claim, MappingProxyType(spelled), exhaustive)


SELF_DESCRIPTIONS: Final = (
    # Cognito; the longer words are Ory Hydra's, in what it answers about a token (RFC 7662).
    _describes(
        "token_use", id_token=["id", "id_token"], access_token=["access", "access_token"], exhaustive=True
    ),
    _describes(
        "typ",  # the claim, as Keycloak has it, not the header parameter
        id_token=["ID", "Serialized-ID"],
        other=["Refresh", "Offline", "Logout", "kc_ett", "InitialAccessToken", "RegistrationAccessToken"],
        access_token=["Bearer", "DPoP"],
    ),
    _describes("tokenName", id_token=["id_token"], access_token=["access_token"], exhaustive=True),  # PingAM
    _describes("purpose", id_token=["id"], access_token=["access_token"]),  # Curity
    _describes(
        "token_usage", id_token=["id_token"], access_token=["access_token"], exhaustive=True
    ),  # OpenIddict
    # No access column: `token_type: Bearer` is about how a token is used, and ID tokens carry it too.
    _describes("token_type", id_token=["id_token", "ID"], other=["refresh", "refresh_token"]),
)
"""The access column is no proof: elsewhere a claim of that name may be a mapped user attribute. It shows
contradictions, and a profile may name it as its marker."""

ID_TOKEN_JTI_PREFIX: Final = "id."
"""Okta, in lower case. Its twin ``AT.`` is no evidence: nobody but Okta keeps to it."""

HASH_CLAIMS: Final = ("c_hash", "s_hash", "at_hash")
"""OpenID Connect Core §3.1.3.6, §3.3.2.11 and FAPI: they bind an ID token to what was issued beside it."""

NONCE: Final = "nonce"
"""The one ID-token hint that some products put into access tokens, too: ``tolerate`` may name it alone."""

LOGIN_CLAIMS: Final = (NONCE, "auth_time")
"""OpenID Connect Core §2: somebody signed in. Access tokens may say so too, and no workload ever does."""

WORKLOAD: Final = "workload identity token"


@dataclass(frozen=True, slots=True)
class Tell:
    """A structure that only tokens of another kind have. Presence counts, whatever the value's JSON type."""

    kind: str
    evidence: str
    found: Callable[[Claims], bool]


def _any_of(kind: str, *names: str) -> tuple[Tell, ...]:
    def found_as(name: str) -> Callable[[Claims], bool]:
        return lambda claims: name in claims

    return tuple(Tell(kind, f"claim.{name}", found_as(name)) for name in names)


def _without_subject(kind: str, *names: str) -> tuple[Tell, ...]:
    def found_as(name: str) -> Callable[[Claims], bool]:
        return lambda claims: name in claims and claims.get("sub") is None

    return tuple(Tell(kind, f"claim.{name} without sub", found_as(name)) for name in names)


def _subject_starts(kind: str, prefix: str) -> Tell:
    def found(claims: Claims) -> bool:
        subject = claims.get("sub")
        return isinstance(subject, str) and subject.startswith(prefix)

    return Tell(kind, f"claim.sub={prefix}", found)


def _is_self_issued(claims: Claims) -> bool:
    return claims.get("sub") is not None and claims.get("iss") == claims.get("sub")


def _has_uma_permissions(claims: Claims) -> bool:
    authorization = claims.get("authorization")
    return isinstance(authorization, Mapping) and "permissions" in authorization


TELLS: Final = (
    # Apple sends `events` as a string; asking for an object would let its notifications pass.
    *_any_of("security event or logout token", "events"),
    *_any_of("DPoP proof", "htm", "htu"),
    *_any_of("introspection response", "token_introspection"),
    *_any_of("credential", "vc", "vp", "vct", "_sd", "_sd_alg", "sd_hash"),
    *_any_of("entity statement", "jwks", "authority_hints", "metadata_policy"),
    *_any_of("software statement", "software_id", "redirect_uris"),
    *_any_of("request object", "response_type", "redirect_uri"),
    *_without_subject("authorization response", "code", "state"),
    Tell("self-issued token or client assertion", "iss=sub", _is_self_issued),
    _subject_starts(WORKLOAD, "spiffe://"),
    _subject_starts(WORKLOAD, "system:serviceaccount:"),
    _subject_starts("machine token", "mch_"),
    Tell("UMA requesting party token", "claim.authorization.permissions", _has_uma_permissions),
)
