"""When a token counts: ``exp``, ``nbf`` and ``iat`` (RFC 7519 §4.1.4 to §4.1.6), in whole seconds."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.config.values import TrustedIssuer
from exchange.errors import token_refusal
from exchange.model import Claims, Role


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when, in seconds since the epoch."""

    issued_at: int | None
    expires_at: int


def check_times(claims: Claims, issuer: TrustedIssuer, role: Role, *, now: float, skew: int) -> Validity:
    """Return the times of a token that is valid ``now``; ``skew`` is in seconds.

    Raises ``Refusal``: ``…_claim_missing``, ``…_claim_malformed``, ``…_expired``, ``…_not_yet_valid``,
    ``…_too_old``, ``…_lifetime_too_long``.
    """
    expires_at = _seconds(claims, "exp", role)
    if expires_at is None:
        raise token_refusal(role, "claim_missing", detail="exp")
    not_before, issued_at = _seconds(claims, "nbf", role), _seconds(claims, "iat", role)
    # No skew here: what we issue ends when this token does, so nothing is left to give.
    if expires_at <= now:
        raise token_refusal(role, "expired", detail=f"{now - expires_at:.0f} s ago")
    for name, begin in (("nbf", not_before), ("iat", issued_at)):
        if begin is not None and begin > now + skew:
            raise token_refusal(role, "not_yet_valid", detail=f"{name} is {begin - now:.0f} s ahead")
    _check_age(issuer, issued_at, role, now=now)
    _check_lifetime(issuer, now if issued_at is None else issued_at, expires_at, role)
    return Validity(issued_at, expires_at)


def _seconds(claims: Claims, name: str, role: Role) -> int | None:
    value = claims.get(name)
    # Not isinstance: `true` is an int in Python. Floats and strings are read differently by every parser.
    if value is not None and type(value) is not int:
        raise token_refusal(role, "claim_malformed", detail=f"{name} is not an integer")
    return value


def _check_age(issuer: TrustedIssuer, issued_at: int | None, role: Role, *, now: float) -> None:
    if issuer.max_token_age is None:
        return
    if issued_at is None:
        raise token_refusal(role, "claim_missing", detail="iat, which max_token_age needs")
    if now - issued_at > issuer.max_token_age:
        raise token_refusal(role, "too_old", detail=f"{now - issued_at:.0f} s > {issuer.max_token_age} s")


def _check_lifetime(issuer: TrustedIssuer, begin: float, expires_at: int, role: Role) -> None:
    """Without ``iat`` the lifetime is unknown, and what is left of it is bounded in its place."""
    if expires_at - begin > issuer.max_token_lifetime:
        detail = f"{expires_at - begin:.0f} s > {issuer.max_token_lifetime} s"
        raise token_refusal(role, "lifetime_too_long", detail=detail)
