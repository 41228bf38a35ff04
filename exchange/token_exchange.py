"""The exchange itself (RFC 8693 §2): the order of trust, and nothing else."""

from __future__ import annotations

from typing import Protocol

from exchange.audit import Attempt
from exchange.config.values import RegisteredClient
from exchange.model import (
    IssuedToken,
    Permit,
    PresentedProof,
    PresentedToken,
    Role,
    Secret,
    SenderProof,
    TokenExchangeRequest,
    TokenTypeIdentifier,
    VerifiedToken,
)
from exchange.policy.decide import Decide


class ValidateToken(Protocol):
    def __call__(self, presented: PresentedToken) -> VerifiedToken: ...


class Prove(Protocol):
    def __call__(self, presented: PresentedProof, subject_token: Secret) -> SenderProof: ...


class Mint(Protocol):
    def __call__(self, permit: Permit, issued_token_type: TokenTypeIdentifier) -> IssuedToken: ...


class CountPermitted(Protocol):
    def __call__(self, issuer_name: str) -> None: ...


def unlimited(issuer_name: str) -> None:
    """Take any number of exchanges of an issuer's tokens."""


class UseUp(Protocol):
    def __call__(self, subject: VerifiedToken, actor: VerifiedToken | None) -> None: ...


class TokenExchange:
    """Trade a ``subject_token`` for a token that the target service accepts."""

    def __init__(
        self,
        *,
        prove: Prove,
        validate: ValidateToken,
        decide: Decide,
        mint: Mint,
        use_up: UseUp,
        count_permitted: CountPermitted = unlimited,
    ) -> None:
        self._prove = prove
        self._validate = validate
        self._decide = decide
        self._mint = mint
        self._use_up = use_up
        self._count_permitted = count_permitted

    def exchange(
        self,
        request: TokenExchangeRequest,
        client: RegisteredClient,
        presented: PresentedProof,
        attempt: Attempt,
    ) -> IssuedToken:
        """Return the issued token, or raise the ``Refusal`` of the room that found a reason.

        The lines are the order of trust: no line runs until the one above it has returned.
        """
        proof = self._prove(presented, request.subject_token)  # RFC 9449 §4.3, RFC 8705 §3
        attempt.proof = proof

        subject = self._validate(_subject_token(request, client, proof))  # RFC 8693 §2.1, RFC 8725 §3.12
        attempt.subject = subject

        actor_token = _actor_token(request, client, proof)
        actor = self._validate(actor_token) if actor_token else None
        attempt.actor = actor

        decision = self._decide(request, client, subject, actor, proof)  # RFC 8693 §2.2.2, RFC 8707 §2
        attempt.trace, attempt.decided_on = decision.trace, decision.decided_on
        permit = decision.permit_or_refuse()
        self._count_permitted(subject.issuer_name)

        issued = self._mint(permit, request.requested_token_type)  # RFC 9068 §2, RFC 8693 §2.2.1
        self._use_up(subject, actor)  # last: what was refused has used nothing up
        attempt.issued = issued
        return issued


def _subject_token(
    request: TokenExchangeRequest, client: RegisteredClient, proof: SenderProof
) -> PresentedToken:
    return PresentedToken(
        request.subject_token, Role.SUBJECT, request.subject_token_type, client.opaque_tokens_from, proof
    )


def _actor_token(
    request: TokenExchangeRequest, client: RegisteredClient, proof: SenderProof
) -> PresentedToken | None:
    if request.actor_token is None or request.actor_token_type is None:
        return None
    return PresentedToken(
        request.actor_token, Role.ACTOR, request.actor_token_type, client.opaque_tokens_from, proof
    )
