"""The one valid request of each method, and a place to present it."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import time
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import quote_plus

import jwt
import pytest

from exchange.clients.assertion import ASSERTION_TYPE
from exchange.clients.authenticate import ClientAuthenticator
from exchange.clients.context import AuthenticationContext
from exchange.clients.failure import AuthenticationFailure
from exchange.config.values import (
    ClientSecretMethod,
    KeySource,
    PrivateKeyJwtMethod,
    RegisteredClient,
    ServerSettings,
    Source,
    TrustedIssuer,
    WorkloadIdentity,
    WorkloadMethod,
)
from exchange.errors import Refusal
from exchange.model import ClientCredentials, Secret
from exchange.outbound import Fetcher
from exchange.stores import Store
from exchange.stores.sqlite import SqliteStore
from exchange.tokens.validate import TokenValidator
from exchange.trust import TrustedIssuers
from exchange.trust.key_cache import KeyCaches
from tests.support import keys

NOW = 1_800_000_000
SKEW = 30
ISSUER = "https://exchange.acme.example"
TOKEN_ENDPOINT = "https://exchange.acme.example/token"

SECRET = "nC6Xf-vZp0Y_3kq8rSgLw2tJhB7mUeKdA1xoQiTzVyM"
ROTATED_SECRET = "O5r_dTgW8zQhUxkP0aJvB-4sYc7LmNeF2iGtRyKpXwE"
ODD_SECRET = "a+b%2Fc d/é:="
ABSENT = object()
PUBLIC_FACE = (
    "invalid_client",
    401,
    "Client authentication failed; check the client identifier, the method and its credentials.",
)


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def registered(
    client_id: str,
    *,
    secrets: tuple[str, ...] | None = None,
    keys_of: KeySource | None = None,
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA"),
    assertion_audience: str = "any",
    workload: tuple[WorkloadIdentity, ...] = (),
) -> RegisteredClient:
    return RegisteredClient(
        name="client",
        source=Source("clients/client.yaml", 1, 1),
        client_id=client_id,
        audience=frozenset({client_id}),
        authorized_party=frozenset({client_id}),
        default_target=None,
        client_secret=None if secrets is None else ClientSecretMethod(tuple(map(digest, secrets))),
        private_key_jwt=None
        if keys_of is None
        else PrivateKeyJwtMethod(keys_of, frozenset(algorithms), assertion_audience),
        workload=WorkloadMethod(workload, assertion_audience) if workload else None,
    )


def jwks(*jwk: dict[str, Any]) -> KeySource:
    return KeySource(document=json.dumps({"keys": list(jwk)}))


A_KEYS = jwks(*(keys.public_jwk(algorithm) for algorithm in ("RS256", "PS256", "ES256", "EdDSA")))

CLIENTS = (
    registered("orders-bff", keys_of=A_KEYS),
    registered("strict-bff", keys_of=A_KEYS, assertion_audience="issuer"),
    registered("other-bff", keys_of=jwks(keys.public_jwk("RS256", "b"))),
    registered("one-algorithm", keys_of=A_KEYS, algorithms=("ES256",)),
    registered("careless", keys_of=A_KEYS, algorithms=("RS256", "HS256", "none")),
    registered("web", secrets=(SECRET,)),
    registered("rotating", secrets=(SECRET, ROTATED_SECRET)),
    registered("odd", secrets=(ODD_SECRET,)),
    registered("https://web.acme.example/a:b", secrets=(SECRET,)),
    registered("no-digest", secrets=()),
    registered("both", secrets=(SECRET,), keys_of=A_KEYS),
    registered("no-method"),
)


class Desk:
    """Presents credentials at a set time, and tells what came of it."""

    def __init__(
        self,
        directory: Path,
        *,
        clients: tuple[RegisteredClient, ...] = CLIENTS,
        issuers: tuple[TrustedIssuer, ...] = (),
    ) -> None:
        self.now: float = NOW
        self.issuers = {issuer.issuer: issuer for issuer in issuers}
        self.database = directory / "var" / "exchange.db"
        self.store: Store = SqliteStore(self.database, clock=self.clock)
        self.fetcher = Fetcher()
        self.key_caches = KeyCaches(fetcher=self.fetcher, clock=time.time)
        self.clients = {client.client_id: client for client in clients}
        self.authenticator = self.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self.store, SqliteStore):
            self.store.close()

    def open(self, store: Store | None = None) -> ClientAuthenticator:
        self.store = store or self.store
        trusted = TrustedIssuers(self.issuers, self.key_caches)
        server = ServerSettings(
            issuer=ISSUER,
            signing_algorithm="ES256",
            token_lifetime=300,
            max_token_lifetime=3600,
            clock_skew=SKEW,
            max_delegation_depth=4,
            max_targets=1,
        )
        self.authenticator = ClientAuthenticator(
            AuthenticationContext(
                clients=MappingProxyType(self.clients),
                issuers=MappingProxyType(self.issuers),
                issuer=ISSUER,
                token_endpoint=TOKEN_ENDPOINT,
                key_caches=self.key_caches,
                verify_workload=TokenValidator(issuers=trusted, server=server, clock=self.clock).workload,
                store=self.store,
                clock_skew=SKEW,
                clock=self.clock,
            )
        )
        return self.authenticator

    def clock(self) -> float:
        return self.now

    def marks(self) -> int:
        if not self.database.exists():
            return 0
        connection = sqlite3.connect(self.database)
        try:
            return connection.execute("SELECT count(*) FROM mark").fetchone()[0]
        finally:
            connection.close()

    def accepts(self, credentials: ClientCredentials) -> str:
        return self.authenticator.authenticate(credentials).client.client_id

    def refuses(self, credentials: ClientCredentials, cause: str, *, marks: int = 0) -> None:
        """Assert that authentication fails for this cause, with the one public face, and uses nothing up."""
        with pytest.raises(Refusal) as caught:
            self.authenticator.authenticate(credentials)
        refusal = caught.value
        assert (refusal.reason.slug, refusal.detail) == ("client_authentication_failed", cause), (
            refusal.detail
        )
        assert (refusal.reason.error, refusal.reason.status, refusal.reason.description) == PUBLIC_FACE
        assert refusal.retry_after is None
        assert cause.partition(":")[0] in {failure.value for failure in AuthenticationFailure}
        assert self.marks() == marks


def basic(client_id: str, secret: str, *, encoded: bool = True, **more: Any) -> ClientCredentials:
    encode = quote_plus if encoded else str
    pair = f"{encode(client_id)}:{encode(secret)}"
    return ClientCredentials(unverified_basic=base64.b64encode(pair.encode()).decode(), **more)


def post(client_id: str | None, secret: str, **more: Any) -> ClientCredentials:
    return ClientCredentials(unverified_client_id=client_id, client_secret=Secret(secret), **more)


def claims(**changes: Any) -> dict[str, Any]:
    valid = {
        "iss": "orders-bff",
        "sub": "orders-bff",
        "aud": ISSUER,
        "iat": NOW - 5,
        "exp": NOW + 60,
        "jti": "j-1",
    }
    return {name: value for name, value in {**valid, **changes}.items() if value is not ABSENT}


def presented(assertion: str, **more: Any) -> ClientCredentials:
    return ClientCredentials(
        **{"client_assertion_type": ASSERTION_TYPE, "client_assertion": Secret(assertion), **more}
    )


def segment(value: object) -> str:
    return base64url(json.dumps(value).encode())


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(
    header: dict[str, Any], payload: dict[str, Any], *, algorithm: str = "RS256", label: str = "a"
) -> str:
    """Sign exactly this header and payload: PyJWT's encoder leaves out or refuses some of what attackers send."""
    text = f"{segment(header)}.{segment(payload)}"
    signer = jwt.get_algorithm_by_name(algorithm)
    return f"{text}.{base64url(signer.sign(text.encode(), keys.private_key(algorithm, label)))}"


def assertion(
    *, header: dict[str, Any] | None = None, algorithm: str = "RS256", label: str = "a", **changes: Any
) -> ClientCredentials:
    """Return the valid client assertion of ``orders-bff``, with these header members and claims changed."""
    members = {"alg": algorithm, "kid": f"{algorithm}-{label}", **(header or {})}
    members = {name: value for name, value in members.items() if value is not ABSENT}
    return presented(signed(members, claims(**changes), algorithm=algorithm, label=label))
