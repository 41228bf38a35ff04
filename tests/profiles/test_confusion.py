"""No token of another kind passes under any profile, whosever it is: the wrong profile must not be a hole.

Signatures are left aside here, as ``exchange test`` does it: every token is tried under every profile, and what is
tried is what stands behind the signature.
"""

from __future__ import annotations

from functools import cache

import pytest
from jwt.utils import base64url_encode

from exchange.errors import Refusal
from exchange.model import PresentedToken, Role, Secret
from exchange.tokens.validate import TokenValidator
from tests.profiles.token_files import ShapedToken, foreign_file, foreign_issuer, foreign_tokens, looking
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
def validator() -> TokenValidator:
    files = {name: foreign_file(name) for name in looking()}
    return token_validator(*load_issuers(files).values())


def verdict(token: Secret, role: Role, declared: str) -> str:
    try:
        validator().accept(validator().read(PresentedToken(token, role, DECLARED[declared])))
    except Refusal as refusal:
        return refusal.reason.slug.removeprefix(f"{role}_token_")
    return "accepted"


def swapped(token: ShapedToken, profile: str) -> Secret:
    algorithm = token.header["alg"] if token.header["alg"] not in ALGORITHMS else "RS256"
    claims = with_issuer(token.claims, foreign_issuer(profile)) | {"exp": NOW + 60}
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
