"""Delegation (RFC 8693 §1.1, §4.1, §4.4) is not available: what would need it is refused, never ignored."""

from __future__ import annotations

from typing import Final

from exchange.errors import Refusal
from exchange.model import VerifiedToken

CHAIN_NOT_AVAILABLE: Final = (
    "The subject_token is itself delegated (act), and delegation is not available here;"
    " present a token without an actor."
)


def refuse_delegation(subject: VerifiedToken, actor: VerifiedToken | None) -> None:
    """Refuse an actor token, and a subject token that speaks of actors.

    Issuing without its ``act`` would drop a delegation chain; issuing without its ``may_act`` would lose whom
    it allows. Raises ``Refusal``: ``delegation_not_allowed`` or ``may_act_mismatch``.
    """
    if actor is not None:
        raise Refusal("delegation_not_allowed")
    if "act" in subject.claims:  # RFC 8693 §4.1
        detail = "the subject token carries act"
        raise Refusal("delegation_not_allowed", description=CHAIN_NOT_AVAILABLE, detail=detail)
    if "may_act" in subject.claims:  # RFC 8693 §4.4: whom it names is not checked here, so nobody is allowed
        raise Refusal("may_act_mismatch", detail="the subject token carries may_act")
