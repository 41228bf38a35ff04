"""Scopes only shrink: within the rule, within the subject token, within the request."""

from __future__ import annotations

import pytest

from tests.policy.values import ask, reason, request, rule, token

BOTH = frozenset({"orders.read", "orders.write"})
NONE: frozenset[str] = frozenset()


def scopes(decision):
    return decision.permit_or_refuse().scopes


def test_without_a_request_all_that_is_granted_is_issued_in_the_order_of_the_rule():
    assert scopes(ask(subject=token(scopes=BOTH))) == ("orders:read", "orders:write")


@pytest.mark.parametrize("carried", ["orders.read", "openid-orders"])
def test_one_of_the_needed_scopes_is_enough(carried):
    assert scopes(ask(subject=token(scopes=frozenset({carried})))) == ("orders:read",)


@pytest.mark.parametrize("carried", ["orders:read", "orders.rea", "ORDERS.READ", "orders.read ", "orders"])
def test_a_scope_of_nearly_the_needed_name_grants_nothing(carried):
    assert scopes(ask(subject=token(scopes=frozenset({carried})))) == ()


def test_always_is_granted_whatever_the_subject_token_holds():
    granting = rule(scopes={"orders:read": "always", "orders:write": ["orders.write"]})
    assert scopes(ask(granting, subject=token(scopes=NONE))) == ("orders:read",)


def test_an_empty_need_is_not_always():
    assert scopes(ask(rule(scopes={"orders:read": []}), subject=token(scopes=BOTH))) == ()


def test_a_subject_token_without_scopes_gets_a_token_without_scope():
    assert scopes(ask(subject=token(scopes=NONE))) == ()


def test_a_request_within_the_grant_gets_what_it_asked_for_and_no_more():
    decision = ask(subject=token(scopes=BOTH), request=request(scopes=("orders:write",)))
    assert scopes(decision) == ("orders:write",)


def test_a_repeated_scope_counts_once():
    asked = request(scopes=("orders:write", "orders:read", "orders:write"))
    assert scopes(ask(subject=token(scopes=BOTH), request=asked)) == ("orders:write", "orders:read")


@pytest.mark.parametrize(
    "asked",
    [("orders:write",), ("orders:read", "orders:write"), ("orders:admin",), ("orders.read",), ("*",), ("",)],
)
def test_a_scope_beyond_the_grant_refuses_the_request_and_is_not_cut_down(asked):
    decision = ask(request=request(scopes=asked))
    assert reason(decision) == "scope_not_permitted"
    assert decision.permit is None


def test_a_scope_beyond_the_grant_never_falls_through_to_another_rule():
    below = rule(id="below", scopes={"orders:write": "always"})
    decision = ask(rule(), below, request=request(scopes=("orders:write",)))
    assert reason(decision) == "scope_not_permitted"


def test_a_scope_that_nobody_knows_is_counted_and_not_written_down():
    decision = ask(request=request(scopes=("eyJhbGciOi.misplaced.token", "orders:write")))
    written = f"{decision.refusal.detail} {decision.trace.to_json()}"
    assert "misplaced" not in written
    assert "unknown: 1" in decision.refusal.detail
    assert "orders:write" in decision.refusal.detail
