"""A product's own issuers fit its profile, and no other profile but the generic one takes them."""

from __future__ import annotations

import re

import pytest

from exchange.config.faults import PolicyFaults
from exchange.config.profiles import shipped_profiles
from tests.profiles.token_files import data, profiles, tokens
from tests.support.shapes import inline_keys, load_issuers


def own_issuers(profile: str) -> list[str]:
    """Return the issuers of the profile's tokens that have the form of the product's own."""
    pattern = data(profile).get("issuer_pattern")
    if pattern is None:
        return []
    named = {iss for token in tokens(profile) for iss in (str(token.claims.get("iss", "")), token.issuer)}
    return sorted(issuer for issuer in named if re.fullmatch(pattern, issuer))


with_pattern = pytest.mark.parametrize(
    "profile", [name for name in profiles() if "issuer_pattern" in data(name)]
)


@with_pattern
def test_a_token_of_the_profile_has_an_issuer_of_the_product_s_own_form(profile):
    assert own_issuers(profile), f"no `iss` in {profile}.tokens.json fits issuer_pattern"


@with_pattern
def test_no_other_profile_takes_an_issuer_of_the_product(profile):
    known = shipped_profiles()
    for issuer in own_issuers(profile):
        assert known.other_product(profile, issuer) is None
        taking = [
            other
            for other in profiles()
            if known.other_product(other, issuer) is None
            and not data(other).get("generic")
            and not re.fullmatch(data(other).get("issuer_pattern", "$^"), issuer)
        ]
        assert taking == []


@with_pattern
def test_the_loader_refuses_the_issuer_under_another_product_s_profile(profile):
    issuer = next(iter(own_issuers(profile)))
    other = "keycloak" if profile != "keycloak" else "cognito"
    file = {"issuer": issuer, "profile": other, "audience": ["urn:api"], "keys": inline_keys()}
    with pytest.raises(PolicyFaults, match="this is an issuer of"):
        load_issuers({"idp": file})
