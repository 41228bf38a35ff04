"""From an unverified string to a ``VerifiedToken`` (RFC 8693 §2.1, RFC 8725, RFC 9068 §4).

The lines of ``TokenValidator.read`` and ``accept`` are the order of trust. No network before ``iss`` is known
to be configured, no claim believed before the signature, no audience looked at before the kind: an ID token
for somebody else is still refused as an ID token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from exchange.config.values import ServerSettings, TrustedIssuer
from exchange.errors import token_refusal
from exchange.introspection import Introspections
from exchange.jose import MalformedJws, UnverifiedJws, parse_unverified
from exchange.model import (
    NO_CLAIMS,
    Claims,
    PresentedToken,
    Role,
    Secret,
    VerifiedToken,
)
from exchange.tokens.checks import Check, Entered, unwatched
from exchange.tokens.claim_values import read_claims
from exchange.tokens.classify import classify
from exchange.tokens.confirmation import check_confirmation
from exchange.tokens.delegation_claims import read_act, read_may_act
from exchange.tokens.header_policy import check_header
from exchange.tokens.kinds import require_kind
from exchange.tokens.opaque import (
    OpaqueTokens,
    as_answer,
    classify_jwt,
    is_asked_about,
    is_opaque,
    read_opaque,
)
from exchange.tokens.signature import check_signature
from exchange.tokens.single_use import single_use_id
from exchange.tokens.tenants import check_tenant, refuse_unknown
from exchange.tokens.times import check_times
from exchange.tokens.unverified import UnverifiedToken
from exchange.trust import KeyCache, TrustedIssuers

Clock = Callable[[], float]
"""Seconds since the epoch."""

_OPAQUE = (
    "no JWT at all: an opaque token, whose issuer alone knows what it says; to have it asked, write"
    " opaque_tokens_from in the client's file"
)


class TokenValidator:
    """Verifies subject and actor tokens alike: an actor token is held to every rule of a subject token."""

    def __init__(
        self,
        *,
        issuers: TrustedIssuers,
        server: ServerSettings,
        clock: Clock,
        introspections: Introspections | None = None,
    ) -> None:
        self._issuers = issuers
        self._opaque = OpaqueTokens(introspections)
        self._skew = server.clock_skew
        self._clock = clock

    def __call__(self, presented: PresentedToken, entered: Entered = unwatched) -> VerifiedToken:
        """Return what the token says, verified. Raises the ``Refusal`` of the first check that fails."""
        return self._verified(self.read(presented, entered), entered)

    def workload(self, presented: PresentedToken, audience: frozenset[str]) -> VerifiedToken:
        """Return what a workload's token says that is meant for ``audience``, and not for an exchange.

        For whoever asks who somebody is (RFC 7521 §4.2): everything else is checked as for an exchange.
        Raises the ``Refusal`` of the first check that fails, ``…_is_other_kind`` for another issuer's token.
        """
        unverified = self.read(presented)
        issuer = unverified.issuer
        if issuer.kind != "workload":
            detail = f"issuer {issuer.name} is not of kind: workload"
            raise token_refusal(presented.role, "is_other_kind", detail=detail)
        return self._verified(replace(unverified, issuer=replace(issuer, audience=audience)), unwatched)

    def _verified(self, unverified: UnverifiedToken, entered: Entered) -> VerifiedToken:
        return self.accept(self.vouch(unverified, entered), entered)

    def read(self, presented: PresentedToken, entered: Entered = unwatched) -> UnverifiedToken:
        """Return the token taken apart, with the issuer that it says it is from; nothing is believed yet."""
        role = presented.role
        entered(Check.FORM)
        if presented.opaque_tokens_from is not None and is_opaque(presented.token):
            return self._read_opaque(presented, entered)
        jws = _parse(presented.token, role)
        entered(Check.HEADER)
        check_header(jws.header, role)
        entered(Check.ISSUER)
        issuer, keys = self._issuer(jws.claims, role)
        entered(Check.PROFILE)
        refuse_unrecognisable(issuer, role)
        entered(Check.ALGORITHM)
        algorithm = _algorithm(jws, issuer, role)
        return UnverifiedToken(jws, role, issuer, keys, algorithm, presented.declared, proof=presented.proof)

    def vouch(self, unverified: UnverifiedToken, entered: Entered = unwatched) -> UnverifiedToken:
        """Return the token with somebody's word for it: its signature, or what its issuer answers."""
        jws, role, issuer = unverified.jws, unverified.role, unverified.issuer
        if not is_asked_about(unverified):
            check_signature(jws, unverified.algorithm, issuer, unverified.keys, role=role, entered=entered)
            return unverified
        if not unverified.is_opaque:
            entered(Check.KIND)  # before anybody is asked: `active` is said of ID tokens, too
            require_kind(classify_jwt(jws.header, jws.claims, issuer), issuer, role, unverified.declared)
        entered(Check.INTROSPECTION)
        return self._opaque.vouched(unverified)

    def accept(self, signed: UnverifiedToken, entered: Entered = unwatched) -> VerifiedToken:
        """Return what a token says, all that stands behind its signature checked.

        The caller has had it vouched for, or rehearses: ``exchange test`` has no signatures, and nothing
        that is accepted so ever reaches a client.
        """
        needs_no_id = is_asked_about(signed)  # an opaque token or, in a rehearsal, what is said of one
        signed = as_answer(signed)
        role, issuer, header, claims = signed.role, signed.issuer, signed.jws.header, signed.jws.claims
        entered(Check.TIMES)
        validity = check_times(claims, issuer, role, now=self._clock(), skew=self._skew)
        entered(Check.KIND)
        classification = classify(header, claims, issuer)
        require_kind(classification, issuer, role, signed.declared)
        entered(Check.CLAIMS)
        check_tenant(claims, issuer, role)
        values = read_claims(claims, issuer, role)
        sha256 = hashlib.sha256(signed.jws.token.reveal().encode()).hexdigest()
        once = single_use_id(issuer, role, token_id=values.token_id, sha256=sha256, is_opaque=needs_no_id)
        entered(Check.AUDIENCE)
        check_audience(values.audience, issuer, role)
        entered(Check.REQUIRE)
        check_conditions(claims, issuer, role)
        entered(Check.KEPT)
        confirmation = check_confirmation(claims, signed.proof, role)
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
            sha256=sha256,
            act=read_act(claims, role),
            may_act=read_may_act(claims, role),
            confirmation=confirmation,
            single_use_id=once,
            in_audit_mode=issuer.mode == "audit",
        )

    def _read_opaque(self, presented: PresentedToken, entered: Entered) -> UnverifiedToken:
        entered(Check.ISSUER)
        issuer, keys = read_opaque(presented, self._issuers)
        refuse_disabled(issuer, presented.role)
        entered(Check.PROFILE)
        refuse_unrecognisable(issuer, presented.role)
        jws = UnverifiedJws(presented.token, NO_CLAIMS, NO_CLAIMS)
        return UnverifiedToken(
            jws, presented.role, issuer, keys, "", presented.declared, is_opaque=True, proof=presented.proof
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
            raise refuse_unknown(iss, self._issuers, role)
        refuse_disabled(trusted[0], role)
        return trusted


def _parse(token: Secret, role: Role) -> UnverifiedJws:
    try:
        return parse_unverified(token)
    except MalformedJws as malformed:
        opaque = malformed.cause == "malformed" and "." not in token.reveal()
        detail = _OPAQUE if opaque else None
        raise token_refusal(role, malformed.cause, detail=detail) from None


def _algorithm(jws: UnverifiedJws, issuer: TrustedIssuer, role: Role) -> str:
    """The issuer's list decides, never the token (RFC 8725 §3.1)."""
    algorithm = str(jws.header["alg"])
    if algorithm not in issuer.algorithms:
        detail = f"{algorithm} is not among the algorithms of issuer {issuer.name}"
        raise token_refusal(role, "algorithm_not_allowed", detail=detail)
    return algorithm


def refuse_disabled(issuer: TrustedIssuer, role: Role) -> None:
    if not issuer.enabled:
        raise token_refusal(role, "issuer_disabled", detail=f"issuer {issuer.name}")


def refuse_unrecognisable(issuer: TrustedIssuer, role: Role) -> None:
    """Even ``at+jwt`` is no proof where one function makes both kinds of token.

    The issuer's file alone decides this, so it comes before anything is fetched: keys that are out of reach
    would be a 503, and who asks again later must hear the same answer (docs/adr/0034).
    """
    if issuer.profile.never is not None:
        detail = f"profile {issuer.profile.name}: {issuer.profile.never}"
        raise token_refusal(role, "issuer_unrecognisable", detail=detail)


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
