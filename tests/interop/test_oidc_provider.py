"""Tokens of a real OpenID provider: npm's ``oidc-provider``, found by discovery."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from tests.interop.exchanging import assert_refused, exchange, issued
from tests.interop.openid_provider import OPAQUE, OpenIdProvider
from tests.support.idp import BACKEND
from tests.support.policies import AUDIENCE
from tests.support.service import ACCESS_TOKEN, ID_TOKEN, JWT, RunningService


@pytest.fixture(scope="module")
def tokens(provider: OpenIdProvider) -> dict[str, Any]:
    """Ada's: an RFC 9068 access token for the backend, and the ID token that came with it."""
    return provider.log_in(resource=BACKEND, nonce="n-0S6_WzA2Mj")


@pytest.mark.parametrize("declared", [ACCESS_TOKEN, JWT])
def test_a_users_access_token_is_exchanged(
    trusting_service: RunningService, provider: OpenIdProvider, tokens: dict[str, Any], declared: str
) -> None:
    answer = exchange(trusting_service, tokens["access_token"], subject_token_type=declared)

    assert answer.status_code == 200, answer.text
    issued = answer.json()["access_token"]
    header = jwt.get_unverified_header(issued)
    [key] = [
        key for key in jwt.PyJWKSet.from_dict(trusting_service.jwks()).keys if key.key_id == header["kid"]
    ]
    claims = jwt.decode(issued, key, ["ES256"], audience=AUDIENCE, issuer=trusting_service.issuer)
    assert header["typ"] == "at+jwt"
    assert claims["sub"] == "idp|ada"
    assert claims["scope"] == "orders:read"
    assert claims["exp"] <= jwt.decode(tokens["access_token"], options={"verify_signature": False})["exp"]


@pytest.mark.parametrize("declared", [ACCESS_TOKEN, JWT, ID_TOKEN])
def test_the_same_users_id_token_is_refused_whatever_it_is_called(
    trusting_service: RunningService, tokens: dict[str, Any], declared: str
) -> None:
    answer = exchange(trusting_service, tokens["id_token"], subject_token_type=declared)

    reason = "subject_token_type_unsupported" if declared == ID_TOKEN else "subject_token_is_id_token"
    assert_refused(trusting_service, answer, reason)


def test_an_id_token_without_a_single_sign_of_one_is_refused(
    trusting_service: RunningService, provider: OpenIdProvider
) -> None:
    bare = provider.log_in(resource=BACKEND)["id_token"]
    claims = jwt.decode(bare, options={"verify_signature": False})
    assert set(claims) == {"iss", "sub", "aud", "iat", "exp"}

    assert_refused(trusting_service, exchange(trusting_service, bare), "subject_token_kind_unproven")


def test_an_opaque_access_token_is_refused(
    trusting_service: RunningService, provider: OpenIdProvider
) -> None:
    opaque = provider.log_in()["access_token"]
    assert "." not in opaque

    assert_refused(trusting_service, exchange(trusting_service, opaque), "subject_token_malformed")


def test_a_machines_access_token_is_exchanged_too(
    trusting_service: RunningService, provider: OpenIdProvider
) -> None:
    answer = exchange(trusting_service, provider.client_credentials_token())

    assert answer.status_code == 200, answer.text
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert claims["sub"] == "idp|shop-web"


@pytest.fixture(scope="module")
def opaque(provider: OpenIdProvider) -> dict[str, Any]:
    """Ada's: an opaque access token for the backend, and the ID token that came with it."""
    return provider.log_in(resource=OPAQUE)


def test_an_opaque_access_token_is_exchanged_by_what_the_provider_says_of_it(
    asking_service: RunningService, opaque: dict[str, Any]
) -> None:
    assert "." not in opaque["access_token"]

    claims = issued(exchange(asking_service, opaque["access_token"]))

    assert (claims["sub"], claims["scope"]) == ("idp|ada", "orders:read")


def test_an_opaque_access_token_is_no_jwt(asking_service: RunningService, opaque: dict[str, Any]) -> None:
    answer = exchange(asking_service, opaque["access_token"], subject_token_type=JWT)

    assert_refused(asking_service, answer, "subject_token_malformed")


def test_an_opaque_access_token_for_nobody_is_refused(
    asking_service: RunningService, provider: OpenIdProvider
) -> None:
    answer = exchange(asking_service, provider.log_in()["access_token"])

    assert_refused(asking_service, answer, "subject_token_audience_mismatch")


def test_an_id_token_is_refused_where_the_provider_is_asked(
    asking_service: RunningService, opaque: dict[str, Any]
) -> None:
    assert_refused(
        asking_service, exchange(asking_service, opaque["id_token"]), "subject_token_kind_unproven"
    )


def test_a_machines_opaque_access_token_names_nobody_and_is_refused(
    asking_service: RunningService, provider: OpenIdProvider
) -> None:
    answer = exchange(asking_service, provider.client_credentials_token(OPAQUE))

    assert_refused(asking_service, answer, "subject_token_claim_missing")


def test_a_token_that_the_provider_never_issued_is_refused(asking_service: RunningService) -> None:
    answer = exchange(asking_service, "8712Ffb6dmZpyzYa15ggMuXulAFI_ZBTLXuh95sC-kp")

    assert_refused(asking_service, answer, "subject_token_inactive")
