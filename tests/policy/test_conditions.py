"""The conditions beside those on the subject token: the actor, and ``when``."""

from __future__ import annotations

import pytest

from exchange.expressions import Expression
from exchange.policy.claims import CLAIM_FAILED
from exchange.policy.rules import PUBLIC_BY_FURTHEST
from tests.policy.values import (
    BILLING,
    ORDERS,
    ORDERS_API,
    actor,
    ask,
    computed,
    denial,
    reason,
    request,
    rule,
    token_with,
)

SENTENCES = dict(PUBLIC_BY_FURTHEST)


# ── actor ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_condition_on_the_issuer_of_the_actor():
    asked = rule(actor_issuers=frozenset({"acme"}))
    assert reason(ask(asked, actor=actor())) is None
    decision = ask(asked, actor=actor(issuer_name="partner"))
    assert reason(decision) == "no_rule_permits"
    assert decision.refusal.reason.description == SENTENCES["actor.issuer"]


def test_a_condition_on_the_claims_of_the_actor():
    asked = rule(actor_claims={"sub": {"prefix": "svc-"}})
    assert reason(ask(asked, actor=actor())) is None
    decision = ask(asked, actor=actor(subject="orders-bff"))
    assert reason(decision) == "no_rule_permits"
    assert decision.refusal.reason.description == SENTENCES["actor.claims"]


@pytest.mark.parametrize(
    "about_the_actor",
    [
        {"actor_issuers": frozenset({"acme"})},
        {"actor_claims": {"sub": {"prefix": "svc-"}}},
        {"actor_claims": {"guest": {"present": False}}},
    ],
)
def test_a_condition_on_the_actor_never_holds_without_one(about_the_actor):
    assert reason(ask(rule(**about_the_actor))) == "no_rule_permits"
    assert reason(ask(denial(**about_the_actor), rule())) is None


def test_a_denial_of_actors_leaves_those_who_come_alone():
    refused = denial(actor_issuers=frozenset({"acme"}))
    assert reason(ask(refused, rule(), actor=actor())) == "denied_by_rule"
    assert reason(ask(refused, rule())) is None


# ── when ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        'subject.id == "u1"',
        'subject.issuer == "acme"',
        'subject.claims.tenant == "acme" && subject.claims.email_verified',
        '"orders.read" in subject.scopes',
        'client.id == "orders-bff"',
        f'"{ORDERS}" in request.audiences',
        "size(request.scopes) == 0",
        "actor == null",
        '!("guest" in subject.claims.realm_access.roles)',
    ],
)
def test_an_expression_sees_the_subject_the_client_and_the_request(text):
    assert reason(ask(rule(when=text))) is None
    decision = ask(rule(when=f"!({text})"))
    assert reason(decision) == "no_rule_permits"
    assert decision.refusal.reason.description == SENTENCES["when"]


@pytest.mark.parametrize(
    "text",
    [
        'actor != null && actor.id == "svc-orders-bff"',
        'actor.issuer == "acme"',
        'actor.claims.azp == "orders-bff"',
    ],
)
def test_an_expression_sees_the_actor(text):
    assert reason(ask(rule(when=text), actor=actor())) is None


def test_the_requested_scopes_are_those_of_the_request():
    asked = request(scopes=("orders:read",))
    assert reason(ask(rule(when='request.scopes == ["orders:read"]'), request=asked)) is None


def test_a_condition_on_the_audience_is_not_evaded_by_another_name_of_it():
    refused = denial(when=f'"{ORDERS}" in request.audiences')
    for named in ({"audiences": (ORDERS,)}, {"audiences": (), "resources": (ORDERS_API,)}):
        assert reason(ask(refused, rule(), request=request(**named))) == "denied_by_rule"
    assert reason(ask(denial(when=f'"{BILLING}" in request.audiences'), rule())) is None


