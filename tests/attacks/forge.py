"""Tokens as attackers make them: the bytes of header and payload exactly as given, signed with real keys."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import time
import uuid
from collections.abc import Mapping
from typing import Any

import jwt
from jwt.utils import base64url_encode

from tests.support import keys
from tests.support.idp import BACKEND
from tests.support.service import RunningService

ISSUER = "https://idp.example"
"""The issuer of tests that need no IdP to be reached: its keys stand in the policies."""
HEADER: Mapping[str, Any] = {"typ": "at+jwt", "alg": "RS256", "kid": "RS256-a"}

Json = Mapping[str, Any] | bytes
"""An object to be encoded, or bytes that no encoder would write."""


def segment(data: bytes) -> str:
    """Return ``data`` in base64url without padding (RFC 7515 §2)."""
    return base64url_encode(data).decode("ascii")


def encoded(part: Json) -> bytes:
    return part if isinstance(part, bytes) else json.dumps(part).encode()


def access_claims(issuer: str = ISSUER, **changes: Any) -> dict[str, Any]:
    """Return the claims of a genuine RFC 9068 access token; ``...`` leaves a claim out, ``None`` is JSON's null."""
    now = int(time.time())
    claims = {
        "iss": issuer,
        "sub": "ada",
        "aud": BACKEND,
        "client_id": "shop-web",
        "scope": "orders.read orders.write",
        "iat": now,
        "exp": now + 3600,
        "jti": str(uuid.uuid4()),
    }
    return {name: value for name, value in (claims | changes).items() if value is not ...}


def header(**changes: Any) -> dict[str, Any]:
    """Return the header of a genuine access token; ``...`` leaves a member out."""
    return {name: value for name, value in {**HEADER, **changes}.items() if value is not ...}


def signature(signing_input: str, *, algorithm: str = "RS256", label: str = "a") -> bytes:
    """Sign with ``keys.private_key(algorithm, label)``, whatever a header says."""
    found = jwt.get_algorithm_by_name(algorithm)
    return found.sign(signing_input.encode("ascii"), keys.private_key(algorithm, label))


def forged(
    head: Json | None = None, payload: Json | None = None, *, algorithm: str = "RS256", label: str = "a"
) -> str:
    """Return a compact JWS of these very bytes; without changes it is a genuine access token of ``ISSUER``."""
    head = header() if head is None else head
    payload = access_claims() if payload is None else payload
    unsigned = f"{segment(encoded(head))}.{segment(encoded(payload))}"
    return f"{unsigned}.{segment(signature(unsigned, algorithm=algorithm, label=label))}"


def forged_with_secret(secret: bytes, head: Json, payload: Json | None = None) -> str:
    """Return a compact JWS with an HMAC, as ``HS256`` makes it (RFC 7518 §3.2)."""
    unsigned = f"{segment(encoded(head))}.{segment(encoded(access_claims() if payload is None else payload))}"
    return f"{unsigned}.{segment(hmac.new(secret, unsigned.encode(), hashlib.sha256).digest())}"


def with_raw(name: str, value: str, **changes: Any) -> bytes:
    """Return the JSON of genuine claims in which ``name`` has ``value``, JSON text that no encoder would write."""
    claims = access_claims(**{name: ..., **changes})
    return f'{json.dumps(claims)[:-1]}, "{name}": {value}}}'.encode()


def both_workers(service: RunningService) -> set[int]:
    """Return the process ids of the two workers; the service is ready as soon as one of them answers."""
    deadline = time.monotonic() + 20
    while len(found := worker_ids(service)) != 2:
        assert time.monotonic() < deadline, "there are not two workers"
        time.sleep(0.05)
    return found


def worker_ids(service: RunningService) -> set[int]:
    """Return the process ids of gunicorn's workers."""
    found = subprocess.run(
        ["pgrep", "-P", str(service.pid)], capture_output=True, text=True, check=False, timeout=10
    )
    return {int(line) for line in found.stdout.split()}
