"""RFC 8693 §2.1 ``audience`` and RFC 8707 ``resource``: one table, exact names, all or nothing."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from exchange.policy.claims import CLAIMS_DIFFER
from tests.policy.values import (
    BILLING,
    ORDERS,
    ORDERS_API,
    SERVER,
    Question,
    ask,
    client,
    copied,
    fixed,
    reason,
    request,
    rule,
    target,
    token,
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


# ── several targets in one token ────────────────────────────────────────────────────────────────────────────

TWO_ALLOWED = replace(SERVER, max_targets=2)
BOTH = (ORDERS, BILLING)


def together(orders=None, billing=None, *, orders_rules=(), billing_scopes=("bills:read",), **changes):
    """Ask for both targets; the rules are those of the orders API and of billing."""
    targets = (
        target(orders or rule(), *orders_rules),
        target(
            billing or rule(id="bills", scopes={"bills:read": ["orders.read"]}),
            name="billing",
            audience=BILLING,
            resources=frozenset(),
            scopes=frozenset(billing_scopes),
        ),
    )
    asked = request(audiences=changes.pop("audiences", BOTH), **changes.pop("asked", {}))
    return Question(targets=targets, request=asked, server=TWO_ALLOWED, **changes).decide()


def test_two_targets_are_permitted_where_the_server_allows_two_and_a_rule_of_each_permits():
    permit = together().permit_or_refuse()
    assert (permit.audience, permit.rules) == (BOTH, ("shop-reads-orders", "bills"))
    assert permit.scopes == ("orders:read", "bills:read")


@pytest.mark.parametrize("audiences", [(BILLING, ORDERS), (BILLING, ORDERS_API), (BILLING, ORDERS, BILLING)])
def test_audiences_are_in_the_order_in_which_they_were_named(audiences):
    decision = together(audiences=audiences)
    assert decision.permit_or_refuse().audience == (BILLING, ORDERS)
    assert decision.permit_or_refuse().rules == ("bills", "shop-reads-orders")


def test_audience_and_resource_together_name_two_targets():
    decision = together(audiences=(BILLING,), asked={"resources": (ORDERS_API,)})
    assert decision.permit_or_refuse().audience == (BILLING, ORDERS)


@pytest.mark.parametrize(
    ("spoilt", "slug"),
    [
        ({"clients": frozenset({"other"})}, "target_not_permitted"),
        ({"subject_issuers": frozenset({"partner"})}, "no_rule_permits"),
        ({"subject_claims": {"tenant": "other"}}, "no_rule_permits"),
        ({"when": 'subject.claims.tenant == "other"'}, "no_rule_permits"),
        ({"presenter": "authorized_party", "subject_issuers": frozenset({"acme"})}, None),
        ({"delegation": "required"}, "delegation_required"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_every_target_is_permitted_or_nothing_is(spoilt, slug, first):
    decision = together(
        orders=rule(**spoilt) if first else None, billing=None if first else rule(id="bills", **spoilt)
    )
    assert reason(decision) == slug
    assert (decision.permit is None) == (slug is not None)


def test_the_presenter_of_every_rule_must_hold():
    elsewhere = token(audience=frozenset({"https://other.example"}))
    by_party = rule(presenter="authorized_party")
    assert reason(together(orders=by_party, subject=elsewhere)) == "presenter_mismatch"
    both = together(orders=by_party, billing=replace(by_party, id="bills"), subject=elsewhere)
    assert reason(both) is None


def test_a_scope_that_one_target_alone_knows_is_granted_by_that_one():
    decision = together(asked={"scopes": ("bills:read", "orders:read")})
    assert decision.permit_or_refuse().scopes == ("bills:read", "orders:read")
    assert reason(together(asked={"scopes": ("bills:write",)})) == "scope_not_permitted"


def test_a_rule_never_grants_a_scope_at_another_target_that_knows_one_of_this_name():
    # `read` of orders is not for orders to give at billing, which knows a `read` of its own.
    orders = rule(scopes={"read": "always", "orders:read": "always"})
    billing = rule(id="bills", scopes={"read": ["bills.read"]})
    shared = {"orders": orders, "billing": billing, "billing_scopes": ("read",)}
    assert together(**shared).permit_or_refuse().scopes == ("orders:read",)
    assert reason(together(**shared, asked={"scopes": ("read",)})) == "scope_not_permitted"
    granting_both = shared | {"billing": rule(id="bills", scopes={"read": ["orders.read"]})}
    assert together(**granting_both).permit_or_refuse().scopes == ("read", "orders:read")


def test_claims_of_all_rules_are_issued():
    decision = together(
        orders=rule(claims=(fixed("tier", "gold"), fixed("region", "eu"))),
        billing=rule(id="bills", claims=(copied("tenant", "tenant"), fixed("region", "eu"))),
    )
    assert dict(decision.permit_or_refuse().claims) == {"tier": "gold", "region": "eu", "tenant": "acme"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (fixed("roles", ("admin",)), fixed("roles", ("guest",))),
        (fixed("roles", True), fixed("roles", 1)),
        (fixed("roles", ("admin",)), copied("roles", "absent")),
        (fixed("roles", MappingProxyType({"a": 1})), fixed("roles", MappingProxyType({"a": 2}))),
    ],
)
@pytest.mark.parametrize("turned", [True, False])
def test_one_claim_with_two_meanings_is_refused(one, other, turned):
    first, second = (other, one) if turned else (one, other)
    decision = together(orders=rule(claims=(first,)), billing=rule(id="bills", claims=(second,)))
    assert reason(decision) == "too_many_targets"
    assert decision.refusal.reason.description == CLAIMS_DIFFER


def test_a_rule_never_gives_a_claim_that_another_target_reads_and_did_not_give():
    admins = rule(id="admins", subject_claims={"tenant": "other"}, claims=(fixed("roles", ("admin",)),))
    decision = together(
        billing=rule(id="bills", claims=(fixed("roles", ("admin",)),)), orders_rules=(admins,)
    )
    assert reason(decision) == "too_many_targets"


def test_the_trace_names_every_target_and_the_rules_of_each():
    trace = together().trace
    assert trace.targets == ("orders", "billing")
    assert [entry.rule.id for entry in trace.rules] == ["shop-reads-orders", "bills"]
    assert trace.to_json()["targets"] == ["orders", "billing"]


def test_what_the_caller_named_is_not_in_the_refusal():
    decision = ask(request=request(audiences=("eyJhbGciOi.misplaced.token",)))
    assert decision.refusal is not None
    assert "misplaced" not in f"{decision.refusal.detail} {decision.refusal} {decision.trace.to_json()}"
