"""The presenter is the recipient: a token that was sent to, or issued to, somebody else is not exchanged."""

from __future__ import annotations

import pytest

from tests.policy.values import ask, client, reason, rule, token

NOBODY: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    "audience", [{"https://other.example"}, {"https://bff.acme.example/"}, {"orders-bff"}, set()]
)
def test_a_token_that_was_not_sent_to_the_client_is_refused(audience):
    assert reason(ask(subject=token(audience=frozenset(audience)))) == "presenter_mismatch"


def test_a_token_that_was_sent_to_the_client_among_others_is_permitted():
    audience = frozenset({"https://other.example", "https://bff.acme.example"})
    assert reason(ask(subject=token(audience=audience))) is None


def test_empty_sets_never_meet():
    assert reason(ask(subject=token(audience=NOBODY), client=client(audience=NOBODY))) == "presenter_mismatch"
    by_party = rule(presenter="authorized_party")
    decision = ask(by_party, subject=token(authorized_party=NOBODY), client=client(authorized_party=NOBODY))
    assert reason(decision) == "presenter_mismatch"


def test_authorized_party_asks_to_whom_the_token_was_issued():
    by_party = rule(presenter="authorized_party")
    elsewhere = frozenset({"https://other.example"})
    assert reason(ask(by_party, subject=token(audience=elsewhere))) is None
    other = token(authorized_party=frozenset({"mobile-app"}))
    assert reason(ask(by_party, subject=other)) == "presenter_mismatch"


def test_audience_is_not_met_by_the_authorized_party():
    decision = ask(subject=token(audience=frozenset({"shop-frontend"})))
    assert reason(decision) == "presenter_mismatch"


def test_any_asks_nothing():
    anybody = rule(presenter="any")
    assert reason(ask(anybody, subject=token(audience=NOBODY, authorized_party=NOBODY))) is None


def test_a_mismatch_never_falls_through_to_another_rule():
    decision = ask(rule(), rule(id="below", presenter="any"), subject=token(audience=NOBODY))
    assert reason(decision) == "presenter_mismatch"
    assert decision.trace.rule == "shop-reads-orders"
