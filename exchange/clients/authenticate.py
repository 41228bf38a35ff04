"""Client authentication (RFC 6749 §2.3): exactly one method a request, one answer for every failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from exchange.clients import client_secret
from exchange.clients.context import AuthenticationContext
from exchange.clients.failure import AuthenticationFailure, authentication_failed
from exchange.clients.private_key_jwt import ClientAssertions
from exchange.clients.tls_client_auth import ClientCertificates
from exchange.clients.workload import WORKLOAD, WorkloadAssertions
from exchange.config.values import RegisteredClient
from exchange.model import ClientCredentials, VerifiedToken

_ASSERTION = "private_key_jwt"


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Who asks; and the token of a platform that says so, where one does."""

    client: RegisteredClient
    workload: VerifiedToken | None = None


class ClientAuthenticator:
    """Turns ``ClientCredentials`` into the ``RegisteredClient`` that they prove."""

    def __init__(self, context: AuthenticationContext) -> None:
        self.clients = context.clients
        self.assertions = ClientAssertions(context)
        self.workloads = WorkloadAssertions(context)
        self.certificates = ClientCertificates(clients=context.clients, clock=context.clock)

    def presented_method(self, credentials: ClientCredentials) -> str:
        """Return the name in ``METHODS`` of the one method that the request uses.

        RFC 6749 §2.3: a client MUST NOT use more than one. Whoever takes the first it finds lets a proxy and
        the service see two different clients. Raises ``Refusal`` (``client_authentication_failed``).
        """
        if credentials.other_authorization_scheme:
            raise authentication_failed(AuthenticationFailure.AUTHORIZATION_SCHEME_UNKNOWN)
        presented = [name for name, is_presented in _PRESENTED.items() if is_presented(credentials)]
        # A certificate beside another method is no second one: it says whom the token is bound to. Of a
        # connection that has one every request comes with it.
        if not presented and self.certificates.are_presented(credentials):
            return self.certificates.method(credentials)
        if not presented:
            raise authentication_failed(AuthenticationFailure.NO_METHOD)
        if len(presented) > 1:
            raise authentication_failed(AuthenticationFailure.SEVERAL_METHODS)
        # Sent in the same parameters; whose word the assertion is tells the two apart.
        if presented == [_ASSERTION] and self.workloads.are_presented(credentials):
            return WORKLOAD
        return presented[0]

    def authenticate(self, credentials: ClientCredentials) -> Authenticated:
        """Return the client that ``credentials`` prove.

        Raises ``Refusal``: ``client_authentication_failed`` for every failure alike, ``store_unavailable`` or
        ``issuer_keys_unavailable`` where an assertion cannot be judged now.
        """
        return METHODS[self.presented_method(credentials)](self, credentials)


Method = Callable[[ClientAuthenticator, ClientCredentials], Authenticated]

_PRESENTED: Mapping[str, Callable[[ClientCredentials], bool]] = MappingProxyType(
    {
        "client_secret_basic": lambda sent: sent.unverified_basic is not None,
        "client_secret_post": lambda sent: sent.client_secret is not None,
        # The type alone counts too, or half an assertion beside a secret would pass for one method.
        _ASSERTION: lambda sent: sent.client_assertion is not None or sent.client_assertion_type is not None,
    }
)


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "client_secret_basic": lambda authenticator, sent: Authenticated(
            client_secret.authenticate_basic(authenticator.clients, sent)
        ),
        "client_secret_post": lambda authenticator, sent: Authenticated(
            client_secret.authenticate_post(authenticator.clients, sent)
        ),
        _ASSERTION: lambda authenticator, sent: Authenticated(authenticator.assertions.authenticate(sent)),
        "tls_client_auth": lambda authenticator, sent: Authenticated(
            authenticator.certificates.authenticate_named(sent)
        ),
        "self_signed_tls_client_auth": lambda authenticator, sent: Authenticated(
            authenticator.certificates.authenticate_known(sent)
        ),
        WORKLOAD: lambda authenticator, sent: Authenticated(*authenticator.workloads.authenticate(sent)),
    }
)
"""By registered name (IANA OAuth Token Endpoint Authentication Methods), but for ``workload``: nobody has
registered one for it.
"""
