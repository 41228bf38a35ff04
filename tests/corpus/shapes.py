"""The corpus of token shapes, signed with keys of our own and put through the validator that serves requests.

``token-shapes.json`` has real shapes of real products: access tokens, ID tokens and everything else that the same
keys sign, each with the profile of its product and the verdict on its *kind*. Times in it are relative.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from exchange.config.load import load
from exchange.config.values import TrustedIssuer
from exchange.errors import Refusal
from exchange.model import PresentedToken, Role, Secret, VerifiedToken
from exchange.tokens.validate import TokenValidator
from tests.support import keys
from tests.support.tokens import NOW, signed_as_it_is, token_validator

PROFILE_OF_PRESET = {
    "okta-custom-as": "okta",
    "aws-cognito": "cognito",
    "identityserver-legacy": "identityserver",
    "spring-as": "spring",
    "openiddict-legacy": "openiddict",
}
"""The corpus has longer names for some."""

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
KIND_REASONS = frozenset({"is_id_token", "is_other_kind", "kind_unproven"})
FORM_REASONS = frozenset({"algorithm_not_allowed", "header_refused"})
"""Decided before the kind, by what the token is signed with or says in its header."""


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
        claims=_at(entry["claims"], NOW),
        accept=entry["expect"]["preset"] == "accept",
        accept_generic=entry["expect"]["generic"] == "accept",
    )


def _at(value: Any, now: int) -> Any:
    """Resolve ``now+3600``, also inside lists and objects."""
    if isinstance(value, str) and (found := re.fullmatch(r"now([+-][0-9]+)", value)):
        return now + int(found[1])
    if isinstance(value, list):
        return [_at(item, now) for item in value]
    if isinstance(value, dict):
        return {name: _at(item, now) for name, item in value.items()}
    return value


def shipped() -> tuple[str, ...]:
    """Return the names of the shipped profiles, found as files and not taken from the loader."""
    folder = resources.files("exchange") / "profiles"
    names = (entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return tuple(sorted(name for name in names if name != "known_issuers"))


def _every_audience() -> list[str]:
    """Return all that any case has in ``aud`` or ``client_id``: the audience must hide no mistake about a kind."""
    named: set[str] = set()
    for case in cases():
        for claim in ("aud", "client_id"):
            value = case.claims.get(claim, [])
            named.update([value] if isinstance(value, str) else value)
    return sorted(named)


def foreign_issuer(profile: str) -> str:
    return f"https://{profile}.corpus.example"


def own_issuer(case: Case) -> str:
    return str(case.claims["iss"])


@cache
def issuers() -> Mapping[str, TrustedIssuer]:
    """Return by ``iss``: a foreign issuer for each shipped profile, and the own issuers of its cases.

    Through the real loader, so that what is tested is what operators get.
    """
    own = {
        own_issuer(case): case.profile
        for case in cases()
        if case.profile in shipped() and "iss" in case.claims
    }
    foreign = {foreign_issuer(profile): profile for profile in shipped()}
    loadable = {iss: profile for iss, profile in own.items() if iss.startswith("https://")}
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), loadable | foreign)
        return load(Path(folder), environ={}).issuers


def _write(folder: Path, profiles: Mapping[str, str | None]) -> None:
    jwks = {"keys": [keys.public_jwk(algorithm) for algorithm in ALGORITHMS]}
    files: dict[str, Any] = {"server": {"issuer": "https://exchange.example"}}
    for index, (iss, profile) in enumerate(sorted(profiles.items())):
        files[f"issuers/issuer-{index}"] = {
            "issuer": iss,
            "profile": profile,
            "audience": _every_audience(),
            "keys": {"jwks": jwks},
        }
    for name in ("issuers", "clients", "audiences"):
        (folder / name).mkdir()
    files["clients/shop"] = {
        "audience": ["https://shop.example"],
        "authentication": {"client_secret": {"hash": [f"sha256:{'0' * 64}"]}},
    }
    files["audiences/orders"] = {
        "audience": "https://orders.example",
        "scopes": ["read"],
        "rules": [{"id": "none", "client": "shop", "deny": "nothing is issued here"}],
    }
    for name, content in files.items():
        # JSON is YAML
        (folder / f"{name}.yaml").write_text(json.dumps(content))


@cache
def validator() -> TokenValidator:
    return token_validator(*issuers().values())


def own_token(case: Case) -> Secret:
    """Return the token as its product makes it, but for ``kid`` and the key."""
    return _signed(case.header, case.claims)


def swapped(
    case: Case,
    profile: str,
    *,
    header: Mapping[str, Any] | None = None,
    claims: Mapping[str, Any] | None = None,
) -> Secret:
    """Return the token as if ``profile``'s foreign issuer had made it, with ``header`` and ``claims`` added.

    ``exp`` and ``iat`` are filled in where the shape has none, since times come before the kind. Where the
    token is about its issuer, it stays so.
    """
    issuer = foreign_issuer(profile)
    changed = {"exp": NOW + 60, "iat": NOW - 10, **case.claims, "iss": issuer}
    if "sub" in case.claims and case.claims["sub"] == case.claims.get("iss"):
        changed["sub"] = issuer
    algorithm = case.header["alg"]
    known = algorithm if algorithm not in ALGORITHMS else "RS256"  # every profile allows RS256
    return _signed({**case.header, "alg": known, **(header or {})}, changed | dict(claims or {}))


def _signed(header: Mapping[str, Any], claims: Mapping[str, Any]) -> Secret:
    algorithm = header["alg"] if header["alg"] in ALGORITHMS else "ES256"
    named = {name: value for name, value in header.items() if name != "kid"}
    return signed_as_it_is(named, claims, algorithm=algorithm)


def outcome(token: Secret, role: Role = Role.SUBJECT) -> VerifiedToken | str:
    """Return the verified token, or the reason without the role."""
    try:
        return validator()(PresentedToken(token, role))
    except Refusal as refusal:
        return refusal.reason.slug.removeprefix(f"{role}_token_")


def verdict(token: Secret, role: Role = Role.SUBJECT) -> str:
    """Return ``accepted`` or the reason."""
    found = outcome(token, role)
    return found if isinstance(found, str) else "accepted"


def of_kind(*kinds: str) -> tuple[Case, ...]:
    return tuple(case for case in cases() if case.kind in kinds)