@pytest.mark.parametrize(
    "text",
    [
        'subject.claims.absent == "a"',
        'subject.claims.tenant.deeper == "a"',
        "subject.claims.tenant > 1",
        'actor.id == "svc"',
        "1 / size(request.scopes) == 1",
    ],
)
@pytest.mark.parametrize("first", [denial, rule])
def test_an_expression_that_fails_refuses_the_request_and_the_trace_says_so(text, first):
    # Passing over a denial because it failed would let the rule below permit.
    decision = ask(first(id="first", when=text), rule())
    assert reason(decision) == "condition_failed_to_evaluate"
    assert decision.permit is None
    (entry,) = decision.trace.rules
    assert entry.outcome == "failed"
    assert entry.to_json()["conditions"][-1] == {"kind": "when", "text": text, "held": False}
    assert decision.refusal.detail == f"rule first, when: {text}"


def test_an_expression_that_is_neither_true_nor_false_refuses_the_request():
    odd = Expression("odd", lambda _variables: "true")
    assert reason(ask(rule(when=odd))) == "condition_failed_to_evaluate"


def test_an_expression_is_asked_last():
    asked = []
    watched = Expression("watched", lambda _variables: asked.append(1) or True)
    assert reason(ask(rule(when=watched, subject_claims={"tenant": "other"}))) == "no_rule_permits"
    assert reason(ask(rule(when=watched, actor_issuers=frozenset({"acme"})))) == "no_rule_permits"
    assert asked == []
    assert reason(ask(rule(when=watched))) is None
    assert asked == [1]


def test_variables_are_made_once_for_a_decision_and_only_when_needed():
    seen = []
    keep = Expression("keep", lambda variables: bool(seen.append(variables)))
    ask(rule(id="one", when=keep), rule(id="two", when=keep))
    assert len(seen) == 2
    assert seen[0] is seen[1]


def test_the_order_of_the_conditions():
    everything = rule(
        actor_issuers=frozenset({"acme"}), actor_claims={"sub": {"prefix": "svc-"}}, when="actor != null"
    )
    (entry,) = ask(everything, actor=actor()).trace.rules
    assert list(dict.fromkeys(condition.kind for condition in entry.conditions)) == [
        "client",
        "subject.issuer",
        "subject.claims",
        "actor.issuer",
        "actor.claims",
        "when",
    ]


def test_public_sentences_keep_to_the_characters_of_rfc_6749():
    for sentence in (*SENTENCES.values(), CLAIM_FAILED):
        assert sentence.isascii()
        assert not set(sentence) & {'"', "\\"}


# ── claims by expression ────────────────────────────────────────────────────────────────────────────────────

TIER = 'has(subject.claims.plan) && subject.claims.plan == "gold" ? "gold" : "basic"'


@pytest.mark.parametrize(("plan", "tier"), [("gold", "gold"), ("silver", "basic"), (..., "basic")])
def test_a_claim_is_what_its_expression_gives(plan, tier):
    decision = ask(rule(claims=(computed("tier", TIER),)), subject=token_with(plan=plan))
    assert dict(decision.permit_or_refuse().claims) == {"tier": tier}


def test_a_claim_whose_expression_gives_null_is_left_out():
    assert dict(ask(rule(claims=(computed("tier", "null"),))).permit_or_refuse().claims) == {}


def test_a_list_or_an_object_is_frozen():
    permit = ask(rule(claims=(computed("roles", '["a", subject.id]'),))).permit_or_refuse()
    assert permit.claims["roles"] == ("a", "u1")


def test_a_claim_whose_expression_fails_refuses_the_request():
    decision = ask(rule(claims=(computed("tier", "subject.claims.absent"),)))
    assert reason(decision) == "condition_failed_to_evaluate"
    assert decision.permit is None
    assert decision.refusal.detail == "rule shop-reads-orders: the expression of the claim tier has no value"
    assert decision.refusal.reason.description == CLAIM_FAILED
