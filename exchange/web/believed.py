"""Whose word about a connection is taken, by the settings; warnings where they do not fit the policies."""

from __future__ import annotations

import logging

from exchange.config.values import Policies
from exchange.settings import PROXIES, TLS_HEADER, Settings, TrustedProxies
from exchange.web.client_certificate import CertificateHeader

log = logging.getLogger("exchange")


def believed_certificate_header(settings: Settings, policies: Policies) -> CertificateHeader | None:
    """Return who is believed about client certificates, and warn of what nobody could use then.

    Raises ``ValueError``, saying what to write.
    """
    found = CertificateHeader.of(settings)
    if found is not None:
        return found
    if settings.environ.get(TLS_HEADER):  # the other one alone is of use, for addresses
        log.warning("%s is set and %s is not: no header is believed", TLS_HEADER, PROXIES)
    for client in policies.clients.values():
        if client.tls_client_auth or client.self_signed:
            text = "%s: nobody can authenticate with a certificate: set %s and %s"
            log.warning(text, client.source, PROXIES, TLS_HEADER)
    return None


def believed_proxies(settings: Settings, policies: Policies) -> TrustedProxies:
    """Return who is believed about addresses, and warn if limits would take all the world for one caller.

    Raises ``ValueError``, saying what to write.
    """
    found, limits = settings.trusted_proxies(), policies.server.rate_limit
    if not found.networks and (limits.per_address or limits.failed_authentication):
        text = "%s is not set: limits by address take a proxy, with all who come through it, for one caller"
        log.warning(text, PROXIES)
    return found
