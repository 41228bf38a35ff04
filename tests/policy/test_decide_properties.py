"""What holds for every policy and every token."""

from __future__ import annotations

import json
from types import MappingProxyType

from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.policy.decide import Decision
from tests.policy.values import (
    SERVER,
    Question,
    client,
    copied,
    denial,
    fixed,
    reason,
    request,
    rule,
    target,
    token,
)

NAMES = ["a", "b", "c"]
ISSUERS = ["acme", "partner"]
CLIENTS = ["orders-bff", "other"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
claims = st.dictionaries(
    st.sampled_from([*NAMES, "act", "may_act"]) | st.text(max_size=4), json_values, max_size=6
)
some_names = st.frozensets(st.sampled_from(NAMES), max_size=3)
scope_needs = st.just("always") | st.lists(st.sampled_from(NAMES), max_size=2, unique=True)
matchers = st.sampled_from(
    [
        True,
        "x",
        {"contains": "x"},
        {"present": True},
        {"present": False},
        {"pattern": "x.*"},
        {"type": "string"},
    ]
)
lifetimes = st.none() | st.integers(1, 10_000)


def subsets(names: list[str]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(names), min_size=1)


rules = st.builds(
    rule,
    id=st.uuids().map(str),
    clients=subsets(CLIENTS),
    subject_issuers=subsets(ISSUERS),
    subject_claims=st.dictionaries(st.sampled_from(NAMES), matchers, max_size=2),
    presenter=st.sampled_from(["audience", "authorized_party", "any"]),
    scopes=st.dictionaries(st.sampled_from(["s", "t", "u"]), scope_needs, max_size=3),
    claims=st.just(()) | st.just((copied("out", "a"), copied("deep", "/b/c"), fixed("region", "eu"))),
    token_lifetime=lifetimes,
) | st.builds(
    denial,
    id=st.uuids().map(str),
    clients=st.none() | subsets(CLIENTS),
    subject_issuers=st.none() | subsets(ISSUERS),
    subject_claims=st.dictionaries(st.sampled_from(NAMES), matchers, max_size=2),
)
rule_lists = st.lists(rules, max_size=5)
tokens = st.builds(
    token,
    claims=claims.map(MappingProxyType),
    issuer_name=st.sampled_from(ISSUERS),
    scopes=some_names,
    audience=some_names,
    authorized_party=some_names,
)
requests = st.builds(
    request, scopes=st.none() | st.lists(st.sampled_from(["s", "t", "u", "other"]), max_size=4).map(tuple)
)
clients = st.builds(client, audience=some_names, authorized_party=some_names)


def decide(entries, asked, who, subject, of_target=None) -> Decision:
    orders = target(*entries, token_lifetime=of_target)
    return Question(targets=(orders,), request=asked, client=who, subject=subject).decide()


def said(decision: Decision) -> tuple[object, ...]:
    """Everything that a decision says, in a form that compares."""
    detail = decision.refusal.detail if decision.refusal else None
    return decision.permit, reason(decision), detail, json.dumps(decision.trace.to_json())


@given(rule_lists, requests, clients, tokens)
def test_every_question_gets_a_decision_that_can_be_written_down(entries, asked, who, subject):
    decision = decide(entries, asked, who, subject)
    assert (decision.permit is None) != (decision.refusal is None)
    json.dumps(decision.trace.to_json()).encode("ascii")


@given(rule_lists, requests, clients, tokens)
def test_the_same_question_gets_the_same_answer(entries, asked, who, subject):
    assert said(decide(entries, asked, who, subject)) == said(decide(entries, asked, who, subject))


@given(requests, clients, tokens)
def test_without_rules_everything_is_refused(asked, who, subject):
    assert decide([], asked, who, subject).permit is None


@given(st.lists(rules.filter(lambda entry: entry.deny is not None)), requests, clients, tokens)
def test_denials_alone_never_permit(entries, asked, who, subject):
    assert decide(entries, asked, who, subject).permit is None


@given(rule_lists, requests, clients, tokens)
def test_a_permit_names_a_rule_that_names_client_issuer_and_target(entries, asked, who, subject):
    permit = decide(entries, asked, who, subject).permit
    if permit is not None:
        (deciding,) = [entry for entry in entries if entry.id == permit.rules[0]]
        assert deciding.deny is None
        assert who.client_id in deciding.clients
        assert subject.issuer_name in deciding.subject_issuers
        assert all(condition.holds(subject.claims) for condition in deciding.subject_claims)


@given(rule_lists, requests, clients, tokens)
def test_scopes_stay_within_the_rule_the_subject_token_and_the_request(entries, asked, who, subject):
    permit = decide(entries, asked, who, subject).permit
    if permit is not None:
        (deciding,) = [entry for entry in entries if entry.id == permit.rules[0]]
        within = {grant.scope for grant in deciding.scopes if grant.always or grant.needs & subject.scopes}
        assert set(permit.scopes) <= within
        assert len(set(permit.scopes)) == len(permit.scopes)
        assert asked.scopes is None or set(permit.scopes) == set(asked.scopes)


@given(rule_lists, requests, clients, tokens, lifetimes)
def test_the_lifetime_is_beyond_no_bound(entries, asked, who, subject, of_target):
    permit = decide(entries, asked, who, subject, of_target).permit
    if permit is not None:
        (deciding,) = [entry for entry in entries if entry.id == permit.rules[0]]
        bounds = [deciding.token_lifetime, of_target, SERVER.max_token_lifetime]
        assert all(bound is None or permit.lifetime <= bound for bound in bounds)
        assert permit.lifetime > 0
        assert permit.not_after <= subject.expires_at


@given(rule_lists, requests, clients, tokens)
def test_claims_are_only_those_that_the_rule_lists(entries, asked, who, subject):
    permit = decide(entries, asked, who, subject).permit
    if permit is not None:
        (deciding,) = [entry for entry in entries if entry.id == permit.rules[0]]
        assert permit.claims.keys() <= {listed.name for listed in deciding.claims}


@settings(max_examples=200)
@given(rule_lists, rules, requests, clients, tokens)
def test_a_rule_added_at_the_bottom_changes_no_decision_that_a_rule_made(entries, added, asked, who, subject):
    before = decide(entries, asked, who, subject)
    if before.trace.rule is not None:
        assert said(decide([*entries, added], asked, who, subject)) == said(before)


@given(rule_lists, requests, clients, tokens)
def test_the_order_of_members_of_a_token_never_matters(entries, asked, who, subject):
    turned = token(
        claims=MappingProxyType(dict(reversed(subject.claims.items()))),
        issuer_name=subject.issuer_name,
        scopes=subject.scopes,
        audience=subject.audience,
        authorized_party=subject.authorized_party,
    )
    before, after = decide(entries, asked, who, subject), decide(entries, asked, who, turned)
    assert said(before) == said(after)
