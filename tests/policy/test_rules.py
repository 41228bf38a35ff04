"""How a rule is chosen: from top to bottom, the first whose conditions all hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from exchange.policy.rules import NO_RULE_FOR_CLAIMS, NO_RULE_FOR_ISSUER
from tests.policy.values import ask, client, denial, reason, rule, target, token, token_with


def test_the_first_rule_that_holds_decides():
    decision = ask(rule(id="first"), rule(id="second", scopes={"orders:write": "always"}))
    assert decision.permit_or_refuse().rules == ("first",)


def test_a_rule_that_does_not_hold_is_passed_over():
    decision = ask(rule(id="partners", subject_issuers=frozenset({"partner"})), rule(id="own"))
    assert decision.permit_or_refuse().rules == ("own",)


def test_another_issuer_is_refused_and_the_client_is_told_the_kind():
    decision = ask(subject=token(issuer_name="partner"))
    assert reason(decision) == "no_rule_permits"
    assert decision.refusal.reason.description == NO_RULE_FOR_ISSUER


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": ...},
        {"email_verified": None},
        {"email_verified": 1},
        {"email_verified": "true"},
        {"realm_access": {"roles": ["guest"]}},
        {"realm_access": {"roles": "customer"}},
        {"realm_access": {"roles": []}},
        {"realm_access": {}},
        {"realm_access": ["customer"]},
    ],
)
def test_a_claim_that_does_not_meet_its_condition_is_refused_and_the_client_is_told_the_kind(claims):
    decision = ask(subject=token_with(**claims))
    assert reason(decision) == "no_rule_permits"
    assert decision.refusal.reason.description == NO_RULE_FOR_CLAIMS


def test_the_client_is_told_of_the_rule_that_came_furthest():
    by_claims = rule(id="claims", subject_claims={"tenant": "other"})
    by_issuer = rule(id="issuer", subject_issuers=frozenset({"partner"}))
    for rules in ((by_claims, by_issuer), (by_issuer, by_claims)):
        decision = ask(*rules)
        assert decision.refusal.reason.description == NO_RULE_FOR_CLAIMS
        assert decision.refusal.detail == "nearest: rule claims, subject.claims: tenant equals other"


def test_a_denial_that_did_not_hold_is_not_what_came_nearest():
    by_issuer = rule(subject_issuers=frozenset({"partner"}))
    decision = ask(denial(subject_claims={"tenant": "evil"}), by_issuer)
    assert decision.refusal.reason.description == NO_RULE_FOR_ISSUER


def test_values_of_the_token_are_in_no_sentence():
    decision = ask(rule(subject_claims={"tenant": "acme"}), subject=token_with(tenant="tenant-value"))
    assert reason(decision) == "no_rule_permits"
    assert "tenant-value" not in f"{decision.refusal.reason.description}{decision.refusal.detail}"


def test_public_sentences_keep_to_the_characters_of_rfc_6749():
    for sentence in (NO_RULE_FOR_CLAIMS, NO_RULE_FOR_ISSUER):
        assert sentence.isascii()
        assert not set(sentence) & {'"', "\\"}


# ── denials ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_denial_above_a_permitting_rule_decides():
    decision = ask(denial(subject_claims={"tenant": "acme"}), rule())
    assert reason(decision) == "denied_by_rule"
    assert decision.permit is None


def test_the_operators_text_stays_with_the_operator():
    refusal = ask(denial(), rule()).refusal
    assert "guests never see orders" in refusal.detail
    assert "guests" not in refusal.reason.description


def test_a_denial_whose_conditions_do_not_hold_is_passed_over():
    assert reason(ask(denial(subject_claims={"tenant": "evil"}), rule())) is None


def test_a_denial_below_the_rule_that_decides_says_nothing():
    assert reason(ask(rule(), denial())) is None


def test_a_denial_of_one_issuer_leaves_the_others():
    refused = denial(subject_issuers=frozenset({"partner"}))
    assert reason(ask(refused, rule())) is None
    assert reason(ask(refused, rule(), subject=token(issuer_name="partner"))) == "denied_by_rule"


# ── fail closed ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("unnamed", [{"clients": None}, {"subject_issuers": None}])
def test_a_permitting_rule_that_names_nobody_permits_nobody(unnamed):
    # The loader refuses such a rule; were one to come through, it must not mean everybody.
    orders = target(rule(), rules_by_client={"orders-bff": (rule(**unnamed),)})
    assert reason(ask(targets=(orders,))) == "no_rule_permits"


def test_a_rule_listed_for_a_client_that_it_does_not_name_permits_nothing():
    orders = target(rules_by_client={"orders-bff": (rule(clients=frozenset({"other"})),)})
    assert reason(ask(targets=(orders,), client=client())) == "no_rule_permits"


class UnreadableClaims(Mapping[str, object]):
    """A mapping that breaks on the first look."""

    def __getitem__(self, name: str) -> object:
        raise RecursionError(name)

    def __contains__(self, name: object) -> bool:
        return False

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize("first", [denial(subject_claims={"guest": True}), rule()])
def test_a_condition_that_cannot_be_evaluated_refuses_the_request(first):
    # Passing over a denial because it broke would let the rule below permit.
    decision = ask(first, rule(subject_claims={}), subject=token(claims=UnreadableClaims()))
    assert reason(decision) == "condition_failed_to_evaluate"
    assert decision.trace.rules[-1].outcome == "failed"
    assert decision.trace.rule is None
