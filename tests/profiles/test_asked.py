"""Profiles that ask the issuer: their tokens with the answers that the product gives, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from exchange.config.faults import PolicyFaults
from exchange.config.values import TrustedIssuer
from exchange.errors import Refusal
from exchange.introspection import Introspections
from exchange.model import PresentedToken, Role, Secret, VerifiedToken
from exchange.outbound import Fetcher
from exchange.tokens.validate import TokenValidator
from tests.profiles.token_files import ShapedToken, data, foreign_tokens, profiles, tokens
from tests.support.introspection import Endpoint, json_answer
from tests.support.shapes import DECLARED, FORM_REASONS, KIND_REASONS, load_issuers, signed, with_issuer
from tests.support.tokens import NOW, token_validator

OPAQUE = "an-opaque-token-of-the-tests"
FETCHER = Fetcher()
ASKED_AFTER = {"accepted", "inactive", "claim_missing", "claim_refused", "audience_mismatch", "proof_missing"}
"""Refusals that nobody can know of without having asked."""


def asking_profiles() -> list[str]:
    return [name for name in profiles() if "introspection" in data(name)]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(lambda _: json_answer({})) as serving:
        yield serving


def issuer_of(token: ShapedToken, endpoint: Endpoint, **changes: Any) -> TrustedIssuer:
    """Load the file of the token's issuer, with our endpoint in place of its own."""
    file = token.issuer_file() | changes
    file |= {
        "introspection": {**file["introspection"], "endpoint": endpoint.url},
        "allow_insecure_http": True,
    }
    (issuer,) = load_issuers({"idp": file}).values()
    return issuer


def validator_of(issuer: TrustedIssuer) -> TokenValidator:
    return token_validator(issuer, introspections=Introspections(FETCHER, lambda: NOW))


def issuer_types(issuer: TrustedIssuer) -> frozenset[str]:
    """Header types that are another kind's elsewhere, and prove an access token of this issuer."""
    assert issuer.introspection is not None
    return issuer.introspection.jwt_types


def presented(token: ShapedToken) -> Secret:
    return signed(token.header, token.claims) if token.header else Secret(token.token or OPAQUE)


def verdict(validator: TokenValidator, token: Secret, role: Role, declared: str) -> str:
    """As a client whose file names this issuer for its opaque tokens."""
    try:
        validator(PresentedToken(token, role, DECLARED[declared], opaque_tokens_from="idp"))
    except Refusal as refusal:
        return refusal.reason.slug.removeprefix(f"{role}_token_")
    return "accepted"


@pytest.mark.parametrize("profile", asking_profiles())
def test_every_token_gets_what_its_file_expects(profile: str, endpoint: Endpoint) -> None:
    wrong = []
    for token in tokens(profile):
        assert token.answer is not None, f"{token}: say what the issuer answers"
        endpoint.answer = lambda _, answer=token.answer: json_answer(answer)
        for role in Role:
            for declared in ("access_token", "jwt") if token.header else ("access_token",):
                endpoint.asked.clear()
                found = verdict(validator_of(issuer_of(token, endpoint)), presented(token), role, declared)
                if found != token.expect or (token.expect in ASKED_AFTER) > bool(endpoint.asked):
                    wrong.append(
                        f"{token}: as {role}, declared {declared}: {found}, asked {len(endpoint.asked)} times"
                    )
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("profile", asking_profiles())
def test_an_opaque_token_is_no_jwt_whatever_it_is_called(profile: str, endpoint: Endpoint) -> None:
    token = next(token for token in tokens(profile) if token.expect == "accepted")
    endpoint.asked.clear()
    opaque = Secret(token.token or OPAQUE)
    assert verdict(validator_of(issuer_of(token, endpoint)), opaque, Role.SUBJECT, "jwt") == "malformed"
    assert endpoint.asked == []


@pytest.mark.parametrize("profile", asking_profiles())
def test_what_shows_another_kind_is_refused_before_anybody_is_asked(profile: str, endpoint: Endpoint) -> None:
    """The answer says ``active`` and ``Bearer`` to everything, as those of Okta and PingOne do for ID tokens."""
    genuine = next(token for token in tokens(profile) if token.expect == "accepted")
    issuer = issuer_of(genuine, endpoint)
    validator = validator_of(issuer)
    endpoint.answer = lambda _: json_answer(genuine.answer)
    endpoint.asked.clear()
    holes = []
    for token in foreign_tokens():
        if str(token.header.get("typ", "")).removeprefix("application/") in issuer_types(issuer):
            continue
        compact = signed(token.header, with_issuer(token.claims, issuer.issuer))
        found = verdict(validator, compact, Role.SUBJECT, "access_token")
        if found not in KIND_REASONS | FORM_REASONS:
            holes.append(f"{token}: {found}")
    assert not holes, "\n".join(holes)
    assert endpoint.asked == []


@pytest.mark.parametrize("profile", asking_profiles())
def test_the_issuer_s_file_must_say_how_it_is_asked(profile: str, endpoint: Endpoint) -> None:
    token = next(token for token in tokens(profile) if token.expect == "accepted")
    file = {name: value for name, value in token.issuer_file().items() if name != "introspection"}
    with pytest.raises(PolicyFaults, match="write `introspection`"):
        load_issuers({"idp": file})


def test_the_subject_of_a_person_is_what_stays_with_them(endpoint: Endpoint) -> None:
    subjects = {}
    for profile in asking_profiles():
        token = next(token for token in tokens(profile) if token.expect == "accepted")
        endpoint.answer = lambda _, answer=token.answer: json_answer(answer)
        request = PresentedToken(presented(token), Role.SUBJECT, opaque_tokens_from="idp")
        verified = validator_of(issuer_of(token, endpoint))(request)
        assert isinstance(verified, VerifiedToken)
        assert "token" not in verified.claims
        assert "active" not in verified.claims
        subjects[profile] = verified.subject
    assert subjects == {
        "github": "583231",
        "google-tokeninfo": "100000000000000000001",
        "okta-org": "00u0000000000user01",
        "onelogin": "10000001",
        "opaque": "u1",
    }
