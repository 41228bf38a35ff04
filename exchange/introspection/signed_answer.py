"""A signed answer (RFC 9701): whoever sits between the issuer and us cannot make an inactive token active."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from exchange.config.values import TrustedIssuer
from exchange.introspection.answer import AnswerRefused
from exchange.jose import (
    ASYMMETRIC_ALGORITHMS,
    MalformedJws,
    SignatureInvalid,
    UnverifiedJws,
    parse_unverified,
    verify_signature,
)
from exchange.model import Claims, Secret
from exchange.outbound import HttpAnswer
from exchange.trust import KeyCache, KeysUnavailable, KeyUnknown

MEDIA_TYPE: Final = "application/token-introspection+jwt"
SIGNED_ANSWER_SECONDS: Final = 60.0
"""Either way, for clocks: an answer of yesterday may be about a token that was revoked since."""
_TYPE: Final = "token-introspection+jwt"
_MEMBERS: Final = "token_introspection"


def verified_members(http: HttpAnswer, issuer: TrustedIssuer, keys: KeyCache, now: float) -> Claims:
    """Return ``token_introspection`` of an answer of status 200, verified as RFC 9701 §5 has it.

    Raises ``AnswerRefused``: ``answer_unsigned`` for what is no such JWT, ``answer_not_trusted`` for one that
    is another's, for another, old, or not signed by a key of the issuer.
    """
    if http.content_type != MEDIA_TYPE:
        raise AnswerRefused("answer_unsigned")
    try:
        jws = parse_unverified(Secret(http.body.decode("ascii").strip()))
    except (MalformedJws, UnicodeDecodeError):
        raise AnswerRefused("answer_unsigned") from None
    _verify(jws, issuer, keys)
    claims = jws.claims
    if not (_is_for_us(claims, issuer) and claims.get("iss") == issuer.issuer and _is_fresh(claims, now)):
        raise AnswerRefused("answer_not_trusted")
    members = claims.get(_MEMBERS)
    if not isinstance(members, Mapping):
        raise AnswerRefused("answer_malformed")
    return cast("Claims", members)


def _verify(jws: UnverifiedJws, issuer: TrustedIssuer, keys: KeyCache) -> None:
    header = jws.header
    algorithm, key_id, typ = str(header["alg"]), header.get("kid"), header.get("typ")
    # By the type alone it differs from every other JWT that the issuer signs for us (RFC 8725 §3.11).
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") != _TYPE:
        raise AnswerRefused("answer_unsigned")
    if "crit" in header or algorithm not in ASYMMETRIC_ALGORITHMS & issuer.algorithms:
        raise AnswerRefused("answer_not_trusted")
    try:
        verify_signature(jws, keys.find(None if key_id is None else str(key_id), algorithm), algorithm)
    except (SignatureInvalid, KeyUnknown, KeysUnavailable):
        raise AnswerRefused("answer_not_trusted") from None


def _is_for_us(claims: Claims, issuer: TrustedIssuer) -> bool:
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    return issuer.introspection is not None and issuer.introspection.client_id in named


def _is_fresh(claims: Claims, now: float) -> bool:
    issued_at = claims.get("iat")
    return type(issued_at) is int and abs(now - issued_at) <= SIGNED_ANSWER_SECONDS
