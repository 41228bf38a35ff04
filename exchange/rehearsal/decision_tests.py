"""The decisions that must hold (``tests/NAME.yaml``): each rehearsed, and compared with what it expects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from exchange.config.test_file import DecisionTest, ExampleToken, Expectation
from exchange.config.values import Policies, Rule
from exchange.model import IssuedToken, Role, Secret
from exchange.rehearsal.believed import type_to_declare
from exchange.rehearsal.rehearse import Answer, Rehearsal, RehearsalRequest, form
from exchange.rehearsal.unsigned import unsigned_token


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that came out otherwise than expected; both sides are readable."""

    what: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one test; it passed if nothing differs."""

    test: DecisionTest
    answer: Answer
    differences: tuple[Difference, ...]


def run(test: DecisionTest, rehearsal: Rehearsal, policies: Policies, *, now: float) -> Outcome:
    """Return what came of ``test``."""
    answer = rehearsal(request_of(test, policies, now=now))
    return Outcome(test, answer, tuple(_differences(test.expect, answer)))


def request_of(test: DecisionTest, policies: Policies, *, now: float) -> RehearsalRequest:
    """Return what the client of ``test`` would send."""
    asked = test.request
    subject = _token(test.subject, policies, now)
    actor = _token(test.actor, policies, now) if test.actor is not None else None
    parameters = form(
        {
            "subject_token": subject.reveal(),
            "subject_token_type": asked.subject_token_type or type_to_declare(subject, policies),
            "actor_token": actor.reveal() if actor is not None else None,
            "actor_token_type": asked.actor_token_type or type_to_declare(actor, policies) if actor else None,
            "audience": asked.audiences,
            "resource": asked.resources,
            "scope": " ".join(asked.scopes or ()),
        }
    )
    return RehearsalRequest(test.client, parameters, unsigned=frozenset(Role), proof=asked.proof)


def _token(example: ExampleToken, policies: Policies, now: float) -> Secret:
    return unsigned_token(
        example.claims, issuer=example.issuer, header=example.header, policies=policies, now=now
    )


def _differences(expect: Expectation, answer: Answer) -> Iterator[Difference]:
    if answer.issued is None or expect.refuse is not None:
        expected = f"refused, {expect.refuse}" if expect.refuse is not None else "issued"
        got = f"refused, {answer.refusal.reason.slug}" if answer.refusal is not None else "issued"
        if expected != got:
            yield Difference("outcome", expected, got)
        return
    yield from _differences_of_issued(expect, answer, answer.issued)


def _differences_of_issued(expect: Expectation, answer: Answer, issued: IssuedToken) -> Iterator[Difference]:
    rules = deciding_rules(answer)
    if expect.rules is not None and expect.rules != rules:
        yield Difference("rule", ", ".join(expect.rules), ", ".join(rules))
    if expect.scopes is not None and expect.scopes != frozenset(issued.scopes):
        yield Difference("scope", _listed(expect.scopes), _listed(issued.scopes))
    if expect.lifetime is not None and expect.lifetime != issued.expires_in:
        yield Difference("lifetime", f"{expect.lifetime} s", f"{issued.expires_in} s")
    for name, value in (expect.claims or {}).items():
        expected, got = _said(value), _said(issued.claims.get(name))
        if expected != got:
            yield Difference(f"claim {name}", expected, got)


def deciding_rules(answer: Answer) -> tuple[str, ...]:
    """Return the rules that permitted, one for each target; none where nothing was permitted."""
    permit = answer.decision.permit if answer.decision else None
    return permit.rules if permit is not None else ()


def _listed(names: Iterable[str]) -> str:
    return f"[{', '.join(sorted(names))}]"


def _said(value: object) -> str:
    """JSON text, so that ``1``, ``true`` and ``"1"`` are three things; null is a claim that is not there."""
    return "absent" if value is None else json.dumps(value, sort_keys=True, default=_plain)


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which rules decided in some test. Rules on trial decide nothing, and are not counted."""

    decided: tuple[Rule, ...]
    never: tuple[Rule, ...]

    @property
    def percent(self) -> int:
        """Of 100, rounded down; 100 when there are no rules."""
        every = len(self.decided) + len(self.never)
        return len(self.decided) * 100 // every if every else 100


def coverage(outcomes: Iterable[Outcome], policies: Policies) -> Coverage:
    """Return which rules the tests reach: one that none reaches can be changed without anybody noticing."""
    reached = {rule.source for outcome in outcomes for rule in _decided(outcome.answer)}
    targets = {target.source: target for target in policies.targets.values()}
    rules = [rule for source in sorted(targets) for rule in targets[source].rules if rule.mode == "enforce"]
    return Coverage(
        decided=tuple(rule for rule in rules if rule.source in reached),
        never=tuple(rule for rule in rules if rule.source not in reached),
    )


def _decided(answer: Answer) -> Iterator[Rule]:
    if answer.decision is not None:
        yield from (entry.rule for entry in answer.decision.trace.rules if entry.outcome == "decided")
