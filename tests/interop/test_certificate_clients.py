"""Real clients, unchanged, that authenticate with a certificate to a real nginx in front of the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from requests_oauth2client import InvalidClient, InvalidRequest, OAuth2Client, PublicApp

from tests.attacks.forge import access_claims, forged
from tests.attacks.test_client_certificates import AUTHORITY, BFF, LEDGER, OTHER, OWN, believing
from tests.interop.node_client import LIBRARIES, call
from tests.interop.proxies import KINDS, Proxy, program_or_skip
from tests.support.certificates import Certificate
from tests.support.idp import BACKEND
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService
from tests.support.services import verified_claims

KIND = KINDS["nginx"]
KNOWN = [("by-name-and-authority", BFF), ("by-thumbprint", OWN)]
"""A client of each method: ``tls_client_auth``, ``self_signed_tls_client_auth``."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    program_or_skip(KIND.program)
    with believing(tmp_path_factory.mktemp("behind"), KIND.header) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("nginx")
    with Proxy(KIND, directory, upstream=service.url, authority=AUTHORITY, self_signed=True) as running:
        yield running


@pytest.fixture
def connect(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give a session of ``requests`` the client certificate that all its connections have."""

    def with_certificate(session: requests.Session, certificate: Certificate) -> None:
        session.trust_env = False
        session.verify = str(proxy.server_authority)
        session.cert = certificate.write(tmp_path_factory.mktemp("client"), "client")

    return with_certificate


def access_token(client_id: str, **claims: Any) -> str:
    return forged(payload=access_claims(aud=f"{BACKEND}/{client_id}", **claims))


def id_token(client_id: str) -> str:
    head = {"typ": "JWT", "alg": "RS256", "kid": "RS256-a"}
    return forged(head, access_claims(aud=client_id, nonce="n-0S6_WzA2Mj", scope=...))


def assert_bound(service: RunningService, token: str, client_id: str, certificate: Certificate) -> None:
    claims = verified_claims(service, token, LEDGER)
    assert claims["client_id"] == client_id
    assert claims["cnf"] == {"x5t#S256": certificate.thumbprint}


@pytest.mark.parametrize(("client_id", "certificate"), KNOWN)
def test_requests_oauth2client(
    service: RunningService, proxy: Proxy, connect: Any, client_id: str, certificate: Certificate
) -> None:
    with requests.Session() as session:
        connect(session, certificate)
        client = OAuth2Client(f"{proxy.url}/token", auth=PublicApp(client_id), session=session, testing=True)
        asked = {"subject_token_type": ACCESS_TOKEN, "audience": LEDGER}
        issued = client.token_exchange(subject_token=access_token(client_id), **asked)
        assert_bound(service, issued.access_token, client_id, certificate)

        with pytest.raises(InvalidRequest, match="ID token"):
            client.token_exchange(subject_token=id_token(client_id), **asked)
        connect(session, OTHER)
        with pytest.raises(InvalidClient):
            client.token_exchange(subject_token=access_token(client_id), **asked)


@pytest.mark.parametrize(("client_id", "certificate"), KNOWN)
def test_authlib(
    service: RunningService, proxy: Proxy, connect: Any, client_id: str, certificate: Certificate
) -> None:
    with OAuth2Session(client_id, token_endpoint_auth_method="none") as session:
        connect(session, certificate)

        def exchange(token: str) -> dict[str, Any]:
            answer: dict[str, Any] = session.fetch_token(
                f"{proxy.url}/token",
                grant_type=GRANT_TYPE,
                subject_token=token,
                subject_token_type=ACCESS_TOKEN,
                audience=LEDGER,
            )
            return answer

        assert_bound(service, exchange(access_token(client_id))["access_token"], client_id, certificate)
        with pytest.raises(OAuthError, match="ID token"):
            exchange(id_token(client_id))
        connect(session, OTHER)
        with pytest.raises(OAuthError, match="invalid_client"):
            exchange(access_token(client_id))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("client_id", "certificate"), KNOWN)
def test_clients_on_node(
    service: RunningService, proxy: Proxy, library: str, client_id: str, certificate: Certificate
) -> None:
    metadata = {
        "issuer": service.issuer,
        "token_endpoint": f"{proxy.url}/token",
        "jwks_uri": f"{service.issuer}/jwks.json",
    }

    def exchange(token: str, shown: Certificate) -> dict[str, Any]:
        tls = {"cert": shown.pem, "key": shown.key_pem, "ca": proxy.server_authority.read_text()}
        parameters = {"subject_token": token, "subject_token_type": ACCESS_TOKEN, "audience": LEDGER}
        asked = {"client_id": client_id, "metadata": metadata, "tls": tls, "parameters": parameters}
        return call(library, service.issuer, "tls_client_auth", **asked)

    answer = exchange(access_token(client_id), certificate)
    assert answer["claims"]["cnf"] == {"x5t#S256": certificate.thumbprint}
    assert answer["issued"]["token_type"] == "bearer"
    refused = exchange(id_token(client_id), certificate)["refused"]
    assert (refused["error"], refused["reason"]) == ("invalid_request", "subject_token_is_id_token")
    assert exchange(access_token(client_id), OTHER)["refused"]["error"] == "invalid_client"
