"""Which scopes the issued token gets: never beyond the rules, never beyond the subject token."""

from __future__ import annotations

from collections.abc import Sequence

from exchange.config.values import Rule, TargetService
from exchange.errors import Refusal
from exchange.policy.question import Question
from exchange.policy.trace import TraceRecorder

Chosen = tuple[TargetService, Rule]
"""A target, and the rule that decided for it."""


def grant_scopes(chosen: Sequence[Chosen], question: Question, trace: TraceRecorder) -> tuple[str, ...]:
    """Return the requested scopes, each once; without a request all that is granted, which may be none.

    Raises ``Refusal``: ``scope_not_permitted`` when one requested scope lies beyond the grant (RFC 6749 §3.3,
    RFC 8693 §2.2.2). A request is never cut down in silence to what would be allowed.
    """
    requested_scopes = question.request.scopes
    granted = _granted(chosen, question.subject.scopes)
    if requested_scopes is None:
        trace.checked("scopes", "all that are granted", ("granted", granted), held=True)
        return granted
    requested = tuple(dict.fromkeys(requested_scopes))
    beyond = [scope for scope in requested if scope not in granted]
    # Only names that a target has are written down; what else the caller sent may be a misplaced token.
    known = tuple(scope for scope in requested if any(scope in target.scopes for target, _ in chosen))
    compared = (("granted", granted), ("requested", known), ("unknown", len(requested) - len(known)))
    trace.checked("scopes", "requested within granted", *compared, held=not beyond)
    if beyond:
        named = [scope for scope in beyond if scope in known]
        rules = ", ".join(rule.id for _, rule in chosen)
        detail = f"rule {rules}: beyond the grant: {named}; unknown: {len(beyond) - len(named)}"
        raise Refusal("scope_not_permitted", detail=detail)
    return requested


def _granted(chosen: Sequence[Chosen], carried: frozenset[str]) -> tuple[str, ...]:
    """Return what the rules grant together.

    One token for several targets shows every scope to each of them. So a scope is granted only where every
    target that knows a scope of this name grants it: otherwise one target's rule would open another.
    """
    if len(chosen) == 1:
        return _granted_by(chosen[0][1], carried)
    grants = [(target.scopes, _granted_by(rule, carried)) for target, rule in chosen]
    union = dict.fromkeys(scope for _, granted in grants for scope in granted)
    return tuple(
        scope for scope in union if all(scope in granted for known, granted in grants if scope in known)
    )


def _granted_by(rule: Rule, carried: frozenset[str]) -> tuple[str, ...]:
    return tuple(
        [grant.scope for grant in rule.scopes if grant.always or not grant.needs.isdisjoint(carried)]
    )
