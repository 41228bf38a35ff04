"""Every shape of the corpus through the real loader, the shipped profiles and the real validator.

The audience is right for every token here, so that no refusal of an ID token is one of its audience.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.config.profiles import shipped_profiles
from exchange.model import Role, VerifiedToken
from tests.corpus.shapes import (
    Case,
    cases,
    foreign_issuer,
    issuers,
    of_kind,
    outcome,
    own_token,
    swapped,
    verdict,
)
from tests.profiles.token_files import local_profiles
from tests.support.shapes import DECLARED, FORM_REASONS, KIND_REASONS
from tests.support.tokens import NOW, signed_as_it_is

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

NEVER = {name for name in local_profiles() if shipped_profiles().by_name[name].profile.never}
EVERY_WAY = [(role, declared) for role in Role for declared in DECLARED]
every_profile = pytest.mark.parametrize("profile", local_profiles())


def with_own_profile() -> list[Case]:
    return [
        case for case in cases() if case.profile in local_profiles() and case.claims.get("iss") in issuers()
    ]


@pytest.mark.parametrize("case", with_own_profile(), ids=str)
def test_a_shape_under_the_profile_of_its_product(case):
    for role, declared in EVERY_WAY:
        found = verdict(own_token(case), role, declared)
        if case.accept:
            # The product's own profile may look for an audience where the generic one does not: at Clerk.
            assert found in {UNUSABLE.get(str(case)), "accepted"}
        elif "exp" not in case.claims and found == "claim_missing":
            pass  # a DPoP proof, a trust mark, a userinfo response: times come before the kind
        else:
            assert found in KIND_REASONS | FORM_REASONS


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_shape_under_the_generic_profile(case):
    for role, declared in EVERY_WAY:
        found = verdict(swapped(case, "rfc9068"), role, declared)
        if case.accept_generic:
            assert found == UNUSABLE.get(str(case), "accepted")
        else:
            assert found in KIND_REASONS | FORM_REASONS


def taken(profile: str, kinds: tuple[str, ...], header: dict[str, str]) -> list[tuple[Case, str]]:
    """Return the cases that are refused for nothing that they are: their kind was believed."""
    return [
        (case, found)
        for case in of_kind(*kinds)
        for token in (swapped(case, profile, header=header),)
        for role, declared in EVERY_WAY
        if (found := verdict(token, role, declared)) not in KIND_REASONS | FORM_REASONS
    ]


@every_profile
def test_no_profile_takes_another_kind_for_an_access_token_whosever_it_is(profile):
    assert taken(profile, ("id_token", "other"), {}) == []


@pytest.mark.parametrize("profile", [name for name in local_profiles() if name not in NEVER])
def test_every_profile_that_accepts_anything_takes_at_jwt(profile):
    generic = {"sub": "u1", "uid": "00u1", "tid": "t1", "oid": "o1", "aud": "urn:api", "client_id": "cl-1"}
    neutral = generic | {"exp": NOW + 60, "iat": NOW, "iss": foreign_issuer(profile)}
    found = outcome(signed_as_it_is({"alg": "RS256", "typ": "at+JWT"}, neutral, algorithm="RS256"))
    assert isinstance(found, VerifiedToken)
    assert found.evidence == "header.typ=at+jwt"


def says_that_it_is_an_id_token(case: Case) -> bool:
    said = any(str(case.claims.get(name, "")).lower() == word.lower() for name, word in SAYS_ID_TOKEN.items())
    return said or bool(HARD_HASHES & case.claims.keys()) or str(case.claims.get("jti", "")).startswith("ID.")


@every_profile
def test_an_id_token_relabelled_at_jwt_is_refused_for_what_it_carries(profile):
    """What carries no sign of it passes: the issuer's own lie, signed by it, which nothing in the token shows."""
    lies = [case for case, _ in taken(profile, ("id_token",), {"typ": "at+jwt"})]
    assert not [case for case in lies if says_that_it_is_an_id_token(case)]


GENUINE = next(case for case in cases() if case.idp == "RFC 9068" and case.variant == "application/at+jwt")


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_the_spellings_of_rfc_9068_pass(typ):
    assert verdict(swapped(GENUINE, "rfc9068", header={"typ": typ})) == "accepted"


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
def test_other_spellings_of_at_jwt_pass_nowhere(typ, reason):
    for profile in local_profiles():
        found = verdict(swapped(GENUINE, profile, header={"typ": typ}))
        assert found == (
            "issuer_unrecognisable" if profile in NEVER and reason != "header_refused" else reason
        )


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="atjw+ATJW/plicon;= \t.\u212a\uff0b", max_size=20) | st.text(max_size=9))
def test_no_other_header_type_is_proof(typ):
    found = verdict(swapped(GENUINE, "rfc9068", header={"typ": typ}))
    assert (found == "accepted") == (typ.lower() in {"at+jwt", "application/at+jwt"})


def test_no_member_of_any_genuine_token_may_be_there_twice():
    for case in with_own_profile():
        if case.accept:
            text = json.dumps(case.claims)
            for name, value in case.claims.items():
                twice = f"{text[:-1]}, {json.dumps(name)}: {json.dumps(value)}}}"
                assert verdict(signed_as_it_is({"alg": "ES256"}, twice)) == "malformed", f"{case}: {name}"


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
REFUSED = [(case, profile) for profile in local_profiles() for case in of_kind("id_token", "other")]
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
