"""A downstream API: it takes the tokens that the exchange service issues, and nothing else.

    python examples/orders_api.py --issuer https://exchange.example --audience https://orders.example

What you would copy into your own API is `IssuedTokens`, `BoundTokens` and `Challenges`. Authlib's resource
protector runs them (RFC 9068 §4, RFC 6750, RFC 9449 §7).
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.request import ProxyHandler, build_opener

from authlib.integrations.flask_oauth2 import ResourceProtector, current_token
from authlib.integrations.flask_oauth2.errors import raise_http_exception
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6750.errors import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from flask import Flask, Response, jsonify, request
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, import_key

ALGORITHM = "ES256"
"""`signing_algorithm` of the exchange service: one algorithm, and never the one that a token names."""
KEYS_SECONDS = 300
ASK_AGAIN_SECONDS = 10
PROOF_SECONDS = 60
REALM = "orders"

_http = build_opener(ProxyHandler({}))


class IssuerKeys:
    """The service's public keys, fetched again every five minutes, and when a token names a new one."""

    def __init__(self, jwks_uri: str) -> None:
        self._jwks_uri = jwks_uri
        self._lock = threading.Lock()
        self._keys = KeySet([])
        self._fetched = -float(KEYS_SECONDS)

    def for_token(self, token: str) -> KeySet:
        """Return the key set; a `kid` that somebody made up has it fetched no more often."""
        known = {key.kid for key in self._keys.keys}
        age = time.monotonic() - self._fetched
        if age > KEYS_SECONDS or (header_of(token).get("kid") not in known and age > ASK_AGAIN_SECONDS):
            with self._lock, _http.open(self._jwks_uri, timeout=5) as answer:
                self._keys = KeySet.import_key_set(json.load(answer))
                self._fetched = time.monotonic()
        return self._keys


