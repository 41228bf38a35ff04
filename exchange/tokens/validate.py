"""From an unverified string to a ``VerifiedToken`` (RFC 8693 §2.1, RFC 8725, RFC 9068 §4).

The lines of ``TokenValidator.read`` and ``accept`` are the order of trust. No network before ``iss`` is known
to be configured, no claim believed before the signature, no audience looked at before the kind: an ID token
for somebody else is still refused as an ID token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from exchange.config.values import MarkerAlternative, ServerSettings, TrustedIssuer
from exchange.errors import token_refusal
from exchange.jose import MalformedJws, UnverifiedJws, parse_unverified
from exchange.model import Claims, PresentedToken, Role, Secret, TokenKind, TokenTypeIdentifier, VerifiedToken
from exchange.tokens.checks import Check, Entered, unwatched
from exchange.tokens.claim_values import read_claims
from exchange.tokens.classify import Classification, classify
from exchange.tokens.delegation_claims import read_act, read_may_act
from exchange.tokens.header_policy import check_header
from exchange.tokens.signature import check_signature
from exchange.tokens.times import check_times
from exchange.trust import KeyCache, TrustedIssuers

Clock = Callable[[], float]
"""Seconds since the epoch."""

_REFUSED_KINDS = {
    TokenKind.ID_TOKEN: "is_id_token",
    TokenKind.OTHER: "is_other_kind",
    TokenKind.UNPROVEN: "kind_unproven",
}


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A well-formed token that names a trusted issuer. Anybody can write one: no signature is verified."""

    jws: UnverifiedJws
    role: Role
    issuer: TrustedIssuer
    keys: KeyCache
    algorithm: str
    declared: TokenTypeIdentifier


class TokenValidator:
    """Verifies subject and actor tokens alike: an actor token is held to every rule of a subject token."""

    def __init__(self, *, issuers: TrustedIssuers, server: ServerSettings, clock: Clock) -> None:
        self._issuers = issuers
        self._skew = server.clock_skew
        self._clock = clock

    def __call__(self, presented: PresentedToken, entered: Entered = unwatched) -> VerifiedToken:
        """Return what the token says, verified. Raises the ``Refusal`` of the first check that fails."""
        unverified = self.read(presented, entered)
        check_signature(
            unverified.jws,
            unverified.algorithm,
            unverified.issuer,
            unverified.keys,
            role=unverified.role,
            entered=entered,
        )
        return self.accept(unverified, entered)

    def read(self, presented: PresentedToken, entered: Entered = unwatched) -> UnverifiedToken:
        """Return the token taken apart, with the issuer that it says it is from; nothing is believed yet."""
        role = presented.role
        entered(Check.FORM)
        jws = _parse(presented.token, role)
        entered(Check.HEADER)
        check_header(jws.header, role)
        entered(Check.ISSUER)
        issuer, keys = self._issuer(jws.claims, role)
        entered(Check.PROFILE)
        refuse_unrecognisable(issuer, role)
        entered(Check.ALGORITHM)
        return UnverifiedToken(jws, role, issuer, keys, _algorithm(jws, issuer, role), presented.declared)

    def accept(self, signed: UnverifiedToken, entered: Entered = unwatched) -> VerifiedToken:
        """Return what a token says, all that stands behind its signature checked.

        The caller has verified the signature, or rehearses: ``exchange test`` has no signatures, and nothing
        that is accepted so ever reaches a client.
        """
        role, issuer, header, claims = signed.role, signed.issuer, signed.jws.header, signed.jws.claims
        entered(Check.TIMES)
        validity = check_times(claims, issuer, role, now=self._clock(), skew=self._skew)
        entered(Check.KIND)
        classification = classify(header, claims, issuer)
        _require_access_token(classification, issuer, role)
        entered(Check.CLAIMS)
        values = read_claims(claims, issuer, role)
        entered(Check.AUDIENCE)
        check_audience(values.audience, issuer, role)
        entered(Check.REQUIRE)
        check_conditions(claims, issuer, role)
        entered(Check.KEPT)
        _refuse_bound_to_a_key(claims, role)
        return VerifiedToken(
            role=role,
            kind=classification.kind,
            evidence=classification.evidence,
            issuer=issuer.issuer,
            issuer_name=issuer.name,
            claims=claims,
            subject=values.subject.text,
            qualified_subject=values.subject.qualified,
            audience=values.audience,
            scopes=values.scopes,
            authorized_party=values.authorized_party,
            issued_at=validity.issued_at,
            expires_at=validity.expires_at,
            token_id=values.token_id,
            sha256=hashlib.sha256(signed.jws.token.reveal().encode()).hexdigest(),
            act=read_act(claims, role),
            may_act=read_may_act(claims, role),
            in_audit_mode=issuer.mode == "audit",
        )

    def _issuer(self, unverified_claims: Claims, role: Role) -> tuple[TrustedIssuer, KeyCache]:
        """``iss`` is a key into the configured issuers and nothing else: it is never fetched from."""
        iss = unverified_claims.get("iss")
        if iss is None:
            raise token_refusal(role, "claim_missing", detail="iss")
        if not isinstance(iss, str):
            raise token_refusal(role, "claim_malformed", detail="iss is not a string")
        trusted = self._issuers.get(iss)
        if trusted is None:
            raise token_refusal(role, "issuer_not_trusted")
        if not trusted[0].enabled:
            raise token_refusal(role, "issuer_disabled", detail=f"issuer {trusted[0].name}")
        return trusted


