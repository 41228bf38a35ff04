"""Whether conditions leave strangers out, where an issuer signs for everybody.

The issuer of a CI platform gives every customer's pipeline a token, with the audience that the pipeline asks
for. What tells ours from a stranger's is the subject, the tenant, or an identifier that the platform gave to
an owner, a project or an organisation and never gives to another. A name can be taken by somebody else once
it is free.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from exchange.claim_path import ClaimPath
from exchange.matchers import Condition, Matcher

_Tokens = tuple[str, ...]
"""Where a claim is: its name, or one name within another."""

_SUBJECT: Final[_Tokens] = ("sub",)
_ABOUT_SUBJECT = re.compile(
    r"sub|uid|name|namespace|repository|tenant|tid|.*[_-](id|path|ref|slug)", re.ASCII
)
_TRUST_DOMAIN = re.compile(r"\^?(spiffe://[^/*?(\[]+/)", re.ASCII)
_NAMES_VALUES: Final = frozenset({"equals", "one_of"})
_OF_TEXTS: Final = frozenset({"prefix", "glob", "pattern"})


@dataclass(frozen=True, slots=True)
class SharedIssuer:
    """An issuer whose tokens strangers get too."""

    title: str
    issuers: re.Pattern[str]
    ids: frozenset[_Tokens]
    """Claims with what is never given to another: owner, project, organisation, tenant."""
    subject_of_one: re.Pattern[str] | None = None
    """How a ``sub`` begins, up to where the owner has been named; ``None`` where it has no parts."""


def _shared(title: str, issuers: str, *ids: str, subject: str | None = None) -> SharedIssuer:
    begins = re.compile(subject, re.ASCII) if subject else None
    paths = frozenset(ClaimPath.parse(name).tokens for name in ids)
    return SharedIssuer(title, re.compile(issuers, re.ASCII), paths, begins)


_MICROSOFT: Final = r"https://(login\.microsoftonline\.com|sts\.windows\.net)"
SHARED_ISSUERS: Final = (
    _shared(
        "GitHub Actions",
        r"https://token\.actions\.githubusercontent\.com(/.*)?",
        *("repository_owner_id", "repository_id", "enterprise_id"),
        subject=r"repo:[^/@:]+[/@]|repository_(owner_)?id:[0-9]+:",
    ),
    _shared(
        "gitlab.com",
        r"https://gitlab\.com/?",
        *("namespace_id", "project_id", "root_namespace_id", "job_namespace_id", "job_project_id"),
        subject=r"project_path:[^/:]+/",
    ),
    _shared(
        "CircleCI",
        r"https://oidc\.circleci\.com(/.*)?",
        *(
            "oidc.circleci.com/org-id",
            "oidc.circleci.com/project-id",
            "oidc.circleci.com/pipeline-definition-id",
        ),
        subject=r"/?org/[^/]+/",
    ),
    _shared(
        "Buildkite",
        r"https://agent\.buildkite\.com/?",
        *("organization_id", "pipeline_id", "cluster_id"),
        subject=r"organization:[^:]+:",
    ),
    _shared(
        "Terraform Cloud",
        r"https://app\.terraform\.io/?",
        *("terraform_organization_id", "terraform_project_id", "terraform_workspace_id"),
        subject=r"organization:[^:]+:",
    ),
    _shared("Google", r"(https://)?accounts\.google\.com/?", "hd", "/google/compute_engine/project_id"),
    _shared(
        "Microsoft for all tenants", rf"{_MICROSOFT}/(common|organizations|consumers)(/.*)?", "tid", "oid"
    ),
    # Everybody's personal account is in this one tenant: to name the tenant names nobody.
    _shared(
        "Microsoft for personal accounts", rf"{_MICROSOFT}/9188040d-6c67-4c5b-b112-36a304b66dad(/.*)?", "oid"
    ),
)
_STRANGERS: Final = (
    *("a value that nobody has: 7f3a", "7f3a", "99999999999", "0f3a7f3a-7f3a-4f3a-8f3a-7f3a7f3a7f3a"),
    *(
        "system:serviceaccount:7f3a:7f3a",
        "spiffe://7f3a.example/7f3a/7f3a",
        "spiffe://7f3a.example/ns/7f3a/sa/7f3a",
    ),
    *(
        "repo:7f3a/7f3a:ref:refs/heads/main",
        "repo:7f3a@9/7f3a@9:ref:refs/heads/main",
        "repo:7f3a/7f3a:environment:prod",
    ),
    *(
        "project_path:7f3a/7f3a:ref_type:branch:ref:main",
        "organization:7f3a:pipeline:7f3a:ref:refs/heads/main",
    ),
    "org/0f3a7f3a-7f3a-4f3a-8f3a-7f3a7f3a7f3a/project/0f3a7f3a-7f3a-4f3a-8f3a-7f3a7f3a7f3a/user/7f3a",
)


def shared_issuer(issuer: str) -> SharedIssuer | None:
    """Return the platform that strangers get tokens of, where ``issuer`` is its issuer."""
    return next((shared for shared in SHARED_ISSUERS if shared.issuers.fullmatch(issuer)), None)


def leaves_strangers_out(conditions: Iterable[Condition], shared: SharedIssuer) -> bool:
    """Tell whether one of ``conditions`` names whose token it must be, at an issuer that everybody shares."""
    return any(_names_owner(condition, shared) for condition in conditions)


def binds_subject(conditions: Iterable[Condition]) -> bool:
    """Tell whether one of ``conditions`` narrows whom a token is about, at an issuer of one's own.

    Who gets a token there is one's own people, so a name is enough.
    """
    return any(_narrows(condition) for condition in conditions)


def _names_owner(condition: Condition, shared: SharedIssuer) -> bool:
    matcher = condition.matcher
    if condition.path.tokens == _SUBJECT:
        return _names_values(matcher) or (
            shared.subject_of_one is not None and _begins_with_owner(matcher, shared.subject_of_one)
        )
    # Part of an identifier is no identifier: 12* is 123 and 124 alike.
    return condition.path.tokens in shared.ids and _names_values(matcher)


def _names_values(matcher: Matcher) -> bool:
    if matcher.name not in _NAMES_VALUES:
        return False
    values = matcher.expected if isinstance(matcher.expected, tuple) else (matcher.expected,)
    return all(value not in {"", None} and not isinstance(value, bool) for value in values)


def _begins_with_owner(matcher: Matcher, owner: re.Pattern[str]) -> bool:
    text = str(matcher.expected)
    if matcher.name == "prefix":
        beginnings: Iterable[str] = (text,)
    elif matcher.name == "glob":
        beginnings = (re.split(r"[*?]", text, maxsplit=1)[0],)
    elif matcher.name == "pattern":
        beginnings = _literal_beginnings(text)
    else:
        return False
    return all(owner.match(beginning) for beginning in beginnings) and not _met_by_strangers(matcher)


_ESCAPED = re.compile(r"\\[^A-Za-z0-9]")
_QUANTIFIED: Final = "*?{"


def _literal_beginnings(pattern: str) -> Iterator[str]:
    """Yield what every match of an RE2 expression begins with, for each of its alternatives.

    Only plain characters count. What comes after a group, a class or a dot is not looked at: less is found
    than there may be, and never more.
    """
    if r"\Q" in pattern:  # brackets after it are no brackets
        yield ""
        return
    alternatives, depth = [""], 0
    for token in re.findall(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", pattern, re.DOTALL):
        depth += {"(": 1, ")": -1}.get(token, 0)
        if token == "|" and depth == 0:
            alternatives.append("")
        else:
            alternatives[-1] += token
    yield from (_literal_beginning(alternative.removeprefix("^")) for alternative in alternatives)


def _literal_beginning(pattern: str) -> str:
    found, rest = "", pattern
    while rest:
        escaped = _ESCAPED.match(rest)
        size = 2 if escaped else 1
        if not escaped and rest[0] in r"\.[](){}*+?^$|":
            break
        if rest[size : size + 1] and rest[size] in _QUANTIFIED:
            break  # it may be absent
        found += rest[size - 1]
        rest = rest[size:]
    return found


def _narrows(condition: Condition) -> bool:
    matcher = condition.matcher
    if not _ABOUT_SUBJECT.fullmatch(condition.path.tokens[-1].lower()):
        return False
    return _names_values(matcher) or (matcher.name in _OF_TEXTS and not _met_by_strangers(matcher))


def _met_by_strangers(matcher: Matcher) -> bool:
    return any(
        matcher.matches(value) for value in (*_STRANGERS, *_strangers_of_domain(str(matcher.expected)))
    )


def _strangers_of_domain(text: str) -> Iterator[str]:
    """Yield a workload that shares nothing but its trust domain with what is written: all of it is ours."""
    if domain := _TRUST_DOMAIN.match(text.replace("\\", "")):
        yield f"{domain[1]}7f3a/7f3a"
