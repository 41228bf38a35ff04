"""Issuers that are asked about tokens, inside the test: real HTTP on loopback.

``PartnerServer`` is Authlib's own RFC 7662 endpoint, ``GoogleTokenInfo`` and ``GitHubApi`` answer as those two
document it, and ``Endpoint`` answers whatever it is told to.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Flask, Response, request
from werkzeug.serving import make_server

from tests.support import keys
from tests.support.idp import BACKEND
from tests.support.tokens import signed_as_it_is

CLIENT_ID = "exchange"
SECRET = "what-the-exchange-calls-itself-there_0123456789"
VARIABLE = "PARTNER_INTROSPECTION_SECRET"
CREDENTIALS = {"client_id": CLIENT_ID, "client_secret": f"${{{VARIABLE}}}"}
KEY_LABEL = "partner"
SIGNED = "application/token-introspection+jwt"

Answer = tuple[int, dict[str, str], bytes]


def json_answer(members: object, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(members).encode()


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def basic(self) -> tuple[str, str]:
        """User and password of HTTP Basic, as they were before RFC 6749 §2.3.1 encoded them."""
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        assert scheme == "Basic"
        name, _, password = base64.b64decode(encoded).decode().partition(":")
        return unquote_plus(name), unquote_plus(password)


class Endpoint:
    """Answers every request with ``answer(asked)``, and keeps what it was asked in ``asked``.

    ``with Endpoint(...) as endpoint:`` serves until the block ends. ``hold`` makes every request wait for ``let_go``.
    """

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.hold = False
        self.let_go = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Whoever hangs up is part of many tests."""


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            url = urlsplit(self.path)
            asked = Asked(self.command, url.path, dict(parse_qsl(url.query)), dict(self.headers), body)
            endpoint.asked.append(asked)
            if endpoint.hold:
                endpoint.let_go.wait(30)
            status, headers, content = endpoint.answer(asked)
            with contextlib.suppress(OSError):
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = _serve  # noqa: N815  # the base class names them so

        def log_message(self, *_: object) -> None:
            """Keep standard error clean."""

    return Handler


