"""The keys that sign what we issue, and the public ones that others verify it with (RFC 7517 §5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from exchange.issuance.key_files import KeyFault, KeyStatus, StoredKey, locked, read_keys, write_key
from exchange.jose import SIGNING_ALGORITHMS, SigningKey, generate_signing_key, public_jwk

Clock = Callable[[], float]
"""Returns seconds since the epoch."""

PUBLIC_MEMBERS: Final = frozenset({"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"})
"""What a published key may hold (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2). Names what is public,
because a list of what is secret would publish whatever it forgot."""

_PUBLISHED_ORDER: Final = (KeyStatus.CURRENT, KeyStatus.NEXT, KeyStatus.RETIRED)


class SigningKeyRing:
    """The keys of one directory, as they were when it was opened. Immutable; safe across fork and threads."""

    def __init__(self, keys: Iterable[StoredKey], algorithm: str) -> None:
        """Raise ``KeyFault`` unless one key is current for ``algorithm``, and at most one for any other."""
        self._keys = tuple(keys)
        self._current = _only_current(self._keys, algorithm)
        self._published = tuple(_published(stored.key) for stored in sorted(self._keys, key=self._rank))

    @classmethod
    def open(cls, directory: Path, algorithm: str, *, clock: Clock = time.time) -> SigningKeyRing:
        """Return the ring of ``directory``; makes a first key for ``algorithm`` when none is current.

        Processes that start at the same time agree on one key. A directory that has its key is only read, so
        it may be mounted read-only. Raises ``KeyFault``, a ``ValueError`` that names the file.
        """
        if algorithm not in SIGNING_ALGORITHMS:
            raise KeyFault(f"signing algorithm: use one of {', '.join(sorted(SIGNING_ALGORITHMS))}")
        keys = read_keys(directory)
        if not _has_current(keys, algorithm):
            keys = _with_first_key(directory, algorithm, clock)
        return cls(keys, algorithm)

    @property
    def current(self) -> SigningKey:
        """The key to sign with."""
        return self._current

    def public_jwks(self) -> dict[str, Any]:
        """Return the JWK Set to publish: first the key that signs, then next, then retired ones by age.

        Next keys are in it before they sign, so that caches know them by then; retired ones because tokens
        that they signed may still live.
        """
        return {"keys": [dict(jwk) for jwk in self._published]}

    def _rank(self, stored: StoredKey) -> tuple[bool, int, int, str]:
        return (
            stored.key.key_id != self._current.key_id,
            _PUBLISHED_ORDER.index(stored.status),
            stored.created_at,
            stored.key.key_id,
        )


def add_key(directory: Path, algorithm: str, *, clock: Clock = time.time) -> StoredKey:
    """Make a key: ``current`` when the algorithm has no such key yet, ``next`` when it has.

    Raises ``KeyFault`` when the directory or a file in it cannot be used.
    """
    with locked(directory):
        status = KeyStatus.NEXT if _has_current(read_keys(directory), algorithm) else KeyStatus.CURRENT
        return _make_key(directory, algorithm, status, clock)


def _with_first_key(directory: Path, algorithm: str, clock: Clock) -> tuple[StoredKey, ...]:
    with locked(directory):
        # Read again: another process may have made the key while this one waited for the lock.
        if not _has_current(read_keys(directory), algorithm):
            _make_key(directory, algorithm, KeyStatus.CURRENT, clock)
        return read_keys(directory)


def _make_key(directory: Path, algorithm: str, status: KeyStatus, clock: Clock) -> StoredKey:
    stored = StoredKey(generate_signing_key(algorithm), status, int(clock()))
    write_key(directory, stored)
    return stored


def _has_current(keys: Iterable[StoredKey], algorithm: str) -> bool:
    return any(stored.key.algorithm == algorithm and stored.status is KeyStatus.CURRENT for stored in keys)


def _only_current(keys: Iterable[StoredKey], algorithm: str) -> SigningKey:
    current: dict[str, SigningKey] = {}
    for stored in keys:
        if stored.status is not KeyStatus.CURRENT:
            continue
        if stored.key.algorithm in current:
            raise KeyFault(
                f"{stored.key.key_id}.json: a second current key for {stored.key.algorithm}; keep one"
            )
        current[stored.key.algorithm] = stored.key
    if algorithm not in current:
        raise KeyFault(f"no current key for {algorithm}")
    return current[algorithm]


def _published(key: SigningKey) -> dict[str, Any]:
    jwk = public_jwk(key)
    if not jwk.keys() <= PUBLIC_MEMBERS:
        raise KeyFault(f"{key.key_id}.json: its public form has members that are not known to be public")
    return jwk
