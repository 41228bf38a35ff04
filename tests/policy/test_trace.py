"""The operator is told exactly which condition failed, and what it saw."""

from __future__ import annotations

import dataclasses
import json
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.claim_path import MISSING
from exchange.policy.trace import MAX_MEMBERS, MAX_TEXT, seen
from tests.policy.values import ask, client, denial, request, rule, token, token_with


def test_the_trace_of_a_permit():
    decision = ask(rule(id="partners", subject_issuers=frozenset({"partner", "other"})), rule())
    assert decision.trace.to_json() == {
        "target": "orders",
        "rules": [
            {
                "id": "partners",
                "source": "policies/audiences/orders.yaml:7:3",
                "outcome": "passed_over",
                "conditions": [
                    {"kind": "client", "text": "one_of [orders-bff]", "held": True, "value": "orders-bff"},
                    {
                        "kind": "subject.issuer",
                        "text": "one_of [other, partner]",
                        "held": False,
                        "value": "acme",
                    },
                ],
            },
            {
                "id": "shop-reads-orders",
                "source": "policies/audiences/orders.yaml:7:3",
                "outcome": "decided",
                "conditions": [
                    {"kind": "client", "text": "one_of [orders-bff]", "held": True, "value": "orders-bff"},
                    {"kind": "subject.issuer", "text": "one_of [acme]", "held": True, "value": "acme"},
                    {
                        "kind": "subject.claims",
                        "text": "email_verified equals true",
                        "held": True,
                        "value": True,
                    },
                    {
                        "kind": "subject.claims",
                        "text": "/realm_access/roles contains customer",
                        "held": True,
                        "value": ["customer"],
                    },
                ],
            },
        ],
        "checks": [
            {
                "name": "presenter",
                "text": "audience",
                "held": True,
                "value": {"token": ["https://bff.acme.example"], "client": ["https://bff.acme.example"]},
            },
            {
                "name": "scopes",
                "text": "all that are granted",
                "held": True,
                "value": {"granted": ["orders:read"]},
            },
        ],
        "decided_by": {"rule": "shop-reads-orders", "source": "policies/audiences/orders.yaml:7:3"},
    }


def test_a_rule_is_looked_at_no_further_than_the_first_condition_that_fails():
    trace = ask(subject=token_with(email_verified=False)).trace
    (looked_at,) = trace.rules
    assert [condition.held for condition in looked_at.conditions] == [True, True, False]
    assert looked_at.outcome == "passed_over"
    assert trace.rule is None
    assert trace.to_json()["decided_by"] is None


def test_a_claim_that_is_absent_has_no_value_in_the_trace():
    (looked_at,) = ask(subject=token_with(email_verified=...)).trace.rules
    assert looked_at.conditions[-1].value is MISSING
    assert "value" not in looked_at.conditions[-1].to_json()


def test_a_denial_is_what_decided():
    trace = ask(denial(), rule()).trace
    assert trace.rule == "no-guests"
    assert [condition.text for condition in trace.rules[0].conditions] == ["any", "any"]
    assert len(trace.rules) == 1


def test_rules_below_the_one_that_decided_are_not_looked_at():
    assert [entry.rule.id for entry in ask(rule(), rule(id="below")).trace.rules] == ["shop-reads-orders"]


@pytest.mark.parametrize(
    ("changes", "target", "checks"),
    [
        ({"request": request(audiences=())}, None, []),
        ({"client": client(client_id="other")}, "orders", []),
        ({"subject": token(audience=frozenset())}, "orders", [("presenter", False)]),
        ({"request": request(scopes=("orders:write",))}, "orders", [("presenter", True), ("scopes", False)]),
    ],
)
def test_the_trace_ends_at_the_check_that_refused(changes, target, checks):
    trace = ask(**changes).trace
    assert trace.target == target
    assert [(check.name, check.held) for check in trace.checks] == checks


def test_claims_that_no_condition_looks_at_are_not_in_the_trace():
    decision = ask(subject=token_with(email="somebody@example.com"))
    assert "somebody" not in json.dumps(decision.trace.to_json())


def test_the_trace_is_frozen():
    trace = ask().trace
    with pytest.raises(dataclasses.FrozenInstanceError):
        trace.rule = "other"
    roles = trace.rules[0].conditions[-1].value
    assert roles == ("customer",)


def test_a_long_value_is_shortened():
    assert seen("x" * 10_000) == "x" * MAX_TEXT + "…"
    assert seen(list(range(1000))) == (*range(MAX_MEMBERS), f"… {1000 - MAX_MEMBERS} more")
    assert len(seen({str(number): 0 for number in range(1000)})) == MAX_MEMBERS + 1
    assert seen([[[[["deep"]]]]]) == (((("…",),),),)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just(MISSING),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(anything)
def test_whatever_was_seen_can_be_written_down_and_is_frozen(value):
    frozen = seen(value)
    assert not isinstance(frozen, list | dict)
    if isinstance(frozen, tuple):
        assert not any(isinstance(item, list | dict) for item in frozen)
    if isinstance(frozen, MappingProxyType):
        assert not any(isinstance(item, list | dict) for item in frozen.values())
