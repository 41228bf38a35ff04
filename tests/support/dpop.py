"""The sender's side of DPoP (RFC 9449): proofs as a client makes them, and every way to make them wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from typing import Any

import jwt
import requests
from joserfc.jwk import import_key

from tests.support import keys
from tests.support.service import ACCESS_TOKEN, GRANT_TYPE, RunningService

REQUIRED = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n"), "OKP": ("crv", "kty", "x")}


class DpopKey:
    """A key of a client, and the proofs that it makes; another ``label`` is another key."""

    def __init__(self, algorithm: str = "ES256", label: str = "dpop") -> None:
        self.algorithm = algorithm
        self.label = label

    @property
    def jwk(self) -> dict[str, Any]:
        """The public JWK, its required members alone."""
        jwk = keys.public_jwk(self.algorithm, self.label)
        return {name: jwk[name] for name in REQUIRED[jwk["kty"]]}

    @property
    def jkt(self) -> str:
        """Its thumbprint (RFC 7638)."""
        return import_key(self.jwk).thumbprint()

    def proof(self, htu: Any, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a proof for a POST to ``htu``; members given as ``None`` are left out."""
        genuine = {"jti": str(uuid.uuid4()), "htm": "POST", "htu": htu, "iat": int(time.time())}
        head = {"typ": "dpop+jwt", "jwk": self.jwk} | (header or {})
        return jwt.PyJWS(algorithms=[self.algorithm]).encode(
            json.dumps(_present(genuine | claims)).encode(),
            keys.private_key(self.algorithm, self.label),
            algorithm=self.algorithm,
            headers={name: value for name, value in head.items() if value is not None},
        )


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def ath(token: str) -> str:
    """Return the hash of a token as ``ath`` (RFC 9449 §4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def send(
    service: RunningService, token: str, auth: tuple[str, str] | None, dpop: str | None, **parameters: Any
) -> requests.Response:
    """Exchange ``token`` with this ``DPoP`` header."""
    form = {"grant_type": GRANT_TYPE, "subject_token": token, "subject_token_type": ACCESS_TOKEN} | parameters
    headers = {"DPoP": dpop} if dpop is not None else {}
    return service.post_token({k: v for k, v in form.items() if v is not None}, auth, headers=headers)


def nonce(service: RunningService) -> str:
    """Return a fresh nonce, as any answer to a request with a proof carries one."""
    return service.post_token({}, headers={"DPoP": "-"}).headers["DPoP-Nonce"]


def exchange(
    service: RunningService,
    token: str,
    auth: tuple[str, str] | None,
    key: DpopKey,
    *,
    proof: dict[str, Any] | None = None,
    **parameters: Any,
) -> requests.Response:
    """Exchange ``token`` with a genuine proof of ``key``, in which ``proof`` changes the claims."""
    claims = {"nonce": nonce(service)} | (proof or {})
    return send(service, token, auth, key.proof(f"{service.issuer}/token", **claims), **parameters)
