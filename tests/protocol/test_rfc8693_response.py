"""RFC 8693 §2.2.1 and RFC 9068: what is handed out."""

from __future__ import annotations

import time

import jwt
import pytest

from tests.support.idp import FakeIssuer
from tests.support.policies import AUDIENCE, BASIC, KEY_CLIENT, RESOURCE, client_assertion
from tests.support.refused import assert_issued, assert_refused
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, JWT, RunningService


def verified(service: RunningService, token: str) -> tuple[dict, dict]:
    """Return header and claims, verified as a downstream API would: by ``/jwks.json``, issuer and audience."""
    header = jwt.get_unverified_header(token)
    (key,) = [key for key in service.jwks()["keys"] if key["kid"] == header["kid"]]
    claims = jwt.decode(
        token,
        jwt.PyJWK(key),
        algorithms=["ES256"],
        audience=AUDIENCE,
        issuer=service.issuer,
        options={"require": ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]},
    )
    return header, claims


def test_the_answer_has_the_members_of_rfc8693(service: RunningService, idp: FakeIssuer) -> None:
    answer = service.exchange(idp.access_token(), BASIC, audience=AUDIENCE)
    body = answer.json()
    assert set(body) == {"access_token", "issued_token_type", "token_type", "expires_in", "scope"}
    assert body["issued_token_type"] == ACCESS_TOKEN
    assert body["token_type"] == "Bearer"
    assert 0 < body["expires_in"] <= 300
    assert body["scope"] == "orders:read orders:write"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert answer.headers["Content-Type"] == "application/json"


def test_the_issued_token_is_an_rfc9068_access_token(service: RunningService, idp: FakeIssuer) -> None:
    answer = service.exchange(idp.access_token(email="ada@shop.example"), BASIC, audience=AUDIENCE)
    header, claims = verified(service, answer.json()["access_token"])
    assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
    assert set(claims) == {"iss", "sub", "aud", "client_id", "iat", "exp", "jti", "scope"}
    assert (claims["sub"], claims["client_id"], claims["aud"]) == ("idp|ada", "shop", AUDIENCE)
    assert claims["exp"] - claims["iat"] == answer.json()["expires_in"] == 300
    assert claims["scope"] == answer.json()["scope"]


def test_the_issued_token_never_outlives_the_subject_token(service: RunningService, idp: FakeIssuer) -> None:
    expiry = int(time.time()) + 40
    answer = service.exchange(idp.access_token(exp=expiry), BASIC, audience=AUDIENCE)
    _, claims = verified(service, answer.json()["access_token"])
    assert claims["exp"] == expiry
    assert answer.json()["expires_in"] <= 40


def test_requesting_a_jwt_gives_the_same_token_under_that_name(
    service: RunningService, idp: FakeIssuer
) -> None:
    answer = service.exchange(idp.access_token(), BASIC, audience=AUDIENCE, requested_token_type=JWT)
    assert answer.json()["issued_token_type"] == JWT
    assert verified(service, answer.json()["access_token"])[0]["typ"] == "at+jwt"


@pytest.mark.parametrize("target", [{"audience": AUDIENCE}, {"resource": RESOURCE}])
def test_audience_and_resource_name_the_same_target(
    service: RunningService, idp: FakeIssuer, target: dict[str, str]
) -> None:
    answer = service.exchange(idp.access_token(), BASIC, **target)
    assert verified(service, answer.json()["access_token"])[1]["aud"] == AUDIENCE


def test_a_narrower_scope_is_granted_as_asked(service: RunningService, idp: FakeIssuer) -> None:
    answer = service.exchange(idp.access_token(), BASIC, audience=AUDIENCE, scope="orders:read")
    assert answer.json()["scope"] == "orders:read"
    assert verified(service, answer.json()["access_token"])[1]["scope"] == "orders:read"


def test_scopes_shrink_to_what_the_subject_token_carries(service: RunningService, idp: FakeIssuer) -> None:
    answer = service.exchange(idp.access_token(scope="orders.read"), BASIC, audience=AUDIENCE)
    assert answer.json()["scope"] == "orders:read"


@pytest.mark.parametrize("scope", ["orders:write", "orders:read orders:write", "made:up", "ORDERS:READ"])
def test_a_scope_beyond_the_grant_is_invalid_scope(
    service: RunningService, idp: FakeIssuer, scope: str
) -> None:
    answer = service.exchange(idp.access_token(scope="orders.read"), BASIC, audience=AUDIENCE, scope=scope)
    assert_refused(service, answer, "scope_not_permitted")


def test_no_target_is_invalid_target(service: RunningService, idp: FakeIssuer) -> None:
    assert_refused(service, service.exchange(idp.access_token(), BASIC), "target_missing")


@pytest.mark.parametrize(
    "target",
    [
        {"audience": "https://nobody.example"},
        {"audience": f"{AUDIENCE}/"},
        {"audience": AUDIENCE.upper()},
        {"resource": "not a uri"},
        {"resource": f"{RESOURCE}#part"},
        {"audience": AUDIENCE, "resource": "https://nobody.example"},
        {"audience": "https://nobody.example", "resource": RESOURCE},
        {"audience": [AUDIENCE, "https://nobody.example"]},
    ],
)
def test_an_unknown_target_is_invalid_target_whichever_parameter_names_it(
    service: RunningService, idp: FakeIssuer, target: dict
) -> None:
    assert_refused(service, service.exchange(idp.access_token(), BASIC, **target), "target_unknown")


def test_a_token_meant_for_another_backend_is_refused(service: RunningService, idp: FakeIssuer) -> None:
    token = idp.access_token(
        aud="https://shop.example/with-key"
    )  # trusted here, but sent to the other client
    assert_refused(service, service.exchange(token, BASIC, audience=AUDIENCE), "presenter_mismatch")


def test_a_client_with_a_key_exchanges_as_well(service: RunningService, idp: FakeIssuer) -> None:
    token = idp.access_token(aud="https://shop.example/with-key")
    form = {
        "grant_type": GRANT_TYPE,
        "subject_token": token,
        "subject_token_type": ACCESS_TOKEN,
        "audience": AUDIENCE,
    }
    answer = service.post_token(form | client_assertion(f"{service.issuer}/token"))
    record = assert_issued(service, answer)
    assert (record["client_id"], record["client_authentication"]) == (KEY_CLIENT, "private_key_jwt")
