"""An answer with its reasons, as one JSON object: what ``exchange explain --json`` prints."""

from __future__ import annotations

from typing import Final

from exchange.config.values import Policies
from exchange.jose import parse_unverified
from exchange.model import IssuedToken, Role
from exchange.rehearsal.rehearse import Answer
from exchange.rehearsal.seen import checks_seen
from exchange.tokens.checks import Check

_NO_TYP: Final = (
    "the claims came without a header; if the header of the real token marks it, give that too:"
    """ --header '{"typ": "at+jwt"}', or header: {typ: at+jwt} in a test"""
)

Explanation = dict[str, object]
"""Plain JSON. It holds claims, and never a token."""


def explain(answer: Answer, policies: Policies, *, now: float) -> Explanation:
    """Return why the answer is what it is; members of what was never reached are absent."""
    parts: dict[str, object | None] = {
        "outcome": "issued" if answer.refusal is None else "refused",
        "client": _client(answer),
        "subject_token": _examined(answer, Role.SUBJECT, policies, now),
        "actor_token": _examined(answer, Role.ACTOR, policies, now),
        "decision": answer.decision.trace.to_json() if answer.decision else None,
        "refusal": _refusal(answer) if answer.refusal else None,
        "issued": _issued(answer.issued) if answer.issued else None,
    }
    return {name: value for name, value in parts.items() if value is not None}


def _client(answer: Answer) -> Explanation | None:
    if answer.client is None:
        return None
    return {"client_id": answer.client.client_id, "source": str(answer.client.source)}


def _examined(answer: Answer, role: Role, policies: Policies, now: float) -> list[Explanation] | None:
    examined = next((one for one in answer.examined if one.role is role), None)
    if examined is None:
        return None
    return [check.to_json() for check in checks_seen(examined, policies, now=now)]


def _issued(issued: IssuedToken) -> Explanation:
    return {
        "claims": dict(issued.claims),
        "issued_token_type": issued.issued_token_type.value,
        "scope": list(issued.scopes),
        "expires_in": issued.expires_in,
    }


def _refusal(answer: Answer) -> Explanation:
    assert answer.refusal is not None  # noqa: S101  # for the type checker
    reason, hint = answer.refusal.reason, _hint(answer)
    parts = {
        "reason": reason.slug,
        "failed": failed_check(answer),
        "error": reason.error,
        "status": reason.status,
        "description": reason.description,
        "detail": answer.refusal.detail,
        "hint": hint,
    }
    return {name: value for name, value in parts.items() if value is not None}


def failed_check(answer: Answer) -> str | None:
    """Return the name of the check that refused, such as ``subject_token kind``; ``None`` if none did.

    Taken from how far the request came, never from the reason: one reason can have several checks.
    """
    if answer.refusal is None:
        return None
    if answer.client is None:
        return "client"
    if answer.request is None:
        return "request"
    if answer.examined and answer.examined[-1].verified is None:
        examined = answer.examined[-1]
        return f"{examined.role}_token {examined.checks[-1]}"
    return _failed_decision(answer)


def _failed_decision(answer: Answer) -> str:
    if answer.decision is None or answer.decision.refusal is None:
        return "mint"
    trace = answer.decision.trace
    failed = next((check.name for check in trace.checks if not check.held), None)
    if failed is not None:
        return failed
    if answer.decision.refusal.reason.error == "invalid_target" or trace.target is None:
        return "target"
    return "rules"


def _hint(answer: Answer) -> str | None:
    """Say what is missing where claims alone could not prove their kind: for many IdPs the header does."""
    last = answer.examined[-1] if answer.examined else None
    if last is None or not last.unsigned or last.verified is not None or last.checks[-1] is not Check.KIND:
        return None
    return _NO_TYP if "typ" not in parse_unverified(last.token).header else None
