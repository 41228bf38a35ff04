"""An answer with its reasons, as one JSON object: what ``exchange explain --json`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from exchange.config.values import Policies
from exchange.errors import REASONS, Refusal
from exchange.jose import parse_unverified
from exchange.model import IssuedToken, Role
from exchange.rehearsal.rehearse import Answer
from exchange.rehearsal.replay import Replayed
from exchange.rehearsal.seen import checks_seen
from exchange.tokens.checks import Check
from exchange.tokens.opaque import is_asked_about

CHECK_OF_REASON: Final[Mapping[str, str]] = MappingProxyType(
    {
        "target_missing": "target",
        "target_unknown": "target",
        "too_many_targets": "target",
        "target_not_permitted": "target",
        "no_rule_permits": "rules",
        "denied_by_rule": "rules",
        "condition_failed_to_evaluate": "rules",
        "self_renewal": "renewal",
        "may_act_mismatch": "may_act",
        "delegation_cycle": "chain",
        "delegation_too_deep": "chain",
        "subject_token_claim_malformed": "claims",
        "issuer_in_audit_mode": "mode",
    }
)
"""Checks of a decision that leave no check of their own in its trace, by their reasons."""
_NO_TYP: Final = (
    "the claims came without a header; if the header of the real token marks it, give that too:"
    """ --header '{"typ": "at+jwt"}', or header: {typ: at+jwt} in a test"""
)
_NO_TOKEN_TYPE: Final = (
    "the claims are taken for the answer of the issuer, which is asked about its tokens; give them what it"
    " says of an access token, such as token_type: Bearer"
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
        "used_up": _used_up(answer) or None,
    }
    return {name: value for name, value in parts.items() if value is not None}


def explain_replayed(replayed: Replayed) -> Explanation:
    """Return why a recorded decision comes out so when it is made again."""
    parts: dict[str, object | None] = {
        "outcome": "issued" if replayed.issued is not None else "refused",
        "decision": replayed.decision.trace.to_json() if replayed.decision else None,
        "refusal": _reason(replayed.refusal) if replayed.refusal else None,
        "issued": _issued(replayed.issued) if replayed.issued else None,
    }
    return {name: value for name, value in parts.items() if value is not None}


def explain_record(record: Mapping[str, Any]) -> Explanation:
    """Return what an audit record says of its request, as an explanation."""
    issued = record.get("issued")
    parts: dict[str, object | None] = {
        "outcome": record.get("outcome"),
        "client": {"client_id": record["client_id"]} if "client_id" in record else None,
        "decision": record.get("trace"),
        "refusal": _recorded_refusal(record) if "reason" in record else None,
        "issued": _recorded_issued(issued) if issued is not None else None,
    }
    return {name: value for name, value in parts.items() if value is not None}


def _recorded_refusal(record: Mapping[str, Any]) -> Explanation:
    told = REASONS[record["reason"]].description if record["reason"] in REASONS else None
    members = {name: record.get(name) for name in ("reason", "error", "status", "detail")}
    return {name: value for name, value in {**members, "description": told}.items() if value is not None}


def _recorded_issued(issued: Mapping[str, Any]) -> Explanation:
    claims = issued["claims"]
    return {**issued, "claims": claims, "expires_in": claims["exp"] - claims["iat"]}


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


def _used_up(answer: Answer) -> list[str]:
    """Return which tokens the service would take no second time; here nothing is marked, and nobody asks."""
    if answer.issued is None:
        return []
    return [
        f"{one.role}_token"
        for one in answer.examined
        if one.verified is not None and one.verified.single_use_id is not None
    ]


def _refusal(answer: Answer) -> Explanation:
    assert answer.refusal is not None  # noqa: S101  # for the type checker
    parts = {**_reason(answer.refusal), "failed": failed_check(answer), "hint": _hint(answer)}
    return {name: value for name, value in parts.items() if value is not None}


def _reason(refusal: Refusal) -> Explanation:
    reason = refusal.reason
    parts = {
        "reason": reason.slug,
        "error": reason.error,
        "status": reason.status,
        "description": reason.description,
        "detail": refusal.detail,
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
    failed = next((check.name for check in answer.decision.trace.checks if not check.held), None)
    return failed or CHECK_OF_REASON.get(answer.decision.refusal.reason.slug, "decision")


def _hint(answer: Answer) -> str | None:
    """Say what is missing where claims alone could not prove their kind: for many IdPs the header does."""
    last = answer.examined[-1] if answer.examined else None
    if last is None or not last.unsigned or last.verified is not None or last.checks[-1] is not Check.KIND:
        return None
    if last.read is not None and is_asked_about(last.read):
        return _NO_TOKEN_TYPE
    return _NO_TYP if "typ" not in parse_unverified(last.token).header else None
