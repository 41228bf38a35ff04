"""``tls_client_auth`` and ``self_signed_tls_client_auth``: the connection's certificate (RFC 8705 §2)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Final

from exchange.certificates import MalformedCertificate, is_valid_at
from exchange.clients.failure import AuthenticationFailure, authentication_failed
from exchange.config.values import RegisteredClient, SelfSignedMethod, TlsClientAuthMethod
from exchange.model import ClientCertificate, ClientCredentials

MUTUAL_TLS: Final = ("tls_client_auth", "self_signed_tls_client_auth")


class ClientCertificates:
    """Judges the certificate of a connection.

    That the client holds its key was proved to the proxy by the TLS handshake; which client it is, is said by
    ``client_id`` (RFC 8705 §2) and decided here. ``clock`` gives seconds since the epoch.
    """

    def __init__(self, *, clients: Mapping[str, RegisteredClient], clock: Callable[[], float]) -> None:
        self._clients = clients
        self._clock = clock

    @staticmethod
    def are_presented(credentials: ClientCredentials) -> bool:
        """Tell whether the request says, with a certificate, which client it comes from."""
        return credentials.certificate is not None and credentials.unverified_client_id is not None

    def method(self, credentials: ClientCredentials) -> str:
        """Return which of ``MUTUAL_TLS`` the client would have to use; one that has both uses either."""
        client = self._clients.get(credentials.unverified_client_id or "")
        if client is None or client.self_signed is None or credentials.certificate is None:
            return "tls_client_auth"
        by_name = client.tls_client_auth is not None and not _is_known(
            credentials.certificate, client.self_signed
        )
        return "tls_client_auth" if by_name else "self_signed_tls_client_auth"

    def authenticate_named(self, credentials: ClientCredentials) -> RegisteredClient:
        """Return the client whose name the certificate carries (RFC 8705 §2.1).

        Raises ``Refusal`` (``client_authentication_failed``).
        """
        client, certificate = self._claimed(credentials)
        method = client.tls_client_auth
        if method is None:
            raise authentication_failed(AuthenticationFailure.METHOD_NOT_REGISTERED)
        try:
            self._check_name(certificate, method)
        except MalformedCertificate:
            raise authentication_failed(AuthenticationFailure.CERTIFICATE_MALFORMED) from None
        return client

    def _check_name(self, certificate: ClientCertificate, method: TlsClientAuthMethod) -> None:
        now = self._clock()
        if not is_valid_at(certificate, now):  # a connection may outlive the certificate it began with
            raise authentication_failed(AuthenticationFailure.CERTIFICATE_NOT_VALID_NOW)
        if not method.name.is_in(certificate):
            raise authentication_failed(AuthenticationFailure.CERTIFICATE_NAME_MISMATCH)
        # Anybody can write any name into a certificate of his own, and a proxy that lets self-signed ones
        # through lets that one through.
        if method.authorities is not None and not method.authorities.issued(certificate, now):
            raise authentication_failed(AuthenticationFailure.CERTIFICATE_ISSUER_UNKNOWN)

    def authenticate_known(self, credentials: ClientCredentials) -> RegisteredClient:
        """Return the client that has this very certificate; who issued it does not matter (RFC 8705 §2.2).

        Raises ``Refusal`` (``client_authentication_failed``).
        """
        client, certificate = self._claimed(credentials)
        method = client.self_signed
        if method is None:
            raise authentication_failed(AuthenticationFailure.METHOD_NOT_REGISTERED)
        if not _is_known(certificate, method):
            raise authentication_failed(AuthenticationFailure.CERTIFICATE_UNKNOWN)
        try:
            if not is_valid_at(certificate, self._clock()):
                raise authentication_failed(AuthenticationFailure.CERTIFICATE_NOT_VALID_NOW)
        except MalformedCertificate:
            raise authentication_failed(AuthenticationFailure.CERTIFICATE_MALFORMED) from None
        return client

    def _claimed(self, credentials: ClientCredentials) -> tuple[RegisteredClient, ClientCertificate]:
        if credentials.certificate is None:
            raise authentication_failed(AuthenticationFailure.NO_METHOD)
        if not credentials.unverified_client_id:
            raise authentication_failed(AuthenticationFailure.CLIENT_ID_MISSING)
        client = self._clients.get(credentials.unverified_client_id)
        if client is None:
            raise authentication_failed(AuthenticationFailure.CLIENT_UNKNOWN)
        return client, credentials.certificate


def _is_known(certificate: ClientCertificate, method: SelfSignedMethod) -> bool:
    presented = certificate.x5t_s256.encode()
    return sum(hmac.compare_digest(presented, known.encode()) for known in method.x5t_s256) > 0
