"""The grant of RFC 8693 in Authlib's frame: authenticate, read the parameters, exchange, respond."""

from __future__ import annotations

import json
from typing import Any, Protocol, cast

from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import BaseGrant, TokenEndpointMixin
from authlib.oauth2.rfc6749.requests import OAuth2Payload

from exchange.audit import Attempt
from exchange.config.values import RegisteredClient
from exchange.model import ClientCredentials, PresentedProof, Secret, TokenExchangeRequest
from exchange.token_exchange import TokenExchange
from exchange.web.form import Form, single
from exchange.web.token_request import parse_token_request
from exchange.web.token_response import NO_STORE, token_response_body

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"


class FormPayload(OAuth2Payload):
    """Authlib's view of the body: our strictly parsed form and nothing else."""

    def __init__(self, form: Form) -> None:
        self._form = form

    @property
    def data(self) -> dict[str, str]:
        return {name: values[0] for name, values in self._form.items()}

    @property
    def grant_type(self) -> str:
        return single(self._form, "grant_type") or ""


class FormRequest(OAuth2Request):
    """One request at the token endpoint; ``uri`` is the configured public one, never a header's word."""

    def __init__(
        self,
        uri: str,
        form: Form,
        *,
        credentials: ClientCredentials,
        unverified_dpop: Secret | None,
        attempt: Attempt,
    ) -> None:
        super().__init__("POST", uri)
        self.payload = FormPayload(form)
        self.form_fields = form
        self.credentials = credentials
        self.presented_proof = PresentedProof(unverified_dpop, credentials.certificate)
        self.attempt = attempt


class GrantServer(Protocol):
    """What the grant needs of the server that runs it."""

    @property
    def token_exchange(self) -> TokenExchange: ...

    def identify(self, request: FormRequest) -> RegisteredClient: ...


class TokenExchangeGrant(BaseGrant, TokenEndpointMixin):
    """One exchange. The client is authenticated before anything else of the request is looked at.

    So a caller that fails to authenticate learns nothing else.
    """

    GRANT_TYPE = GRANT_TYPE

    request: FormRequest
    server: GrantServer
    registered_client: RegisteredClient
    exchange_request: TokenExchangeRequest

    def validate_token_request(self) -> None:
        """Authenticate the client (RFC 6749 §2.3) and read the parameters (RFC 8693 §2.1)."""
        self.registered_client = self.server.identify(self.request)
        self.exchange_request = parse_token_request(self.request.form_fields)
        self.request.attempt.request = self.exchange_request

    def create_token_response(self) -> tuple[int, str, list[tuple[str, str]]]:
        """Exchange, and return status, body and headers of the answer (RFC 8693 §2.2.1)."""
        issued = self.server.token_exchange.exchange(
            self.exchange_request,
            self.registered_client,
            self.request.presented_proof,
            self.request.attempt,
        )
        body = json.dumps(token_response_body(issued), separators=(",", ":"))
        return 200, body, list(NO_STORE.items())


def form_request(request: Any) -> FormRequest:
    """Return Authlib's request as the ``FormRequest`` that we gave it."""
    return cast("FormRequest", request)
