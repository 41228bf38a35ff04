"""A token of ours is a subject token where a rule says ``subject: {issuer: self}``, and is never renewed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.policy.values import (
    BFF,
    BILLING,
    ORDERS,
    SERVER,
    ask,
    client,
    denial,
    own_rule,
    own_token,
    reason,
    request,
    rule,
    target,
    token,
)


def test_a_token_of_ours_is_exchanged_where_a_rule_says_self():
    permit = ask(own_rule(), subject=own_token()).permit_or_refuse()
    assert permit.subject == "acme|u1"
    assert permit.audience == (ORDERS,)


def test_a_token_of_ours_is_refused_where_no_rule_says_self():
    assert reason(ask(rule(subject_claims={}), subject=own_token())) == "no_rule_permits"


def test_a_rule_for_self_takes_no_token_of_an_idp():
    assert reason(ask(own_rule(), subject=token())) == "no_rule_permits"


def test_a_token_that_was_sent_to_somebody_else_is_refused():
    elsewhere = own_token(audience=frozenset({"https://other.example"}))
    assert reason(ask(own_rule(), subject=elsewhere)) == "presenter_mismatch"


RENEWED = own_token(audience=frozenset({ORDERS, BFF}), authorized_party=frozenset({"orders-bff"}))


@pytest.mark.parametrize("presenter", ["audience", "authorized_party", "any"])
def test_a_token_of_ours_is_never_renewed(presenter):
    decision = ask(own_rule(presenter=presenter), subject=RENEWED)
    assert reason(decision) == "self_renewal"
    assert decision.permit is None


def test_a_renewal_among_several_targets_is_one():
    billing = target(own_rule(id="bills"), name="billing", audience=BILLING, resources=frozenset())
    decision = ask(
        targets=(target(own_rule()), billing),
        subject=RENEWED,
        request=request(audiences=(BILLING, ORDERS)),
        server=replace(SERVER, max_targets=2),
    )
    assert reason(decision) == "self_renewal"


def test_for_another_audience_or_another_client_it_is_no_renewal():
    for_billing = own_token(audience=frozenset({BILLING}), authorized_party=frozenset({"orders-bff"}))
    assert reason(ask(own_rule(presenter="authorized_party"), subject=for_billing)) is None
    of_another = own_token(audience=frozenset({ORDERS, BFF}), authorized_party=frozenset({"shop"}))
    assert reason(ask(own_rule(), subject=of_another)) is None


def test_a_token_of_ours_knows_clients_by_their_client_id_and_not_by_what_idps_call_them():
    # `shop-frontend` is what an IdP calls this client; here it could be the client_id of another one.
    by_party = own_rule(presenter="authorized_party")
    issued_to = own_token(audience=frozenset({BILLING}), authorized_party=frozenset({"shop-frontend"}))
    assert reason(ask(by_party, subject=issued_to)) == "presenter_mismatch"
    own = client(client_id="orders-bff", authorized_party=frozenset())
    issued_to_it = own_token(audience=frozenset({BILLING}), authorized_party=frozenset({"orders-bff"}))
    assert reason(ask(by_party, subject=issued_to_it, client=own)) is None


def test_a_denial_counts_for_tokens_of_ours_too():
    assert reason(ask(denial(), own_rule(), subject=own_token())) == "denied_by_rule"
