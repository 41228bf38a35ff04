"""The public key that a DPoP proof carries in its own header (RFC 9449 §4.2), and its name (RFC 7638).

Nothing else ever verifies with a key from a header: there it would be the forger's. A DPoP proof says only
that its sender holds the key that is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from joserfc.jwk import import_key

from exchange.jose.key_set import KEY_READERS, PublicKey, public_key

_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
"""RFC 7518 §6.2.2, §6.3.2, §6.4.1, RFC 8037 §2, and ``priv`` of later key types."""


class EmbeddedKeyRefused(Exception):  # noqa: N818  # a finding about a header, not a defect
    """The ``jwk`` is no public key to verify with. Carries no part of it."""

    def __init__(self, cause: Literal["private", "unusable"]) -> None:
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class EmbeddedKey:
    """A public key, and the thumbprint by which tokens are bound to it (``jkt``, RFC 9449 §6.1)."""

    key: PublicKey
    thumbprint: str
    """Base64url of the SHA-256 of its required members (RFC 7638 §3)."""


def embedded_key(jwk: object) -> EmbeddedKey:
    """Return the key of a ``jwk`` header: EC, OKP, or RSA of 2048 to 8192 bits, and nothing private.

    Raises ``EmbeddedKeyRefused``, and nothing else.
    """
    if not isinstance(jwk, Mapping):
        raise EmbeddedKeyRefused("unusable")
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):  # RFC 9449 §4.3 item 7
        raise EmbeddedKeyRefused("private")
    try:
        found = public_key(jwk)
        members = _canonical(jwk["kty"], found)
        thumbprint = import_key(members).thumbprint()
    except Exception:  # noqa: BLE001  # libraries raise anything here, with parts of the key in their messages
        raise EmbeddedKeyRefused("unusable") from None
    # One key, one spelling: whoever computes the thumbprint of another one finds another name for this key.
    if found is None or any(jwk.get(name) != value for name, value in members.items()):
        raise EmbeddedKeyRefused("unusable")
    return EmbeddedKey(found, thumbprint)


def _canonical(kind: str, found: PublicKey | None) -> dict[str, Any]:
    if found is None:
        raise ValueError("not a key to verify with")
    reader: Any = KEY_READERS[kind]
    members: dict[str, Any] = reader.to_jwk(found.key, as_dict=True)
    members.pop("key_ops", None)
    return members
