"""Why a decision came out as it did: every rule and condition that was looked at, in order.

The record is for the operator (audit, ``exchange explain``); a client gets the reason alone. It holds what
conditions looked at and nothing else of the token, and nothing that only the caller chose: somebody may paste
a token into ``scope`` or ``audience``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Final, Literal

from exchange.claim_path import MISSING
from exchange.config.values import Rule, Source, TargetService
from exchange.expressions import Expression
from exchange.matchers import Condition

MAX_TEXT: Final = 256
"""Characters of one string in a trace."""
MAX_MEMBERS: Final = 32
"""Members of one array or object in a trace."""
MAX_DEPTH: Final = 4
"""Levels of arrays and objects in a trace. A condition looks at scalars and flat lists."""
_MORE: Final = "…"

ConditionKind = Literal["client", "subject.issuer", "subject.claims", "actor.issuer", "actor.claims", "when"]
RuleOutcome = Literal["decided", "passed_over", "failed", "would_have_been"]
CheckName = Literal["presenter", "delegation", "sender_constraint", "scopes"]
Compared = frozenset[str] | tuple[str, ...] | int


@dataclass(frozen=True, slots=True)
class ConditionTrace:
    """One condition of one rule, and what it saw."""

    kind: ConditionKind
    expected: Condition | Expression | frozenset[str] | None
    """``None`` where the rule names nobody, which holds only in a rule that denies."""
    held: bool
    value: object
    """Frozen JSON, shortened; ``MISSING`` when the claim is absent, and for an expression."""

    @property
    def text(self) -> str:
        """The condition as an operator reads it; never a value of the token."""
        if isinstance(self.expected, Condition):
            return str(self.expected)
        if isinstance(self.expected, Expression):
            return self.expected.text
        if self.expected is None:
            return "any"
        return f"one_of [{', '.join(sorted(self.expected))}]"

    def to_json(self) -> dict[str, object]:
        """Return a JSON object; without ``value`` when the claim is absent."""
        record: dict[str, object] = {"kind": self.kind, "text": self.text, "held": self.held}
        return record if self.value is MISSING else {**record, "value": _plain(self.value)}


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule and its conditions, up to the first that did not hold."""

    rule: Rule
    conditions: tuple[ConditionTrace, ...]
    outcome: RuleOutcome
    """``failed``: a condition could not be evaluated, which refuses the request. ``would_have_been``: it is
    in ``mode: audit``, and all its conditions hold."""

    def to_json(self) -> dict[str, object]:
        """Return a JSON object."""
        return {
            "id": self.rule.id,
            "source": str(self.rule.source),
            "outcome": self.outcome,
            "conditions": [condition.to_json() for condition in self.conditions],
        }


@dataclass(frozen=True, slots=True)
class CheckTrace:
    """A check of the chosen rule that is no condition: it refuses without falling through to another rule."""

    name: CheckName
    text: str
    held: bool
    compared: tuple[tuple[str, Compared], ...]
    """What was compared, each part with its name."""

    def to_json(self) -> dict[str, object]:
        """Return a JSON object."""
        value = {
            name: _plain(seen(sorted(part) if isinstance(part, frozenset) else part))
            for name, part in self.compared
        }
        return {"name": self.name, "text": self.text, "held": self.held, "value": value}


