"""Every shape of the corpus through the real loader, the shipped profiles and the real validator.

The audience is right for every token here, so that no refusal of an ID token is one of its audience.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.model import Role, VerifiedToken
from tests.corpus.report import accepted_elsewhere
from tests.corpus.shapes import (
    FORM_REASONS,
    KIND_REASONS,
    Case,
    cases,
    foreign_issuer,
    issuers,
    of_kind,
    outcome,
    own_token,
    shipped,
    swapped,
    verdict,
)
from tests.support.tokens import signed_as_it_is

UNUSABLE = {
    # Of the right kind, and refused for what an exchange needs beside it.
    "Clerk: OAuth application JWT access token: at+jwt (default for new apps since January 2026)": "audience_mismatch",
    "Duende IdentityServer: client credentials, static audience claim": "claim_missing",  # no sub
    "Keycloak: lightweight access token: almost nothing, no sub, no aud": "claim_missing",
    "node-oidc-provider: DPoP-bound, cnf.jkt": "proof_missing",
}
HARD_HASHES = {"at_hash", "c_hash", "s_hash"}
SAYS_ID_TOKEN = {
    "typ": "ID",
    "token_use": "id",
    "tokenName": "id_token",
    "purpose": "id",
    "token_usage": "id_token",
}

every_profile = pytest.mark.parametrize("profile", shipped())
ids = pytest.mark.parametrize("case", of_kind("id_token"), ids=str)


def with_own_profile() -> list[Case]:
    return [case for case in cases() if case.profile in shipped() and case.claims.get("iss") in issuers()]


@pytest.mark.parametrize("case", with_own_profile(), ids=str)
@pytest.mark.parametrize("role", list(Role))
def test_a_shape_under_the_profile_of_its_product(case, role):
    found = verdict(own_token(case), role)
    if case.accept:
        assert found == UNUSABLE.get(str(case), "accepted")
    elif "exp" not in case.claims and found == "claim_missing":
        pass  # a DPoP proof, a trust mark, a userinfo response: times come before the kind
    else:
        assert found in KIND_REASONS | FORM_REASONS


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_shape_under_the_generic_profile(case):
    found = verdict(swapped(case, "rfc9068"))
    if case.accept_generic:
        assert found == UNUSABLE.get(str(case), "accepted")
    else:
        assert found in KIND_REASONS | FORM_REASONS


@every_profile
@pytest.mark.parametrize("case", of_kind("id_token", "other"), ids=str)
def test_no_profile_takes_another_kind_for_an_access_token_whosever_it_is(case, profile):
    token = swapped(case, profile)
    for role in Role:
        assert verdict(token, role) in KIND_REASONS | FORM_REASONS


@every_profile
def test_the_report_finds_no_hole(profile):
    assert list(accepted_elsewhere(profile)) == []


@every_profile
def test_every_shipped_profile_has_access_tokens_that_pass(profile):
    genuine = [case for case in with_own_profile() if case.profile == profile and case.kind == "access_token"]
    assert any(verdict(own_token(case)) == "accepted" for case in genuine)


@every_profile
def test_every_shipped_profile_takes_at_jwt(profile):
    claims = dict(next(case for case in with_own_profile() if case.profile == profile and case.accept).claims)
    generic = {"sub": "u1", "uid": "00u1", "tid": "t1", "oid": "o1", "aud": "urn:api", "client_id": "cl-1"}
    neutral = {name: claims[name] for name in ("exp", "iat")} | generic | {"iss": foreign_issuer(profile)}
    found = outcome(signed_as_it_is({"alg": "RS256", "typ": "at+JWT"}, neutral, algorithm="RS256"))
    assert isinstance(found, VerifiedToken)
    assert found.evidence == "header.typ=at+jwt"


def says_that_it_is_an_id_token(case: Case) -> bool:
    said = any(str(case.claims.get(name, "")).lower() == word.lower() for name, word in SAYS_ID_TOKEN.items())
    return said or bool(HARD_HASHES & case.claims.keys()) or str(case.claims.get("jti", "")).startswith("ID.")


@every_profile
@ids
def test_an_id_token_relabelled_at_jwt_is_refused_for_what_it_carries(case, profile):
    found = verdict(swapped(case, profile, header={"typ": "at+jwt"}))
    if says_that_it_is_an_id_token(case):
        assert found in KIND_REASONS
    elif found == "accepted":
        # The issuer's own lie, signed by it: nothing in the token tells it from an access token.
        assert not HARD_HASHES & case.claims.keys()


GENUINE = next(case for case in cases() if case.idp == "RFC 9068" and case.variant == "application/at+jwt")


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_the_spellings_of_rfc_9068_pass(typ):
    assert verdict(swapped(GENUINE, "rfc9068", header={"typ": typ})) == "accepted"


@every_profile
@pytest.mark.parametrize(
    ("typ", "reason"),
    [
        (" at+jwt", "is_other_kind"),
        ("at+jwt;x", "is_other_kind"),
        ("", "is_other_kind"),
        (["at+jwt"], "header_refused"),
        (1, "header_refused"),
    ],
)
def test_other_spellings_of_at_jwt_pass_nowhere(profile, typ, reason):
    assert verdict(swapped(GENUINE, profile, header={"typ": typ})) == reason


@pytest.mark.parametrize("words", [("ID", "Bearer"), ("Bearer", "ID"), ("Bearer", "Bearer")])
def test_a_claim_that_is_there_twice_is_refused_whichever_parser_would_win(words):
    keycloak = next(case for case in with_own_profile() if case.profile == "keycloak" and case.accept)
    claims = json.dumps({name: value for name, value in keycloak.claims.items() if name != "typ"})
    twice = claims[:-1] + "".join(f', "typ": "{word}"' for word in words) + "}"
    assert verdict(signed_as_it_is({"alg": "RS256", "typ": "JWT"}, twice, algorithm="RS256")) == "malformed"


def pool() -> dict[str, list[object]]:
    """Return every claim of the corpus with its values, ``iss`` and the times aside."""
    values: dict[str, list[object]] = {}
    for case in cases():
        for name, value in case.claims.items():
            if name not in {"iss", "exp", "iat", "nbf"} and value not in values.setdefault(name, []):
                values[name].append(value)
    return {name: found for name, found in values.items() if found}


POOL = pool()
REFUSED = [(case, profile) for profile in shipped() for case in of_kind("id_token", "other")]
additions = st.lists(st.sampled_from(sorted(POOL)), max_size=4, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: st.sampled_from(POOL[name]) for name in names})
)


def completed_markers(profile, claims):
    marker = issuers()[foreign_issuer(profile)].marker
    return {
        alternative.label
        for alternative in marker
        if alternative.claims and all(condition.holds(claims) for condition in alternative.claims)
    }


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(REFUSED), additions)
def test_adding_claims_of_other_tokens_never_helps_unless_it_completes_a_marker(refused, extra):
    case, profile = refused
    found = outcome(swapped(case, profile, claims=extra))
    if isinstance(found, VerifiedToken):
        completed = completed_markers(profile, {**case.claims, **extra})
        assert completed - completed_markers(profile, case.claims)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(of_kind("id_token", "other"))), additions)
def test_adding_claims_never_helps_where_the_header_type_alone_is_proof(case, extra):
    assert verdict(swapped(case, "rfc9068", claims=extra)) != "accepted"


def test_the_subjects_are_those_of_adr_0032():
    verified = [(case, outcome(own_token(case))) for case in with_own_profile()]
    subjects = {
        (case.profile, found.qualified_subject.partition("|")[2])
        for case, found in verified
        if isinstance(found, VerifiedToken)
    }
    assert {
        ("okta", "00u0000000000user01"),
        ("okta", "0oa0000000000client1"),  # a machine has no uid
        ("auth0", r"auth0\|5f0000000000000000000002"),
        ("entra-v2", "00000000-0000-4000-8000-00000000aaaa|00000000-0000-4000-8000-00000000f001"),
    } <= subjects
