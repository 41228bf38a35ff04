"""Tokens of which the issuer is asked (RFC 7662): those that are no JWT, and JWTs that it alone can tell.

``active: true`` is no proof of kind: servers say it of ID tokens too (Okta and PingOne document it). So a
JWT must show its kind before anybody is asked, an answer must prove it besides, and then it is held to every
check of a JWT's claims.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from exchange.config.values import Introspection, TrustedIssuer
from exchange.errors import Refusal, token_refusal
from exchange.introspection import Answer, Introspections, IntrospectionUnavailable
from exchange.jose import MAX_TOKEN_BYTES, UnverifiedJws
from exchange.model import NO_CLAIMS, Claims, PresentedToken, Secret, TokenKind, TokenTypeIdentifier
from exchange.tokens.classify import Classification, classify, normalised_type
from exchange.tokens.unverified import UnverifiedToken
from exchange.trust import KeyCache, TrustedIssuers

# RFC 6749 appendix A.12: access-token = 1*VSCHAR; without the space, which no Authorization header carries.
_ACCESS_TOKEN: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)
_JSON_OBJECT: Final = re.compile(rb"\s*\{\s*[\"}]")
_BEARER_OF_A_KEY: Final = "dpop"
_KEPT: Final = ("cnf", "act", "may_act")
"""What an exchange must not lose, even where the answer forgets it."""


def is_opaque(token: Secret) -> bool:
    """Tell whether ``token`` cannot be a JOSE object, however leniently somebody may read it.

    What begins with a JSON object, plain or as base64, is one, and is judged as one: a JWT that we cannot
    parse and its issuer can must not get around the look at its kind.
    """
    text = token.reveal()
    first, dot, _ = text.partition(".")
    return not text.lstrip().startswith("{") and not (dot and _JSON_OBJECT.match(_decoded(first)))


def _decoded(segment: str) -> bytes:
    letters = re.sub(r"[^A-Za-z0-9+/]", "", segment.replace("-", "+").replace("_", "/"))
    whole = letters[: len(letters) // 4 * 4] or letters + "=" * (-len(letters) % 4)
    try:
        return base64.b64decode(whole)
    except binascii.Error:
        return b""


def read_opaque(presented: PresentedToken, issuers: TrustedIssuers) -> tuple[TrustedIssuer, KeyCache]:
    """Return the issuer that the client's file names for its opaque tokens; nothing is asked yet.

    Raises ``Refusal``: ``…_malformed`` for what is written as no access token is; ``…_too_large``.
    """
    role, text = presented.role, presented.token.reveal()
    if len(text) > MAX_TOKEN_BYTES:
        raise token_refusal(role, "too_large")
    if presented.declared is TokenTypeIdentifier.JWT:
        raise token_refusal(role, "malformed", detail="declared as a JWT, and it is none")
    if not _ACCESS_TOKEN.fullmatch(text):
        raise token_refusal(
            role, "malformed", detail="not written as an access token (RFC 6749 appendix A.12)"
        )
    found = issuers.named(presented.opaque_tokens_from or "")
    if found is None:
        raise token_refusal(role, "issuer_not_trusted", detail="opaque_tokens_from names no issuer")
    return found


def is_asked_about(token: UnverifiedToken) -> bool:
    """Tell whether the issuer vouches for this token, in place of a signature."""
    asked = token.issuer.introspection
    return token.is_opaque or (asked is not None and asked.every_token)


class OpaqueTokens:
    """Has issuers asked, and makes of the answer what is checked like the claims of a JWT."""

    def __init__(self, introspections: Introspections | None) -> None:
        self._introspections = introspections

    def vouched(self, token: UnverifiedToken) -> UnverifiedToken:
        """Return ``token`` with what its issuer says of it. Raises ``Refusal``, and asks only when it must.

        ``…_is_id_token``, ``…_is_other_kind``, ``…_kind_unproven``, ``…_inactive``, ``…_claim_refused``, and
        ``introspection_unavailable`` for everything that is no answer.
        """
        issuer, asked = token.issuer, token.issuer.introspection
        if asked is None:
            raise token_refusal(
                token.role, "malformed", detail=f"issuer {issuer.name} is not asked about tokens"
            )
        _check_form(token, asked)
        answer = self._ask(token)
        if not answer.active:
            raise token_refusal(token.role, "inactive", detail=f"issuer {issuer.name}")
        # The issuer is pinned by the configuration; an answer for another one is about somebody else's token.
        if answer.claims.get("iss", issuer.issuer) != issuer.issuer:
            raise token_refusal(
                token.role, "claim_refused", detail=f"iss of the answer is not {issuer.name}'s"
            )
        jws = UnverifiedJws(token.jws.token, NO_CLAIMS, _claims(token.jws.claims, answer, issuer))
        return replace(token, jws=jws, issuer=issuer.answers or issuer)

    def _ask(self, token: UnverifiedToken) -> Answer:
        issuer = token.issuer
        if self._introspections is None:
            raise Refusal("introspection_unavailable", detail="nobody is asked here", retry_after=1)
        try:
            return self._introspections.of_issuer(issuer, token.keys)(token.jws.token)
        except IntrospectionUnavailable as unavailable:
            raise Refusal(
                "introspection_unavailable",
                detail=f"issuer {issuer.name}: {unavailable.cause}",
                retry_after=unavailable.retry_after,
            ) from None


def _check_form(token: UnverifiedToken, asked: Introspection) -> None:
    """What can be told without asking is told without asking."""
    text = token.jws.token.reveal()
    if asked.prefixes and not text.startswith(asked.prefixes):
        raise token_refusal(
            token.role,
            "is_other_kind",
            detail=f"access tokens of issuer {token.issuer.name} begin with {' or '.join(asked.prefixes)}",
        )


def classify_jwt(header: Claims, claims: Claims, issuer: TrustedIssuer) -> Classification:
    """Return what kind of JWT this is before its issuer is asked, by the header types of this issuer, too."""
    asked = issuer.introspection
    declared = normalised_type(header)
    if asked is None or declared is None or declared not in asked.jwt_types:
        return classify(header, claims, issuer)
    # To everybody else the type says "not for you". All the other signs refuse it here as they do there.
    otherwise = classify({name: value for name, value in header.items() if name != "typ"}, claims, issuer)
    if otherwise.kind in {TokenKind.ID_TOKEN, TokenKind.OTHER}:
        return otherwise
    return Classification(TokenKind.ACCESS_TOKEN, f"header.typ={declared}")


def _claims(of_jwt: Claims, answer: Answer, issuer: TrustedIssuer) -> Claims:
    """Return what the issuer says, and from the JWT what must not get lost."""
    kept = {name: of_jwt[name] for name in _KEPT if name in of_jwt}
    claims: dict[str, object] = {"iss": issuer.issuer, **kept, **answer.claims}
    token_type = claims.get("token_type")
    if isinstance(token_type, str) and token_type.lower() == _BEARER_OF_A_KEY:
        claims.setdefault("cnf", MappingProxyType({}))  # RFC 9449 §6.2: bound, to whatever
    return MappingProxyType(claims)


def as_answer(token: UnverifiedToken) -> UnverifiedToken:
    """Return ``token`` with its own claims as the answer, where its issuer is asked: for rehearsals."""
    issuer = token.issuer
    asked = issuer.introspection
    if asked is None or not asked.every_token or issuer.answers is None:
        return token
    declared = normalised_type(token.jws.header)
    header = {
        name: value
        for name, value in token.jws.header.items()
        if declared not in asked.jwt_types or name != "typ"
    }
    return replace(token, jws=replace(token.jws, header=MappingProxyType(header)), issuer=issuer.answers)
