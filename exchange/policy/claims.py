"""Which claims the issued token gets beside the registered ones: what the rules list, built from empty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from exchange.claim_path import MISSING
from exchange.config.values import ClaimSource, Rule, TargetService
from exchange.errors import Refusal
from exchange.model import Claims
from exchange.policy.question import Question

MAX_DEPTH: Final = 16
"""Levels of a copied value. The token itself is read no deeper."""
CLAIM_FAILED: Final = (
    "A claim of the policy could not be evaluated for this token; ask the owner of the target."
)
CLAIMS_DIFFER: Final = (
    "The requested targets give one claim different meanings; request a token for each of them."
)


class NotJson(Exception):  # noqa: N818  # it says what the value is
    """A value is not finite JSON of at most ``MAX_DEPTH`` levels."""


def claims_of(chosen: Sequence[tuple[TargetService, Rule]], question: Question) -> Claims:
    """Return the claims that the rules of all targets list, as frozen JSON.

    A claim whose source is absent or null is left out: there is nothing to say. Raises ``Refusal``:
    ``subject_token_claim_malformed`` when a value to copy is no JSON; it is never signed in part;
    ``condition_failed_to_evaluate`` when an expression has no value; ``too_many_targets`` when a target
    would see a claim that its own rules list with another value than its own rule gives it.
    """
    if len(chosen) == 1:
        return MappingProxyType(_claims_of(chosen[0][1], question))
    listed = [_claims_of(rule, question) for _, rule in chosen]
    together = {name: value for claims in listed for name, value in claims.items()}
    for (target, _), claims in zip(chosen, listed, strict=True):
        _check_own_meaning(target, claims, together)
    return MappingProxyType(together)


def _check_own_meaning(
    target: TargetService, claims: Mapping[str, object], together: Mapping[str, object]
) -> None:
    """Refuse to let the rule of one target say what only another's may: ``roles``, read by both."""
    known = {source.name for rule in target.rules for source in rule.claims}
    for name in known.intersection(together):
        if name not in claims or not _same(claims[name], together[name]):
            detail = f"claim {name}: {target.name} and another target differ"
            raise Refusal("too_many_targets", description=CLAIMS_DIFFER, detail=detail)


def _same(one: object, other: object) -> bool:
    """Compare two JSON values; ``True`` is not ``1``."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and one == other


def _claims_of(rule: Rule, question: Question) -> dict[str, object]:
    if not rule.claims:
        return {}
    listed = {source.name: _value(source, rule, question) for source in rule.claims}
    return {name: value for name, value in listed.items() if value is not MISSING}


def _value(source: ClaimSource, rule: Rule, question: Question) -> object:
    if source.expression is not None:
        return _evaluated(source, rule, question)
    if source.copy is None:
        return source.value
    try:
        value = source.copy.find(question.subject.claims)
        return MISSING if value is None or value is MISSING else frozen_json(value)
    except Exception:  # noqa: BLE001  # whatever is odd about a stranger's value: it is refused
        detail = f"rule {rule.id}: the source of the claim {source.name} cannot be copied"
        raise Refusal("subject_token_claim_malformed", detail=detail) from None


def _evaluated(source: ClaimSource, rule: Rule, question: Question) -> object:
    try:
        assert source.expression is not None  # noqa: S101  # for the type checker
        value = source.expression.evaluate(question.variables)
        return MISSING if value is None else frozen_json(value)
    except Exception:  # noqa: BLE001  # ExpressionFailed, or what is no JSON: there is no value to sign
        detail = f"rule {rule.id}: the expression of the claim {source.name} has no value"
        raise Refusal("condition_failed_to_evaluate", description=CLAIM_FAILED, detail=detail) from None


def frozen_json(value: object, depth: int = MAX_DEPTH) -> object:
    """Return a copy of a JSON value with tuples and read-only mappings inside; raises ``NotJson``."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if depth == 0:
        raise NotJson("nested too deeply")
    if isinstance(value, list | tuple):
        return tuple(frozen_json(item, depth - 1) for item in value)
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return MappingProxyType({name: frozen_json(member, depth - 1) for name, member in value.items()})
    raise NotJson("not JSON")
