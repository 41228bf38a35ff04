"""A real client, unchanged: ``requests-oauth2client``, which knows token exchange, ``private_key_jwt`` and DPoP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from requests_oauth2client import (
    BearerToken,
    ClientSecretBasic,
    ClientSecretPost,
    DPoPKey,
    DPoPToken,
    InvalidClient,
    InvalidRequest,
    InvalidScope,
    OAuth2Client,
    PrivateKeyJwt,
)

from tests.interop.exchanging import private_jwk
from tests.support.idp import BACKEND, FakeIssuer
from tests.support.policies import AUDIENCE, CLIENT_SECRET, KEY_CLIENT, SECRET_CLIENT
from tests.support.service import ACCESS_TOKEN, RunningService
from tests.support.services import verified_claims

METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")


def authentication(method: str) -> ClientSecretBasic | ClientSecretPost | PrivateKeyJwt:
    if method == "client_secret_basic":
        return ClientSecretBasic(SECRET_CLIENT, CLIENT_SECRET)
    if method == "client_secret_post":
        return ClientSecretPost(SECRET_CLIENT, CLIENT_SECRET)
    return PrivateKeyJwt(KEY_CLIENT, private_jwk=private_jwk())


Make = Callable[..., OAuth2Client]


@pytest.fixture
def client(service: RunningService) -> Iterator[Make]:
    """Set up from what the service says of itself; ``testing`` lets it speak HTTP, to loopback."""
    metadata = service.get("/.well-known/oauth-authorization-server").json()
    with requests.Session() as session:
        session.trust_env = False

        def make(method: str, auth: Any = None) -> OAuth2Client:
            auth = auth or authentication(method)
            return OAuth2Client.from_discovery_document(
                metadata, issuer=service.issuer, auth=auth, session=session, testing=True
            )

        yield make


def access_token(idp: FakeIssuer, method: str) -> str:
    return idp.access_token(aud=f"{BACKEND}/with-key" if method == "private_key_jwt" else BACKEND)


@pytest.mark.parametrize("method", METHODS)
def test_it_exchanges_an_access_token(
    service: RunningService, idp: FakeIssuer, client: Make, method: str
) -> None:
    issued = client(method).token_exchange(
        subject_token=access_token(idp, method),
        subject_token_type="access_token",
        requested_token_type=ACCESS_TOKEN,
        audience=AUDIENCE,
        scope="orders:read",
    )

    claims = verified_claims(service, issued.access_token, AUDIENCE)
    assert type(issued) is BearerToken
    assert (claims["sub"], claims["scope"], issued.scope) == ("idp|ada", "orders:read", "orders:read")
    assert issued.issued_token_type == ACCESS_TOKEN


@pytest.mark.parametrize(
    ("method", "algorithm"),
    [*((method, "ES256") for method in METHODS), (METHODS[0], "RS256"), (METHODS[0], "EdDSA")],
)
def test_it_answers_the_demand_for_a_nonce_by_itself_and_gets_a_bound_token(
    service: RunningService, idp: FakeIssuer, client: Make, method: str, algorithm: str
) -> None:
    key = DPoPKey.generate(alg=algorithm)
    before = len(service.audit())
    issued = client(method).token_exchange(
        subject_token=access_token(idp, method),
        subject_token_type="access_token",
        audience=AUDIENCE,
        dpop=True,
        dpop_key=key,
    )

    assert type(issued) is DPoPToken
    assert verified_claims(service, issued.access_token, AUDIENCE)["cnf"] == {"jkt": key.dpop_jkt}
    assert [record.get("reason") for record in service.audit()[before:]] == ["dpop_nonce_required", None]


def test_it_keeps_its_key_and_its_nonce_for_the_next_exchange(
    service: RunningService, idp: FakeIssuer, client: Make
) -> None:
    asking, key = client("client_secret_basic"), DPoPKey.generate()
    for reasons in (["dpop_nonce_required", None], [None]):
        before = len(service.audit())
        asking.token_exchange(
            subject_token=idp.access_token(),
            subject_token_type="access_token",
            audience=AUDIENCE,
            dpop=True,
            dpop_key=key,
        )
        assert [record.get("reason") for record in service.audit()[before:]] == reasons


@pytest.mark.parametrize("dpop", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_it_understands_the_refusal_of_an_id_token(
    service: RunningService, idp: FakeIssuer, client: Make, method: str, dpop: bool
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        client(method).token_exchange(
            subject_token=idp.id_token(), subject_token_type="access_token", audience=AUDIENCE, dpop=dpop
        )

    assert refused.value.error == "invalid_request"
    assert "ID token" in refused.value.description
    assert refused.value.uri == f"{service.issuer}/errors#subject_token_is_id_token"


def test_it_has_an_error_of_its_own_for_each_kind(idp: FakeIssuer, client: Make) -> None:
    asked = {"subject_token": idp.access_token(), "subject_token_type": "access_token", "audience": AUDIENCE}
    with pytest.raises(InvalidScope):
        client("client_secret_post").token_exchange(**asked, scope="orders:delete")
    with pytest.raises(InvalidClient):
        client("client_secret_post", ClientSecretPost(SECRET_CLIENT, "another-secret")).token_exchange(
            **asked
        )
