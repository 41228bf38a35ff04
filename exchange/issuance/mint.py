"""Sign an access token for a permit (RFC 9068 §2.1): the only place where a token of ours comes from."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Final, Protocol

from exchange.errors import Refusal
from exchange.issuance.claims import access_token_claims
from exchange.jose import SigningKey, sign
from exchange.model import IssuedToken, Permit, TokenTypeIdentifier

Clock = Callable[[], float]
"""Returns seconds since the epoch."""

ACCESS_TOKEN_TYP: Final = "at+jwt"
"""RFC 9068 §2.1: what tells it from an ID token, by RFC 8725 §3.11."""
BEARER: Final = "Bearer"
"""RFC 6750 §6.1.1."""
DPOP: Final = "DPoP"
"""RFC 9449 §5, §7.1: of a token that is bound to a key. One that is bound to a certificate alone stays a
``Bearer`` token (RFC 8705 §3)."""


class CurrentKey(Protocol):
    """Where the key to sign with comes from: ``SigningKeyRing``."""

    @property
    def current(self) -> SigningKey: ...


def new_token_id() -> str:
    """Return a ``jti`` of 128 random bits."""
    return secrets.token_urlsafe(16)


class Minter:
    """Issues signed JWT access tokens."""

    def __init__(
        self,
        *,
        issuer: str,
        keys: CurrentKey,
        clock: Clock = time.time,
        new_id: Callable[[], str] = new_token_id,
    ) -> None:
        """``issuer`` is our ``iss``; ``new_id`` makes a ``jti`` that never comes twice."""
        self._issuer = issuer
        self._keys = keys
        self._clock = clock
        self._new_id = new_id

    def __call__(self, permit: Permit, issued_token_type: TokenTypeIdentifier) -> IssuedToken:
        """Return a token that lives for ``permit.lifetime`` and never beyond ``permit.not_after``.

        Raises ``Refusal``: ``subject_token_expired`` when nothing is left of what it would be issued from.
        """
        issued_at = int(self._clock())
        expires_at = min(issued_at + permit.lifetime, permit.not_after)
        if expires_at <= issued_at:
            raise Refusal("subject_token_expired", detail="nothing is left of its lifetime to give")
        token_id = self._new_id()
        claims = access_token_claims(
            permit, issuer=self._issuer, issued_at=issued_at, expires_at=expires_at, token_id=token_id
        )
        token = sign(claims, self._keys.current, typ=ACCESS_TOKEN_TYP)
        return IssuedToken(
            access_token=token,
            issued_token_type=issued_token_type,
            token_type=DPOP if "jkt" in (permit.confirmation or ()) else BEARER,
            expires_in=expires_at - issued_at,
            scopes=permit.scopes,
            claims=claims,
            token_id=token_id,
            expires_at=expires_at,
            sha256=hashlib.sha256(token.reveal().encode("ascii")).hexdigest(),
        )
