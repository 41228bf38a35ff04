"""The corpus of token shapes, signed with keys of our own and put through the validator that serves requests.

``token-shapes.json`` has real shapes of real products: access tokens, ID tokens and everything else that the same
keys sign, each with the profile of its product and the verdict on its *kind*. Times in it are relative.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from exchange.config.profiles import DEFAULT_PROFILE
from exchange.config.values import TrustedIssuer
from exchange.model import Role, Secret, VerifiedToken
from exchange.tokens.validate import TokenValidator
from tests.profiles.token_files import local_profiles
from tests.support import shapes
from tests.support.shapes import ALGORITHMS, at, inline_keys, load_issuers, signed, with_issuer
from tests.support.tokens import token_validator

PROFILE_OF_PRESET = {
    "okta-custom-as": "okta",
    "aws-cognito": "cognito",
    "identityserver-legacy": "identityserver",
    "spring-as": "spring",
    "openiddict-legacy": "openiddict",
}
"""The corpus has longer names for some."""


@dataclass(frozen=True)
class Case:
    """One shape. ``accept`` and ``accept_generic`` are the corpus's verdicts on its kind."""

    idp: str
    variant: str
    kind: str
    profile: str | None
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    accept: bool
    accept_generic: bool

    def __str__(self) -> str:
        return f"{self.idp}: {self.variant}"


@cache
def cases() -> tuple[Case, ...]:
    text = (resources.files("tests.corpus") / "token-shapes.json").read_text("utf-8")
    return tuple(_case(entry) for entry in json.loads(text))


def _case(entry: Mapping[str, Any]) -> Case:
    preset = entry["test"]["preset"]
    return Case(
        idp=entry["idp"],
        variant=entry["variant"],
        kind=entry["kind"],
        profile=PROFILE_OF_PRESET.get(preset, preset),
        header=entry["header"],
        claims=at(entry["claims"]),
        accept=entry["expect"]["preset"] == "accept",
        accept_generic=entry["expect"]["generic"] == "accept",
    )


@cache
def _every_audience() -> frozenset[str]:
    """Return all that any case has in ``aud`` or ``client_id``: the audience must hide no mistake about a kind."""
    named: set[str] = set()
    for case in cases():
        for claim in ("aud", "client_id"):
            value = case.claims.get(claim, [])
            named.update([value] if isinstance(value, str) else value)
    return frozenset(named)


def foreign_issuer(profile: str) -> str:
    return f"https://{profile}.corpus.example"


def own_issuer(case: Case) -> str:
    return str(case.claims["iss"])


@cache
def issuers() -> Mapping[str, TrustedIssuer]:
    """Return by ``iss``: a foreign issuer for each shipped profile, and the own issuers of its cases.

    Through the real loader, so that what is tested is what operators get. Where cases of two profiles share an
    ``iss``, the product's own profile comes before the generic one, which it takes in.
    """
    own = {
        own_issuer(case): case.profile
        for case in sorted(cases(), key=lambda case: case.profile != DEFAULT_PROFILE)
        if case.profile in local_profiles() and "iss" in case.claims
    }
    foreign = {foreign_issuer(profile): profile for profile in local_profiles()}
    loadable = {iss: profile for iss, profile in own.items() if iss.startswith("https://")}
    files = {
        f"issuer-{index}": {
            "issuer": iss,
            "profile": profile,
            "audience": sorted({*_every_audience(), iss}),  # WorkOS names nobody but itself
            "keys": inline_keys(),
            "accept_weak_marker": True,
        }
        for index, (iss, profile) in enumerate(sorted((loadable | foreign).items()))
    }
    return load_issuers(files)


@cache
def validator() -> TokenValidator:
    return token_validator(*issuers().values())


def own_token(case: Case) -> Secret:
    """Return the token as its product makes it, but for ``kid`` and the key."""
    return signed(case.header, case.claims)


def swapped(
    case: Case,
    profile: str,
    *,
    header: Mapping[str, Any] | None = None,
    claims: Mapping[str, Any] | None = None,
) -> Secret:
    """Return the token as if ``profile``'s foreign issuer had made it, with ``header`` and ``claims`` added.

    ``exp`` is filled in where the shape has none, since times come before the kind. Where the token is about
    its issuer, it stays so.
    """
    changed = {**with_issuer(case.claims, foreign_issuer(profile)), **(claims or {})}
    algorithm = case.header["alg"]
    known = algorithm if algorithm not in ALGORITHMS else "RS256"  # every profile allows RS256
    return signed({**case.header, "alg": known, **(header or {})}, changed)


def outcome(token: Secret, role: Role = Role.SUBJECT, declared: str = "access_token") -> VerifiedToken | str:
    """Return the verified token, or the reason without the role."""
    return shapes.outcome(validator(), token, role, declared)


def verdict(token: Secret, role: Role = Role.SUBJECT, declared: str = "access_token") -> str:
    """Return ``accepted`` or the reason."""
    found = outcome(token, role, declared)
    return found if isinstance(found, str) else "accepted"


def of_kind(*kinds: str) -> tuple[Case, ...]:
    return tuple(case for case in cases() if case.kind in kinds)
