"""``mode: audit``: evaluated and recorded as what would have been, and never decisive."""

from __future__ import annotations

import json

import pytest

from tests.policy.values import actor, ask, client, denial, reason, request, rule, token

ON_TRIAL = {"id": "trial", "mode": "audit"}


def would_have_been(decision):
    return decision.trace.to_json().get("would_have_been")


# ── rules ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rule_on_trial_is_passed_over_and_the_next_one_decides():
    decision = ask(rule(**ON_TRIAL, scopes={"orders:write": "always"}), rule())
    permit = decision.permit_or_refuse()
    assert (permit.rules, permit.scopes) == (("shop-reads-orders",), ("orders:read",))
    assert [entry.outcome for entry in decision.trace.rules] == ["would_have_been", "decided"]
    assert would_have_been(decision) == {
        "on_trial": "rule",
        "outcome": "permitted",
        "rules": ["trial"],
        "scopes": ["orders:write"],
    }
    json.dumps(decision.trace.to_json())


def test_a_rule_on_trial_permits_nobody():
    decision = ask(rule(**ON_TRIAL))
    assert reason(decision) == "no_rule_permits"
    assert decision.trace.rule is None
    assert would_have_been(decision)["outcome"] == "permitted"


def test_a_denial_on_trial_denies_nobody():
    decision = ask(denial(**ON_TRIAL), rule())
    assert reason(decision) is None
    assert would_have_been(decision)["reason"] == "denied_by_rule"


def test_a_rule_on_trial_that_does_not_hold_makes_no_difference():
    decision = ask(rule(**ON_TRIAL, subject_claims={"tenant": "other"}), rule())
    assert [entry.outcome for entry in decision.trace.rules] == ["passed_over", "decided"]
    assert would_have_been(decision) is None


def test_a_rule_on_trial_below_the_one_that_decides_is_not_looked_at():
    decision = ask(rule(), rule(**ON_TRIAL))
    assert len(decision.trace.rules) == 1
    assert would_have_been(decision) is None


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        (
            {"presenter": "authorized_party", "subject": token(authorized_party=frozenset())},
            "presenter_mismatch",
        ),
        ({"delegation": "required"}, "delegation_required"),
        ({"scopes": {}, "request": request(scopes=("orders:read",))}, "scope_not_permitted"),
        ({"when": "subject.claims.absent == 1"}, "condition_failed_to_evaluate"),
    ],
)
def test_what_a_rule_on_trial_would_have_refused_is_recorded(changes, slug):
    asked = {name: changes.pop(name) for name in ("subject", "request") if name in changes}
    decision = ask(rule(**ON_TRIAL, **changes), rule(), **asked)
    assert reason(decision) is None
    assert (would_have_been(decision)["outcome"], would_have_been(decision)["reason"]) == ("refused", slug)


def test_a_condition_on_trial_that_fails_refuses_nobody():
    decision = ask(rule(**ON_TRIAL, when="subject.claims.absent == 1"), rule())
    assert [entry.outcome for entry in decision.trace.rules] == ["failed", "decided"]
    assert decision.permit is not None


def test_the_client_is_not_told_of_rules_on_trial():
    by_claims = rule(**ON_TRIAL, subject_claims={"tenant": "other"})
    by_issuer = rule(id="issuer", subject_issuers=frozenset({"partner"}))
    told = ask(by_claims, by_issuer).refusal.reason.description
    assert told == ask(by_issuer).refusal.reason.description


# ── issuers ─────────────────────────────────────────────────────────────────────────────────────────────────

TRIED = token(in_audit_mode=True)


def test_nothing_is_issued_for_an_issuer_on_trial_and_what_would_have_been_is_recorded():
    decision = ask(subject=TRIED)
    assert reason(decision) == "issuer_in_audit_mode"
    assert decision.permit is None
    assert would_have_been(decision) == {
        "on_trial": "issuer",
        "outcome": "permitted",
        "rules": ["shop-reads-orders"],
        "scopes": ["orders:read"],
    }
    assert decision.trace.rule == "shop-reads-orders"


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        ({"client": client(client_id="other")}, "target_not_permitted"),
        ({"request": request(audiences=())}, "target_missing"),
        ({"client": client(audience=frozenset())}, "presenter_mismatch"),
    ],
)
def test_what_would_have_been_refused_for_an_issuer_on_trial_is_recorded(changes, slug):
    decision = ask(subject=TRIED, **changes)
    assert reason(decision) == "issuer_in_audit_mode"
    assert would_have_been(decision)["reason"] == slug


def test_an_actor_of_an_issuer_on_trial_is_refused_too():
    decision = ask(actor=actor(in_audit_mode=True))
    assert reason(decision) == "issuer_in_audit_mode"
    assert would_have_been(decision)["outcome"] == "permitted"
    assert reason(ask(actor=actor())) is None


def test_a_rule_on_trial_is_not_decisive_for_an_issuer_on_trial_either():
    decision = ask(rule(**ON_TRIAL), subject=TRIED)
    assert would_have_been(decision)["reason"] == "no_rule_permits"
    assert decision.trace.rules[0].outcome == "would_have_been"


def test_the_trace_tells_who_counts():
    assert ask(subject=TRIED).trace.would_have_been.outcome == "permitted"
    assert ask().trace.would_have_been is None
