"""A demonstration IdP: somebody else's program, on loopback, for `make run` and `make demo`.

It logs in whoever asks and issues what an OpenID provider issues: an access token for the backend (RFC 9068)
and an ID token for the front end. Its key is new at every start. It knows nothing of the exchange service.

    python examples/demo_idp.py [PORT]
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

PORT = 9400
FRONT_END = "shop-web"  # the client that people log in with
BACKEND = "https://shop.example"  # the backend that the front end calls with the access token
LIFETIME = 600  # seconds
PEOPLE = {
    "ada": {"name": "Ada", "roles": ["customer"], "scope": "openid orders.read"},
    "grace": {"name": "Grace", "roles": ["clerk"], "scope": "openid orders.read orders.write"},
}


class DemoIdp:
    """The issuer: its address, its key, and the two tokens of a login."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._key_id = secrets.token_urlsafe(8)

    def metadata(self) -> dict[str, Any]:
        """OpenID Connect Discovery 1.0 §3."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks.json",
            "authorization_endpoint": f"{self.issuer}/demo/login",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    def jwks(self) -> dict[str, Any]:
        """The public half of the key (RFC 7517 §5)."""
        jwk = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**jwk, "kid": self._key_id, "alg": "ES256", "use": "sig"}]}

    def login(self, person: str) -> dict[str, Any]:
        """Issue what a login gives: an access token for the backend, an ID token for the front end."""
        access_token = self._access_token(person)
        return {
            "access_token": access_token,
            "id_token": self._id_token(person, access_token),
            "token_type": "Bearer",
            "expires_in": LIFETIME,
        }

    def _access_token(self, person: str) -> str:
        claims = {
            "aud": BACKEND,
            "client_id": FRONT_END,
            "scope": PEOPLE[person]["scope"],
            "roles": PEOPLE[person]["roles"],
            "tenant": "acme",
            "jti": secrets.token_urlsafe(12),
        }
        return self._sign(person, claims, typ="at+jwt")  # RFC 9068 §2.1

    def _id_token(self, person: str, access_token: str) -> str:
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        claims = {
            "aud": FRONT_END,
            "nonce": secrets.token_urlsafe(12),
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),  # OpenID Connect Core §3.1.3.6
            "name": PEOPLE[person]["name"],
        }
        return self._sign(person, claims, typ="JWT")

    def _sign(self, person: str, claims: dict[str, Any], typ: str) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": person, **claims, "iat": now, "exp": now + LIFETIME}
        headers = {"kid": self._key_id, "typ": typ}
        return jwt.encode(claims, self._key, algorithm="ES256", headers=headers)


class Handler(BaseHTTPRequestHandler):
    """GET the metadata and the keys; POST username=ada to /demo/login."""

    idp: DemoIdp

    def do_GET(self) -> None:
        documents = {"/.well-known/openid-configuration": self.idp.metadata, "/jwks.json": self.idp.jwks}
        if self.path in documents:
            self._answer(200, documents[self.path]())
        else:
            self._answer(404, {"error": "not_found"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        person = parse_qs(body).get("username", [""])[0]
        if self.path == "/demo/login" and person in PEOPLE:
            self._answer(200, self.idp.login(person))
        else:
            self._answer(400, {"error": "invalid_request", "error_description": "POST username=ada"})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """The terminal belongs to the demonstration."""


def main() -> None:
    """Serve until interrupted."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else PORT
    Handler.idp = DemoIdp(f"http://127.0.0.1:{port}")
    try:
        ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
