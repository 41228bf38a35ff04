"""The profiles as their files say them: ``exchange/profiles/NAME.yaml`` and ``NAME.tokens.json`` beside it.

Found as files and not taken from the loader, so that a profile that is forgotten somewhere is missed here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from exchange.config.values import TrustedIssuer
from exchange.model import Role, Secret, VerifiedToken
from tests.support.shapes import at, inline_keys, load_issuers, outcome, signed
from tests.support.tokens import token_validator

REPOSITORY = Path(__file__).parents[2]
DATA = REPOSITORY / "exchange" / "profiles"
PAGES = REPOSITORY / "docs" / "profiles"
KINDS = ("access_token", "id_token", "other", "workload")
Declared = Literal["access_token", "jwt"]


@dataclass(frozen=True)
class ShapedToken:
    """One entry of a ``tokens.json``: a token that the product makes, and what becomes of it."""

    profile: str
    variant: str
    kind: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    audience: Sequence[str]
    expect: str
    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    declared: Declared | None = None
    answer: Mapping[str, Any] | None = None
    """What the issuer says of the token when it is asked (RFC 7662); tried where introspection is."""
    token: str | None = None
    """The token itself, where it is no JWT; ``header`` and ``claims`` are empty then."""

    def __str__(self) -> str:
        return f"{self.profile}: {self.variant}"

    @property
    def issuer(self) -> str:
        """``issuer`` of the file that trusts this token's issuer."""
        named = self.settings.get("issuer", self.claims.get("iss"))
        return named if isinstance(named, str) else f"https://{self.profile}.example"

    @property
    def declarations(self) -> tuple[Declared, ...]:
        return (self.declared,) if self.declared else ("access_token", "jwt")

    def issuer_file(self) -> dict[str, Any]:
        weak = {"accept_weak_marker": True} if "weak" in data(self.profile) else {}
        return {
            "issuer": self.issuer,
            "profile": self.profile,
            "audience": list(self.audience),
            "keys": inline_keys(),
            **weak,
            **self.settings,
        }


@cache
def profiles() -> tuple[str, ...]:
    """Return the names of the shipped profiles."""
    return tuple(sorted(path.stem for path in DATA.glob("*.yaml") if path.stem != "known_issuers"))


@cache
def data(profile: str) -> Mapping[str, Any]:
    """Return what the profile's file holds, as plain YAML."""
    loaded = yaml.safe_load((DATA / f"{profile}.yaml").read_text("utf-8"))
    assert isinstance(loaded, dict), f"exchange/profiles/{profile}.yaml is no mapping"
    return loaded


@cache
def local_profiles() -> tuple[str, ...]:
    """Return the profiles that look at a token themselves and take access tokens alone, or nothing at all.

    Those of workload identity tokens, and those that ask the issuer of each token, have tests of their own.
    """
    asking = {name for name in profiles() if "introspection" in data(name)}
    workload = {name for name in profiles() if data(name).get("kind") == "workload"}
    never = {name for name in profiles() if "never" in data(name)}
    return tuple(name for name in profiles() if name in never or name not in asking | workload)


@cache
def tokens(profile: str) -> tuple[ShapedToken, ...]:
    """Return the profile's tokens with their times resolved; none when the file is not there."""
    path = DATA / f"{profile}.tokens.json"
    if not path.exists():
        return ()
    entries = json.loads(path.read_text("utf-8"))
    return tuple(
        ShapedToken(
            profile=profile, **{**entry, "claims": at(entry["claims"]), "answer": at(entry.get("answer"))}
        )
        for entry in entries
    )


@cache
def foreign_tokens() -> tuple[ShapedToken, ...]:
    """Return all that is no access token, but for workload tokens that say ``at+jwt`` and show nothing else.

    That is the lie of their own issuer, which no other profile can see through.
    """
    every = (token for name in profiles() for token in tokens(name))
    return tuple(
        token
        for token in every
        if token.kind != "access_token" and token.header and not _is_lie_of_its_issuer(token)
    )


def _is_lie_of_its_issuer(token: ShapedToken) -> bool:
    return data(token.profile).get("kind") == "workload" and token.header.get("typ") == "at+jwt"


def looking() -> list[str]:
    """Return the profiles that look at a token themselves, of those whose tokens are there."""
    return [name for name in profiles() if "introspection" not in data(name) and tokens(name)]


def foreign_issuer(profile: str) -> str:
    """Return an issuer at a domain of its own, which no product is known by."""
    return f"https://{profile}.profiles.example"


@cache
def every_audience() -> tuple[str, ...]:
    """Return all that any token is for or was issued to: no refusal here may be one of the audience."""
    named: set[str] = set()
    for profile in profiles():
        for token in tokens(profile):
            for claim in ("aud", "client_id", "azp", "sub"):
                value = token.claims.get(claim, [])
                listed = value if isinstance(value, list) else [value]
                named.update(item for item in listed if isinstance(item, str) and item.split() == [item])
    return tuple(sorted(named))


def foreign_file(profile: str) -> dict[str, Any]:
    """Return the file of ``foreign_issuer(profile)``: that of a token which is accepted, for every audience."""
    file: Mapping[str, Any] = {"profile": profile}
    genuine = next((token for token in tokens(profile) if token.expect == "accepted"), None)
    if genuine:
        file = genuine.issuer_file()
    issuer = foreign_issuer(profile)  # an audience besides: WorkOS names nobody but itself
    own = {"issuer": issuer, "audience": [*every_audience(), issuer], "keys": inline_keys()}
    return {name: value for name, value in {**file, **own}.items() if name != "tenant"}


def looked_at_here(profile: str) -> tuple[ShapedToken, ...]:
    """Return those of which the issuer is not asked."""
    return tuple(token for token in tokens(profile) if token.answer is None)


def asked_about(profile: str) -> tuple[ShapedToken, ...]:
    """Return those with the ``answer`` of their issuer: for the tests of introspection."""
    return tuple(token for token in tokens(profile) if token.answer is not None)


@cache
def _trusted(file: str) -> TrustedIssuer:
    (issuer,) = load_issuers({"idp": file}).values()
    return issuer


def trusted(token: ShapedToken) -> TrustedIssuer:
    """Return the issuer of a token through the real loader; raises ``PolicyFaults``."""
    return _trusted(json.dumps(token.issuer_file()))


def signed_token(token: ShapedToken) -> Secret:
    return signed(token.header, token.claims)


def verdict(token: ShapedToken, role: Role = Role.SUBJECT, declared: Declared = "access_token") -> str:
    """Return ``accepted`` or the reason without the role, from the validator that serves requests."""
    found = outcome(token_validator(trusted(token)), signed_token(token), role, declared)
    return "accepted" if isinstance(found, VerifiedToken) else found


def wrong_verdicts(token: ShapedToken) -> list[str]:
    """Return a line for each role and declared type under which the token is not what it is expected to be."""
    try:
        trusted(token)
    except Exception as error:  # noqa: BLE001  # a fault of one entry is told among those of the others
        return [f"{token}: its issuer's file does not load: {error}"]
    return [
        f"{token}: as {role}, declared {declared}: expected {token.expect}, got {found}"
        for role in Role
        for declared in token.declarations
        if (found := verdict(token, role, declared)) != token.expect
    ]