@dataclass(frozen=True, slots=True)
class WouldHaveBeen:
    """What the answer had been without ``mode: audit``. It never decides."""

    on_trial: Literal["issuer", "rule"]
    rules: tuple[str, ...]
    """The rules that had decided, one for each target; empty for a refusal."""
    scopes: tuple[str, ...]
    reason: str | None
    """The slug of the refusal; ``None`` had it been permitted."""
    detail: str | None

    @property
    def outcome(self) -> Literal["permitted", "refused"]:
        return "permitted" if self.reason is None else "refused"

    def to_json(self) -> dict[str, object]:
        """Return a JSON object."""
        answer: dict[str, object] = {"on_trial": self.on_trial, "outcome": self.outcome}
        if self.reason is None:
            return answer | {"rules": list(self.rules), "scopes": list(self.scopes)}
        return answer | {"reason": self.reason, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Trace:
    """The whole of one decision."""

    targets: tuple[str, ...] = ()
    """The file names under ``policies/audiences/``; empty when the decision did not come that far."""
    rules: tuple[RuleTrace, ...] = ()
    """Of one target after the other."""
    checks: tuple[CheckTrace, ...] = ()
    rule: str | None = None
    """The rule that decided, to permit or to deny; of several targets the last."""
    source: Source | None = None
    """Where that rule is written."""
    would_have_been: WouldHaveBeen | None = None
    """``None`` unless something was in ``mode: audit`` that could have made a difference."""

    @property
    def target(self) -> str | None:
        """The first target; ``None`` when the decision did not come that far."""
        return self.targets[0] if self.targets else None

    def to_json(self) -> dict[str, object]:
        """Return a JSON object for the audit record; ``decided_by`` is null when no rule decided.

        ``targets`` is there when they are several, ``would_have_been`` when it is known.
        """
        decided_by = {"rule": self.rule, "source": str(self.source)} if self.rule is not None else None
        record: dict[str, object] = {
            "target": self.target,
            "rules": [rule.to_json() for rule in self.rules],
            "checks": [check.to_json() for check in self.checks],
            "decided_by": decided_by,
        }
        if len(self.targets) > 1:
            record["targets"] = list(self.targets)
        if self.would_have_been is not None:
            record["would_have_been"] = self.would_have_been.to_json()
        return record


class TraceRecorder:
    """Collects the trace of one decision while it is being made; lives no longer than the decision.

    The recorder of a trial asks what had been without ``mode: audit``.
    """

    __slots__ = ("_checks", "_of_a_trial", "_rules", "audited", "rule", "targets")

    def __init__(self, *, of_a_trial: bool = False) -> None:
        self._of_a_trial = of_a_trial
        self.targets: tuple[TargetService, ...] = ()
        self.rule: Rule | None = None
        self.audited = False
        """A rule in ``mode: audit`` was passed over that had decided."""
        self._rules: list[RuleTrace] = []
        self._checks: list[CheckTrace] = []

    def passes_over(self, rule: Rule) -> bool:
        """Tell whether ``rule`` is only looked at, because it is in ``mode: audit``."""
        return rule.mode == "audit" and not self._of_a_trial

    def looked_at(self, entry: RuleTrace) -> RuleTrace:
        """Record one rule and return what was recorded; one that is passed over never decides."""
        if self.passes_over(entry.rule) and entry.outcome != "passed_over":
            self.audited = True
            if entry.outcome == "decided":
                entry = replace(entry, outcome="would_have_been")
        self._rules.append(entry)
        if entry.outcome == "decided":
            self.rule = entry.rule
        return entry

    def checked(self, name: CheckName, text: str, *compared: tuple[str, Compared], held: bool) -> None:
        """Record a check of the chosen rule."""
        self._checks.append(CheckTrace(name, text, held, compared))

    def finish(self, would_have_been: WouldHaveBeen | None = None) -> Trace:
        """Return what was recorded, frozen."""
        return Trace(
            targets=tuple([target.name for target in self.targets]),
            rules=tuple(self._rules),
            checks=tuple(self._checks),
            rule=self.rule.id if self.rule else None,
            source=self.rule.source if self.rule else None,
            would_have_been=would_have_been,
        )


def seen(value: object, depth: int = MAX_DEPTH) -> object:
    """Return a frozen and shortened copy of a JSON value, ``MISSING`` as it is; never raises.

    Shortened, because one long claim is recorded once for every condition that looked at it.
    """
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + _MORE
    if value is None or value is MISSING or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return _seen_items(value, depth - 1) if depth else _MORE
    if isinstance(value, Mapping):
        return _seen_members(value, depth - 1) if depth else _MORE
    return type(value).__name__


def _seen_items(items: Sequence[object], depth: int) -> tuple[object, ...]:
    shown = tuple(seen(item, depth) for item in items[:MAX_MEMBERS])
    more = len(items) - len(shown)
    return (*shown, f"{_MORE} {more} more") if more else shown


def _seen_members(members: Mapping[str, object], depth: int) -> Mapping[str, object]:
    shown = {str(seen(name)): seen(members[name], depth) for name in islice(members, MAX_MEMBERS)}
    more = len(members) - MAX_MEMBERS
    return MappingProxyType({**shown, _MORE: more} if more > 0 else shown)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