def _parse(token: Secret, role: Role) -> UnverifiedJws:
    try:
        return parse_unverified(token)
    except MalformedJws as malformed:
        opaque = malformed.cause == "malformed" and "." not in token.reveal()
        detail = "no JWT at all: an opaque token, whose issuer alone knows what it says" if opaque else None
        raise token_refusal(role, malformed.cause, detail=detail) from None


def _algorithm(jws: UnverifiedJws, issuer: TrustedIssuer, role: Role) -> str:
    """The issuer's list decides, never the token (RFC 8725 §3.1)."""
    algorithm = str(jws.header["alg"])
    if algorithm not in issuer.algorithms:
        detail = f"{algorithm} is not among the algorithms of issuer {issuer.name}"
        raise token_refusal(role, "algorithm_not_allowed", detail=detail)
    return algorithm


def refuse_unrecognisable(issuer: TrustedIssuer, role: Role) -> None:
    """Even ``at+jwt`` is no proof where one function makes both kinds of token.

    The issuer's file alone decides this, so it comes before anything is fetched: keys that are out of reach
    would be a 503, and who asks again later must hear the same answer (docs/adr/0034).
    """
    if issuer.profile.never is not None:
        detail = f"profile {issuer.profile.name}: {issuer.profile.never}"
        raise token_refusal(role, "issuer_unrecognisable", detail=detail)


def _require_access_token(classification: Classification, issuer: TrustedIssuer, role: Role) -> None:
    """RFC 8725 §3.12: what was issued as another kind is never taken for an access token."""
    if classification.kind is TokenKind.ACCESS_TOKEN:
        return
    markers = "; or ".join(_readable(alternative) for alternative in issuer.marker)
    raise token_refusal(
        role,
        _REFUSED_KINDS[classification.kind],
        detail=f"evidence: {classification.evidence}. Access tokens of issuer {issuer.name} (profile"
        f" {issuer.profile.name}) are marked by {markers}. {issuer.profile.advice}",
    )


def _readable(alternative: MarkerAlternative) -> str:
    headers = (f"header {condition}" for condition in alternative.header)
    return " and ".join((*headers, *(f"claim {condition}" for condition in alternative.claims)))


def check_audience(audience: frozenset[str], issuer: TrustedIssuer, role: Role) -> None:
    """A token for nobody is not one for everybody: no audience is a mismatch, too (RFC 7519 §4.1.3)."""
    if audience.isdisjoint(issuer.audience):
        given = "none of the values" if audience else "no value"
        detail = f"{given} in {issuer.audience_claim} is an audience of issuer {issuer.name}"
        raise token_refusal(role, "audience_mismatch", detail=detail)


def check_conditions(claims: Claims, issuer: TrustedIssuer, role: Role) -> None:
    for condition in issuer.require:
        if not condition.holds(claims):
            raise token_refusal(role, "claim_refused", detail=f"issuer {issuer.name} requires {condition}")


def _refuse_bound_to_a_key(claims: Claims, role: Role) -> None:
    """A token bound to a key must not become one that anybody can use (RFC 7800 §3.1). Presence counts."""
    if "cnf" in claims:
        raise token_refusal(role, "proof_missing", detail="cnf; proofs of possession are not verified here")
