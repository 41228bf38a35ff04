"""No token of another kind passes under any profile, whosever it is: the wrong profile must not be a hole.

Signatures are left aside here, as ``exchange test`` does it: every token is tried under every profile, and what is
tried is what stands behind the signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.utils import base64url_encode

from exchange.config.values import TrustedIssuer
from exchange.errors import Refusal
from exchange.model import PresentedToken, Role, Secret
from exchange.tokens.validate import TokenValidator
from tests.profiles.token_files import (
    ShapedToken,
    data,
    foreign_file,
    foreign_issuer,
    foreign_tokens,
    local_profiles,
    looking,
    tokens,
)
from tests.support.shapes import (
    ALGORITHMS,
    DECLARED,
    FORM_REASONS,
    KIND_REASONS,
    load_issuers,
    with_issuer,
)
from tests.support.tokens import NOW, signing_input, token_validator


@cache
def trusted_issuers() -> Mapping[str, TrustedIssuer]:
    return load_issuers({name: foreign_file(name) for name in looking()})


@cache
def validator() -> TokenValidator:
    return token_validator(*trusted_issuers().values())


def verdict(token: Secret, role: Role, declared: str) -> str:
    try:
        validator().accept(validator().read(PresentedToken(token, role, DECLARED[declared])))
    except Refusal as refusal:
        return refusal.reason.slug.removeprefix(f"{role}_token_")
    return "accepted"


def swapped(token: ShapedToken, profile: str, more: Mapping[str, Any] = MappingProxyType({})) -> Secret:
    algorithm = token.header["alg"] if token.header["alg"] not in ALGORITHMS else "RS256"
    claims = with_issuer({**token.claims, **more}, foreign_issuer(profile)) | {"exp": NOW + 60}
    unsigned = signing_input({**token.header, "alg": algorithm}, claims)
    return Secret((unsigned + b"." + base64url_encode(b"no signature")).decode())


@pytest.mark.parametrize("profile", looking())
def test_no_profile_takes_a_token_of_another_kind_for_one_of_its_own(profile):
    """A refusal for anything that comes after the kind would hide a token whose kind was believed."""
    holes = [
        f"{token}: as {role}, declared {declared}: {found}"
        for token in foreign_tokens()
        if token.profile != profile
        for compact in (swapped(token, profile),)
        for role in Role
        for declared in DECLARED
        if (found := verdict(compact, role, declared)) not in KIND_REASONS | FORM_REASONS
    ]
    assert not holes, "\n".join(holes)


BORROWING = [
    (profile, token, genuine)
    for profile in local_profiles()
    for token in foreign_tokens()
    for genuine in tokens(profile)
    if genuine.kind == "access_token" and "never" not in data(profile)
]


def completed(profile: str, claims: Mapping[str, Any]) -> set[str]:
    """Return the alternatives of the profile's marker whose conditions on claims all hold."""
    marker = trusted_issuers()[foreign_issuer(profile)].marker
    return {
        alternative.label
        for alternative in marker
        if alternative.claims and all(condition.holds(claims) for condition in alternative.claims)
    }


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(BORROWING), st.randoms(use_true_random=False))
def test_claims_borrowed_from_an_access_token_help_by_completing_the_marker_alone(borrowing, random):
    """``iss``, ``sub`` and times are not borrowed; everything else is, one claim or all of them."""
    profile, token, genuine = borrowing
    names = sorted(genuine.claims.keys() - {"iss", "sub", "exp", "iat", "nbf"})
    borrowed = {name: genuine.claims[name] for name in random.sample(names, random.randint(1, len(names)))}
    found = verdict(swapped(token, profile, borrowed), Role.SUBJECT, "access_token")
    if found not in KIND_REASONS | FORM_REASONS:
        assert completed(profile, {**token.claims, **borrowed}) - completed(profile, token.claims)
