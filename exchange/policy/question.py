"""What is decided: who asks, for which targets, with which verified tokens."""

from __future__ import annotations

from functools import cached_property

from exchange.config.values import SELF, RegisteredClient, TargetService
from exchange.expressions import Variables
from exchange.model import NO_PROOF, SenderProof, TokenExchangeRequest, VerifiedToken


class Question:
    """One request whose targets are known; never changes once made."""

    def __init__(
        self,
        request: TokenExchangeRequest,
        client: RegisteredClient,
        subject: VerifiedToken,
        actor: VerifiedToken | None,
        targets: tuple[TargetService, ...],
        *,
        proof: SenderProof = NO_PROOF,
    ) -> None:
        self.request = request
        self.client = client
        self.subject = subject
        self.actor = actor
        self.targets = targets
        self.proof = proof

    @cached_property
    def variables(self) -> Variables:
        """What expressions may look at; made when the first one is evaluated.

        ``request.audiences`` are the audiences of the targets, by whichever name they were asked for:
        a policy about ``audience`` must not be evaded with ``resource``.
        """
        return Variables(
            {
                "subject": _party(self.subject),
                "actor": _party(self.actor) if self.actor is not None else None,
                "client": {"id": self.client.client_id},
                "request": {
                    "scopes": self.request.scopes or (),
                    "audiences": tuple(target.audience for target in self.targets),
                },
            }
        )


def is_ours(token: VerifiedToken) -> bool:
    """Tell whether this service issued ``token``."""
    return token.issuer_name == SELF


def _party(token: VerifiedToken) -> dict[str, object]:
    return {
        "id": token.subject,
        "issuer": token.issuer_name,
        "claims": token.claims,
        "scopes": token.scopes,
    }
