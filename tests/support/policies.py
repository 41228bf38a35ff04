"""A small, valid ``policies/`` directory that a test varies by keyword: one issuer, two clients, one audience."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support import keys
from tests.support.idp import BACKEND

AUDIENCE = "https://orders.example"
RESOURCE = "https://orders.example/api"
SECRET_CLIENT = "shop"
"""Authenticates with ``CLIENT_SECRET``, by ``client_secret_basic`` or ``client_secret_post``."""
CLIENT_SECRET = "a-secret-that-only-the-tests-know_0123456789"
KEY_CLIENT = "shop-with-key"
"""Authenticates with ``client_assertion(...)``, by ``private_key_jwt``."""
BASIC = (SECRET_CLIENT, CLIENT_SECRET)
CLIENT_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

Files = Mapping[str, Mapping[str, Any] | str | None]
"""File name without ``.yaml`` to its content: a mapping, YAML text, or ``None`` for no such file."""


def secret_hash(secret: str) -> str:
    """Return the hash of a client secret as a client file holds it."""
    return f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}"


def server_file(**changes: Any) -> dict[str, Any]:
    """``server.yaml``; tests run the service under its own address with EXCHANGE_ISSUER."""
    return {"issuer": "https://exchange.example"} | changes


def issuer_file(issuer: str, **changes: Any) -> dict[str, Any]:
    """``issuers/idp.yaml``: an RFC 9068 issuer on loopback, found by discovery."""
    loopback = {"allow_insecure_http": True} if issuer.startswith("http://") else {}
    return {"issuer": issuer, "profile": "rfc9068", "audience": [BACKEND]} | loopback | changes


def secret_client_file(**changes: Any) -> dict[str, Any]:
    """``clients/shop.yaml``."""
    return {
        "client_id": SECRET_CLIENT,
        "audience": [BACKEND],
        "authentication": {"client_secret": {"hash": [secret_hash(CLIENT_SECRET)]}},
    } | changes


def key_client_file(**changes: Any) -> dict[str, Any]:
    """``clients/shop-with-key.yaml``: the key is ``keys.private_key("ES256", "client")``."""
    jwks = {"keys": [keys.public_jwk("ES256", "client")]}
    return {
        "client_id": KEY_CLIENT,
        "audience": [f"{BACKEND}/with-key"],
        "authentication": {"private_key_jwt": {"jwks": jwks}},
    } | changes


def rule(**changes: Any) -> dict[str, Any]:
    """The one rule of ``audiences/orders.yaml``."""
    return {
        "id": "shop-reads-orders",
        "why": "The shop shows customers their own orders.",
        "client": SECRET_CLIENT,
        "subject": {"issuer": "idp"},
        "scopes": {"orders:read": ["orders.read"], "orders:write": ["orders.write"]},
    } | changes


def key_client_rule(**changes: Any) -> dict[str, Any]:
    """The same for the client with a key, whose tokens come under its own name."""
    return rule(id="shop-with-key-reads-orders", client=KEY_CLIENT, **changes)


def audience_file(*rules: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """``audiences/orders.yaml``; without ``rules`` both clients may read and write orders."""
    return {
        "audience": AUDIENCE,
        "resources": [RESOURCE],
        "scopes": ["orders:read", "orders:write"],
        "rules": [dict(entry) for entry in rules] or [rule(), key_client_rule()],
    } | changes


def write_policies(
    directory: Path,
    *,
    issuer: str,
    server: Mapping[str, Any] | str | None = None,
    issuers: Files | None = None,
    clients: Files | None = None,
    audiences: Files | None = None,
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write a valid directory and return it.

    ``server`` replaces ``server.yaml``; ``issuers``, ``clients`` and ``audiences`` add files to the defaults
    ``idp``, ``shop``, ``shop-with-key`` and ``orders``, replace them, or drop them (``None``). ``files`` is written
    last, as it is, by path.
    """
    defaults: dict[str, dict[str, Any]] = {
        "issuers": {"idp": issuer_file(issuer, audience=[BACKEND, f"{BACKEND}/with-key"])},
        "clients": {SECRET_CLIENT: secret_client_file(), KEY_CLIENT: key_client_file()},
        "audiences": {"orders": audience_file()},
    }
    directory.mkdir(parents=True, exist_ok=True)
    _write(directory / "server.yaml", server if server is not None else server_file())
    for kind, changed in (("issuers", issuers), ("clients", clients), ("audiences", audiences)):
        (directory / kind).mkdir(exist_ok=True)
        for name, content in (defaults[kind] | dict(changed or {})).items():
            if content is not None:
                _write(directory / kind / f"{name}.yaml", content)
    for path, text in (files or {}).items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    return directory


def _write(path: Path, content: Mapping[str, Any] | str) -> None:
    # json round trip: no YAML anchors for a value that occurs twice
    text = (
        content
        if isinstance(content, str)
        else yaml.safe_dump(json.loads(json.dumps(dict(content))), sort_keys=False)
    )
    path.write_text(text)


def client_assertion(
    audience: str, *, header: dict[str, Any] | None = None, label: str = "client", **claims: Any
) -> dict[str, str]:
    """Return the form parameters of ``private_key_jwt`` for ``KEY_CLIENT``; a claim given as ``None`` is left out."""
    now = int(time.time())
    genuine = {
        "iss": KEY_CLIENT,
        "sub": KEY_CLIENT,
        "aud": audience,
        "iat": now,
        "exp": now + 60,
        "jti": str(uuid.uuid4()),
    }
    present = {name: value for name, value in (genuine | claims).items() if value is not None}
    return {
        "client_assertion_type": CLIENT_ASSERTION_TYPE,
        "client_assertion": keys.sign(present, algorithm="ES256", label=label, header=header),
    }
