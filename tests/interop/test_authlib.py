"""A real client, unchanged: Authlib's ``OAuth2Session``, with each way to authenticate that it has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey

from tests.support import keys
from tests.support.idp import BACKEND, FakeIssuer
from tests.support.policies import AUDIENCE, CLIENT_SECRET, KEY_CLIENT, SECRET_CLIENT
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService
from tests.support.services import verified_claims

METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")


def session_of(method: str, secret: str = CLIENT_SECRET) -> OAuth2Session:
    if method != "private_key_jwt":
        return OAuth2Session(SECRET_CLIENT, secret, token_endpoint_auth_method=method)
    key = ECKey.import_key(keys.private_key("ES256", "client"), {"kid": "ES256-client"})
    session = OAuth2Session(KEY_CLIENT, key, token_endpoint_auth_method=method)
    session.register_client_auth_method(PrivateKeyJWT(alg="ES256"))
    return session


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def session(method: str) -> Iterator[OAuth2Session]:
    with session_of(method) as made:
        made.trust_env = False
        yield made


def exchange(
    session: OAuth2Session, service: RunningService, token: str, **parameters: str
) -> dict[str, str]:
    metadata = service.get("/.well-known/oauth-authorization-server").json()
    answer: dict[str, str] = session.fetch_token(
        metadata["token_endpoint"],
        grant_type=GRANT_TYPE,
        subject_token=token,
        subject_token_type=ACCESS_TOKEN,
        audience=AUDIENCE,
        **parameters,
    )
    return answer


def test_it_exchanges_an_access_token(
    service: RunningService, idp: FakeIssuer, session: OAuth2Session, method: str
) -> None:
    token = idp.access_token(aud=f"{BACKEND}/with-key" if method == "private_key_jwt" else BACKEND)
    issued = exchange(session, service, token, scope="orders:read")

    claims = verified_claims(service, issued["access_token"], AUDIENCE)
    assert (claims["sub"], claims["scope"]) == ("idp|ada", "orders:read")
    assert (issued["token_type"], issued["issued_token_type"]) == ("Bearer", ACCESS_TOKEN)


def test_it_understands_the_refusal_of_an_id_token(
    service: RunningService, idp: FakeIssuer, session: OAuth2Session
) -> None:
    with pytest.raises(OAuthError, match="ID token") as refused:
        exchange(session, service, idp.id_token())

    assert refused.value.error == "invalid_request"


@pytest.mark.parametrize("method", METHODS[:2], indirect=True)
def test_it_understands_that_its_secret_is_wrong(
    service: RunningService, idp: FakeIssuer, method: str
) -> None:
    with (
        session_of(method, "another-secret") as session,
        pytest.raises(OAuthError, match="invalid_client"),
    ):
        exchange(session, service, idp.access_token())
