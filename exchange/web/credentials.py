"""How the caller says who it is: headers and form to ``ClientCredentials``, nothing believed yet."""

from __future__ import annotations

from flask import Request

from exchange.model import ClientCredentials, Secret
from exchange.web.client_certificate import CertificateHeader
from exchange.web.form import Form, single


def parse_credentials(
    request: Request, form: Form, certificate_header: CertificateHeader | None = None
) -> ClientCredentials:
    """Return what was presented (RFC 6749 §2.3.1, RFC 7521 §4.2, RFC 8705); which methods it amounts to is
    decided later.

    Raises ``Refusal`` (``client_authentication_failed``) when a trusted proxy sends no proper certificate.
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
        certificate=certificate_header.certificate(request) if certificate_header else None,
    )


def _secret(form: Form, name: str) -> Secret | None:
    value = single(form, name)
    return Secret(value) if value is not None else None
