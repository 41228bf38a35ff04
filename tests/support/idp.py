"""Somebody's IdP, inside the test: real HTTP on loopback, real keys, and it signs whatever it is asked to."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.support import keys

BACKEND = "https://shop.example"
"""The audience of the tokens that this issuer makes: the backend that presents them."""

Answer = tuple[int, dict[str, str], bytes]


class FakeIssuer:
    """An issuer with discovery and a JWKS; ``with FakeIssuer() as idp:`` serves it until the block ends.

    ``requests`` lists the paths it was asked for. ``jwks`` is what it publishes: change it to rotate keys.
    ``answers[path]`` replaces an answer, by bytes (sent as JSON with 200) or by a function that returns status,
    headers and body. ``down = True`` makes every answer 503.
    """

    def __init__(self, *, algorithm: str = "RS256", label: str = "a", path: str = "") -> None:
        self.algorithm = algorithm
        self.label = label
        self.path = path
        self.jwks: dict[str, Any] = {"keys": [keys.public_jwk(algorithm, label)]}
        self.requests: list[str] = []
        self.answers: dict[str, bytes | Callable[[], Answer]] = {}
        self.down = False
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def issuer(self) -> str:
        """``iss`` of its tokens."""
        return self.origin + self.path

    @property
    def jwks_uri(self) -> str:
        """Where its keys are."""
        return f"{self.issuer}/jwks.json"

    def metadata(self) -> dict[str, Any]:
        """Its discovery document (OpenID Connect Discovery 1.0 §3)."""
        return {
            "issuer": self.issuer,
            "jwks_uri": self.jwks_uri,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.algorithm],
        }

    def sign(
        self,
        claims: dict[str, Any],
        *,
        header: dict[str, Any] | None = None,
        algorithm: str | None = None,
        label: str | None = None,
    ) -> str:
        """Sign exactly these claims, whatever they are, with its own key unless told otherwise."""
        return keys.sign(
            claims, algorithm=algorithm or self.algorithm, label=label or self.label, header=header
        )

    def access_token(self, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Sign a genuine RFC 9068 access token for ``BACKEND``; a claim given as ``None`` is left out."""
        return self.sign(self.access_token_claims(**claims), header={"typ": "at+jwt", **(header or {})})

    def id_token(self, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Sign the same person's ID token (OpenID Connect Core §2)."""
        return self.sign(self.id_token_claims(**claims), header=header)

    def access_token_claims(self, **claims: Any) -> dict[str, Any]:
        """The claims of a genuine access token (RFC 9068 §2.2)."""
        now = int(time.time())
        genuine = {
            "iss": self.issuer,
            "sub": "ada",
            "aud": BACKEND,
            "client_id": "shop-web",
            "scope": "orders.read orders.write",
            "iat": now,
            "exp": now + 3600,
            "jti": str(uuid.uuid4()),
        }
        return _without_none(genuine | claims)

    def id_token_claims(self, **claims: Any) -> dict[str, Any]:
        """The claims of the ID token issued with it."""
        now = int(time.time())
        genuine = {
            "iss": self.issuer,
            "sub": "ada",
            "aud": "shop-web",
            "azp": "shop-web",
            "nonce": "n-0S6_WzA2Mj",
            "at_hash": "77QmUPtjPfzWtF2AnpK9RQ",
            "auth_time": now,
            "email": "ada@shop.example",
            "iat": now,
            "exp": now + 3600,
        }
        return _without_none(genuine | claims)

    def answer(self, path: str) -> Answer:
        """What a GET of ``path`` returns: status, headers and body."""
        self.requests.append(path)
        if self.down:
            return 503, {}, b""
        replaced = self.answers.get(path)
        if callable(replaced):
            return replaced()
        body = replaced if replaced is not None else self._document(path)
        return (404, {}, b"") if body is None else (200, {"Content-Type": "application/json"}, body)

    def _document(self, path: str) -> bytes | None:
        documents: dict[str, Callable[[], dict[str, Any]]] = {
            f"{self.path}/.well-known/openid-configuration": self.metadata,
            f"/.well-known/oauth-authorization-server{self.path}": self.metadata,
            f"{self.path}/jwks.json": lambda: self.jwks,
        }
        document = documents.get(path)
        return json.dumps(document()).encode() if document else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, idp: FakeIssuer) -> None:
        self.idp = idp
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a caller that hangs up is part of many tests."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status, headers, body = self.server.idp.answer(self.path)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Keep standard error clean."""


def _without_none(claims: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if value is not None}
