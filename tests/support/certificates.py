"""Certification authorities, certificates of clients, and the headers in which proxies pass them on."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support import keys

DAY = 86_400
Extensions = Sequence[tuple[x509.ExtensionType, bool]]
CLIENT_USAGE: Extensions = ((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),)
SERVER_USAGE: Extensions = ((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),)


def now() -> float:
    return dt.datetime.now(dt.UTC).timestamp()


def alternative_names(**names: str) -> Extensions:
    """Return the extension that holds ``dns``, ``uri``, ``ip`` and ``email``, as far as they are given."""
    kinds: dict[str, Any] = {
        "dns": x509.DNSName,
        "uri": x509.UniformResourceIdentifier,
        "ip": lambda text: x509.IPAddress(ipaddress.ip_address(text)),
        "email": x509.RFC822Name,
    }
    found = [kinds[kind](name) for kind, name in names.items()]
    return ((x509.SubjectAlternativeName(found), False),) if found else ()


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key."""

    x509: x509.Certificate
    key: Any

    @classmethod
    def make(
        cls,
        subject: str = "CN=client",
        *,
        label: str = "tls-client",
        algorithm: str = "ES256",
        authority: Certificate | None = None,
        issuer: str | None = None,
        valid: tuple[float, float] = (-DAY, DAY),
        extensions: Extensions = (),
        since: float | None = None,
        **names: str,
    ) -> Self:
        """Make one, signed by ``authority`` or by itself; ``issuer`` is what it says of its issuer.

        ``valid`` is in seconds from ``since``, which is now. ``names`` are its alternative names.
        """
        key = keys.private_key(algorithm, label)
        start = now() if since is None else since
        first, last = (dt.datetime.fromtimestamp(round(start + offset), dt.UTC) for offset in valid)
        name = x509.Name.from_rfc4514_string(subject)
        issued_by = authority.x509.subject if authority else name
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(x509.Name.from_rfc4514_string(issuer) if issuer else issued_by)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(first)
            .not_valid_after(last)
        )
        for extension, critical in (*alternative_names(**names), *extensions):
            builder = builder.add_extension(extension, critical)
        signer = authority.key if authority else key
        return cls(builder.sign(signer, None if _is_edwards(signer) else hashes.SHA256()), key)

    @classmethod
    def authority(cls, subject: str = "CN=Acme CA", *, label: str = "tls-authority", **options: Any) -> Self:
        """Make the certificate of an authority."""
        extensions = (
            *options.pop("extensions", ()),
            (x509.BasicConstraints(ca=True, path_length=None), True),
        )
        return cls.make(subject, label=label, extensions=extensions, **options)

    @property
    def der(self) -> bytes:
        return self.x509.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> str:
        return self.x509.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        text: bytes = self.key.private_bytes(encoding, form, serialization.NoEncryption())
        return text.decode()

    @property
    def thumbprint(self) -> str:
        """``x5t#S256``."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.der).digest()).rstrip(b"=").decode()

    @property
    def client_cert(self) -> str:
        """As in ``Client-Cert`` (RFC 9440)."""
        return f":{base64.b64encode(self.der).decode()}:"

    @property
    def escaped(self) -> str:
        """As nginx' ``$ssl_client_escaped_cert``."""
        return quote(self.pem, safe="")

    def xfcc(self, *details: str) -> str:
        """As in Envoy's ``X-Forwarded-Client-Cert``, with ``Cert`` and then ``details``."""
        return ";".join([f"Hash={hashlib.sha256(self.der).hexdigest()}", f'Cert="{self.escaped}"', *details])

    def write(self, directory: Path, name: str) -> tuple[str, str]:
        """Write ``NAME.pem`` and ``NAME.key`` and return their paths, as requests and nginx take them."""
        certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
        certificate.write_text(self.pem)
        key.write_text(self.key_pem)
        return str(certificate), str(key)


def _is_edwards(key: object) -> bool:
    return type(key).__name__.startswith("Ed")
