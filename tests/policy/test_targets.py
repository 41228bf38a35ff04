"""RFC 8693 §2.1 ``audience`` and RFC 8707 ``resource``: one table, exact names, one target."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.policy.values import (
    BILLING,
    ORDERS,
    ORDERS_API,
    SERVER,
    Question,
    ask,
    client,
    reason,
    request,
    rule,
    target,
)

TWO = (
    target(rule()),
    target(rule(id="bills"), name="billing", audience=BILLING, resources=frozenset()),
)


def asked(audiences=(), resources=(), **changes):
    return Question(request=request(audiences=audiences, resources=resources), **changes).decide()


def test_a_request_without_a_target_is_refused():
    assert reason(asked()) == "target_missing"


def test_the_clients_default_target_is_used_when_the_request_names_none():
    decision = asked(client=client(default_target=ORDERS))
    assert decision.permit_or_refuse().audience == (ORDERS,)


def test_the_default_target_never_joins_what_the_request_names():
    decision = asked(audiences=(BILLING,), client=client(default_target=ORDERS), targets=TWO)
    assert decision.permit_or_refuse().audience == (BILLING,)


def test_a_default_target_that_is_not_configured_permits_nothing():
    assert reason(asked(client=client(default_target="https://gone.example"))) == "target_unknown"


@pytest.mark.parametrize("resources", [(ORDERS_API,), (ORDERS,)])
def test_a_resource_means_its_audience(resources):
    assert asked(resources=resources).permit_or_refuse().audience == (ORDERS,)


@pytest.mark.parametrize(
    "name", [ORDERS + "/", ORDERS.upper(), ORDERS[:-1], ORDERS + "/api/v1", " " + ORDERS, "orders", "*", ""]
)
@pytest.mark.parametrize("parameter", ["audiences", "resources"])
def test_a_name_that_is_not_exactly_one_of_a_target_is_unknown(name, parameter):
    assert reason(asked(**{parameter: (name,)})) == "target_unknown"


@pytest.mark.parametrize(
    ("audiences", "resources"),
    [((ORDERS, "https://unknown.example"), ()), ((ORDERS,), ("https://unknown.example",))],
)
def test_an_unknown_name_beside_a_known_one_is_not_passed_over(audiences, resources):
    assert reason(asked(audiences, resources)) == "target_unknown"


def test_audience_and_resource_of_the_same_target_are_one_target():
    assert asked((ORDERS, ORDERS), (ORDERS_API, ORDERS_API)).permit_or_refuse().audience == (ORDERS,)


@pytest.mark.parametrize(("audiences", "resources"), [((ORDERS, BILLING), ()), ((BILLING,), (ORDERS_API,))])
def test_two_targets_are_too_many(audiences, resources):
    assert reason(asked(audiences, resources, targets=TWO)) == "too_many_targets"


def test_two_targets_are_refused_even_where_the_server_allows_two():
    # One token for both would carry the scopes of each to the other.
    server = replace(SERVER, max_targets=2)
    assert reason(asked((ORDERS, BILLING), targets=TWO, server=server)) == "too_many_targets"


def test_what_the_caller_named_is_not_in_the_refusal():
    decision = ask(request=request(audiences=("eyJhbGciOi.misplaced.token",)))
    assert decision.refusal is not None
    assert "misplaced" not in f"{decision.refusal.detail} {decision.refusal} {decision.trace.to_json()}"
