"""Authlib's authorization server, with our own edges: a form-only request, our client methods, one error
exit.
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749 import BaseGrant, TokenEndpointMixin
from authlib.oauth2.rfc6749.errors import OAuth2Error, UnsupportedGrantTypeError
from authlib.oauth2.rfc6749.requests import OAuth2Payload
from flask import Response

from exchange.audit import Attempt
from exchange.clients.authenticate import METHODS, ClientAuthenticator, Method
from exchange.config.values import RegisteredClient
from exchange.errors import Refusal
from exchange.model import ClientCredentials
from exchange.token_exchange import TokenExchange
from exchange.web.form import Form, single
from exchange.web.token_request import parse_token_request
from exchange.web.token_response import NO_STORE, json_response, token_response_body

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"


class FormPayload(OAuth2Payload):  # type: ignore[misc]
    """Authlib's view of the body: our strictly parsed form and nothing else."""

    def __init__(self, form: Form) -> None:
        self.form = form

    @property
    def data(self) -> dict[str, str]:
        return {name: values[0] for name, values in self.form.items()}

    @property
    def grant_type(self) -> str | None:
        return single(self.form, "grant_type")


class FormRequest(OAuth2Request):  # type: ignore[misc]
    """One request at the token endpoint; ``uri`` is the configured public one, never a header's word."""

    def __init__(self, uri: str, form: Form, credentials: ClientCredentials, attempt: Attempt) -> None:
        super().__init__("POST", uri)
        self.payload = FormPayload(form)
        self.credentials = credentials
        self.attempt = attempt


class TokenExchangeGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]
    """The grant of RFC 8693. The client is authenticated before anything else of the request is looked at."""

    GRANT_TYPE = GRANT_TYPE

    def validate_token_request(self) -> None:
        self.request.client = self.authenticate_token_endpoint_client()
        self.exchange_request = parse_token_request(self.request.payload.form)
        self.request.attempt.request = self.exchange_request

    def authenticate_token_endpoint_client(self) -> RegisteredClient:
        attempt: Attempt = self.request.attempt
        method = self.server.clients.presented_method(self.request.credentials)
        attempt.client_authentication = method
        client: RegisteredClient = self.server.authenticate_client(self.request, [method])
        attempt.client_id = client.client_id
        return client

    def create_token_response(self) -> tuple[int, dict[str, object], dict[str, str]]:
        exchange: TokenExchange = self.server.token_exchange
        issued = exchange.exchange(self.exchange_request, self.request.client, self.request.attempt)
        return 200, token_response_body(issued), dict(NO_STORE)


class TokenExchangeServer(AuthorizationServer):  # type: ignore[misc]
    """Dispatches a request to its grant and runs the registered client authentication methods."""

    def __init__(self, *, clients: ClientAuthenticator, token_exchange: TokenExchange) -> None:
        super().__init__()
        self.clients = clients
        self.token_exchange = token_exchange
        self.register_grant(TokenExchangeGrant)
        for name, method in METHODS.items():
            self.register_client_auth_method(name, self._adapted(method))

    def _adapted(self, method: Method) -> Any:
        def authenticate(_query_client: object, request: FormRequest) -> RegisteredClient:
            return method(self.clients, request.credentials)

        return authenticate

    def query_client(self, client_id: str) -> RegisteredClient | None:
        return self.clients.clients.get(client_id)

    def create_oauth2_request(self, request: FormRequest) -> FormRequest:
        if request.payload.grant_type is None:  # RFC 6749 §5.2: missing, not unsupported
            raise Refusal("parameter_missing", detail="grant_type")
        return request

    def handle_response(self, status: int, body: dict[str, object], headers: dict[str, str]) -> Response:
        return json_response(body, status, headers)

    def handle_error_response(self, request: FormRequest, error: OAuth2Error) -> Response:  # noqa: ARG002
        # Authlib's sentences differ by cause and would tell a caller whether a client exists. One exit for
        # all.
        if isinstance(error, UnsupportedGrantTypeError):
            raise Refusal("grant_type_unsupported")
        raise Refusal("client_authentication_failed", detail="method_not_registered")

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Authlib's hook for framework signals; we have none."""
