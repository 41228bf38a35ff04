"""Which rule decides: the first, from the top, whose conditions all hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from exchange.claim_path import MISSING
from exchange.config.values import Rule
from exchange.errors import Refusal
from exchange.expressions import Expression, ExpressionFailed
from exchange.matchers import Condition
from exchange.model import VerifiedToken
from exchange.policy.question import Question
from exchange.policy.trace import ConditionKind, ConditionTrace, RuleOutcome, RuleTrace, TraceRecorder, seen

_ASK: Final = " ask the owner of the target, and name the request_id."
NO_RULE_FOR_ISSUER: Final = (
    f"No rule of the target names this client together with the issuer of the subject_token;{_ASK}"
)
NO_RULE_FOR_CLAIMS: Final = (
    f"The claims of the subject_token meet the conditions of no rule for this client;{_ASK}"
)
NO_RULE_FOR_ACTOR_ISSUER: Final = (
    "No rule for this client takes this request without an actor_token, or with one of this issuer;" + _ASK
)
NO_RULE_FOR_ACTOR_CLAIMS: Final = (
    f"The claims of the actor_token meet the conditions of no rule for this client;{_ASK}"
)
NO_RULE_FOR_EXPRESSION: Final = f"The request meets the condition (when) of no rule for this client;{_ASK}"
# The furthest kind first: a rule that failed at its claims was nearer than one that failed at its issuer.
PUBLIC_BY_FURTHEST: Final[tuple[tuple[ConditionKind, str], ...]] = (
    ("when", NO_RULE_FOR_EXPRESSION),
    ("actor.claims", NO_RULE_FOR_ACTOR_CLAIMS),
    ("actor.issuer", NO_RULE_FOR_ACTOR_ISSUER),
    ("subject.claims", NO_RULE_FOR_CLAIMS),
    ("subject.issuer", NO_RULE_FOR_ISSUER),
)


def choose_rule(rules: Sequence[Rule], question: Question, trace: TraceRecorder) -> Rule:
    """Return the permitting rule that decides.

    A rule in ``mode: audit`` is looked at, recorded and passed over, unless ``trace`` is of a trial. Raises
    ``Refusal``: ``denied_by_rule`` when the first rule that holds denies, ``no_rule_permits`` when none
    holds, ``condition_failed_to_evaluate`` when a condition cannot be evaluated.
    """
    passed_over: list[RuleTrace] = []
    for rule in rules:
        entry = trace.looked_at(_looked_at(rule, question))
        if entry.outcome == "passed_over":
            passed_over.append(entry)
        elif entry.outcome == "failed" and not trace.passes_over(rule):
            raise Refusal("condition_failed_to_evaluate", detail=_failure(entry))
        elif entry.outcome == "decided":
            if rule.deny is not None:
                raise Refusal("denied_by_rule", detail=f"rule {rule.id}: {rule.deny}")
            return rule
    raise _no_rule_permits([entry for entry in passed_over if not trace.passes_over(entry.rule)])


def _looked_at(rule: Rule, question: Question) -> RuleTrace:
    looked_at: list[ConditionTrace] = []
    outcome: RuleOutcome = "decided"
    try:
        for condition in _conditions(rule, question):
            looked_at.append(condition)
            if not condition.held:
                outcome = "passed_over"
                break
    except ExpressionFailed:
        looked_at.append(ConditionTrace("when", rule.when, held=False, value=MISSING))
        outcome = "failed"
    except Exception:  # noqa: BLE001  # passing over a rule that denies would open the door
        outcome = "failed"
    return RuleTrace(rule, tuple(looked_at), outcome)


def _conditions(rule: Rule, question: Question) -> Iterator[ConditionTrace]:
    yield _named(rule, "client", rule.clients, question.client.client_id)
    yield _named(rule, "subject.issuer", rule.subject_issuers, question.subject.issuer_name)
    claims = question.subject.claims
    for condition in rule.subject_claims:
        value = condition.path.find(claims)
        yield ConditionTrace("subject.claims", condition, condition.matcher.matches(value), seen(value))
    if rule.actor_issuers is not None:
        name = question.actor.issuer_name if question.actor is not None else MISSING
        yield ConditionTrace("actor.issuer", rule.actor_issuers, name in rule.actor_issuers, name)
    for condition in rule.actor_claims:
        yield _of_actor(condition, question.actor)
    if rule.when is not None:
        yield ConditionTrace("when", rule.when, _is_true(rule.when, question), MISSING)


def _named(rule: Rule, kind: ConditionKind, names: frozenset[str] | None, name: str) -> ConditionTrace:
    # Nobody named means everybody only in a rule that denies: default deny, even should the loader err.
    held = rule.deny is not None if names is None else name in names
    return ConditionTrace(kind, names, held, name)


def _of_actor(condition: Condition, actor: VerifiedToken | None) -> ConditionTrace:
    """Without an actor no condition on its claims holds, one that asks for absence included."""
    value = MISSING if actor is None else condition.path.find(actor.claims)
    held = actor is not None and condition.matcher.matches(value)
    return ConditionTrace("actor.claims", condition, held, seen(value))


def _is_true(when: Expression, question: Question) -> bool:
    value = when.evaluate(question.variables)
    if not isinstance(value, bool):  # never truthiness: the text of an error would be true
        raise ExpressionFailed
    return value


def _failure(entry: RuleTrace) -> str:
    last = entry.conditions[-1] if entry.conditions else None
    what = f"{last.kind}: {last.text}" if last is not None and not last.held else "a condition on claims"
    return f"rule {entry.rule.id}, {what}"


def _no_rule_permits(passed_over: Sequence[RuleTrace]) -> Refusal:
    """Tell the client which kind of condition failed, and the operator in which rule; never a value."""
    failed = [(entry.rule.id, entry.conditions[-1]) for entry in passed_over if entry.rule.deny is None]
    for kind, description in PUBLIC_BY_FURTHEST:
        for rule_id, condition in failed:
            if condition.kind == kind:
                detail = f"nearest: rule {rule_id}, {kind}: {condition.text}"
                return Refusal("no_rule_permits", description=description, detail=detail)
    return Refusal("no_rule_permits")
