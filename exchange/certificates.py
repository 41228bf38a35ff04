"""X.509 certificates of clients (RFC 5280, RFC 8705): the only module that knows the library for them.

The TLS handshake that proves possession of the key takes place at the proxy. What is judged here is what a
certificate says, and on request who signed it.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType
from typing import Final, Literal, get_args

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from exchange.model import ClientCertificate

NameKind = Literal["subject_dn", "san_dns", "san_uri", "san_ip", "san_email"]
NAME_KINDS: Final[tuple[NameKind, ...]] = get_args(NameKind)

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"
_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DNS_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.ASCII)
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+", re.ASCII)
_EMAIL: Final = re.compile(r"[\x21-\x3f\x41-\x7e]+@[\x21-\x3f\x41-\x7e]+", re.ASCII)
# Short names that OpenSSL and nginx write, beside those that RFC 4514 §3 lists.
_ATTRIBUTES: Final = {"emailAddress": NameOID.EMAIL_ADDRESS, "serialNumber": NameOID.SERIAL_NUMBER}
# What the lazy parts of a certificate raise when they are looked at for the first time.
_BROKEN: Final = (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


class MalformedCertificate(Exception):  # noqa: N818  # named as the other parsers' are
    """What was given is not exactly one X.509 certificate."""


def parse_der(der: bytes) -> ClientCertificate:
    """Return the certificate that ``der`` is, whole and alone; raises ``MalformedCertificate``."""
    _load(der)
    return ClientCertificate(der, _thumbprint(der))


def parse_pem(pem: str) -> ClientCertificate:
    """Return the one certificate of ``pem`` (RFC 7468 §5); raises ``MalformedCertificate``.

    A chain is refused: whoever takes its first certificate and whoever takes its last see two clients.
    """
    text = pem.strip()
    if not text.startswith(_BEGIN) or not text.endswith(_END) or len(text) < len(_BEGIN) + len(_END):
        raise MalformedCertificate
    try:
        der = b64decode("".join(text[len(_BEGIN) : -len(_END)].split()), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedCertificate from None
    return parse_der(der)


def is_thumbprint(text: str) -> bool:
    """Tell whether ``text`` can be the base64url of a SHA-256, without padding (RFC 8705 §3.1)."""
    return bool(_THUMBPRINT.fullmatch(text)) and _base64url(b64decode(text + "=", altchars=b"-_")) == text


def is_valid_at(certificate: ClientCertificate, now: float) -> bool:
    """Tell whether ``now``, in seconds since the epoch, is within the validity of the certificate.

    Both ends belong to it (RFC 5280 §4.1.2.5). Raises ``MalformedCertificate``.
    """
    try:
        loaded = _load(certificate.der)
        return loaded.not_valid_before_utc.timestamp() <= now <= loaded.not_valid_after_utc.timestamp()
    except _BROKEN:
        raise MalformedCertificate from None


@dataclass(frozen=True, slots=True)
class ExpectedName:
    """The one name by which a certificate is known (RFC 8705 §2.1.2)."""

    kind: NameKind
    value: str | x509.Name | IPv4Address | IPv6Address

    @classmethod
    def parse(cls, kind: NameKind, text: str) -> ExpectedName:
        """Return the name that ``text`` is; raises ``ValueError``, saying what to write."""
        return cls(kind, _READERS[kind](text))

    def is_in(self, certificate: ClientCertificate) -> bool:
        """Tell whether the certificate has this very name, of this very kind.

        A wildcard in a certificate is a name like any other, and a common name stands for no DNS name: both
        would let one certificate speak for many. Raises ``MalformedCertificate``.
        """
        try:
            loaded = _load(certificate.der)
            if self.kind == "subject_dn":
                return loaded.subject == self.value
            return self.value in _alternative_names(loaded, self.kind)
        except _BROKEN:
            raise MalformedCertificate from None


@dataclass(frozen=True, slots=True)
class Authorities:
    """Certification authorities that certificates of clients must come from (RFC 5280 §6)."""

    certificates: tuple[x509.Certificate, ...]

    @classmethod
    def parse(cls, pem: bytes) -> Authorities:
        """Return the authorities of a PEM file; raises ``ValueError``, saying what is wrong with it."""
        if b"PRIVATE KEY-----" in pem:
            raise ValueError("the file has a private key; keep certificates alone, and replace that key")
        try:
            certificates = tuple(x509.load_pem_x509_certificates(pem))
        except _BROKEN:
            raise ValueError("the file is not PEM with certificates alone") from None
        for number, certificate in enumerate(certificates, 1):
            if message := _fault_of_authority(certificate):
                raise ValueError(f"certificate {number} of the file {message}")
        return cls(certificates)

    def issued(self, certificate: ClientCertificate, now: float) -> bool:
        """Tell whether one of them issued the certificate for a client, and both are valid ``now``.

        Each is a trust anchor, and there are no others: a proxy passes on the certificate without its chain.
        """
        verifier = (
            PolicyBuilder()
            .store(Store(list(self.certificates)))
            .time(datetime.fromtimestamp(now, UTC))
            .extension_policies(ca_policy=_AUTHORITY, ee_policy=_CLIENT)
            .build_client_verifier()
        )
        try:
            verifier.verify(_load(certificate.der), [])
        except (VerificationError, *_BROKEN, MalformedCertificate):
            return False
        return True


def _load(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except _BROKEN:
        raise MalformedCertificate from None


def _thumbprint(der: bytes) -> str:
    return _base64url(sha256(der).digest())


def _base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────


def _alternative_names(certificate: x509.Certificate, kind: NameKind) -> set[object]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    if kind == "san_dns":  # DNS names are compared without regard to case (RFC 5280 §7.2)
        return {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    if kind == "san_uri":
        return set(names.get_values_for_type(x509.UniformResourceIdentifier))
    if kind == "san_ip":
        return set(names.get_values_for_type(x509.IPAddress))
    return set(names.get_values_for_type(x509.RFC822Name))


def _read_dn(text: str) -> x509.Name:
    try:
        name = x509.Name.from_rfc4514_string(text, _ATTRIBUTES)
    except (ValueError, KeyError, OverflowError):
        name = x509.Name([])
    if not list(name):
        raise ValueError(
            "write a distinguished name as RFC 4514 has it, such as CN=bff,O=Acme,C=DE: the output of"
            " `openssl x509 -noout -subject -nameopt RFC2253` without `subject=`"
        )
    return name


def _read_dns(text: str) -> str:
    if len(text) > 253 or not _DNS_NAME.fullmatch(text):  # noqa: PLR2004  # RFC 1035 §2.3.4
        raise ValueError("write a DNS name such as bff.acme.example; there are no wildcards")
    return text.lower()


def _read_ip(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError:
        raise ValueError("write an IP address such as 10.0.0.7 or fd00::7") from None


def _read_by(pattern: re.Pattern[str], example: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"write it as it stands in the certificate, such as {example}")
        return text

    return read


_READERS: Final = MappingProxyType[NameKind, Callable[[str], "str | x509.Name | IPv4Address | IPv6Address"]](
    {
        "subject_dn": _read_dn,
        "san_dns": _read_dns,
        "san_uri": _read_by(_URI, "spiffe://acme.example/bff"),
        "san_ip": _read_ip,
        "san_email": _read_by(_EMAIL, "bff@acme.example"),
    }
)


# ── authorities ─────────────────────────────────────────────────────────────────────────────────────────────


def _fault_of_authority(certificate: x509.Certificate) -> str | None:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        is_authority = constraints.ca and _may_sign_certificates(certificate)
        key = certificate.public_key()
    except x509.ExtensionNotFound:
        is_authority, key = False, None
    except (*_BROKEN, UnsupportedAlgorithm):
        return "cannot be read"
    if not is_authority:
        return "is not that of an authority (basicConstraints CA:TRUE, keyUsage keyCertSign)"
    # What the verifier takes; found out here, and not by refusing every client.
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return "has a key that certificates cannot be verified with here; use RSA or EC"
    return None


def _may_sign_certificates(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


def _check_usage(
    _policy: Policy, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    # RFC 5280 §4.2.1.12. A certificate for servers alone must not speak for a client.
    allowed = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if usage is not None and not allowed & set(usage):
        raise ValueError("not for clients")


# The library's defaults are those of the public Web, and refuse what private authorities issue: no
# authorityKeyIdentifier, no subjectAltName. Signatures, validity, name constraints, CA:TRUE and critical
# extensions that nobody knows are checked whatever these say.
_AUTHORITY: Final = ExtensionPolicy.permit_all().require_present(
    x509.BasicConstraints, Criticality.AGNOSTIC, None
)
_CLIENT: Final = ExtensionPolicy.permit_all().may_be_present(
    x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _check_usage
)
