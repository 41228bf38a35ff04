"""``act`` and ``may_act`` are read in the shape of RFC 8693, or the token is refused; they are never passed over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import Refusal
from exchange.model import PresentedToken, Role
from exchange.tokens.delegation_claims import IDENTITY_CLAIMS, MAX_LINKS, read_act, read_may_act
from tests.support.tokens import genuine_claims, signed_as_it_is, token_validator, trusted_issuer


def plain(chain):
    return None if chain is None else {**chain, **({"act": plain(chain["act"])} if "act" in chain else {})}


def refused(read, value, role=Role.SUBJECT):
    with pytest.raises(Refusal) as refusal:
        read({read.__name__.removeprefix("read_"): value}, role)
    return refusal.value.reason.slug


def test_a_token_without_them_has_neither():
    assert read_act({}, Role.SUBJECT) is None
    assert read_may_act({}, Role.SUBJECT) is None


def test_a_chain_keeps_every_link_with_its_identity_claims_alone():
    written = {
        "sub": "svc-b",
        "iss": "https://idp.example",
        "exp": 1,
        "email": "b@idp.example",
        "act": {"sub": "svc-a", "act": {"client_id": "first", "aud": "x"}},
    }
    assert plain(read_act({"act": written}, Role.SUBJECT)) == {
        "sub": "svc-b",
        "iss": "https://idp.example",
        "act": {"sub": "svc-a", "act": {"client_id": "first"}},
    }


def test_a_chain_cannot_be_changed_after_it_was_read():
    written = {"sub": "svc-b", "act": {"sub": "svc-a"}}
    chain = read_act({"act": written}, Role.SUBJECT)
    written["act"]["sub"] = "other"
    assert chain["act"]["sub"] == "svc-a"
    with pytest.raises(TypeError):
        chain["sub"] = "other"


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    "value",
    [
        None,
        "svc",
        ["svc"],
        [{"sub": "svc"}],
        True,
        {},
        {"iss": "https://idp.example"},
        {"email": "b@idp.example"},
        {"sub": ""},
        {"sub": 7},
        {"sub": None},
        {"sub": ["svc"]},
        {"sub": "svc", "iss": 7},
        {"sub": "svc", "client_id": ""},
        {"sub": "svc", "act": None},
        {"sub": "svc", "act": {}},
        {"sub": "svc", "act": "svc-a"},
        {"sub": "svc", "act": {"sub": "svc-a", "act": {"sub": 7}}},
    ],
)
def test_a_chain_that_cannot_be_read_is_refused(role, value):
    assert refused(read_act, value, role) == f"{role}_token_claim_malformed"


def chain_of(links):
    chain = {"sub": "svc-0"}
    for number in range(1, links):
        chain = {"sub": f"svc-{number}", "act": chain}
    return chain


def test_a_chain_of_absurd_length_is_refused():
    assert read_act({"act": chain_of(MAX_LINKS)}, Role.SUBJECT) is not None
    assert refused(read_act, chain_of(MAX_LINKS + 1)) == "subject_token_claim_malformed"
    assert refused(read_act, chain_of(10_000)) == "subject_token_claim_malformed"


@pytest.mark.parametrize("value", [{"sub": "svc"}, {"client_id": "bff", "email": "x", "level": 1}, {}])
def test_who_may_act_is_kept_as_it_is_written(value):
    assert dict(read_may_act({"may_act": value}, Role.SUBJECT)) == value


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    "value", [None, "svc", [{"sub": "svc"}], 1, {"sub": 7}, {"sub": None}, {"client_id": ["a"]}, {"iss": ""}]
)
def test_a_may_act_that_cannot_be_read_is_refused(role, value):
    assert refused(read_may_act, value, role) == f"{role}_token_claim_malformed"


def verified(role=Role.SUBJECT, mode="enforce", **claims):
    token = signed_as_it_is({"typ": "at+jwt"}, genuine_claims(**claims))
    return token_validator(trusted_issuer(mode=mode))(PresentedToken(token, role))


@pytest.mark.parametrize("role", Role)
def test_a_verified_token_carries_them(role):
    token = verified(role, act={"sub": "svc"}, may_act={"sub": "bff"})
    assert (dict(token.act), dict(token.may_act)) == ({"sub": "svc"}, {"sub": "bff"})
    assert (verified(role).act, verified(role).may_act) == (None, None)


@pytest.mark.parametrize("claim", ["act", "may_act"])
def test_a_token_whose_claim_is_malformed_is_refused(claim):
    with pytest.raises(Refusal, match="subject_token_claim_malformed"):
        verified(**{claim: "svc"})


def test_a_verified_token_says_whether_its_issuer_is_on_trial():
    assert verified(mode="audit").in_audit_mode
    assert not verified().in_audit_mode


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["sub", "iss", "client_id", "act", "x"]), inner, max_size=5)
    ),
)


def links(act):
    return 0 if not isinstance(act, dict) else 1 + links(act.get("act"))


@given(values)
def test_whatever_act_is_no_link_is_lost_or_the_token_is_refused(value):
    try:
        chain = plain(read_act({"act": value}, Role.SUBJECT))
    except Refusal:
        return
    assert links(chain) == links(value)
    while chain is not None:
        assert all(chain[name] == value[name] for name in IDENTITY_CLAIMS if name in value)
        chain, value = chain.get("act"), value.get("act")
