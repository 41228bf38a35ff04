"""The backend "shop": how a client authenticates with a key of its own and exchanges a token.

`make run` tells its story. What you would copy into your own backend is `client_assertion` and `form`.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

PORT = 9401
CLIENT_ID = "shop"
TARGET = "https://orders.example"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"

_http = build_opener(ProxyHandler({}))  # everything here is on loopback


class Backend:
    """A client with its own key, whose public half it publishes (RFC 7523, `private_key_jwt`)."""

    def __init__(self, *, issuer: str, idp: str, port: int = PORT) -> None:
        """``issuer`` is the exchange service; ``idp`` is where people log in."""
        self.issuer = issuer
        self.idp = idp
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._key_id = secrets.token_urlsafe(8)
        handler = type("Handler", (_Handler,), {"backend": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Publish the keys, in the background."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop publishing."""
        self._server.shutdown()
        self._server.server_close()

    def jwks(self) -> dict[str, Any]:
        """The public half of the key (RFC 7517 §5)."""
        jwk = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**jwk, "kid": self._key_id, "alg": "ES256", "use": "sig"}]}

    def client_assertion(self) -> str:
        """Say who we are, once: one audience, a minute, a fresh `jti` (RFC 7523 §3)."""
        now = int(time.time())
        claims = {
            "iss": CLIENT_ID,
            "sub": CLIENT_ID,
            "aud": self.issuer,
            "jti": secrets.token_urlsafe(12),
            "iat": now,
            "exp": now + 60,
        }
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": self._key_id})

    def form(self, subject_token: str) -> dict[str, str]:
        """The request of RFC 8693 §2.1."""
        return {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": subject_token,
            "subject_token_type": ACCESS_TOKEN,
            "audience": TARGET,
            "scope": "orders:read",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self.client_assertion(),
        }

    def login(self, person: str) -> dict[str, Any]:
        """Log a person in at the demo IdP, as the front end would."""
        _, tokens = post(f"{self.idp}/demo/login", {"username": person})
        return tokens


class _Handler(BaseHTTPRequestHandler):
    """The backend's keys; and for trying things out with curl, ready-made request bodies."""

    backend: Backend

    def do_GET(self) -> None:
        if self.path == "/jwks.json":
            self._answer("application/json", json.dumps(self.backend.jwks()))
        elif self.path in {"/demo/access_token", "/demo/id_token"}:
            # A real backend never hands these out: it sends them. This one lives on loopback, for you.
            token = self.backend.login("ada")[self.path.rpartition("/")[2]]
            self._answer("application/x-www-form-urlencoded", urlencode(self.backend.form(token)))
        else:
            self.send_error(404)

    def _answer(self, media_type: str, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """The terminal belongs to the demonstration."""


def get(url: str) -> tuple[int, dict[str, Any]]:
    """GET a JSON document; returns status and document."""
    return _send(Request(url))


def post(url: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """POST a form; returns status and JSON document, of refusals too."""
    return _send(Request(url, data=urlencode(form).encode()))


def _send(request: Request) -> tuple[int, dict[str, Any]]:
    try:
        with _http.open(request, timeout=15) as response:
            return response.status, json.load(response)
    except HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)
