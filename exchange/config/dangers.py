"""What loads and is still worth a second look: each danger with its file and line, for ``exchange check``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Final

from exchange.config.directory import PolicyDirectory
from exchange.config.faults import Fault, YamlPath, readable_path
from exchange.config.policy_file import PolicyFile
from exchange.config.rules import ALWAYS
from exchange.config.values import MarkerAlternative, Policies, Rule, TargetService, TrustedIssuer
from exchange.matchers import Condition

_MUTABLE_CLAIMS: Final = frozenset(
    {
        *("email", "mail", "emails", "preferred_username", "upn", "unique_name", "username", "user_name"),
        *("login", "name", "nickname", "given_name", "family_name", "phone_number", "samaccountname"),
    }
)
# Every JWT has these, the ID token too: a marker of them alone tells nothing apart.
_REGISTERED_CLAIMS: Final = frozenset({"iss", "sub", "aud", "exp", "iat", "nbf", "jti"})
_UNTELLING_HEADERS: Final = frozenset({"alg", "kid", "x5t", "x5c", "jku"})
_OPEN_START = re.compile(r"\^?(\(\?[a-z]+\))?\(*\.[*+]")
_OPEN_END = re.compile(r"(?<!\\)\.[*+]\??\)*\$?$")


def find_dangers(policies: Policies, files: PolicyDirectory) -> tuple[Fault, ...]:
    """Return the dangers in ``policies``, loaded from ``files`` without a fault; sorted by place."""
    issuers = {issuer.name: issuer for issuer in policies.issuers.values()}
    targets = {target.name: target for target in policies.targets.values()}
    found: list[Fault] = []
    for file in files.issuers:
        found.extend(_danger(file, path, text) for path, text in _of_issuer(file, issuers[file.name]))
    for file in files.audiences:
        found.extend(_danger(file, path, text) for path, text in _of_audience(file, targets[file.name]))
    found.extend(_client_ids_as_audience(policies, files))
    return tuple(sorted(set(found)))


_Danger = tuple[YamlPath, str]


def _danger(file: PolicyFile, path: YamlPath, message: str) -> Fault:
    return Fault(file.source(path), readable_path(path), message)


# ── issuers ─────────────────────────────────────────────────────────────────────────────────────────────────


def _of_issuer(file: PolicyFile, issuer: TrustedIssuer) -> Iterator[_Danger]:
    for path in (*issuer.subject, *((issuer.subject_otherwise,) if issuer.subject_otherwise else ())):
        if str(path).rpartition("/")[2].lower() in _MUTABLE_CLAIMS:
            yield (
                ("subject", "claim"),
                f"the subject is {path}, which may change or pass to somebody else; use a stable claim",
            )
    access_token = file.data.get("access_token")
    if issuer.profile.weak and access_token is None:
        yield ("profile",), f"its marker is weak: {issuer.profile.weak}"
    if access_token is not None:
        for index, alternative in enumerate(issuer.marker):
            if not _tells_apart(alternative):
                yield (
                    ("access_token", "marker", index),
                    "ID tokens hold this too; add a condition on what only access tokens have",
                )
    conditions: tuple[YamlPath, ...] = (("require",), ("access_token", "marker"))
    for place in conditions:
        yield from _patterns(_at(file.data, place), place)


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


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────


def _client_ids_as_audience(policies: Policies, files: PolicyDirectory) -> Iterator[Fault]:
    """An ID token's ``aud`` is the client id (OpenID Connect Core §2), so such an audience tells nothing."""
    client_ids = {name for client in policies.clients.values() for name in client.authorized_party}
    for file in (*files.issuers, *files.clients, *files.audiences):
        declared = file.data.get("audience")
        listed = isinstance(declared, list)
        for index, name in enumerate(declared if isinstance(declared, list) else [declared]):
            if name in client_ids:
                path: YamlPath = ("audience", index) if listed else ("audience",)
                text = "an audience that is a client id; use a name of the API, such as its URL"
                yield _danger(file, path, text)


# ── rules ───────────────────────────────────────────────────────────────────────────────────────────────────


def _of_audience(file: PolicyFile, target: TargetService) -> Iterator[_Danger]:
    for index, rule in enumerate(target.rules):
        path: YamlPath = ("rules", index)
        if rule.presenter == "any":
            text = "whoever holds such a subject token may present it; prefer audience or authorized_party"
            yield (*path, "presenter"), text
        for grant in rule.scopes:
            if grant.always:
                text = f"granted {ALWAYS}, whatever the subject token may do; name the scopes that it needs"
                yield (*path, "scopes", grant.scope), text
        if earlier := _decided_before(rule, target.rules[:index]):
            text = f"can never be reached: {earlier.id}, on line {earlier.source.line}, decides first"
            yield path, text
        yield from _patterns(_at(file.data, (*path, "subject", "claims")), (*path, "subject", "claims"))


def _decided_before(rule: Rule, earlier_rules: tuple[Rule, ...]) -> Rule | None:
    """Return an earlier rule that decides first, if such rules together leave nothing to ``rule``."""
    asked = _keys(rule)
    wider = [earlier for earlier in earlier_rules if _keys(earlier) <= asked]
    last: Rule | None = None
    for client, issuer in product(rule.clients or [None], rule.subject_issuers or [None]):
        last = next((other for other in wider if _covers(other, client, issuer)), None)
        if last is None:
            return None
    return last


def _covers(rule: Rule, client: str | None, issuer: str | None) -> bool:
    return (rule.clients is None or client in rule.clients) and (
        rule.subject_issuers is None or issuer in rule.subject_issuers
    )


def _keys(rule: Rule) -> frozenset[tuple[str, str, str]]:
    # repr, because Python's True equals its 1.
    return frozenset(
        (str(condition.path), condition.matcher.name, repr(condition.matcher.expected))
        for condition in rule.subject_claims
    )


# ── patterns ────────────────────────────────────────────────────────────────────────────────────────────────


def _patterns(value: object, path: YamlPath) -> Iterator[_Danger]:
    """Yield the patterns inside ``value`` that begin or end with anything at all."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _patterns(item, (*path, index))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if (name == "pattern" and _is_open(item)) or (name == "glob" and str(item).startswith("*")):
                text = "begins or ends with anything at all; a stranger may choose that part, so write it out"
                yield (*path, name), text
            elif not isinstance(item, str):
                yield from _patterns(item, (*path, name))


def _is_open(pattern: object) -> bool:
    text = str(pattern)
    return bool(_OPEN_START.match(text) or _OPEN_END.search(text))


def _at(data: Mapping[str, Any], path: YamlPath) -> object:
    value: Any = data
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
    return value
