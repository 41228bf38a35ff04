"""Nonces for DPoP proofs (RFC 9449 §8): they tell when a proof was made, by our clock and nobody else's.

Nothing is stored. A nonce is a time and a signature under a secret that all workers share, so each of them
takes what another one gave out.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Final

from itsdangerous import BadSignature, TimestampSigner

LIFETIME: Final = 300
"""Seconds."""
SECRET_NAME: Final = "dpop-nonce"
"""Of the file that holds the secret, without its suffix."""
_SALT: Final = "exchange.dpop-nonce"
"""Keeps what is signed here from being anything else, should the secret ever have a second use."""
_RANDOM_BYTES: Final = 6

Clock = Callable[[], float]
"""Seconds since the epoch."""


class DpopNonces:
    """Gives nonces out and knows them again. Immutable; safe across fork and threads."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._clock = clock
        self._signer = _Signer(
            secret, salt=_SALT, key_derivation="hmac", digest_method=hashlib.sha256, clock=clock
        )

    def fresh(self) -> str:
        """Return a nonce for ``DPoP-Nonce``, of characters that RFC 9449 §8.1 allows."""
        return self._signer.sign(secrets.token_urlsafe(_RANDOM_BYTES)).decode("ascii")

    def accepts(self, nonce: str, *, skew: int) -> bool:
        """Tell whether ``nonce`` is one of ours that is at most ``LIFETIME`` old.

        ``skew`` is in seconds: how far ahead the clock of another machine may have been that gave it out.
        """
        try:
            _, given_out = self._signer.unsign(nonce, return_timestamp=True)
        except BadSignature:  # and its kinds, of which one is raised for what is no nonce at all
            return False
        return -skew <= self._clock() - given_out.timestamp() <= LIFETIME


class _Signer(TimestampSigner):
    def __init__(self, *args: object, clock: Clock, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock())
