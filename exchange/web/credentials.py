"""How the caller says who it is: headers and form to ``ClientCredentials``, nothing believed yet."""

from __future__ import annotations

from flask import Request

from exchange.model import ClientCredentials, Secret
from exchange.web.form import Form, single


def parse_credentials(request: Request, form: Form) -> ClientCredentials:
    """Return what was presented (RFC 6749 §2.3.1, RFC 7521 §4.2); which methods it amounts to is decided
    later.
    """
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    basic = scheme.lower() == "basic"
    return ClientCredentials(
        unverified_basic=value.strip(" ") if basic else None,
        other_authorization_scheme=bool(scheme) and not basic,
        unverified_client_id=single(form, "client_id"),
        client_secret=_secret(form, "client_secret"),
        client_assertion_type=single(form, "client_assertion_type"),
        client_assertion=_secret(form, "client_assertion"),
    )


def _secret(form: Form, name: str) -> Secret | None:
    value = single(form, name)
    return Secret(value) if value is not None else None
