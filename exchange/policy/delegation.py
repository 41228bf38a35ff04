"""Delegation (RFC 8693 §1.1, §4.1, §4.4) is not available: what would need it is refused, never ignored."""

from __future__ import annotations

from typing import Final

from exchange.errors import Refusal
from exchange.model import VerifiedToken

CHAIN_NOT_AVAILABLE: Final = (
    "The subject_token carries act or may_act, and delegation is not available here;"
    " present a token without them."
)


def refuse_delegation(subject: VerifiedToken, actor: VerifiedToken | None) -> None:
    """Refuse an actor token, and a subject token with ``act`` or ``may_act``: ``delegation_not_allowed``.

    Issuing without them would drop a delegation chain, or let a party act that ``may_act`` does not name.
    """
    if actor is not None:
        raise Refusal("delegation_not_allowed")
    for claim in ("act", "may_act"):
        if claim in subject.claims:
            detail = f"the subject token carries {claim}"
            raise Refusal("delegation_not_allowed", description=CHAIN_NOT_AVAILABLE, detail=detail)
