"""Promise 9: no token, secret or upstream body in a log, an error, a metric or a page."""

from __future__ import annotations

import base64

import pytest

from tests.support import keys
from tests.support.idp import FakeIssuer
from tests.support.policies import AUDIENCE, BASIC, CLIENT_SECRET, client_assertion
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService

MARK = "LeakMarker0123456789"


def everything_said(service: RunningService) -> str:
    return service.stdout() + service.stderr() + service.get("/metrics").text + service.get("/readyz").text


def form(idp: FakeIssuer, **changes: object) -> dict[str, object]:
    genuine = {
        "grant_type": GRANT_TYPE,
        "subject_token": idp.access_token(),
        "subject_token_type": ACCESS_TOKEN,
        "audience": AUDIENCE,
    }
    return genuine | changes


@pytest.mark.parametrize(
    "name",
    [
        "grant_type",
        "subject_token",
        "subject_token_type",
        "actor_token",
        "actor_token_type",
        "audience",
        "resource",
        "scope",
        "requested_token_type",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "made_up",
    ],
)
def test_no_parameter_is_echoed_or_logged(service: RunningService, idp: FakeIssuer, name: str) -> None:
    answer = service.post_token(form(idp, **{name: MARK}), BASIC)
    assert MARK not in answer.text + str(answer.headers)
    assert MARK not in everything_said(service)


@pytest.mark.parametrize("name", ["audience", "resource", "scope", "client_id", "requested_token_type"])
def test_a_token_pasted_into_the_wrong_parameter_is_not_logged(
    service: RunningService, idp: FakeIssuer, name: str
) -> None:
    token = idp.access_token()
    answer = service.post_token(form(idp, **{name: token}), BASIC)
    for part in token.split("."):
        assert part not in answer.text
        assert part not in everything_said(service)


def test_issued_and_presented_tokens_are_not_logged(service: RunningService, idp: FakeIssuer) -> None:
    token = idp.access_token()
    answer = service.post_token(form(idp, subject_token=token), BASIC)
    said = everything_said(service)
    for secret in (*token.split("."), *answer.json()["access_token"].split(".")):
        assert secret not in said


def test_client_secrets_are_not_logged(service: RunningService, idp: FakeIssuer) -> None:
    service.post_token(form(idp), BASIC)
    service.post_token(form(idp), ("shop", MARK))
    service.post_token(form(idp, client_id="shop", client_secret=CLIENT_SECRET))
    assertion = client_assertion(f"{service.issuer}/token")
    service.post_token(form(idp) | assertion)
    said = everything_said(service)
    basic = base64.b64encode(f"shop:{CLIENT_SECRET}".encode()).decode()
    for secret in (CLIENT_SECRET, MARK, basic, assertion["client_assertion"].split(".")[2]):
        assert secret not in said


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "jti", "scope", "client_id", "typ", "nonce", "email"])
@pytest.mark.parametrize("value", [MARK, [MARK], {MARK: MARK}])
def test_claims_of_a_refused_token_are_not_echoed(
    service: RunningService, idp: FakeIssuer, claim: str, value: object
) -> None:
    claims = idp.access_token_claims(**{claim: value})
    token = keys.sign_anything(claims, header={"typ": "at+jwt"})
    answer = service.post_token(form(idp, subject_token=token), BASIC)
    if answer.status_code != 200:
        assert MARK not in answer.text + str(answer.headers)
