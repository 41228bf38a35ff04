"""Real clients, unchanged: npm's ``openid-client`` and ``oauth4webapi``; ``jose`` verifies what was issued."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.node_client import LIBRARIES, call
from tests.support.idp import BACKEND, FakeIssuer
from tests.support.policies import AUDIENCE, KEY_CLIENT, SECRET_CLIENT
from tests.support.service import ACCESS_TOKEN, RunningService

METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")
TOKEN, DISCOVERY = "/token", "/.well-known/oauth-authorization-server"


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def access_token(idp: FakeIssuer, method: str) -> str:
    return idp.access_token(aud=f"{BACKEND}/with-key" if method == "private_key_jwt" else BACKEND)


def parameters(subject_token: str, **more: str) -> dict[str, Any]:
    found = {"subject_token": subject_token, "subject_token_type": ACCESS_TOKEN, "audience": AUDIENCE}
    return {"parameters": found | more}


@pytest.mark.parametrize("method", METHODS)
def test_it_finds_the_service_and_exchanges_an_access_token(
    service: RunningService, idp: FakeIssuer, library: str, method: str
) -> None:
    token = access_token(idp, method)
    answer = call(library, service.issuer, method, **parameters(token, scope="orders:read"))

    client_id = KEY_CLIENT if method == "private_key_jwt" else SECRET_CLIENT
    assert (answer["claims"]["sub"], answer["claims"]["client_id"]) == ("idp|ada", client_id)
    assert answer["claims"]["scope"] == answer["issued"]["scope"] == "orders:read"
    assert answer["issued"]["issued_token_type"] == ACCESS_TOKEN
    assert answer["issued"]["token_type"] == "bearer"  # these libraries read it in lower case
    assert "cnf" not in answer["claims"]
    assert [(one["path"], one["status"]) for one in answer["sent"]] == [(DISCOVERY, 200), (TOKEN, 200)]


@pytest.mark.parametrize("algorithm", ["ES256", "PS256"])
def test_it_answers_the_demand_for_a_nonce_by_itself_and_gets_a_bound_token(
    service: RunningService, idp: FakeIssuer, library: str, algorithm: str
) -> None:
    method = "client_secret_basic"
    answer = call(library, service.issuer, method, dpop=algorithm, **parameters(access_token(idp, method)))

    assert answer["issued"]["token_type"] == "dpop"
    assert answer["claims"]["cnf"] == {"jkt": answer["jkt"]}
    assert answer["sent"][1:] == [
        {"path": TOKEN, "status": 400, "dpop": True},
        {"path": TOKEN, "status": 200, "dpop": True},
    ]


def test_it_sends_a_fresh_assertion_with_the_second_proof(
    service: RunningService, idp: FakeIssuer, library: str
) -> None:
    method = "private_key_jwt"
    answer = call(library, service.issuer, method, dpop="ES256", **parameters(access_token(idp, method)))

    assert answer["claims"]["cnf"] == {"jkt": answer["jkt"]}
    assert [one["status"] for one in answer["sent"][1:]] == [400, 200]


@pytest.mark.parametrize(("method", "dpop"), [*((method, None) for method in METHODS), (METHODS[0], "ES256")])
def test_it_understands_the_refusal_of_an_id_token(
    service: RunningService, idp: FakeIssuer, library: str, method: str, dpop: str | None
) -> None:
    refused = call(library, service.issuer, method, dpop=dpop, **parameters(idp.id_token()))["refused"]

    assert (refused["type"], refused["error"], refused["status"]) == (
        "ResponseBodyError",
        "invalid_request",
        400,
    )
    assert refused["reason"] == "subject_token_is_id_token"
    assert "ID token" in refused["error_description"]


def test_it_understands_that_its_secret_is_wrong(
    service: RunningService, idp: FakeIssuer, library: str
) -> None:
    method = "client_secret_post"
    asked = parameters(access_token(idp, method))
    refused = call(library, service.issuer, method, secret="another-secret", **asked)["refused"]

    assert (refused["error"], refused["status"]) == ("invalid_client", 401)
