"""Authlib's authorization server with our own edges: parsed form, our client methods, one error exit."""

from __future__ import annotations

from typing import Any, cast

from authlib.oauth2 import AuthorizationServer, OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749.errors import UnsupportedGrantTypeError
from flask import Response

from exchange.clients.authenticate import METHODS, ClientAuthenticator, Method
from exchange.clients.failure import AuthenticationFailure, authentication_failed
from exchange.config.values import RegisteredClient
from exchange.errors import Refusal
from exchange.rate_limits import Limits
from exchange.token_exchange import TokenExchange
from exchange.web.token_exchange_grant import FormRequest, TokenExchangeGrant, form_request


class TokenExchangeServer(AuthorizationServer):
    """Dispatches a request to its grant and runs the registered client authentication methods."""

    def __init__(
        self, *, clients: ClientAuthenticator, token_exchange: TokenExchange, limits: Limits
    ) -> None:
        super().__init__()
        self.clients = clients
        self.limits = limits
        self.token_exchange = token_exchange
        self.register_grant(TokenExchangeGrant)
        for name, method in METHODS.items():
            self.register_client_auth_method(name, self._adapted(method))

    def _adapted(self, method: Method) -> Any:
        def authenticate(_query_client: object, request: FormRequest) -> RegisteredClient:
            found = method(self.clients, request.credentials)
            request.attempt.workload = found.workload
            return found.client

        return authenticate

    def identify(self, request: FormRequest) -> RegisteredClient:
        """Return the authenticated client; exactly one method is tried, the one that was presented.

        Raises ``Refusal``: ``client_authentication_failed``, whatever the cause, ``rate_limited``, or a 503.
        """
        method = self.clients.presented_method(request.credentials)
        request.attempt.client_authentication = method
        client = cast("RegisteredClient", self.authenticate_client(request, [method]))
        request.attempt.client_id = client.client_id
        self.limits.authenticated(client.client_id)
        return client

    def query_client(self, client_id: str) -> Any:
        """Return the configured client or ``None``."""
        return self.clients.clients.get(client_id)

    def create_oauth2_request(self, request: Any) -> OAuth2Request:
        """Return the request as parsed at the edge; Authlib's adapter would read the query string too."""
        if not form_request(request).form_fields.get("grant_type"):  # RFC 6749 §5.2
            raise Refusal("parameter_missing", detail="grant_type")
        return form_request(request)

    def handle_response(self, status: int, body: Any, headers: Any) -> Response:
        """Return Flask's response."""
        return Response(body, status=status, mimetype="application/json", headers=headers)

    def handle_error_response(self, request: OAuth2Request, error: OAuth2Error) -> Response:  # noqa: ARG002
        """Raise our refusal: Authlib's sentences differ by cause, and tell whether a client exists."""
        if isinstance(error, UnsupportedGrantTypeError):
            raise Refusal("grant_type_unsupported") from None
        raise authentication_failed(AuthenticationFailure.METHOD_NOT_REGISTERED) from None

    def send_signal(self, name: Any, *args: object, **kwargs: object) -> None:
        """Do nothing: Authlib's hook for framework signals, of which we have none."""
