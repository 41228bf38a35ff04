"""The shipped profiles as data: complete, and each for the issuers of its own product."""

from __future__ import annotations

import pytest

from exchange.config.profiles import shipped_profiles
from tests.corpus.shapes import cases, issuers
from tests.profiles.token_files import data, local_profiles, profiles

PROFILES = shipped_profiles()
TOLERANT = {"azure-b2c", "keycloak", "pingam", "authentik"}
"""Products that are known to put a `nonce` into access tokens (token-shapes, step 5)."""


def test_the_loader_finds_every_profile_that_is_there_as_a_file():
    assert sorted(PROFILES.by_name) == list(profiles())


@pytest.mark.parametrize("name", [name for name in local_profiles() if "access_token" in data(name)])
def test_every_profile_that_accepts_anything_takes_at_jwt_alone_as_an_alternative_of_its_own(name):
    marker = PROFILES.by_name[name].shape["access_token"]["marker"]
    typed = [alternative for alternative in marker if alternative.header and not alternative.claims]
    assert "typ equals at+jwt" in {str(condition) for item in typed for condition in item.header}


@pytest.mark.parametrize("name", profiles())
def test_every_profile_says_what_to_do(name):
    assert 40 < len(PROFILES.by_name[name].profile.advice) < 600


def test_the_default_profile_takes_nothing_but_at_jwt():
    generic = PROFILES.by_name["rfc9068"]
    assert generic.generic
    assert len(generic.shape["access_token"]["marker"]) == 1
    assert "tolerate" not in generic.shape["access_token"]


def test_a_nonce_is_tolerated_only_where_the_product_puts_one_into_access_tokens():
    assert {name for name in profiles() if data(name).get("access_token", {}).get("tolerate")} <= TOLERANT


OF_ANOTHER_PRODUCT = [
    "https://accounts.google.com",
    "https://securetoken.google.com/example-project",
    "https://appleid.apple.com",
    "https://token.actions.githubusercontent.com",
    "https://token.actions.githubusercontent.com/enterprise",
    "https://gitlab.com",
    "https://oidc.circleci.com/org/00000000-0000-4000-8000-000000000081",
    "https://agent.buildkite.com",
    "https://oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B716D3041E",
    "https://example.okta.com",
    "https://example.b2clogin.com/00000000-0000-4000-8000-00000000aaaa/v2.0/",
    "https://auth.pingone.com/00000000-0000-4000-8000-00000000e001/as",
    "https://abcdefghijklmnop.supabase.co/auth/v1",
    "https://example.my.salesforce.com",
    "https://api.workos.com",
    "https://example.onelogin.com/oidc/2",
    "https://example.zitadel.cloud",
    "http://adfs.example.com/adfs/services/trust",
]
OWN = {
    "auth0": ["https://example.auth0.com/", "https://example-tenant.us.auth0.com/"],
    "okta": ["https://example.okta.com/oauth2/default", "https://example.oktapreview.com/oauth2/aus1_x-Y"],
    "entra-v1": ["https://sts.windows.net/00000000-0000-4000-8000-00000000aaaa/"],
    "entra-v2": [
        "https://login.microsoftonline.com/00000000-0000-4000-8000-00000000aaaa/v2.0",
        "https://login.microsoftonline.com/{tenant}/v2.0",
    ],
    "cognito": ["https://cognito-idp.us-east-1.amazonaws.com/us-east-1_EXAMPLE01"],
}
CUSTOM_DOMAINS = [
    "https://login.acme.example/",
    "https://login.acme.example/realms/main",
    "http://127.0.0.1:8080",
]


@pytest.mark.parametrize("issuer", OF_ANOTHER_PRODUCT)
def test_an_issuer_known_to_be_another_product_is_refused_under_every_profile_that_is_not_its_own(issuer):
    assert PROFILES.other_product("rfc9068", issuer) is None
    for name, shipped in PROFILES.by_name.items():
        own = shipped.issuers is not None and shipped.issuers.matches(issuer)
        assert (PROFILES.other_product(name, issuer) is None) == (shipped.generic or own), name


@pytest.mark.parametrize("owner", OWN)
def test_a_product_s_issuer_fits_its_own_profile_and_the_generic_one(owner):
    for name, issuer in ((name, issuer) for name in profiles() for issuer in OWN[owner]):
        fits = name == owner or PROFILES.by_name[name].generic
        assert (PROFILES.other_product(name, issuer) is None) == fits, name


@pytest.mark.parametrize("issuer", CUSTOM_DOMAINS)
def test_a_custom_domain_may_use_any_profile(issuer):
    assert {PROFILES.other_product(name, issuer) for name in profiles()} == {None}


@pytest.mark.parametrize(
    "issuer",
    [
        "https://accounts.google.com.evil.example",
        "https://evil.example/accounts.google.com",
        "https://gitlab.com.x",
    ],
)
def test_a_name_that_only_contains_a_known_one_is_not_known(issuer):
    assert PROFILES.other_product("auth0", issuer) is None


def test_every_issuer_of_the_corpus_loads_under_the_profile_of_its_product():
    of_shipped = {
        case.claims["iss"]
        for case in cases()
        if case.profile in local_profiles() and str(case.claims.get("iss", "")).startswith("https://")
    }
    assert of_shipped <= issuers().keys()


def test_the_profiles_that_a_corpus_case_names_are_there():
    assert {case.profile for case in cases()} - {None} <= set(profiles())
