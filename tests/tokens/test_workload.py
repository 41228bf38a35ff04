"""Workload tokens through the classifier and the validator, apart from HTTP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import Refusal
from exchange.model import PresentedToken, Role, Secret, TokenKind, TokenTypeIdentifier
from exchange.tokens.classify import classify
from tests.support import keys
from tests.support.shapes import load_issuers
from tests.support.tokens import (
    AUDIENCE,
    ISSUER,
    NOW,
    genuine_claims,
    inline_keys,
    signed_as_it_is,
    token_validator,
    trusted_issuer,
)

MARKER = ({"claims": {"job": {"type": "string"}}},)
JWT = TokenTypeIdentifier.JWT
CLIENT_ASSERTIONS = frozenset({"https://exchange.example"})


def platform(**changes):
    return trusted_issuer(kind="workload", marker=MARKER, scope=(), client=(), **changes)


def job(**changes):
    return genuine_claims(**({"scope": ..., "client_id": ..., "job": "deploy"} | changes))


def present(token: Secret, declared=JWT, role=Role.SUBJECT, **issuer):
    return token_validator(platform(**issuer))(PresentedToken(token, role, declared))


def reason(token: Secret, declared=JWT, role=Role.SUBJECT, **issuer):
    with pytest.raises(Refusal) as refused:
        present(token, declared, role, **issuer)
    return refused.value.reason.slug.removeprefix(f"{role}_token_")


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("typ", [{}, {"typ": "JWT"}, {"typ": "jose"}])
def test_a_workload_token_is_of_its_own_kind_and_carries_no_scopes_and_no_client(role, typ):
    verified = present(signed_as_it_is(typ, job(scope="admin", client_id="web")), role=role)
    assert verified.kind is TokenKind.WORKLOAD
    assert verified.evidence == "marker test[0]"
    assert verified.scopes == frozenset()
    assert verified.authorized_party == frozenset()


def test_the_lifetime_of_a_workload_token_is_its_issuer_s_and_no_other():
    assert present(signed_as_it_is({}, job(exp=NOW + 365 * 86400)), max_token_lifetime=366 * 86400)
    assert reason(signed_as_it_is({}, job(exp=NOW + 26 * 3600))) == "lifetime_too_long"


def test_what_is_wrong_with_the_token_comes_before_what_it_is_called():
    for declared in (JWT, TokenTypeIdentifier.ACCESS_TOKEN):
        assert reason(signed_as_it_is({}, job(nonce="n")), declared) == "is_id_token"
        assert reason(signed_as_it_is({}, genuine_claims()), declared) == "kind_unproven"
    assert reason(signed_as_it_is({}, job()), TokenTypeIdentifier.ACCESS_TOKEN) == "is_other_kind"


@pytest.mark.parametrize("sub", ["spiffe://acme.example/x", "system:serviceaccount:a:b"])
def test_what_names_a_workload_refuses_it_at_an_ordinary_issuer_alone(sub):
    assert classify({}, job(sub=sub), platform()).kind is TokenKind.WORKLOAD
    assert classify({"typ": "at+jwt"}, job(sub=sub), trusted_issuer()).kind is TokenKind.OTHER


@pytest.mark.parametrize(
    "claims", [{"sub": ISSUER}, {"events": 1}, {"htm": "POST"}, {"vct": "x"}, {"redirect_uri": "x"}]
)
def test_other_structures_refuse_it_as_everywhere(claims):
    assert classify({}, job(**claims), platform()).kind is TokenKind.OTHER


NAMES = st.sampled_from(
    ["job", "typ", "token_use", "nonce", "auth_time", "at_hash", "events", "purpose", "sub", "scope"]
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(["Bearer", "access", "id", "deploy", "x"]),
    st.lists(st.text(max_size=3), max_size=2),
)


@given(
    st.sampled_from([{}, {"typ": "JWT"}, {"typ": "at+jwt"}, {"typ": "id+jwt"}, {"typ": 7}]),
    st.dictionaries(NAMES, VALUES, max_size=6),
)
def test_no_token_is_ever_both_a_workload_s_and_an_access_token(header, claims):
    """Whatever it carries: one issuer takes the one kind, and never the other's."""
    assert classify(header, claims, platform()).kind is not TokenKind.ACCESS_TOKEN
    assert classify(header, claims, trusted_issuer()).kind is not TokenKind.WORKLOAD


def test_a_workload_issuer_takes_no_token_without_its_marker_even_under_at_jwt():
    for header in ({}, {"typ": "at+jwt"}):
        assert classify(header, genuine_claims(), platform()).kind in {TokenKind.UNPROVEN, TokenKind.OTHER}


class TestForAnotherAudience:
    """As an assertion of who somebody is: nothing but the audience is another."""

    def verify(self, token, **issuer):
        presented = PresentedToken(token, Role.SUBJECT, JWT)
        return token_validator(platform(**issuer)).workload(presented, CLIENT_ASSERTIONS)

    def refused(self, token, **issuer):
        with pytest.raises(Refusal) as refused:
            self.verify(token, **issuer)
        return refused.value.reason.slug.removeprefix("subject_token_")

    def test_a_token_for_us_is_verified(self):
        verified = self.verify(signed_as_it_is({}, job(aud="https://exchange.example")))
        assert (verified.issuer_name, verified.subject) == ("idp", "u1")

    def test_a_token_for_an_exchange_is_not_one_for_us(self):
        assert self.refused(signed_as_it_is({}, job(aud=AUDIENCE))) == "audience_mismatch"

    def test_an_access_token_of_another_issuer_is_none(self):
        token = signed_as_it_is({"typ": "at+jwt"}, genuine_claims(aud="https://exchange.example"))
        with pytest.raises(Refusal) as refused:
            token_validator(trusted_issuer()).workload(
                PresentedToken(token, Role.SUBJECT, JWT), CLIENT_ASSERTIONS
            )
        assert refused.value.reason.slug == "subject_token_is_other_kind"

    def test_everything_else_is_checked_all_the_same(self):
        for_us = {"aud": "https://exchange.example"}
        assert self.refused(signed_as_it_is({}, job(**for_us), label="other")) == "key_unknown"
        assert self.refused(signed_as_it_is({}, job(exp=NOW - 1, **for_us))) == "expired"
        assert self.refused(signed_as_it_is({}, job(nonce="n", **for_us))) == "is_id_token"
        assert self.refused(signed_as_it_is({}, job(**for_us)), enabled=False) == "issuer_disabled"


def test_keys_of_a_spiffe_bundle_verify_and_those_of_its_certificates_do_not():
    verifies = {**keys.public_jwk("ES256"), "use": "jwt-svid"}
    token = signed_as_it_is({}, job())
    assert present(token, keys=inline_keys(verifies))
    assert reason(token, keys=inline_keys({**verifies, "use": "x509-svid"})) == "key_unknown"
    bundle = {"jwks": {"keys": [verifies, {**keys.public_jwk("ES256", "ca"), "use": "x509-svid"}]}}
    file = {
        "issuer": "spiffe://acme.example",
        "kind": "workload",
        "profile": "spiffe",
        "audience": "a",
        "keys": bundle,
    }
    assert load_issuers({"mesh": file})
