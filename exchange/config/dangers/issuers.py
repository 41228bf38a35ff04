"""Dangers of whom we believe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from exchange.config.binding import binds_subject, leaves_strangers_out, shared_issuer
from exchange.config.dangers.matching import MUTABLE_CLAIMS, Danger, last_part, pattern_dangers
from exchange.config.policy_file import PolicyFile
from exchange.config.values import MarkerAlternative, Policies, Rule, TrustedIssuer
from exchange.config.workload_fields import strangers_message
from exchange.matchers import Condition

# Every JWT has these, the ID token too: a marker of them alone tells nothing apart.
_REGISTERED_CLAIMS: Final = frozenset({"iss", "sub", "aud", "exp", "iat", "nbf", "jti"})
_UNTELLING_HEADERS: Final = frozenset({"alg", "kid", "x5t", "x5c", "jku"})


def issuer_dangers(file: PolicyFile, issuer: TrustedIssuer, policies: Policies) -> Iterator[Danger]:
    """Yield the dangers of the issuer that ``file`` describes."""
    yield from _subject(issuer)
    yield from _marker(file, issuer)
    yield from _strangers(issuer, policies)
    yield from _anybody_s_workload(issuer, policies)
    yield from _subjects_of_tenants(issuer, policies)
    if issuer.subject_format == "plain" and len({other.name for other in policies.issuers.values()}) > 1:
        text = "another issuer's person may have the same sub; leave it `qualified`, which is NAME|sub"
        yield ("subject_format",), text
    if issuer.keys.allow_private_network:
        text = "the host of the keys may lead into your own network; use a public name, or a jwks_file"
        yield ("allow_private_network",), text
    if "required_claims" in file.data and "iat" not in {str(path) for path in issuer.required_claims}:
        text = "without iat nobody knows how old a token is; require sub, iat and exp at least"
        yield ("required_claims",), text
    yield from pattern_dangers(issuer.require, ("require",))


def _subject(issuer: TrustedIssuer) -> Iterator[Danger]:
    for path in (*issuer.subject, *((issuer.subject_otherwise,) if issuer.subject_otherwise else ())):
        if last_part(str(path)) in MUTABLE_CLAIMS:
            yield (
                ("subject", "claim"),
                f"the subject is {path}, which may change or pass to somebody else; use a stable claim",
            )


def _marker(file: PolicyFile, issuer: TrustedIssuer) -> Iterator[Danger]:
    if "access_token" not in file.data:
        if issuer.profile.weak:
            yield ("profile",), f"its marker is weak: {issuer.profile.weak}"
        return
    for index, alternative in enumerate(issuer.marker):
        if not _tells_apart(alternative):
            text = "ID tokens hold this too; add a condition on what only access tokens have"
            yield ("access_token", "marker", index), text
        for part, conditions in (("header", alternative.header), ("claims", alternative.claims)):
            yield from pattern_dangers(conditions, ("access_token", "marker", index, part))


def _tells_apart(alternative: MarkerAlternative) -> bool:
    claims = {str(condition.path).lstrip("/") for condition in _proofs(alternative.claims)}
    headers = {
        str(condition.path)
        for condition in _proofs(alternative.header)
        if not condition.matcher.matches("JWT") or str(condition.path) != "typ"
    }
    return bool(claims - _REGISTERED_CLAIMS or headers - _UNTELLING_HEADERS)


def _proofs(conditions: tuple[Condition, ...]) -> Iterator[Condition]:
    return (condition for condition in conditions if condition.matcher.proves_presence)


def _strangers(issuer: TrustedIssuer, policies: Policies) -> Iterator[Danger]:
    """Any stranger can get a token of a shared issuer with our audience in it: it proves nothing."""
    tenants = [other for other in policies.issuers.values() if other.name == issuer.name]
    shared = next((found for one in tenants if (found := shared_issuer(one.issuer))), None)
    # Of an issuer that is never believed no token passes, a stranger's neither.
    if shared is None or issuer.profile.never is not None or leaves_strangers_out(issuer.require, shared):
        return
    rules = _rules_of(issuer, policies)
    if not rules or not all(leaves_strangers_out(rule.subject_claims, shared) for rule in rules):
        yield ("issuer",), strangers_message(shared)


def _anybody_s_workload(issuer: TrustedIssuer, policies: Policies) -> Iterator[Danger]:
    """At an issuer of one's own: every pod of the cluster has such a token."""
    if issuer.kind != "workload" or shared_issuer(issuer.issuer) or binds_subject(issuer.require):
        return
    if not all(binds_subject(rule.subject_claims) for rule in _rules_of(issuer, policies)):
        text = "a rule takes the token of any workload of this issuer; name whose it must be, by sub in"
        yield ("issuer",), f"{text} `require`, or in `subject.claims` of every rule"


def _subjects_of_tenants(issuer: TrustedIssuer, policies: Policies) -> Iterator[Danger]:
    tenants = [other for other in policies.issuers.values() if other.name == issuer.name]
    if issuer.tenant is not None and len(tenants) > 1 and issuer.tenant.claim not in issuer.subject:
        text = "two tenants may each have such a subject, and would be one person here; name the tenant too"
        yield ("tenant", "claim"), f"{text}: `subject: {{claim: [{issuer.tenant.claim}, ...]}}`"


def _rules_of(issuer: TrustedIssuer, policies: Policies) -> list[Rule]:
    """Return the rules that permit something to tokens of ``issuer``."""
    targets = {target.name: target for target in policies.targets.values()}
    permissions = (rule for target in targets.values() for rule in target.rules if rule.deny is None)
    return [rule for rule in permissions if issuer.name in (rule.subject_issuers or ())]
