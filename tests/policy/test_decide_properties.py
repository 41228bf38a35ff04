"""What holds for every policy and every token."""

from __future__ import annotations

import json
from dataclasses import replace
from types import MappingProxyType

from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.expressions import compile_condition
from exchange.policy.decide import Decision
from tests.policy.values import (
    BILLING,
    ORDERS,
    SERVER,
    Question,
    actor,
    client,
    computed,
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
ISSUERS = ["acme", "partner", "self"]
ISS = {"acme": "https://acme.example", "partner": "https://partner.example", "self": SERVER.issuer}
SUBJECTS = ["u1", "orders-bff", "svc"]
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


@st.composite
def mostly(draw, usual, other):
    """Mostly ``usual``: of questions that are all refused nothing can be learned about permits."""
    return draw(other if draw(st.integers(0, 5)) == 5 else usual)


some_claims = mostly(st.just({}), st.dictionaries(st.sampled_from(NAMES), matchers, max_size=2))
our_client = mostly(st.just(frozenset({"orders-bff"})), subsets(CLIENTS))
any_issuer = mostly(st.just(frozenset(ISSUERS)), subsets(ISSUERS))
texts = [
    "true",
    "false",
    "actor == null",
    'subject.claims.a == "x"',
    "has(subject.claims.b)",
    'actor.id == "svc"',
]
expressions = mostly(st.none(), st.sampled_from([compile_condition(text) for text in texts]))
about_actors = {
    "actor_issuers": mostly(st.none(), subsets(ISSUERS)),
    "actor_claims": mostly(st.just({}), st.dictionaries(st.sampled_from(["sub", "a"]), matchers, max_size=1)),
    "when": expressions,
    "mode": mostly(st.just("enforce"), st.just("audit")),
}
permissions = st.builds(
    rule,
    id=st.uuids().map(str),
    clients=our_client,
    subject_issuers=any_issuer,
    subject_claims=some_claims,
    delegation=mostly(st.just("allowed"), st.sampled_from(["none", "required"])),
    **about_actors,
    presenter=mostly(st.just("any"), st.sampled_from(["audience", "authorized_party"])),
    scopes=st.dictionaries(st.sampled_from(["s", "t", "u"]), scope_needs, max_size=3),
    claims=st.just(())
    | st.just((copied("out", "a"), copied("deep", "/b/c"), fixed("region", "eu")))
    | st.just((computed("made", "subject.claims.a"), fixed("region", "us"))),
    token_lifetime=lifetimes,
)
denials = st.builds(
    denial,
    id=st.uuids().map(str),
    clients=st.none() | subsets(CLIENTS),
    subject_issuers=st.none() | subsets(ISSUERS),
    subject_claims=some_claims,
    **about_actors,
)
rules = mostly(permissions, denials)
rule_lists = st.lists(rules, min_size=1, max_size=4)


def chain_of(links):
    chain = None
    for link in reversed(links):
        chain = MappingProxyType(link if chain is None else {**link, "act": chain})
    return chain


links = st.fixed_dictionaries(
    {"sub": st.sampled_from([*SUBJECTS, "first", "second"])},
    optional={"iss": st.sampled_from(list(ISS.values()))},
)
chains = mostly(st.lists(links, max_size=2), st.lists(links, max_size=5)).map(chain_of)
may_acts = mostly(
    st.none(),
    st.dictionaries(
        st.sampled_from(["sub", "iss", "client_id"]), st.sampled_from([*SUBJECTS, ISS["acme"]]), max_size=3
    ).map(MappingProxyType),
)


@st.composite
def parties(draw, make):
    name, sub = draw(st.sampled_from(ISSUERS)), draw(st.sampled_from(SUBJECTS))
    return make(
        issuer=ISS[name],
        issuer_name=name,
        claims=MappingProxyType({**draw(claims), "sub": sub}),
        subject=sub,
        qualified_subject=sub if name == "self" else f"{name}|{sub}",
        scopes=draw(some_names),
        audience=draw(some_names),
        authorized_party=draw(mostly(st.just(frozenset({"orders-bff"})), some_names)),
        expires_at=draw(st.integers(1_000, 2_000)),
        act=draw(chains),
        may_act=draw(may_acts),
        in_audit_mode=draw(mostly(st.just(False), st.booleans())),
    )


tokens = parties(token)
actors = st.none() | parties(actor)
requests = st.builds(
    request, scopes=st.none() | st.lists(st.sampled_from(["s", "t", "u", "other"]), max_size=4).map(tuple)
)
clients = st.builds(client, audience=some_names, authorized_party=some_names)

questions = st.builds(Question, request=requests, client=clients, subject=tokens, actor=actors)


def decide(entries, asked, who, subject, of_target=None, *, acting=None) -> Decision:
    orders = target(*entries, token_lifetime=of_target)
    return Question(targets=(orders,), request=asked, client=who, subject=subject, actor=acting).decide()


def links_of(act) -> list[dict]:
    found = []
    while act is not None:
        found.append({name: value for name, value in act.items() if name != "act"})
        act = act.get("act")
    return found


def said(decision: Decision) -> tuple[object, ...]:
    """Everything that a decision says, in a form that compares."""
    detail = decision.refusal.detail if decision.refusal else None
    return decision.permit, reason(decision), detail, json.dumps(decision.trace.to_json())


@given(rule_lists, requests, clients, tokens, actors)
def test_every_question_gets_a_decision_that_can_be_written_down(entries, asked, who, subject, acting):
    decision = decide(entries, asked, who, subject, acting=acting)
    assert (decision.permit is None) != (decision.refusal is None)
    json.dumps(decision.trace.to_json()).encode("ascii")


@given(rule_lists, requests, clients, tokens, actors)
def test_the_same_question_gets_the_same_answer(entries, asked, who, subject, acting):
    once, again = (decide(entries, asked, who, subject, acting=acting) for _ in range(2))
    assert said(once) == said(again)


@given(requests, clients, tokens)
def test_without_rules_everything_is_refused(asked, who, subject):
    assert decide([], asked, who, subject).permit is None


@given(st.lists(denials, max_size=5), requests, clients, tokens)
def test_denials_alone_never_permit(entries, asked, who, subject):
    assert decide(entries, asked, who, subject).permit is None


@given(rule_lists, requests, clients, tokens)
def test_a_permit_names_a_rule_that_names_client_issuer_and_target(entries, asked, who, subject):
    permit = decide(entries, asked, who, subject).permit
    if permit is not None:
        (deciding,) = [entry for entry in entries if entry.id == permit.rules[0]]
        assert deciding.deny is None
        assert deciding.mode == "enforce"
        assert not subject.in_audit_mode
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
@given(rule_lists, rules, questions)
def test_a_rule_added_at_the_bottom_changes_no_decision_that_a_rule_made(entries, added, question):
    before = replace(question, targets=(target(*entries),)).decide()
    if before.trace.rule is not None:
        after = replace(question, targets=(target(*entries, added),)).decide()
        assert (after.permit, reason(after)) == (before.permit, reason(before))
        assert after.trace.rules == before.trace.rules


@given(rule_lists, requests, clients, tokens)
def test_the_order_of_members_of_a_token_never_matters(entries, asked, who, subject):
    turned = replace(subject, claims=MappingProxyType(dict(reversed(subject.claims.items()))))
    before, after = decide(entries, asked, who, subject), decide(entries, asked, who, turned)
    assert said(before) == said(after)


# ── delegation ──────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=200)
@given(rule_lists, requests, clients, tokens, actors)
def test_no_link_of_a_chain_is_lost_repeated_or_made_up(entries, asked, who, subject, acting):
    permit = decide(entries, asked, who, subject, acting=acting).permit
    if permit is not None:
        issued, prior = links_of(permit.act), links_of(subject.act)
        assert len(issued) <= SERVER.max_delegation_depth
        assert issued[len(issued) - len(prior) :] == prior
        assert len(issued) == len(prior) + (acting is not None)
        if acting is not None:
            assert (issued[0]["sub"], issued[0]["iss"]) == (acting.subject, acting.issuer)
            assert (issued[0]["sub"], issued[0]["iss"]) not in {
                (link["sub"], link.get("iss")) for link in prior
            }
            assert (acting.issuer, acting.subject) != (subject.issuer, subject.subject)


@given(rule_lists, requests, clients, tokens, actors)
def test_the_issued_token_outlives_neither_token(entries, asked, who, subject, acting):
    permit = decide(entries, asked, who, subject, acting=acting).permit
    if permit is not None:
        assert permit.not_after <= subject.expires_at
        assert acting is None or permit.not_after <= acting.expires_at


@given(rule_lists, requests, clients, tokens, actors)
def test_may_act_is_obeyed_and_kept(entries, asked, who, subject, acting):
    permit = decide(entries, asked, who, subject, acting=acting).permit
    if permit is not None:
        assert permit.may_act == subject.may_act
        if subject.may_act is not None and acting is not None:
            assert subject.may_act.get("sub", acting.subject) == acting.subject
            assert subject.may_act.get("iss", acting.issuer) == acting.issuer


# ── trials ──────────────────────────────────────────────────────────────────────────────────────────────────


@given(rule_lists, requests, clients, tokens, actors)
def test_rules_on_trial_make_no_difference(entries, asked, who, subject, acting):
    enforced = [entry for entry in entries if entry.mode == "enforce"]
    with_trials = decide(entries, asked, who, subject, acting=acting)
    without = decide(enforced, asked, who, subject, acting=acting)
    assert with_trials.permit == without.permit
    # That a rule on trial names the client is told: the target is then not one that nobody may ask for.
    assert {reason(with_trials), reason(without)} in (
        {reason(without)},
        {"no_rule_permits", "target_not_permitted"},
        {"denied_by_rule", "target_not_permitted"},
        {"condition_failed_to_evaluate", "target_not_permitted"},
        {"self_renewal", "target_not_permitted"},
    )


@given(rule_lists, requests, clients, tokens, actors)
def test_nothing_is_issued_for_an_issuer_on_trial(entries, asked, who, subject, acting):
    tried = decide(entries, asked, who, replace(subject, in_audit_mode=True), acting=acting)
    enforced = decide(entries, asked, who, replace(subject, in_audit_mode=False), acting=acting)
    assert reason(tried) == "issuer_in_audit_mode"
    if acting is None or not acting.in_audit_mode:
        assert tried.trace.would_have_been.reason == reason(enforced)
        assert tried.trace.rules == enforced.trace.rules


# ── several targets ─────────────────────────────────────────────────────────────────────────────────────────

TWO_ALLOWED = replace(SERVER, max_targets=2)
both_named = st.sampled_from([(ORDERS, BILLING), (BILLING, ORDERS)])


def decide_both(orders, bills, question, audiences) -> Decision:
    targets = (
        target(*orders, scopes=frozenset({"s", "t"})),
        target(*bills, name="billing", audience=BILLING, resources=frozenset(), scopes=frozenset({"t", "u"})),
    )
    asked = replace(question.request, audiences=audiences)
    return replace(question, targets=targets, request=asked, server=TWO_ALLOWED).decide()


@settings(max_examples=200)
@given(rule_lists, rule_lists, questions, both_named)
def test_two_targets_together_get_nothing_that_neither_gets_alone(orders, bills, question, audiences):
    question = replace(question, request=replace(question.request, scopes=None))
    together = decide_both(orders, bills, question, audiences).permit
    if together is not None:
        alone = [decide_both(orders, bills, question, (name,)).permit_or_refuse() for name in audiences]
        assert together.audience == audiences
        assert together.rules == tuple(permit.rules[0] for permit in alone)
        assert together.lifetime == min(permit.lifetime for permit in alone)
        assert set(together.scopes) <= {scope for permit in alone for scope in permit.scopes}
        assert ("t" in together.scopes) == all("t" in permit.scopes for permit in alone)
        assert together.claims == {**alone[0].claims, **alone[1].claims}
        assert together.claims == {**alone[1].claims, **alone[0].claims}


@given(rule_lists, rule_lists, questions)
def test_the_order_in_which_targets_are_named_changes_nothing_but_the_order(orders, bills, question):
    one = decide_both(orders, bills, question, (ORDERS, BILLING)).permit
    other = decide_both(orders, bills, question, (BILLING, ORDERS)).permit
    assert (one is None) == (other is None)
    if one is not None:
        assert one.audience == tuple(reversed(other.audience))
        assert set(one.scopes) == set(other.scopes)
        assert (one.claims, one.lifetime, one.act) == (other.claims, other.lifetime, other.act)
