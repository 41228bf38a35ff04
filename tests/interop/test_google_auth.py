"""A real client, unchanged: google-auth, its STS client and the external accounts that use it, by Basic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
import requests
from google.auth.exceptions import OAuthError
from google.auth.identity_pool import Credentials
from google.auth.transport.requests import Request
from google.oauth2 import sts, utils

from tests.support.idp import FakeIssuer
from tests.support.policies import AUDIENCE, CLIENT_SECRET, SECRET_CLIENT
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService
from tests.support.services import verified_claims


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


def external_account(service: RunningService, file: Path, secret: str = CLIENT_SECRET) -> Credentials:
    """Workload credentials as an application configures them: the subject token is what a file holds."""
    return Credentials(
        audience=AUDIENCE,
        subject_token_type=ACCESS_TOKEN,
        token_url=f"{service.url}/token",
        credential_source={"file": str(file)},
        client_id=SECRET_CLIENT,
        client_secret=secret,
        scopes=["orders:read"],
    )


def test_its_external_account_credentials_exchange_an_access_token(
    service: RunningService, idp: FakeIssuer, transport: Request, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(idp.access_token())
    credentials = external_account(service, tmp_path / "token")
    credentials.refresh(transport)

    claims = verified_claims(service, credentials.token, AUDIENCE)
    assert (claims["sub"], claims["scope"]) == ("idp|ada", "orders:read")
    assert credentials.valid


def test_its_external_account_credentials_understand_refusals(
    service: RunningService, idp: FakeIssuer, transport: Request, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(idp.id_token())
    with pytest.raises(OAuthError, match=r"Error code invalid_request: .*ID token"):
        external_account(service, tmp_path / "token").refresh(transport)
    with pytest.raises(OAuthError, match="Error code invalid_client"):
        external_account(service, tmp_path / "token", "another-secret").refresh(transport)
