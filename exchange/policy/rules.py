"""Which rule decides: the first, from the top, whose conditions all hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from exchange.config.values import RegisteredClient, Rule
from exchange.errors import Refusal
from exchange.model import VerifiedToken
from exchange.policy.trace import ConditionKind, ConditionTrace, RuleTrace, TraceRecorder, seen

NO_RULE_FOR_ISSUER: Final = (
    "No rule of the target names this client together with the issuer of the subject_token;"
    " ask the owner of the target, and name the request_id."
)
NO_RULE_FOR_CLAIMS: Final = (
    "The claims of the subject_token meet the conditions of no rule for this client;"
    " ask the owner of the target, and name the request_id."
)
# The furthest kind first: a rule that failed at its claims was nearer than one that failed at its issuer.
_PUBLIC_BY_FURTHEST: Final[tuple[tuple[ConditionKind, str], ...]] = (
    ("subject.claims", NO_RULE_FOR_CLAIMS),
    ("subject.issuer", NO_RULE_FOR_ISSUER),
)


def choose_rule(
    rules: Sequence[Rule], client: RegisteredClient, subject: VerifiedToken, trace: TraceRecorder
) -> Rule:
    """Return the permitting rule that decides.

    Raises ``Refusal``: ``denied_by_rule`` when the first rule that holds denies, ``no_rule_permits`` when
    none holds, ``condition_failed_to_evaluate`` when a condition cannot be evaluated.
    """
    for rule in rules:
        if not _holds(rule, client, subject, trace):
            continue
        if rule.deny is not None:
            raise Refusal("denied_by_rule", detail=f"rule {rule.id}: {rule.deny}")
        return rule
    raise _no_rule_permits(trace.rules)


def _holds(rule: Rule, client: RegisteredClient, subject: VerifiedToken, trace: TraceRecorder) -> bool:
    looked_at: list[ConditionTrace] = []
    try:
        for condition in _conditions(rule, client, subject):
            looked_at.append(condition)
            if not condition.held:
                trace.looked_at(rule, tuple(looked_at), "passed_over")
                return False
    except Exception as error:  # noqa: BLE001  # passing over a rule that denies would open the door
        trace.looked_at(rule, tuple(looked_at), "failed")
        detail = f"rule {rule.id}, after {len(looked_at)} conditions: {type(error).__name__}"
        raise Refusal("condition_failed_to_evaluate", detail=detail) from None
    trace.looked_at(rule, tuple(looked_at), "decided")
    return True


def _conditions(rule: Rule, client: RegisteredClient, subject: VerifiedToken) -> Iterator[ConditionTrace]:
    yield _named(rule, "client", rule.clients, client.client_id)
    yield _named(rule, "subject.issuer", rule.subject_issuers, subject.issuer_name)
    for condition in rule.subject_claims:
        value = condition.path.find(subject.claims)
        yield ConditionTrace("subject.claims", condition, condition.matcher.matches(value), seen(value))


def _named(rule: Rule, kind: ConditionKind, names: frozenset[str] | None, name: str) -> ConditionTrace:
    # Nobody named means everybody only in a rule that denies: default deny, even should the loader err.
    held = rule.deny is not None if names is None else name in names
    return ConditionTrace(kind, names, held, name)


def _no_rule_permits(looked_at: Sequence[RuleTrace]) -> Refusal:
    """Tell the client which kind of condition failed, and the operator in which rule; never a value."""
    failed = [(entry.rule.id, entry.conditions[-1]) for entry in looked_at if entry.rule.deny is None]
    for kind, description in _PUBLIC_BY_FURTHEST:
        for rule_id, condition in failed:
            if condition.kind == kind:
                detail = f"nearest: rule {rule_id}, {kind}: {condition.text}"
                return Refusal("no_rule_permits", description=description, detail=detail)
    return Refusal("no_rule_permits")
