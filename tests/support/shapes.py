"""Tokens told as data, with relative times: signed with keys of our own, for issuers that the real loader loads."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exchange.config.load import load
from exchange.config.values import TrustedIssuer
from exchange.errors import Refusal
from exchange.model import PresentedToken, Role, Secret, TokenTypeIdentifier, VerifiedToken
from exchange.tokens.validate import TokenValidator
from tests.support import keys
from tests.support.tokens import NOW, signed_as_it_is

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
KIND_REASONS = frozenset({"is_id_token", "is_other_kind", "kind_unproven", "issuer_unrecognisable"})
FORM_REASONS = frozenset({"algorithm_not_allowed", "header_refused"})
"""Decided before the kind, by what the token is signed with or says in its header."""
DECLARED = {"access_token": TokenTypeIdentifier.ACCESS_TOKEN, "jwt": TokenTypeIdentifier.JWT}
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def at(value: Any, now: int = NOW) -> Any:
    """Resolve ``now+3600``, also inside lists and objects."""
    if isinstance(value, str) and (found := re.fullmatch(r"now([+-][0-9]+)", value)):
        return now + int(found[1])
    if isinstance(value, list):
        return [at(item, now) for item in value]
    if isinstance(value, dict):
        return {name: at(item, now) for name, item in value.items()}
    return value


def signed(header: Mapping[str, Any], claims: Mapping[str, Any]) -> Secret:
    """Sign with a key of ``inline_keys()``; an ``alg`` that no issuer may use stays in the header."""
    algorithm = header["alg"] if header["alg"] in ALGORITHMS else "ES256"
    named = {name: value for name, value in header.items() if name != "kid"}
    return signed_as_it_is(named, claims, algorithm=algorithm)


def with_issuer(claims: Mapping[str, Any], issuer: str) -> dict[str, Any]:
    """Return the claims as if ``issuer`` had made them.

    ``exp`` is filled in where the shape has none, since times come before the kind. Where the token is about
    its issuer, it stays so.
    """
    changed = {"exp": NOW + 60, **claims, "iss": issuer}
    if "sub" in claims and claims["sub"] == claims.get("iss"):
        changed["sub"] = issuer
    return changed


def inline_keys() -> dict[str, Any]:
    """Return ``keys`` of an issuer's file: one key for each of ``ALGORITHMS``."""
    return {"jwks": {"keys": [keys.public_jwk(algorithm) for algorithm in ALGORITHMS]}}


def load_issuers(files: Mapping[str, Mapping[str, Any] | str]) -> Mapping[str, TrustedIssuer]:
    """Return by ``issuer`` what the real loader makes of ``issuers/NAME.yaml``; raises ``PolicyFaults``."""
    texts: dict[str, Mapping[str, Any] | str] = {
        "server": {"issuer": "https://exchange.example"},
        "clients/shop": {
            "audience": ["https://shop.example"],
            "authentication": {"client_secret": {"hash": [f"sha256:{'0' * 64}"]}},
        },
        "audiences/orders": {
            "audience": "https://orders.example",
            "scopes": ["read"],
            "rules": [{"id": "none", "client": "shop", "deny": "nothing is issued here"}],
        },
        **{f"issuers/{name}": content for name, content in files.items()},
    }
    environ: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("issuers", "clients", "audiences"):
            (Path(folder) / kind).mkdir()
        for name, content in texts.items():
            text = content if isinstance(content, str) else json.dumps(content)  # JSON is YAML
            environ |= dict.fromkeys(_VARIABLE.findall(text), "a-secret-of-the-tests")
            (Path(folder) / f"{name}.yaml").write_text(text)
        return load(Path(folder), environ=environ).issuers


def outcome(
    validator: TokenValidator, token: Secret, role: Role = Role.SUBJECT, declared: str = "access_token"
) -> VerifiedToken | str:
    """Return the verified token, or the reason without the role."""
    try:
        return validator(PresentedToken(token, role, DECLARED[declared]))
    except Refusal as refusal:
        return refusal.reason.slug.removeprefix(f"{role}_token_")
