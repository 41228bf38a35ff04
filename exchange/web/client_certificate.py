"""The header of the proxy that ended TLS to ``ClientCertificate``; of anybody else it does not exist."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from flask import Request

from exchange.certificates import MalformedCertificate, parse_der, parse_pem
from exchange.clients.failure import AuthenticationFailure, authentication_failed
from exchange.model import ClientCertificate
from exchange.settings import Settings, TrustedProxies

MAX_HEADER: Final = 16 * 1024
"""Characters."""

_BYTE_SEQUENCE: Final = re.compile(r":([A-Za-z0-9+/]+)={0,2}:", re.ASCII)
_ESCAPED: Final = re.compile(r"(?:[A-Za-z0-9._~*!'()+/=-]|%[0-9A-Fa-f]{2})+", re.ASCII)
# The alternatives begin with different characters, so that matching takes linear time.
_PAIR: Final = re.compile(r'[ \t]*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;\\]*))[ \t]*(;|\Z)', re.ASCII)
_REPEATABLE: Final = frozenset({"by", "uri", "dns"})
_SHA256: Final = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class CertificateHeader:
    """Which header carries the certificate of the connection, and who is believed when he sends it."""

    name: str
    proxies: TrustedProxies

    @classmethod
    def of(cls, settings: Settings) -> CertificateHeader | None:
        """Return what the settings say; ``None`` when either is missing, and no header is believed.

        Raises ``ValueError``, saying what to write.
        """
        name, proxies = settings.tls_header(), settings.trusted_proxies()
        return cls(name, proxies) if name and proxies.networks else None

    def certificate(self, request: Request) -> ClientCertificate | None:
        """Return the certificate that the client proved to hold towards the proxy (RFC 8705 §6.5).

        Raises ``Refusal`` (``client_authentication_failed``) when a proxy sends anything but one certificate:
        to go on without it would let a request through that the proxy meant to be bound to it.
        """
        value = request.headers.get(self.name)
        if not value or request.environ.get("REMOTE_ADDR") not in self.proxies:
            return None
        if len(value) > MAX_HEADER:
            raise authentication_failed(AuthenticationFailure.CERTIFICATE_MALFORMED)
        try:
            return _FORMATS.get(self.name.lower(), _escaped_pem)(value)
        except MalformedCertificate:
            raise authentication_failed(AuthenticationFailure.CERTIFICATE_MALFORMED) from None


def _byte_sequence(value: str) -> ClientCertificate:
    """``Client-Cert`` (RFC 9440 §2.1): one byte sequence (RFC 8941 §3.3.5, §4.2.7), padded or not.

    A header that was sent twice arrives with a comma in it, in each of the formats, and is refused for it.
    """
    match = _BYTE_SEQUENCE.fullmatch(value.strip(" "))
    if not match:
        raise MalformedCertificate
    try:
        der = b64decode(match[1] + "=" * (-len(match[1]) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedCertificate from None
    return parse_der(der)


def _escaped_pem(value: str) -> ClientCertificate:
    """PEM, percent-encoded: nginx' ``$ssl_client_escaped_cert``; a ``+`` stands for itself."""
    if not _ESCAPED.fullmatch(value):
        raise MalformedCertificate
    try:
        return parse_pem(unquote(value, errors="strict"))
    except UnicodeDecodeError:
        raise MalformedCertificate from None


def _forwarded_client_cert(value: str) -> ClientCertificate:
    """``X-Forwarded-Client-Cert`` (Envoy): exactly one element, with ``Cert``.

    Several elements are refused: all but the last were there before the proxy, so anybody wrote them. Envoy
    puts names of the certificate into the header as they are, and a certificate of one's own may have
    ``;Cert=`` in its names. So no key that tells a certificate may repeat, and ``Hash``, which Envoy always
    writes before the names, must be of this certificate.
    """
    pairs = _pairs(value)
    escaped, fingerprint = pairs.get("cert"), pairs.get("hash", "")
    if not escaped:
        raise MalformedCertificate
    certificate = _escaped_pem(escaped)
    if _SHA256.fullmatch(fingerprint) and fingerprint.lower() != sha256(certificate.der).hexdigest():
        raise MalformedCertificate
    return certificate


def _pairs(element: str) -> Mapping[str, str]:
    """Return the keys of one element, in lower case, and their values without quotes and backslashes."""
    pairs: dict[str, str] = {}
    at, more = 0, True
    while more:
        match = _PAIR.match(element, at)
        if not match:  # a comma, among others: a second element
            raise MalformedCertificate
        key = match[1].lower()
        if key in pairs and key not in _REPEATABLE:
            raise MalformedCertificate
        pairs[key] = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
        at, more = match.end(), match[4] == ";"
    return pairs


_FORMATS: Final[Mapping[str, Callable[[str], ClientCertificate]]] = MappingProxyType(
    {"client-cert": _byte_sequence, "x-forwarded-client-cert": _forwarded_client_cert}
)
