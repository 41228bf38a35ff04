"""The IdP of docs/trust-a-new-idp.md: a realm of Keycloak's on one's own machine, and two tokens of it."""

from __future__ import annotations

from pathlib import Path

from tests.inspection.clinic import SpokenFor, keycloak_tokens

SHOWN = "http://127.0.0.1:8180"
"""Where the page has it."""


def realm() -> SpokenFor:
    """Return the IdP; ``with`` starts it."""
    idp = SpokenFor(path="/realms/main")
    idp.changes = {"token_endpoint": f"{idp.issuer}/protocol/openid-connect/token"}
    return idp


def write_tokens(idp: SpokenFor, directory: Path) -> None:
    """Write the files that the page names."""
    access, id_token = keycloak_tokens(idp)
    (directory / "access.jwt").write_text(access)
    (directory / "id.jwt").write_text(id_token)
    shape = {"typ": None, "azp": "shop-web", "client_id": None}
    (directory / "untyped.jwt").write_text(idp.sign(idp.access_token_claims(**shape)))
    (directory / "untyped-id.jwt").write_text(idp.sign(idp.access_token_claims(**shape, aud="shop-web")))
