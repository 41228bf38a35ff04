"""Rules that can never be reached, because earlier ones decide first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, product

from exchange.config.dangers.matching import Danger
from exchange.config.values import Rule, TargetService
from exchange.matchers import Condition


@dataclass(slots=True)
class _Earlier:
    """The rules above, by the clients they name: a rule is compared only with what may decide for it."""

    for_anybody: list[Rule] = field(default_factory=list)
    by_client: dict[str, list[Rule]] = field(default_factory=dict)

    def add(self, rule: Rule) -> None:
        if rule.clients is None:
            self.for_anybody.append(rule)
        for client in rule.clients or ():
            self.by_client.setdefault(client, []).append(rule)

    def of(self, client: str | None) -> Iterator[Rule]:
        return chain(self.by_client.get(client, ()) if client else (), self.for_anybody)


def reach_dangers(target: TargetService) -> Iterator[Danger]:
    """Yield the rules that have nothing left to decide."""
    above = _Earlier()
    for index, rule in enumerate(target.rules):
        if earlier := _decided_before(rule, above):
            text = f"can never be reached: {earlier.id}, on line {earlier.source.line}, decides first"
            yield ("rules", index), f"{text}; move it up, or remove it"
        above.add(rule)


def _decided_before(rule: Rule, above: _Earlier) -> Rule | None:
    """Return an earlier rule that decides first, if such rules together leave nothing to ``rule``."""
    last: Rule | None = None
    for client, issuer in product(rule.clients or [None], rule.subject_issuers or [None]):
        last = next((other for other in above.of(client) if _covers(other, rule, issuer)), None)
        if last is None:
            return None
    return last


def _covers(earlier: Rule, rule: Rule, issuer: str | None) -> bool:
    """Tell whether ``earlier`` decides wherever ``rule`` would, for a subject token of ``issuer``."""
    if earlier.mode == "audit" and rule.mode != "audit":  # it is passed over
        return False
    return (
        (earlier.subject_issuers is None or issuer in earlier.subject_issuers)
        and _within(rule.actor_issuers, earlier.actor_issuers)
        and _all_implied(earlier.subject_claims, rule.subject_claims)
        and _all_implied(earlier.actor_claims, rule.actor_claims)
        # The same expression has the same value; what another one means cannot be told.
        and (earlier.when is None or earlier.when == rule.when)
    )


def _within(narrow: frozenset[str] | None, wide: frozenset[str] | None) -> bool:
    return wide is None or (narrow is not None and narrow <= wide)


def _all_implied(wide: tuple[Condition, ...], narrow: tuple[Condition, ...]) -> bool:
    return all(any(_implied(condition, given) for given in narrow) for condition in wide)


def _implied(condition: Condition, given: Condition) -> bool:
    """Tell whether ``condition`` holds wherever ``given`` does, as far as that is plain."""
    if condition.path != given.path:
        return False
    asked, known = condition.matcher, given.matcher
    if asked.name == known.name and repr(asked.expected) == repr(known.expected):  # repr: True equals 1
        return True
    if asked.name == "present" and asked.expected is True:
        return known.proves_presence
    if known.name not in {"equals", "one_of"}:
        return False
    values = known.expected if isinstance(known.expected, tuple) else (known.expected,)
    return all(asked.matches(value) for value in values)
