"""Every token of every profile through the real loader and the validator that serves requests.

Data-driven: a profile is added by its three files, ``exchange/profiles/NAME.yaml``, ``NAME.tokens.json`` beside it and
``docs/profiles/NAME.md``; no test is written for it. ``pytest tests/profiles -k NAME`` tries one.
"""

from __future__ import annotations

from typing import Any

import pytest

from exchange.config.faults import PolicyFaults
from exchange.errors import REASONS, Refusal
from exchange.model import PresentedToken, Role
from tests.profiles.token_files import (
    DATA,
    KINDS,
    PAGES,
    data,
    looked_at_here,
    profiles,
    tokens,
    wrong_verdicts,
)
from tests.support.shapes import inline_keys, load_issuers, signed, with_issuer
from tests.support.tokens import token_validator

ISSUER = "https://idp.custom.example"
every_profile = pytest.mark.parametrize("profile", profiles())


def missing(profile: str) -> list[str]:
    """Return what the files of a profile leave out, as somebody who adds one wants to read it."""
    needed = (DATA / f"{profile}.tokens.json", PAGES / f"{profile}.md")
    absent = [f"{path.parent.name}/{path.name} is missing" for path in needed if not path.exists()]
    if absent:
        return absent
    found = tokens(profile)
    faults = [
        f"{token}: kind {token.kind!r} is none of {KINDS}" for token in found if token.kind not in KINDS
    ]
    faults += [
        f"{token}: expect {token.expect!r} is no reason"
        for token in found
        if token.expect != "accepted" and f"subject_token_{token.expect}" not in REASONS
    ]
    faults += [f"{token}: say where the shape is from" for token in found if not token.source]
    variants = [token.variant for token in found]
    faults += [
        f"{variant!r} stands twice" for variant in sorted(set(variants)) if variants.count(variant) > 1
    ]
    return faults + _too_few(profile)


def _too_few(profile: str) -> list[str]:
    kinds = [token.kind for token in tokens(profile)]
    accepted = [token for token in tokens(profile) if token.expect == "accepted"]
    faults = []
    if "never" in data(profile):
        if not kinds:
            faults.append("no token at all")
    elif "workload" in kinds:
        if not accepted:
            faults.append("no workload token that is accepted")
    else:
        faults += ["fewer than two access tokens"] if kinds.count("access_token") < 2 else []
        faults += ["no token that is accepted"] if not accepted else []
    return faults


@every_profile
def test_a_profile_has_its_tokens_and_its_page(profile):
    assert not missing(profile), "\n".join(missing(profile))


@every_profile
def test_every_token_gets_what_its_file_expects_in_both_roles_and_as_both_types(profile):
    wrong = [line for token in looked_at_here(profile) for line in wrong_verdicts(token)]
    assert not wrong, "\n".join(wrong)


@every_profile
def test_what_is_no_access_token_is_never_expected_to_be_one(profile):
    taken = [
        str(token)
        for token in tokens(profile)
        if token.expect == "accepted"
        and (token.kind in {"id_token", "other"} or (token.kind == "workload" and token.declared != "jwt"))
    ]
    assert not taken


@pytest.mark.parametrize("profile", [name for name in profiles() if "never" in data(name)])
def test_a_profile_that_never_accepts_says_why_of_every_token_even_of_at_jwt(profile):
    validator = token_validator(*load_issuers({"idp": never_file(profile)}).values())
    for token in tokens(profile):
        for typ in ({}, {"typ": "at+jwt"}):
            header = {**token.header, "alg": "RS256", **typ}
            signed_token = signed(header, with_issuer(token.claims, ISSUER))
            with pytest.raises(Refusal) as refused:
                validator(PresentedToken(signed_token, Role.SUBJECT))
            assert refused.value.reason.slug == "subject_token_issuer_unrecognisable", str(token)
            assert data(profile)["never"] in str(refused.value.detail)


def never_file(profile: str) -> dict[str, Any]:
    return {"issuer": ISSUER, "profile": profile, "audience": ["urn:api"], "keys": inline_keys()}


@pytest.mark.parametrize("profile", [name for name in profiles() if "weak" in data(name)])
def test_a_weak_profile_must_be_acknowledged(profile):
    token = next(token for token in tokens(profile) if token.expect == "accepted")
    file = token.issuer_file()
    assert load_issuers({"idp": file})
    for unacknowledged in ({"accept_weak_marker": False}, {"accept_weak_marker": ...}):
        changed = {name: value for name, value in (file | unacknowledged).items() if value is not ...}
        with pytest.raises(PolicyFaults, match="accept_weak_marker: true"):
            load_issuers({"idp": changed})
