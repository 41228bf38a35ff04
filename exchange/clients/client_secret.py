"""``client_secret_basic`` and ``client_secret_post`` (RFC 6749 §2.3.1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote_plus

from exchange.clients.failure import AuthenticationFailure, authentication_failed
from exchange.config.values import RegisteredClient
from exchange.errors import Refusal
from exchange.model import ClientCredentials, Secret

MAX_SECRET_LENGTH = 512
"""Characters. What is longer is not hashed: the work that a stranger can ask for is bounded."""

_MAX_BASIC_LENGTH = 4096  # both parts in full, percent-encoded, and that in base64

COMPARED = 4
"""Digests that every secret is compared with, be its client unknown, without one, or in the middle of a
rotation: the work must not tell which. A client may have more; then it takes longer than others."""

_NOBODY = tuple(secrets.token_bytes(hashlib.sha256().digest_size) for _ in range(COMPARED))
"""Stand in for the digests that a client has not. They are random, so nothing hashes to them."""


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A client identifier and a secret, as sent and not yet believed."""

    unverified_client_id: str
    client_secret: Secret


def new_secret() -> Secret:
    """Return a secret with 256 bits of chance, of ``[A-Za-z0-9_-]``: no way of encoding it changes it."""
    return Secret(secrets.token_urlsafe(32))


def secret_digest(secret: Secret) -> bytes:
    """Return what ``policies/`` keeps of a secret: its SHA-256.

    A slow hash protects guessable passwords, and lets a stranger burn our processor for each request. Made
    secrets cannot be guessed, so a fast one does (``docs/adr/0041-client-secrets.md``).
    """
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).digest()


def authenticate_basic(
    clients: Mapping[str, RegisteredClient], credentials: ClientCredentials
) -> RegisteredClient:
    """Return the client whose identifier and secret the ``Authorization`` header holds.

    Raises ``Refusal`` (``client_authentication_failed``).
    """
    # RFC 6749 §3.2.1 lets a client send client_id as well; one that names somebody else is two claims at
    # once.
    readings = tuple(
        claimed
        for claimed in _basic_readings(credentials.unverified_basic or "")
        if credentials.unverified_client_id in {None, claimed.unverified_client_id}
    )
    if not readings:
        raise authentication_failed(AuthenticationFailure.CLIENT_ID_MISMATCH)
    for claimed in readings[:-1]:
        with suppress(Refusal):
            return _authenticate(clients, claimed, "client_secret_basic")
    return _authenticate(clients, readings[-1], "client_secret_basic")


def authenticate_post(
    clients: Mapping[str, RegisteredClient], credentials: ClientCredentials
) -> RegisteredClient:
    """Return the client whose ``client_id`` and ``client_secret`` are in the body.

    Raises ``Refusal`` (``client_authentication_failed``).
    """
    if not credentials.unverified_client_id:
        raise authentication_failed(AuthenticationFailure.CLIENT_ID_MISSING)
    secret = credentials.client_secret or Secret("")
    return _authenticate(clients, _Claimed(credentials.unverified_client_id, secret), "client_secret_post")


def _authenticate(
    clients: Mapping[str, RegisteredClient], claimed: _Claimed, method: str
) -> RegisteredClient:
    if not 0 < len(claimed.client_secret) <= MAX_SECRET_LENGTH:
        raise authentication_failed(AuthenticationFailure.SECRET_MALFORMED)
    client = clients.get(claimed.unverified_client_id)
    # Compared before anybody asks whether there is such a client: an unknown one must take as long.
    matches = _matches(claimed.client_secret, _digests(client))
    if client is None:
        raise authentication_failed(AuthenticationFailure.CLIENT_UNKNOWN)
    if not client.check_endpoint_auth_method(method, "token"):
        raise authentication_failed(AuthenticationFailure.METHOD_NOT_REGISTERED)
    if not matches:
        raise authentication_failed(AuthenticationFailure.SECRET_WRONG)
    return client


def _digests(client: RegisteredClient | None) -> tuple[bytes, ...]:
    method = client.client_secret if client is not None else None
    configured = method.sha256 if method is not None else ()
    return configured + _NOBODY[len(configured) :]


def _matches(secret: Secret, digests: tuple[bytes, ...]) -> bool:
    digest = secret_digest(secret)
    # sum, not any: any() stops at the first hit, and the time would tell which of the digests that is.
    return sum(hmac.compare_digest(digest, expected) for expected in digests) > 0


def _basic_readings(unverified_basic: str) -> tuple[_Claimed, ...]:
    """Return what the header can mean: form-encoded as RFC 6749 §2.3.1 says, or as it stands.

    Widespread clients leave the encoding out, and a ``+`` or ``%`` of theirs would be changed by decoding.
    The whole header is read one way or the other; each reading is held to the very same checks.
    """
    if len(unverified_basic) > _MAX_BASIC_LENGTH:
        raise authentication_failed(AuthenticationFailure.BASIC_MALFORMED)
    try:
        text = base64.b64decode(unverified_basic, validate=True).decode("utf-8")
        raw_id, colon, raw_secret = text.partition(":")
        decoded = unquote_plus(raw_id, errors="strict"), unquote_plus(raw_secret, errors="strict")
    except ValueError:  # not base64, not ASCII, not UTF-8
        raise authentication_failed(AuthenticationFailure.BASIC_MALFORMED) from None
    if not colon or not raw_id:
        raise authentication_failed(AuthenticationFailure.BASIC_MALFORMED)
    readings = dict.fromkeys([decoded, (raw_id, raw_secret)])
    return tuple(_Claimed(client_id, Secret(secret)) for client_id, secret in readings)
