"""From what is known of an IdP to a draft for each profile: only what the profile does not say itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from exchange.claim_path import MISSING, ClaimPath
from exchange.config.profiles import DEFAULT_PROFILE, ShippedProfile
from exchange.inspection.draft import PLACEHOLDER_AUDIENCE, PLACEHOLDER_TENANT, Draft
from exchange.inspection.tokens import ReadToken
from exchange.jose import ASYMMETRIC_ALGORITHMS
from exchange.model import Claims

_CLIENT_CLAIMS: Final = ("client_id", "azp", "appid", "cid")
_EVERYBODYS: Final = frozenset({"account", "broker", "realm-management"})
"""Audiences that Keycloak puts into the access tokens of every client: they name no backend."""
_SECOND_LEVEL: Final = frozenset({"co", "com", "org", "net", "gov", "ac", "edu"})
_FALLBACK_NAME: Final = "idp"


@dataclass(frozen=True, slots=True)
class Known:
    """What every draft is made from."""

    issuer: str
    """With ``{tenant}`` in it where many tenants share the metadata."""
    metadata: Claims
    access: Sequence[ReadToken]
    audience: tuple[str, ...]
    """What the operator wants; empty to take it from the tokens."""
    key_algorithms: frozenset[str]
    jwks_uri: str | None = None
    """Where discovery does not lead to the keys."""
    allow_insecure_http: bool = False
    allow_private_network: bool = False

    @property
    def many_tenants(self) -> bool:
        return "{tenant}" in self.issuer


def draft_for(known: Known, name: str, shipped: ShippedProfile) -> Draft:
    """Return the draft with the profile ``name``."""
    return Draft(
        issuer=known.issuer,
        profile=name,
        audience=_audience(known, shipped) or (PLACEHOLDER_AUDIENCE,),
        weak=shipped.profile.weak,
        algorithms=_algorithms(known, shipped),
        client=_client(known) if name == DEFAULT_PROFILE else None,
        tenants=_tenants(known),
        jwks_uri=known.jwks_uri,
        allow_insecure_http=known.allow_insecure_http,
        allow_private_network=known.allow_private_network,
    )


def strict_draft(known: Known) -> Draft:
    """Return a draft with the strictest profile and every algorithm: for signatures, where nothing else
    fits.
    """
    return Draft(
        issuer=known.issuer,
        profile=DEFAULT_PROFILE,
        audience=(PLACEHOLDER_AUDIENCE,),
        algorithms=tuple(sorted(ASYMMETRIC_ALGORITHMS)),
        tenants=_tenants(known),
        jwks_uri=known.jwks_uri,
        allow_insecure_http=known.allow_insecure_http,
        allow_private_network=known.allow_private_network,
    )


def audience_claim(shipped: ShippedProfile) -> ClaimPath:
    """Return the claim that ``audience`` is compared with under this profile."""
    found = shipped.shape.get("audience_claim")
    return found if isinstance(found, ClaimPath) else ClaimPath("aud")


def _audience(known: Known, shipped: ShippedProfile) -> tuple[str, ...]:
    """What all access tokens name, without the names that are in everybody's tokens."""
    if known.audience:
        return known.audience
    path = audience_claim(shipped)
    named = [_texts(path.find(token.claims)) for token in known.access]
    names = {name: None for texts in named for name in texts if all(name in other for other in named)}
    issuer, userinfo = known.issuer.rstrip("/"), known.metadata.get("userinfo_endpoint")
    common = {issuer, f"{issuer}/", f"{issuer}/userinfo", userinfo} | _EVERYBODYS
    # A name with white space is none that a file may hold, and what is not printable nobody would review.
    return tuple(name for name in names if name not in common and name.isprintable() and " " not in name)


def _texts(value: object) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    return tuple(item for item in listed if isinstance(item, str) and item)


def _algorithms(known: Known, shipped: ShippedProfile) -> tuple[str, ...]:
    """Nothing, where the profile's own list will do."""
    own = shipped.shape.get("algorithms")
    allowed = frozenset(own) if isinstance(own, (frozenset, tuple, list)) else ASYMMETRIC_ALGORITHMS
    used = {str(token.header.get("alg")) for token in known.access} & ASYMMETRIC_ALGORITHMS
    if used:
        return () if used <= allowed else tuple(sorted(used))
    return () if known.key_algorithms & allowed else tuple(sorted(known.key_algorithms))


def _client(known: Known) -> str | None:
    """A typed token may still say in another claim than RFC 9068's to whom it was issued (Keycloak: azp)."""
    for name in _CLIENT_CLAIMS:
        if known.access and all(token.texts(name) for token in known.access):
            return None if name == "client_id" else name
    return None


def _tenants(known: Known) -> tuple[str, ...]:
    if not known.many_tenants:
        return ()
    found = {tenant: None for token in known.access for tenant in token.texts("tid")}
    return tuple(found) or (PLACEHOLDER_TENANT,)


def has_audience(token: ReadToken, path: ClaimPath) -> bool:
    """Tell whether the token names anybody at all that it is meant for."""
    value = path.find(token.claims)
    return value is not MISSING and bool(_texts(value))


def name_for(issuer: str) -> str:
    """Return a file name for the issuer: what its host is called, ``login.acme.example`` → ``acme``."""
    try:
        host = urlsplit(issuer).hostname or ""
    except ValueError:
        host = ""
    labels = [label for label in host.split(".") if label]
    if len(labels) > 2 and labels[-2] in _SECOND_LEVEL:  # noqa: PLR2004  # acme.co.uk
        labels.pop()
    label = labels[-2] if len(labels) > 1 and not labels[-1].isdigit() else _FALLBACK_NAME
    name = re.sub(r"[^a-z0-9-]", "-", label.lower()).strip("-")
    return name if name and name != "self" else _FALLBACK_NAME
