"""A real client, unchanged: google-auth's STS client with ``client_secret_basic``."""

from __future__ import annotations

from collections.abc import Iterator

import jwt
import pytest
import requests
from google.auth.exceptions import OAuthError
from google.auth.transport.requests import Request
from google.oauth2 import sts, utils

from tests.support.idp import FakeIssuer
from tests.support.policies import AUDIENCE, CLIENT_SECRET, SECRET_CLIENT
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService


@pytest.fixture
def transport() -> Iterator[Request]:
    with requests.Session() as session:
        session.trust_env = False
        yield Request(session)


def sts_client(service: RunningService, secret: str = CLIENT_SECRET) -> sts.Client:
    authentication = utils.ClientAuthentication(utils.ClientAuthType.basic, SECRET_CLIENT, secret)
    return sts.Client(f"{service.url}/token", authentication)


def test_it_exchanges_an_access_token(service: RunningService, idp: FakeIssuer, transport: Request) -> None:
    answer = sts_client(service).exchange_token(
        transport,
        GRANT_TYPE,
        idp.access_token(),
        ACCESS_TOKEN,
        audience=AUDIENCE,
        scopes=["orders:read"],
        requested_token_type=ACCESS_TOKEN,
    )

    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert (claims["sub"], claims["aud"]) == ("idp|ada", AUDIENCE)
    assert answer["issued_token_type"] == ACCESS_TOKEN
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == claims["exp"] - claims["iat"]


def test_it_understands_the_refusal_of_an_id_token(
    service: RunningService, idp: FakeIssuer, transport: Request
) -> None:
    with pytest.raises(OAuthError, match=r"Error code invalid_request: .*ID token") as refused:
        sts_client(service).exchange_token(
            transport, GRANT_TYPE, idp.id_token(), ACCESS_TOKEN, audience=AUDIENCE
        )

    assert "subject_token_is_id_token" in str(refused.value)


def test_it_understands_that_its_secret_is_wrong(
    service: RunningService, idp: FakeIssuer, transport: Request
) -> None:
    with pytest.raises(OAuthError, match="Error code invalid_client"):
        sts_client(service, "another-secret").exchange_token(
            transport, GRANT_TYPE, idp.access_token(), ACCESS_TOKEN, audience=AUDIENCE
        )
