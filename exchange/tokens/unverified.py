"""A token between what a client sent and what somebody vouches for."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.config.values import TrustedIssuer
from exchange.jose import UnverifiedJws
from exchange.model import NO_PROOF, Role, SenderProof, TokenTypeIdentifier
from exchange.trust import KeyCache


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A well-formed token that names a trusted issuer. Anybody can write one: no signature is verified.

    An opaque one names nobody, has neither header nor claims, and is of the issuer that its
    client's file says.
    """

    jws: UnverifiedJws
    role: Role
    issuer: TrustedIssuer
    keys: KeyCache
    algorithm: str
    declared: TokenTypeIdentifier
    is_opaque: bool = False
    proof: SenderProof = NO_PROOF
    """What the request that came with it has proved to hold."""
