"""The key that a token names among those of its issuer, and the signature by it (RFC 7515 §5.2)."""

from __future__ import annotations

from exchange.config.values import TrustedIssuer
from exchange.errors import Refusal, token_refusal
from exchange.jose import PublicKey, SignatureInvalid, UnverifiedJws, verify_signature
from exchange.model import Role
from exchange.tokens.checks import Check, Entered
from exchange.tokens.tenants import is_key_of
from exchange.trust import KeyCache, KeysUnavailable, KeyUnknown


def check_signature(
    unverified: UnverifiedJws,
    algorithm: str,
    issuer: TrustedIssuer,
    keys: KeyCache,
    *,
    role: Role,
    entered: Entered,
) -> None:
    """Raises the ``Refusal``: ``key_unknown``, ``signature_invalid`` or ``issuer_keys_unavailable``."""
    entered(Check.KEY)
    key = _find_key(unverified, algorithm, issuer, keys, role)
    entered(Check.SIGNATURE)
    try:
        verify_signature(unverified, key, algorithm)
    except SignatureInvalid:
        # A new key under the old kid, or no kid at all: that rotation shows nowhere else.
        newer = keys.find_newer(_key_id(unverified), algorithm, key)
        if (
            newer is None
            or not is_key_of(newer, issuer, unverified.claims)
            or not _is_signed_by(newer, unverified, algorithm)
        ):
            raise token_refusal(role, "signature_invalid", detail=f"issuer {issuer.name}") from None


def _find_key(
    unverified: UnverifiedJws, algorithm: str, issuer: TrustedIssuer, keys: KeyCache, role: Role
) -> PublicKey:
    detail = f"issuer {issuer.name}"
    try:
        key = keys.find(_key_id(unverified), algorithm)
    except KeyUnknown as unknown:
        if unknown.retry_after is not None:
            detail += ": it was asked for an unknown key moments ago"
        raise token_refusal(role, "key_unknown", detail=detail, retry_after=unknown.retry_after) from None
    except KeysUnavailable as unavailable:
        raise Refusal("issuer_keys_unavailable", detail=detail, retry_after=unavailable.retry_after) from None
    if not is_key_of(key, issuer, unverified.claims):
        raise token_refusal(role, "key_unknown", detail=f"{detail}: the key is confined to another")
    return key


def _key_id(unverified: UnverifiedJws) -> str | None:
    key_id = unverified.header.get("kid")
    return str(key_id) if key_id is not None else None


def _is_signed_by(key: PublicKey, unverified: UnverifiedJws, algorithm: str) -> bool:
    try:
        verify_signature(unverified, key, algorithm)
    except SignatureInvalid:
        return False
    return True
