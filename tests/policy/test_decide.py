"""Each test spoils one thing of a permitted question and asserts the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.errors import Refusal
from exchange.model import Role
from exchange.policy.decide import Decision
from exchange.policy.trace import Trace
from tests.policy.values import (
    BILLING,
    EXPIRES_AT,
    ORDERS,
    SERVER,
    ask,
    client,
    reason,
    rule,
    target,
    token,
    token_with,
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


# ── delegation ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_actor_token_is_refused_by_name():
    decision = ask(actor=token(role=Role.ACTOR))
    assert reason(decision) == "delegation_not_allowed"
    assert decision.permit is None


@pytest.mark.parametrize(
    ("claim", "slug"), [("act", "delegation_not_allowed"), ("may_act", "may_act_mismatch")]
)
@pytest.mark.parametrize("value", [{"sub": "svc"}, {}, None, "svc"])
def test_a_delegation_claim_of_the_subject_token_is_never_dropped_in_silence(claim, slug, value):
    decision = ask(subject=token_with(**{claim: value}))
    assert reason(decision) == slug
    assert decision.permit is None


def test_a_token_of_ours_is_never_renewed():
    decision = ask(subject=token(issuer=SERVER.issuer))
    assert reason(decision) == "self_renewal"


def test_a_token_of_an_issuer_whose_name_begins_like_ours_is_no_token_of_ours():
    assert reason(ask(subject=token(issuer=SERVER.issuer + "/"))) is None


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


def test_the_servers_default_never_exceeds_its_own_maximum():
    server = replace(SERVER, token_lifetime=300, max_token_lifetime=120)
    assert ask(server=server).permit_or_refuse().lifetime == 120
