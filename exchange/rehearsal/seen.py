"""What each check of a token saw: said after the fact, from the token, its issuer's file and the tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from exchange.claim_path import MISSING
from exchange.config.values import Policies, TrustedIssuer
from exchange.jose import MalformedJws, parse_unverified
from exchange.matchers import Condition
from exchange.model import NO_CLAIMS, Claims, Secret
from exchange.policy.trace import seen
from exchange.rehearsal.believed import believed_issuers
from exchange.rehearsal.rehearse import Examined
from exchange.tokens.checks import Check
from exchange.tokens.opaque import as_answer, classify_jwt, is_asked_about
from exchange.tokens.unverified import UnverifiedToken

Outcome = Literal["ok", "failed", "not checked"]


@dataclass(frozen=True, slots=True)
class CheckSeen:
    """One check of one token."""

    check: Check
    outcome: Outcome
    seen: str

    def to_json(self) -> dict[str, object]:
        """Return a JSON object."""
        return {"check": self.check.value, "outcome": self.outcome, "seen": self.seen}


@dataclass(frozen=True, slots=True)
class _Material:
    token: Secret
    unsigned: bool
    header: Claims
    claims: Claims
    issuer: TrustedIssuer | None
    now: float
    judged: UnverifiedToken | None
    """What the checks looked at, which is an answer where the issuer was asked."""


def checks_seen(examined: Examined, policies: Policies, *, now: float) -> list[CheckSeen]:
    """Return the checks that were made of one token, in order."""
    material = _material(examined, policies, now)
    failed = examined.checks[-1] if examined.verified is None and examined.checks else None
    return [
        _one(check, material, failed=check is failed)
        for check in Check
        if check in examined.checks or _is_skipped(check, examined)
    ]


def _is_skipped(check: Check, examined: Examined) -> bool:
    reached = examined.unsigned and Check.TIMES in examined.checks
    asked = examined.read is not None and is_asked_about(examined.read)
    return reached and check in ({Check.INTROSPECTION} if asked else {Check.KEY, Check.SIGNATURE})


def _one(check: Check, material: _Material, *, failed: bool) -> CheckSeen:
    if material.unsigned and check in {Check.KEY, Check.SIGNATURE, Check.INTROSPECTION}:
        return CheckSeen(check, "not checked", "there are claims alone")
    return CheckSeen(check, "failed" if failed else "ok", _SHOWN[check](material))


def _material(examined: Examined, policies: Policies, now: float) -> _Material:
    try:
        jws = parse_unverified(examined.token)
        header, claims = jws.header, jws.claims
    except MalformedJws:
        header = claims = NO_CLAIMS
    judged = examined.read
    if judged is None:
        iss = claims.get("iss")
        issuer = believed_issuers(policies).get(iss) if isinstance(iss, str) else None
    else:
        judged = as_answer(judged) if examined.unsigned else judged
        claims, issuer = judged.jws.claims, judged.issuer
    return _Material(examined.token, examined.unsigned, header, claims, issuer, now, judged)


def readable(value: object) -> str:
    """Return a value of a token as one line of ASCII JSON, shortened: no escape reaches a terminal raw."""
    return "absent" if value is MISSING else json.dumps(seen(value), default=_plain)


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else repr(value)


def _members(claims: Claims, names: tuple[str, ...]) -> str:
    present = [f"{name} {readable(claims[name])}" for name in names if name in claims]
    return ", ".join(present) or f"no {' or '.join(names)}"


def _form(material: _Material) -> str:
    return "claims alone" if material.unsigned else f"a token of {len(material.token)} bytes"


def _issuer(material: _Material) -> str:
    if material.issuer is None:
        return _members(material.claims, ("iss",))
    return f"{material.issuer.name}, {material.issuer.source}"


def _algorithm(material: _Material) -> str:
    allowed = ", ".join(sorted(material.issuer.algorithms)) if material.issuer else "none"
    return f"{readable(material.header.get('alg'))} among {allowed}"


def _profile(material: _Material) -> str:
    return material.issuer.profile.name if material.issuer else ""


def _introspection(material: _Material) -> str:
    asked = material.judged is not None and not material.judged.issuer.introspection
    return "active, and what follows is the answer" if asked else "no answer that counts"


def _times(material: _Material) -> str:
    at = {name: material.claims.get(name) for name in ("iat", "nbf", "exp")}
    return ", ".join(
        f"{name} {value - int(material.now):+d} s" for name, value in at.items() if isinstance(value, int)
    )


def _kind(material: _Material) -> str:
    if material.judged is None:
        return ""
    judged = material.judged
    found = classify_jwt(judged.jws.header, judged.jws.claims, judged.issuer)
    return f"{found.kind.value}, evidence: {found.evidence}"


def _claims(material: _Material) -> str:
    issuer = material.issuer
    if issuer is None:
        return ""
    tenant = (issuer.tenant.claim,) if issuer.tenant is not None else ()
    paths = dict.fromkeys((*issuer.required_claims, *tenant, *issuer.subject, *issuer.client, *issuer.scope))
    found = ((path, path.find(material.claims)) for path in paths)
    return ", ".join(f"{path} {readable(value)}" for path, value in found if value is not MISSING)


def _audience(material: _Material) -> str:
    if material.issuer is None:
        return ""
    claim, accepted = material.issuer.audience_claim, ", ".join(sorted(material.issuer.audience))
    return f"{claim} {readable(claim.find(material.claims))}, accepted: {accepted}"


def _require(material: _Material) -> str:
    conditions: tuple[Condition, ...] = material.issuer.require if material.issuer else ()
    saw = (f"{condition}: {readable(condition.path.find(material.claims))}" for condition in conditions)
    return "; ".join(saw) or "nothing is required"


def _kept(material: _Material) -> str:
    kept = _members(material.claims, ("cnf", "act", "may_act"))
    proved = material.judged.proof.as_confirmation() if material.judged is not None else None
    return f"{kept}; proved: {readable(proved)}" if proved else kept


_SHOWN: Final[Mapping[Check, Callable[[_Material], str]]] = {
    Check.FORM: _form,
    Check.HEADER: lambda material: _members(material.header, ("typ", "alg", "kid")),
    Check.ISSUER: _issuer,
    Check.ALGORITHM: _algorithm,
    Check.KEY: lambda material: _members(material.header, ("kid",)),
    Check.SIGNATURE: lambda _material: "",
    Check.INTROSPECTION: _introspection,
    Check.PROFILE: _profile,
    Check.TIMES: _times,
    Check.KIND: _kind,
    Check.CLAIMS: _claims,
    Check.AUDIENCE: _audience,
    Check.REQUIRE: _require,
    Check.KEPT: _kept,
}
