"""Client authentication (RFC 6749 §2.3): exactly one method a request, one answer for every failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from exchange.clients import client_secret
from exchange.clients.failure import AuthenticationFailure, authentication_failed
from exchange.clients.private_key_jwt import ClientAssertions
from exchange.clients.tls_client_auth import ClientCertificates
from exchange.config.values import RegisteredClient
from exchange.model import ClientCredentials
from exchange.stores import Store
from exchange.trust.key_cache import KeyCaches


class ClientAuthenticator:
    """Turns ``ClientCredentials`` into the ``RegisteredClient`` that they prove.

    ``issuer`` and ``token_endpoint`` are how a client assertion may name us; ``clock_skew`` is in seconds;
    ``clock`` gives seconds since the epoch.
    """

    def __init__(
        self,
        *,
        clients: Mapping[str, RegisteredClient],
        issuer: str,
        token_endpoint: str,
        key_caches: KeyCaches,
        store: Store,
        clock_skew: int,
        clock: Callable[[], float],
    ) -> None:
        self.clients = clients
        self.assertions = ClientAssertions(
            clients=clients,
            issuer=issuer,
            token_endpoint=token_endpoint,
            key_caches=key_caches,
            store=store,
            clock_skew=clock_skew,
            clock=clock,
        )
        self.certificates = ClientCertificates(clients=clients, clock=clock)

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
        return presented[0]

    def authenticate(self, credentials: ClientCredentials) -> RegisteredClient:
        """Return the client that ``credentials`` prove.

        Raises ``Refusal``: ``client_authentication_failed`` for every failure alike, ``store_unavailable`` or
        ``issuer_keys_unavailable`` where an assertion cannot be judged now.
        """
        return METHODS[self.presented_method(credentials)](self, credentials)


Method = Callable[[ClientAuthenticator, ClientCredentials], RegisteredClient]

_PRESENTED: Mapping[str, Callable[[ClientCredentials], bool]] = MappingProxyType(
    {
        "client_secret_basic": lambda sent: sent.unverified_basic is not None,
        "client_secret_post": lambda sent: sent.client_secret is not None,
        # The type alone counts too, or half an assertion beside a secret would pass for one method.
        "private_key_jwt": lambda sent: (
            sent.client_assertion is not None or sent.client_assertion_type is not None
        ),
    }
)

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "client_secret_basic": lambda authenticator, sent: client_secret.authenticate_basic(
            authenticator.clients, sent
        ),
        "client_secret_post": lambda authenticator, sent: client_secret.authenticate_post(
            authenticator.clients, sent
        ),
        "private_key_jwt": lambda authenticator, sent: authenticator.assertions.authenticate(sent),
        "tls_client_auth": lambda authenticator, sent: authenticator.certificates.authenticate_named(sent),
        "self_signed_tls_client_auth": lambda authenticator, sent: (
            authenticator.certificates.authenticate_known(sent)
        ),
    }
)
"""By registered name (IANA OAuth Token Endpoint Authentication Methods)."""
