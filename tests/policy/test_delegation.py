"""RFC 8693 §1.1, §4.1 and §4.4: who may act is obeyed, and the chain of those who do is never lost."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from exchange.policy.delegation import ACTOR_IS_DELEGATED, CHAIN_NOT_ALLOWED
from tests.policy.values import (
    SERVER,
    actor,
    ask,
    client,
    own_rule,
    own_token,
    reason,
    rule,
    token,
)

ACME = "https://login.acme.example/realms/main"
PARTNER = "https://login.partner.example"
GATEWAY = {"sub": "svc-gateway", "iss": ACME, "client_id": "gateway"}
ACTOR = {"sub": "svc-orders-bff", "iss": ACME, "client_id": "orders-bff"}


def subject(**changes):
    return token(**changes)


def plain(chain):
    return None if chain is None else {**chain, **({"act": plain(chain["act"])} if "act" in chain else {})}


def nested(*links):
    chain = None
    for link in reversed(links):
        chain = MappingProxyType(link if chain is None else {**link, "act": chain})
    return chain


# ── the chain ───────────────────────────────────────────────────────────────────────────────────────────────


def test_without_an_actor_nobody_acts():
    permit = ask().permit_or_refuse()
    assert (permit.act, permit.may_act) == (None, None)


def test_the_actor_is_named_as_its_issuer_names_it():
    assert plain(ask(actor=actor()).permit_or_refuse().act) == ACTOR


def test_an_actor_without_one_client_has_no_client_id():
    several = actor(authorized_party=frozenset({"orders-bff", "other"}))
    assert plain(ask(actor=several).permit_or_refuse().act) == {"sub": "svc-orders-bff", "iss": ACME}


def test_the_chain_of_the_subject_token_is_nested_and_unbroken():
    first = {"sub": "svc-first", "iss": PARTNER}
    decision = ask(subject=subject(act=nested(GATEWAY, first)), actor=actor())
    assert plain(decision.permit_or_refuse().act) == {**ACTOR, "act": {**GATEWAY, "act": first}}


def test_without_an_actor_the_chain_stays_as_it_is():
    chain = nested(GATEWAY, {"sub": "svc-first"})
    assert ask(subject=subject(act=chain)).permit_or_refuse().act == chain


@pytest.mark.parametrize(
    ("links", "with_actor", "slug"),
    [
        (3, True, None),
        (4, True, "delegation_too_deep"),
        (4, False, None),
        (5, False, "delegation_too_deep"),
    ],
)
def test_a_chain_is_never_longer_than_the_server_allows(links, with_actor, slug):
    chain = nested(*({"sub": f"svc-{number}", "iss": ACME} for number in range(links)))
    decision = ask(subject=subject(act=chain), actor=actor() if with_actor else None)
    assert reason(decision) == slug


def test_where_no_delegation_is_allowed_at_all_every_actor_is_too_deep():
    server = replace(SERVER, max_delegation_depth=0)
    assert reason(ask(actor=actor(), server=server)) == "delegation_too_deep"
    assert reason(ask(server=server)) is None


@pytest.mark.parametrize(
    "chain",
    [
        nested(ACTOR),
        nested({"sub": "svc-orders-bff", "iss": ACME}),
        nested({"sub": "svc-orders-bff"}),
        nested(GATEWAY, {"sub": "svc-first", "iss": ACME}, ACTOR),
        nested({"client_id": "orders-bff"}),
        nested({"sub": "acme|svc-orders-bff", "iss": SERVER.issuer}),
    ],
)
def test_a_party_never_comes_back_into_its_own_chain(chain):
    assert reason(ask(subject=subject(act=chain), actor=actor())) == "delegation_cycle"


@pytest.mark.parametrize(
    "link",
    [
        {"sub": "svc-orders-bff", "iss": PARTNER},
        {"sub": "svc-orders-bff-2", "iss": ACME},
        {"sub": "SVC-ORDERS-BFF", "iss": ACME},
        {"sub": "svc-gateway", "iss": ACME, "client_id": "orders-bff"},
    ],
)
def test_parties_are_compared_by_issuer_and_subject_together(link):
    assert reason(ask(subject=subject(act=nested(link)), actor=actor())) is None


def test_the_subject_never_acts_for_itself():
    itself = actor(subject="u1")
    assert reason(ask(actor=itself)) == "delegation_cycle"
    another = actor(subject="u1", issuer=PARTNER, issuer_name="partner")
    assert reason(ask(actor=another)) is None


def test_the_subject_of_a_token_of_ours_never_acts_for_itself():
    assert reason(ask(own_rule(), subject=own_token(), actor=actor(subject="u1"))) == "delegation_cycle"
    assert reason(ask(own_rule(), subject=own_token(), actor=actor(subject="u2"))) is None


def test_a_link_of_no_issuer_in_a_token_of_ours_may_be_of_any():
    chain = nested({"sub": "svc-orders-bff"})
    decision = ask(own_rule(), subject=own_token(act=chain), actor=actor())
    assert reason(decision) == "delegation_cycle"


# ── the actor is the client ─────────────────────────────────────────────────────────────────────────────────

SOMEBODY = {"subject": "svc-other", "authorized_party": frozenset({"other-bff"})}


def test_an_actor_that_is_not_the_client_is_refused():
    decision = ask(actor=actor(**SOMEBODY))
    assert reason(decision) == "actor_not_client"
    assert decision.permit is None
    (check,) = [check for check in decision.trace.checks if check.name == "delegation"]
    assert not check.held


@pytest.mark.parametrize(
    "names",
    [
        {"subject": "orders-bff"},
        {"authorized_party": frozenset({"orders-bff"})},
        {"authorized_party": frozenset({"shop-frontend", "x"})},
    ],
)
def test_the_client_is_known_by_the_subject_or_the_client_of_the_actor_token(names):
    assert reason(ask(actor=actor(**(SOMEBODY | names)))) is None


def test_nobody_is_the_client_where_neither_has_names():
    nameless = actor(subject="", authorized_party=frozenset())
    assert reason(ask(actor=nameless, client=client(authorized_party=frozenset()))) == "actor_not_client"


@pytest.mark.parametrize(
    "named",
    [
        {"sub": "svc-other"},
        {"sub": {"prefix": "svc-"}},
        {"azp": {"one_of": ["orders-bff"]}},
    ],
)
def test_a_rule_may_name_another_actor(named):
    decision = ask(rule(actor_claims=named), actor=actor(**SOMEBODY))
    assert reason(decision) is None
    assert decision.permit_or_refuse().act["sub"] == "svc-other"


@pytest.mark.parametrize(
    "narrowing",
    [
        {"actor_issuers": frozenset({"acme"})},
        {"actor_claims": {"sub": {"present": True}}},
        {"actor_claims": {"sub": {"type": "string"}}},
        {"actor_claims": {"tenant": {"present": False}}},
    ],
)
def test_a_condition_on_the_actor_that_names_nobody_opens_nothing(narrowing):
    assert reason(ask(rule(**narrowing), actor=actor(**SOMEBODY))) == "actor_not_client"
    assert reason(ask(rule(**narrowing), actor=actor())) is None


def test_an_actor_that_is_itself_delegated_is_refused_since_its_chain_would_be_lost():
    decision = ask(actor=actor(act=nested(GATEWAY)))
    assert reason(decision) == "delegation_not_allowed"
    assert decision.refusal.reason.description == ACTOR_IS_DELEGATED


def test_a_token_of_ours_acts_only_where_a_rule_says_so():
    ours = actor(issuer=SERVER.issuer, issuer_name="self", qualified_subject="svc-orders-bff")
    assert reason(ask(actor=ours)) == "actor_token_issuer_not_trusted"
    assert reason(ask(rule(actor_issuers=frozenset({"self"})), actor=ours)) is None


def test_a_token_of_ours_knows_a_client_by_its_client_id_alone():
    ours = actor(
        issuer=SERVER.issuer,
        issuer_name="self",
        authorized_party=frozenset({"shop-frontend"}),
    )
    assert reason(ask(rule(actor_issuers=frozenset({"self"})), actor=ours)) == "actor_not_client"


# ── delegation: none | allowed | required ───────────────────────────────────────────────────────────────────


def test_none_refuses_an_actor_token():
    none = rule(delegation="none")
    assert reason(ask(none, actor=actor())) == "delegation_not_allowed"
    assert reason(ask(none)) is None


def test_none_refuses_a_subject_token_that_is_delegated_already():
    decision = ask(rule(delegation="none"), subject=subject(act=nested(GATEWAY)))
    assert reason(decision) == "delegation_not_allowed"
    assert decision.refusal.reason.description == CHAIN_NOT_ALLOWED


def test_required_refuses_a_request_without_an_actor_token():
    required = rule(delegation="required")
    assert reason(ask(required)) == "delegation_required"
    assert reason(ask(required, subject=subject(act=nested(GATEWAY)))) == "delegation_required"
    assert reason(ask(required, actor=actor())) is None


def test_delegation_never_falls_through_to_another_rule():
    below = rule(id="below")
    assert reason(ask(rule(delegation="required"), below)) == "delegation_required"


def test_public_sentences_keep_to_the_characters_of_rfc_6749():
    for sentence in (CHAIN_NOT_ALLOWED, ACTOR_IS_DELEGATED):
        assert sentence.isascii()
        assert not set(sentence) & {'"', "\\"}


# ── may_act ─────────────────────────────────────────────────────────────────────────────────────────────────


def may(**members):
    return subject(may_act=MappingProxyType(members))


FITS = [
    {"sub": "svc-orders-bff"},
    {"sub": "svc-orders-bff", "iss": ACME},
    {"client_id": "orders-bff"},
    {"sub": "svc-orders-bff", "iss": ACME, "client_id": "orders-bff"},
    {"sub": "svc-orders-bff", "exp": 1, "aud": "https://elsewhere.example"},
    {"sub": "svc-orders-bff", "azp": "orders-bff"},
]


@pytest.mark.parametrize("members", FITS)
def test_whom_the_subject_token_allows_may_act_and_it_is_kept(members):
    permit = ask(subject=may(**members), actor=actor()).permit_or_refuse()
    assert dict(permit.may_act) == members


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"sub": "svc-other"},
        {"iss": PARTNER},
        {"sub": "svc-orders-bff", "iss": PARTNER},
        {"sub": "svc-other", "iss": ACME, "client_id": "orders-bff"},
        {"sub": "svc-orders-bff", "client_id": "other"},
        {"sub": "svc-orders-bff", "email": "bff@acme.example"},
        {"sub": "svc-orders-bff", "level": 1},
        {"sub": "svc-orders-bff", "groups": ["a"]},
        {"aud": "https://bff.acme.example"},
        {"sub": "acme|svc-orders-bff"},
    ],
)
def test_an_actor_that_may_act_does_not_name_in_full_is_refused(members):
    decision = ask(subject=may(**members), actor=actor())
    assert reason(decision) == "may_act_mismatch"
    assert decision.permit is None


def test_true_is_not_one():
    one = actor(claims=MappingProxyType({"sub": "svc-orders-bff", "level": 1}))
    assert reason(ask(subject=may(sub="svc-orders-bff", level=True), actor=one)) == "may_act_mismatch"
    assert reason(ask(subject=may(sub="svc-orders-bff", level=1), actor=one)) is None


@pytest.mark.parametrize(
    "members",
    [
        {"client_id": "orders-bff"},
        {"client_id": "shop-frontend"},
        {"sub": "orders-bff"},
        {"client_id": "orders-bff", "sub": "svc-orders-bff", "iss": ACME},
    ],
)
def test_without_an_actor_token_the_client_is_whom_it_must_name(members):
    assert dict(ask(subject=may(**members)).permit_or_refuse().may_act) == members


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"client_id": "other"},
        {"sub": "svc-orders-bff"},
        {"sub": "orders-bff", "iss": ACME},
        {"iss": ACME},
        {"client_id": "other", "sub": "orders-bff"},
        {"email": "orders-bff"},
    ],
)
def test_without_an_actor_token_another_than_the_client_is_refused(members):
    assert reason(ask(subject=may(**members))) == "may_act_mismatch"


def test_what_may_act_says_is_not_in_the_refusal():
    decision = ask(subject=may(sub="secret-name"), actor=actor())
    assert "secret-name" not in f"{decision.refusal.detail} {decision.refusal.reason.description}"


def test_a_may_act_that_is_no_json_is_refused():
    assert reason(ask(subject=may(client_id="orders-bff", odd=object()))) == "subject_token_claim_malformed"
