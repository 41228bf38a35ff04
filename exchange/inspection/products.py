"""Which product an IdP is: known by the form of its issuer, or supposed by the paths of its endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from exchange.config.profiles import Profiles, ShippedProfile
from exchange.model import Claims

_ENDPOINTS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "keycloak": {"token_endpoint": "/protocol/openid-connect/token"},
        "identityserver": {"token_endpoint": "/connect/token"},
        "zitadel": {"token_endpoint": "/oauth/v2/token"},
        "authentik": {"token_endpoint": "/application/o/token/"},
        "pingfederate": {"token_endpoint": "/as/token.oauth2"},
        "adfs": {"token_endpoint": "/adfs/oauth2/token/"},
        "dex": {"jwks_uri": "/keys", "device_authorization_endpoint": "/device/code"},
        "canaille": {"jwks_uri": "/oauth/jwks.json", "end_session_endpoint": "/oauth/end_session"},
    }
)
"""How the metadata of products that anybody can run looks, by the name of their profile. A hint for choosing
between profiles, and never a proof: anybody can give his endpoints any path."""


@dataclass(frozen=True, slots=True)
class Product:
    """What is known of the product behind an issuer."""

    known: tuple[str, ...]
    """Profiles whose pattern the issuer meets."""
    supposed: tuple[str, ...]
    """Profiles whose endpoints look alike."""
    title: str | None
    """The title of a product whose issuer this is, with a profile here or without."""


def recognise(issuer: str, metadata: Claims, profiles: Profiles) -> Product:
    """Return what ``issuer`` and its metadata show."""
    known = tuple(
        name
        for name, shipped in profiles.by_name.items()
        if shipped.issuers and shipped.issuers.matches(issuer)
    )
    supposed = tuple(
        name
        for name, endpoints in _ENDPOINTS.items()
        if name in profiles.by_name
        and all(_ends(metadata.get(endpoint), path) for endpoint, path in endpoints.items())
    )
    title = next((product.title for product in profiles.products if product.issuers.matches(issuer)), None)
    return Product(known, supposed if not known else (), title)


def _ends(value: object, path: str) -> bool:
    return isinstance(value, str) and value.endswith(path)


def takes_jwts(shipped: ShippedProfile) -> bool:
    """Tell whether a JWT can prove by itself to be an access token of this product."""
    return shipped.profile.never is None and "access_token" in shipped.shape and shipped.introspection is None
