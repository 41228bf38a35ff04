"""``cnf``: to whom a token is bound (RFC 7800 §3.1), and whether this request comes from there."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from exchange.errors import token_refusal
from exchange.model import Claims, Role, SenderProof

_SAID: Final[Mapping[str, str]] = {"jkt": "key in a DPoP proof", "x5t#S256": "client certificate"}


def check_confirmation(claims: Claims, proof: SenderProof, role: Role) -> Claims | None:
    """Return ``cnf`` once all of it is proved; ``None`` when the token is bound to nobody.

    Presence counts: what stands there and cannot be read as ``jkt`` (RFC 9449 §6.1) or ``x5t#S256`` (RFC 8705
    §3.1) binds the token to something that nobody here can prove. Raises ``Refusal``: ``…_proof_missing``,
    ``…_proof_invalid``.
    """
    if "cnf" not in claims:
        return None
    cnf, proved = claims["cnf"], proof.as_confirmation()
    if not isinstance(cnf, Mapping) or not cnf:
        raise token_refusal(role, "proof_missing", detail="cnf names no key")
    for member, expected in cnf.items():
        _check_form(member, expected, role)
        if member not in proved:
            raise token_refusal(role, "proof_missing", detail=f"{member} in cnf; no {_SAID[member]}")
    for member, expected in cnf.items():
        if proved[member] != expected:
            raise token_refusal(role, "proof_invalid", detail=f"{member} in cnf; another {_SAID[member]}")
    return MappingProxyType(dict(cnf))


def _check_form(member: str, expected: object, role: Role) -> None:
    # Nothing of the token goes into the detail: a member's name may be anything.
    if member not in _SAID:
        raise token_refusal(role, "proof_missing", detail="cnf names a proof that is not verified here")
    if not isinstance(expected, str) or not expected:
        raise token_refusal(role, "proof_missing", detail=f"{member} in cnf is not a thumbprint")