# ── an RFC 7662 server ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class _Client:
    client_id: str = CLIENT_ID
    secret: str = SECRET

    def check_client_secret(self, secret: str) -> bool:
        return secrets.compare_digest(secret, self.secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return endpoint == "introspection" and method in {"client_secret_basic", "client_secret_post"}


@dataclass
class _Token:
    members: dict[str, Any]
    revoked: bool = False

    def is_expired(self) -> bool:
        return bool(self.members.get("exp", time.time() + 1) <= time.time())

    def is_revoked(self) -> bool:
        return self.revoked


@dataclass
class PartnerServer:
    """An authorization server with opaque tokens; introspection is Authlib's, client authentication included.

    ``asked`` counts the questions. Its signed answers (RFC 9701) are signed with ``KEY_LABEL``.
    """

    issuer: str = "https://login.partner.example"
    asked: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tokens: dict[str, _Token] = {}
        app = Flask("partner")
        server = AuthorizationServer(
            app,
            query_client=lambda name: _Client() if name == CLIENT_ID else None,
            save_token=lambda *_: None,
        )
        server.register_endpoint(self._endpoint())

        @app.post("/introspect")
        def introspect() -> Response:
            self.asked.append(request.form.to_dict())
            answer: Response = server.create_endpoint_response("introspection")  # type: ignore[no-untyped-call]
            if request.headers.get("Accept") == SIGNED and answer.status_code == 200:
                return Response(signed_answer(answer.get_json(), iss=self.issuer), content_type=SIGNED)
            return answer

        @app.get("/jwks.json")
        def jwks() -> Any:
            return {"keys": [keys.public_jwk("ES256", KEY_LABEL)]}

        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def _endpoint(self) -> type[IntrospectionEndpoint]:
        partner = self

        class Introspection(IntrospectionEndpoint):
            CLIENT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")

            def check_permission(self, token: object, client: object, asked: object) -> bool:
                return True

            def query_token(self, token_string: str, token_type_hint: str | None) -> _Token | None:
                return partner._tokens.get(token_string)

            def introspect_token(self, token: _Token) -> dict[str, Any]:
                return dict(token.members)

        return Introspection

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def issue(self, token: str | None = None, **members: Any) -> str:
        """Return a token of which it says ``members`` besides the usual; ``None`` leaves one out."""
        issued = token or f"partner_{secrets.token_urlsafe(24)}"
        said = partner_answer() | members
        self._tokens[issued] = _Token({name: value for name, value in said.items() if value is not None})
        return issued

    def revoke(self, token: str) -> None:
        self._tokens[token].revoked = True


def signed_answer(
    members: object, *, header: dict[str, Any] | None = None, label: str = KEY_LABEL, **claims: Any
) -> str:
    """RFC 9701 §5; ``claims`` replace the genuine ones, and ``None`` leaves one out."""
    genuine = {
        "iss": "https://login.partner.example",
        "aud": CLIENT_ID,
        "iat": int(time.time()),
        "token_introspection": members,
    }
    payload = {name: value for name, value in (genuine | claims).items() if value is not None}
    typed = {"typ": "token-introspection+jwt"} | (header or {})
    return signed_as_it_is(typed, payload, label=label).reveal()


def partner_answer() -> dict[str, Any]:
    """What a genuine access token for ``BACKEND`` is answered with (RFC 7662 §2.2), but for ``active``."""
    now = int(time.time())
    return {
        "token_type": "Bearer",
        "client_id": "shop-web",
        "sub": "ada",
        "aud": BACKEND,
        "scope": "orders.read orders.write",
        "iat": now,
        "exp": now + 3600,
    }


# ── Google and GitHub ───────────────────────────────────────────────────────────────────────────────────────────────


class GoogleTokenInfo(Endpoint):
    """``oauth2.googleapis.com/tokeninfo``: numbers as strings, 400 for what it does not know."""

    def __init__(self) -> None:
        super().__init__(self._tokeninfo)
        self.tokens: dict[str, dict[str, Any]] = {}

    def _tokeninfo(self, asked: Asked) -> Answer:
        members = self.tokens.get(asked.query.get("access_token", ""))
        if asked.path != "/tokeninfo":
            return json_answer({}, 404)
        if members is None:
            return json_answer({"error": "invalid_token", "error_description": "Invalid Value"}, 400)
        return json_answer(members)

    def issue(self, token: str, client_id: str, **members: Any) -> str:
        now = int(time.time())
        self.tokens[token] = {
            "azp": client_id,
            "aud": client_id,
            "sub": "100000000000000000001",
            "scope": "openid https://www.googleapis.com/auth/userinfo.email",
            "exp": str(now + 3599),
            "expires_in": "3599",
            "email": "jo@example.com",
            "email_verified": "true",
            "access_type": "online",
        } | members
        return token


class GitHubApi(Endpoint):
    """``POST /applications/{client_id}/token``: the app's own tokens, 404 for all others, 401 for all other apps."""

    def __init__(self, client_id: str, secret: str) -> None:
        super().__init__(self._check_a_token)
        self._client = (client_id, secret)
        self.tokens: dict[str, dict[str, Any]] = {}

    def _check_a_token(self, asked: Asked) -> Answer:
        client_id, _ = self._client
        if asked.basic != self._client:
            return json_answer({"message": "Bad credentials"}, 401)
        if (asked.method, asked.path) != ("POST", f"/applications/{client_id}/token"):
            return json_answer({"message": "Not Found"}, 404)
        assert asked.headers["User-Agent"], "GitHub refuses requests without one"
        token = json.loads(asked.body).get("access_token")
        if not isinstance(token, str):
            return json_answer({"message": "Validation Failed"}, 422)
        members = self.tokens.get(token)
        return (
            json_answer({"message": "Not Found"}, 404)
            if members is None
            else json_answer({**members, "token": token})
        )

    def issue(self, token: str, **members: Any) -> str:
        client_id, _ = self._client
        self.tokens[token] = {
            "id": 1,
            "url": "https://api.github.com/authorizations/1",
            "scopes": ["read:user", "user:email"],
            "token_last_eight": token[-8:],
            "hashed_token": "25f94a2a5c7fbaf499c665bc73d67c1c87e496da8985131633ee0a95819db2e8",
            "app": {"url": "https://shop.example", "name": "Shop", "client_id": client_id},
            "note": None,
            "created_at": "2026-09-06T17:26:27Z",
            "updated_at": "2026-09-06T20:39:23Z",
            "fingerprint": None,
            "expires_at": None,
            "user": {"login": "octocat", "id": 583231, "type": "User", "site_admin": False},
        } | members
        return token
