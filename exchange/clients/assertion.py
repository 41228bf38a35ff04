"""What all client assertions have in common (RFC 7521 §4.2, RFC 7523 §2.2), whoever signed them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from exchange.clients.failure import AuthenticationFailure, authentication_failed
from exchange.jose import MalformedJws, UnverifiedJws, parse_unverified
from exchange.model import Claims, ClientCredentials

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_MALFORMED: Mapping[str, AuthenticationFailure] = {
    "malformed": AuthenticationFailure.ASSERTION_MALFORMED,
    "too_large": AuthenticationFailure.ASSERTION_TOO_LARGE,
    "encrypted": AuthenticationFailure.ASSERTION_ENCRYPTED,
}


def parse_assertion(credentials: ClientCredentials) -> UnverifiedJws:
    """Return ``client_assertion`` taken apart. Raises ``Refusal`` (``client_authentication_failed``)."""
    if credentials.client_assertion_type != ASSERTION_TYPE:
        raise authentication_failed(AuthenticationFailure.ASSERTION_TYPE_UNKNOWN)
    if credentials.client_assertion is None:
        raise authentication_failed(AuthenticationFailure.ASSERTION_MISSING)
    try:
        return parse_unverified(credentials.client_assertion)
    except MalformedJws as malformed:
        raise authentication_failed(_MALFORMED[malformed.cause]) from None


def check_audience(claims: Claims, ours: Collection[str]) -> None:
    """RFC 10070: exactly one audience, and one of ``ours``.

    With two, another server that the client also talks to, and that is named beside us, could replay the
    assertion here. Raises ``Refusal`` (``client_authentication_failed``).
    """
    audience = claims.get("aud")
    if isinstance(audience, list | tuple):
        if len(audience) != 1:
            raise authentication_failed(AuthenticationFailure.ASSERTION_AUDIENCE_NOT_SINGLE)
        (audience,) = audience
    if not isinstance(audience, str):
        raise authentication_failed(AuthenticationFailure.ASSERTION_AUDIENCE_MALFORMED)
    if audience not in ours:
        raise authentication_failed(AuthenticationFailure.ASSERTION_AUDIENCE_MISMATCH)
