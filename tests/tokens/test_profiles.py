"""The shipped profiles as data: complete, documented, and each for the issuers of its own product."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exchange.config.profiles import shipped_profiles
from tests.corpus.shapes import cases, issuers, shipped

PAGE = Path(__file__).parents[2] / "docs" / "profiles" / "README.md"
PROFILES = shipped_profiles()


def test_the_page_has_a_row_for_each_shipped_profile_and_for_no_other():
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(shipped())


@pytest.mark.parametrize("name", shipped())
def test_the_page_gives_the_strength_that_the_profile_has(name):
    row = next(line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| `{name}` |"))
    weak = PROFILES.by_name[name].profile.weak
    assert ("| weak" in row) == (weak is not None)
    assert ("| strong" in row) == (weak is None)


@pytest.mark.parametrize("name", shipped())
def test_every_profile_that_accepts_anything_takes_at_jwt_alone_as_an_alternative_of_its_own(name):
    marker = PROFILES.by_name[name].shape["access_token"]["marker"]
    typed = [alternative for alternative in marker if alternative.header]
    assert [[str(condition) for condition in item.header] for item in typed] == [["typ equals at+jwt"]]
    assert typed[0].claims == ()


@pytest.mark.parametrize("name", shipped())
def test_every_profile_says_where_its_facts_are_from_and_what_to_do(name):
    assert len(PROFILES.by_name[name].profile.advice) > 40


def test_the_default_profile_takes_nothing_but_at_jwt():
    generic = PROFILES.by_name["rfc9068"]
    assert generic.generic
    assert len(generic.shape["access_token"]["marker"]) == 1
    assert "tolerate" not in generic.shape["access_token"]
    assert [name for name, shipped_profile in PROFILES.by_name.items() if shipped_profile.generic] == [
        "rfc9068"
    ]


def test_only_keycloak_tolerates_a_nonce():
    tolerant = {
        name for name, profile in PROFILES.by_name.items() if "tolerate" in profile.shape["access_token"]
    }
    assert tolerant == {"keycloak"}


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


@pytest.mark.parametrize("name", [name for name in shipped() if name != "rfc9068"])
@pytest.mark.parametrize("issuer", OF_ANOTHER_PRODUCT)
def test_an_issuer_known_to_be_another_product_is_refused_under_every_specific_profile(name, issuer):
    assert PROFILES.other_product(name, issuer)
    assert PROFILES.other_product("rfc9068", issuer) is None


@pytest.mark.parametrize("name", shipped())
@pytest.mark.parametrize("owner", OWN)
def test_a_product_s_issuer_fits_its_own_profile_and_the_generic_one(name, owner):
    for issuer in OWN[owner]:
        fits = name in {owner, "rfc9068"}
        assert (PROFILES.other_product(name, issuer) is None) == fits


@pytest.mark.parametrize("name", shipped())
@pytest.mark.parametrize("issuer", CUSTOM_DOMAINS)
def test_a_custom_domain_may_use_any_profile(name, issuer):
    assert PROFILES.other_product(name, issuer) is None


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
        if case.profile in shipped() and str(case.claims.get("iss", "")).startswith("https://")
    }
    assert of_shipped <= issuers().keys()
