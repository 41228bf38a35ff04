"""Dangers of whom we believe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from exchange.config.dangers.matching import MUTABLE_CLAIMS, Danger, last_part, pattern_dangers
from exchange.config.policy_file import PolicyFile
from exchange.config.values import MarkerAlternative, Policies, Rule, TrustedIssuer
from exchange.matchers import Condition

# Every JWT has these, the ID token too: a marker of them alone tells nothing apart.
_REGISTERED_CLAIMS: Final = frozenset({"iss", "sub", "aud", "exp", "iat", "nbf", "jti"})
_UNTELLING_HEADERS: Final = frozenset({"alg", "kid", "x5t", "x5c", "jku"})
_ALL_TENANTS: Final = "common|organizations|consumers|9188040d-6c67-4c5b-b112-36a304b66dad"
_SHARED_ISSUERS: Final = tuple(
    (re.compile(pattern), title)
    for pattern, title in (
        (r"https://token\.actions\.githubusercontent\.com(/.*)?", "GitHub Actions"),
        (r"https://gitlab\.com/?", "gitlab.com"),
        (r"https://oidc\.circleci\.com/.*", "CircleCI"),
        (r"https://agent\.buildkite\.com/?", "Buildkite"),
        (r"https://app\.terraform\.io/?", "Terraform Cloud"),
        (r"https://accounts\.google\.com/?", "Google"),
        (rf"https://login\.microsoftonline\.com/({_ALL_TENANTS})(/.*)?", "Microsoft for all tenants"),
        (rf"https://sts\.windows\.net/({_ALL_TENANTS})(/.*)?", "Microsoft for all tenants"),
    )
)
_BINDING = re.compile(r"sub|oid|tid|hd|tenant|.*[_-]id", re.ASCII)
_NOBODYS_VALUE: Final = "a value that nobody has: 7f3a"


def issuer_dangers(file: PolicyFile, issuer: TrustedIssuer, policies: Policies) -> Iterator[Danger]:
    """Yield the dangers of the issuer that ``file`` describes."""
    yield from _subject(issuer)
    yield from _marker(file, issuer)
    yield from _shared(issuer, policies)
    if issuer.subject_format == "plain" and len(policies.issuers) > 1:
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


def _shared(issuer: TrustedIssuer, policies: Policies) -> Iterator[Danger]:
    """Any stranger can get a token of such an issuer with our audience in it: they prove nothing."""
    title = next((title for shared, title in _SHARED_ISSUERS if shared.fullmatch(issuer.issuer)), None)
    if issuer.profile.never is not None:
        return  # none of its tokens passes, a stranger's neither
    if title is None or any(_binds(condition) for condition in issuer.require):
        return
    rules = [rule for rule in _permissions(policies) if issuer.name in (rule.subject_issuers or ())]
    if not rules or not all(any(_binds(condition) for condition in rule.subject_claims) for rule in rules):
        text = f"strangers get tokens of {title} too, and no subject is bound; `require` a sub, a tenant"
        yield ("issuer",), f"{text}, or the id of an owner, project or organisation"


def _permissions(policies: Policies) -> Iterator[Rule]:
    targets = {target.name: target for target in policies.targets.values()}
    return (rule for target in targets.values() for rule in target.rules if rule.deny is None)


def _binds(condition: Condition) -> bool:
    matcher = condition.matcher
    return (
        _BINDING.fullmatch(last_part(str(condition.path))) is not None
        and matcher.name not in {"present", "type"}
        and not matcher.matches(_NOBODYS_VALUE)
    )