class IssuedTokens(JWTBearerTokenValidator):
    """`Authorization: Bearer`: a token of the service, for this API, that is bound to nobody."""

    def __init__(self, issuer: str, audience: str, keys: IssuerKeys) -> None:
        super().__init__(issuer=issuer, resource_server=audience, realm=REALM)
        self._keys = keys

    def authenticate_token(self, token_string: str) -> Any:
        """Return the claims, the signature verified."""
        # Authlib takes a token without `typ`, and any algorithm that its library recommends. We know what our
        # issuer writes, so nothing else will do (RFC 9068 §4).
        header = header_of(token_string)
        if header.get("typ") != "at+jwt" or header.get("alg") != ALGORITHM:
            raise InvalidTokenError(realm=REALM)
        return super().authenticate_token(token_string)

    def get_jwks(self) -> KeySet:
        """Return the keys, which Authlib asks for while it verifies the token of this request."""
        return self._keys.for_token(sent_token())

    def validate_token(self, token: Any, scopes: Any, request: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Check issuer, audience, times and scope, then whom the token is bound to."""
        super().validate_token(token, scopes, request, **kwargs)
        self.check_sender(token)

    def check_sender(self, token: Any) -> None:
        """A bound token sent as a bearer token is a stolen one, for all that we know (RFC 9449 §7.1)."""
        if "cnf" in token:
            raise InvalidTokenError(realm=REALM)


class BoundTokens(IssuedTokens):
    """`Authorization: DPoP`: as above, and the sender proves that it holds the key in `cnf.jkt`."""

    TOKEN_TYPE = "dpop"

    def __init__(self, issuer: str, audience: str, keys: IssuerKeys, url: str) -> None:
        super().__init__(issuer, audience, keys)
        self._url = url
        self._seen: dict[str, float] = {}  # one process; several share it through Redis or the like
        self._lock = threading.Lock()

    def check_sender(self, token: Any) -> None:
        """RFC 9449 §4.3 and §7.1, in that order."""
        proof = request.headers.get("DPoP", "")
        header = header_of(proof)
        if (
            header.get("typ") != "dpop+jwt"
            or header.get("alg") != ALGORITHM
            or not isinstance(header.get("jwk"), dict)
            or "d" in header["jwk"]
        ):
            raise InvalidTokenError(realm=REALM)
        try:
            key = import_key(header["jwk"])
            claims = jwt.decode(proof, key, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError, TypeError):
            raise InvalidTokenError(realm=REALM) from None
        issued_at = claims.get("iat")
        good = (
            claims.get("htm") == request.method,
            claims.get("htu") == self._url + request.path,
            isinstance(issued_at, int) and abs(time.time() - issued_at) <= PROOF_SECONDS,
            hmac.compare_digest(str(claims.get("ath")), _hash(sent_token())),
            hmac.compare_digest(str(token.get("cnf", {}).get("jkt")), key.thumbprint()),
        )
        if not all(good) or not self._first_use(str(claims.get("jti"))):
            raise InvalidTokenError(realm=REALM)

    def _first_use(self, proof_id: str) -> bool:
        with self._lock:
            now = time.time()
            self._seen = {seen: until for seen, until in self._seen.items() if until > now}
            return self._seen.setdefault(proof_id, now + 2 * PROOF_SECONDS) == now + 2 * PROOF_SECONDS


class Challenges(ResourceProtector):
    """What a good 401 and 403 look like (RFC 6750 §3, RFC 9449 §7.1)."""

    def raise_error_response(self, error: OAuth2Error) -> NoReturn:
        """401 says how to come back, and `invalid_token` to who has tried; 403 is for scopes."""
        missing = error.error in {"missing_authorization", "unsupported_token_type"}
        short_of_scope = isinstance(error, InsufficientScopeError)
        parameters = [f'realm="{REALM}"']
        if short_of_scope:
            parameters.append('error="insufficient_scope"')
        elif not missing:  # RFC 6750 §3.1: no error code for whoever has not tried yet
            parameters.append('error="invalid_token"')
        challenge = ", ".join(parameters)
        headers = [
            ("WWW-Authenticate", f"Bearer {challenge}"),
            ("WWW-Authenticate", f'DPoP {challenge}, algs="{ALGORITHM}"'),
            ("Content-Type", "application/json"),
        ]
        body = {
            "error": "insufficient_scope"
            if short_of_scope
            else "unauthorized"
            if missing
            else "invalid_token"
        }
        raise_http_exception(403 if short_of_scope else 401, json.dumps(body), headers)


def sent_token() -> str:
    """Return what stands behind the scheme in `Authorization`."""
    return request.headers["Authorization"].split(None, 1)[1]


def header_of(token: str) -> dict[str, Any]:
    """Return the unverified header, or an empty one."""
    try:
        return dict(jws.extract_compact(token.encode()).headers())
    except (JoseError, ValueError):
        return {}


def _hash(token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def actors(token: Any) -> list[str]:
    """Return who acted for the subject, the last one first; `act` is nested (RFC 8693 §4.1)."""
    found, act = [], token.get("act")
    while isinstance(act, dict):
        found.append(str(act.get("sub")))
        act = act.get("act")
    return found


def create_api(issuer: str, audience: str, url: str) -> Flask:
    """Return the API; ``url`` is how its clients see it, for DPoP."""
    keys = IssuerKeys(f"{issuer}/jwks.json")
    require: Callable[..., Any] = Challenges()
    require.register_token_validator(IssuedTokens(issuer, audience, keys))  # type: ignore[attr-defined]
    require.register_token_validator(BoundTokens(issuer, audience, keys, url))  # type: ignore[attr-defined]
    api = Flask("orders")

    @api.get("/orders")
    @require("orders:read")  # type: ignore[untyped-decorator]
    def read_orders() -> Response:
        # Whose orders: the subject's, always. Who asks (`client_id`) and who acts (`act`) are for the audit
        # log, and for rules such as the one below; they give nobody more than the subject has.
        return jsonify(
            orders_of=current_token["sub"], asked_by=current_token["client_id"], acting=actors(current_token)
        )

    @api.post("/orders")
    @require("orders:write")  # type: ignore[untyped-decorator]
    def place_order() -> Response:
        if actors(
            current_token
        ):  # a scope says what may be done; whether an agent may do it is this API's decision
            return Response('{"error": "no_agents"}', 403, mimetype="application/json")
        return jsonify(placed_for=current_token["sub"])

    return api


def main() -> None:
    """Serve on loopback."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--issuer", required=True, help="the exchange service: `iss` of its tokens")
    parser.add_argument("--audience", required=True, help="this API: `aud` of tokens for it")
    parser.add_argument("--port", type=int, default=9402)
    given = parser.parse_args()
    api = create_api(given.issuer, given.audience, f"http://127.0.0.1:{given.port}")
    api.run("127.0.0.1", given.port)


if __name__ == "__main__":
    main()
