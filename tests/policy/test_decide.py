"""Each test spoils one thing of a permitted question and asserts the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.errors import Refusal
from exchange.policy.decide import Decision
from exchange.policy.trace import Trace
from tests.policy.values import (
    BILLING,
    EXPIRES_AT,
    ORDERS,
    SERVER,
    actor,
    ask,
    client,
    reason,
    request,
    rule,
    target,
    token,
)


def test_a_named_client_issuer_and_target_are_permitted():
    permit = ask().permit_or_refuse()
    assert permit.rules == ("shop-reads-orders",)
    assert permit.client_id == "orders-bff"
    assert permit.subject == "acme|u1"
    assert permit.audience == (ORDERS,)
    assert permit.scopes == ("orders:read",)
    assert dict(permit.claims) == {}
    assert permit.lifetime == 300
    assert permit.not_after == EXPIRES_AT


def test_a_refusal_is_raised_by_permit_or_refuse():
    decision = ask(client=client(client_id="another"))
    with pytest.raises(Refusal) as refused:
        decision.permit_or_refuse()
    assert refused.value.reason.slug == "target_not_permitted"


@pytest.mark.parametrize("both", [True, False])
def test_a_decision_is_a_permit_or_a_refusal_and_never_both_or_neither(both):
    permit = ask().permit if both else None
    refusal = Refusal("no_rule_permits") if both else None
    with pytest.raises(ValueError, match="permits or refuses"):
        Decision(permit, refusal, Trace())


# ── default deny ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_target_without_rules_permits_nobody():
    assert reason(ask(targets=(target(),))) == "target_not_permitted"


def test_a_client_that_no_rule_of_the_target_names_is_refused():
    decision = ask(client=client(client_id="other-bff"))
    assert reason(decision) == "target_not_permitted"


def test_a_rule_of_another_target_permits_nothing_here():
    billing = target(rule(id="bills"), name="billing", audience=BILLING, resources=frozenset())
    orders = target(rule(clients=frozenset({"other"})))
    assert reason(ask(targets=(billing, orders))) == "target_not_permitted"


# ── lifetime ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("of_rule", "of_target", "expected"),
    [
        (None, None, 300),
        (60, None, 60),
        (None, 120, 120),
        (60, 120, 60),
        (900, 120, 120),
        (None, 900, 900),
        (900, None, 900),
        (None, 7200, 3600),
        (7200, 7200, 3600),
    ],
)
def test_the_lifetime_is_the_shortest_of_rule_and_audience_within_the_servers_maximum(
    of_rule, of_target, expected
):
    orders = target(rule(token_lifetime=of_rule), token_lifetime=of_target)
    assert ask(targets=(orders,)).permit_or_refuse().lifetime == expected


def test_of_several_targets_the_shortest_lifetime_counts():
    targets = (
        target(rule(), token_lifetime=120),
        target(rule(token_lifetime=60), name="billing", audience=BILLING, resources=frozenset()),
    )
    asked = request(audiences=(ORDERS, BILLING))
    server = replace(SERVER, max_targets=2)
    assert ask(targets=targets, request=asked, server=server).permit_or_refuse().lifetime == 60


@pytest.mark.parametrize("first", ["subject", "actor"])
def test_the_issued_token_outlives_neither_the_subject_token_nor_the_actor_token(first):
    expires = {"subject": EXPIRES_AT, "actor": EXPIRES_AT} | {first: EXPIRES_AT - 100}
    decision = ask(subject=token(expires_at=expires["subject"]), actor=actor(expires_at=expires["actor"]))
    assert decision.permit_or_refuse().not_after == EXPIRES_AT - 100


def test_the_servers_default_never_exceeds_its_own_maximum():
    server = replace(SERVER, token_lifetime=300, max_token_lifetime=120)
    assert ask(server=server).permit_or_refuse().lifetime == 120
