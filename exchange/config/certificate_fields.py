"""``tls_client_auth`` and ``self_signed`` of ``clients/NAME.yaml``: whose certificate is the client's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError

from exchange.certificates import NAME_KINDS, Authorities, ExpectedName, NameKind, is_thumbprint
from exchange.config.directory import PolicyDirectory
from exchange.config.faults import YamlPath
from exchange.config.fields import Field, Name, Names, Section, StrictSchema
from exchange.config.policy_file import PolicyFile
from exchange.config.values import SelfSignedMethod, TlsClientAuthMethod

CHOICES: Final = (*NAME_KINDS, "self_signed")
_BY_NAME: Final[YamlPath] = ("authentication", "tls_client_auth")
_KNOWN: Final[YamlPath] = ("authentication", "self_signed")
_NOT_A_THUMBPRINT: Final = (
    "write the SHA-256 of the certificate in base64url, 43 characters: `openssl x509 -in client.pem"
    " -outform DER | openssl dgst -sha256 -binary | basenc --base64url | tr -d =`"
)


class CertificateName(Field):
    """A name that the certificate must have; ``kind`` says where."""

    def __init__(self, kind: NameKind, **options: Any) -> None:
        super().__init__(**options)
        self._kind = kind

    def read(self, value: object) -> ExpectedName:
        if not isinstance(value, str):
            raise ValidationError("write one name, as text")
        try:
            return ExpectedName.parse(self._kind, value)
        except ValueError as error:
            raise ValidationError(str(error)) from None


class Thumbprints(Names):
    """``x5t#S256`` of one certificate, or of several while one is rotated (RFC 8705 §3.1)."""

    def _read_item(self, value: object) -> str:
        if not isinstance(value, str) or not is_thumbprint(value):
            raise ValidationError(_NOT_A_THUMBPRINT)
        return value


class SelfSignedSchema(StrictSchema):
    """``self_signed``."""

    x5t_s256 = Thumbprints("thumbprint", required=True)


class TlsClientAuthSchema(StrictSchema):
    """``tls_client_auth``: one name, and who must have issued the certificate."""

    san_dns = CertificateName("san_dns")
    san_uri = CertificateName("san_uri")
    san_ip = CertificateName("san_ip")
    san_email = CertificateName("san_email")
    subject_dn = CertificateName("subject_dn")
    ca_file = Name()
    self_signed = Section(SelfSignedSchema)


def read_tls_client_auth(
    file: PolicyFile, methods: Mapping[str, Any], directory: PolicyDirectory
) -> TlsClientAuthMethod | None:
    """Return the method as ``file`` has it; ``None`` when it has none, or that became a fault."""
    # By what the file says: a name that is there and wrong is another fault, and already told.
    declared = _at(file.data, _BY_NAME)
    if declared is None:
        return None
    chosen = [choice for choice in CHOICES if choice in declared]
    if len(chosen) != 1:
        file.fault(_BY_NAME, f"name exactly one of {', '.join(CHOICES)}")
    if chosen == ["self_signed"] and "ca_file" in declared:
        file.fault((*_BY_NAME, "ca_file"), "is about certificates that an authority issued; leave it out")
    loaded = methods.get("tls_client_auth") or {}
    authorities = _authorities(file, loaded.get("ca_file"), directory)
    names = [loaded[kind] for kind in NAME_KINDS if kind in loaded]
    return TlsClientAuthMethod(names[0], authorities) if len(names) == 1 else None


def read_self_signed(file: PolicyFile, methods: Mapping[str, Any]) -> SelfSignedMethod | None:
    """Return the method as ``file`` has it, beside ``tls_client_auth`` or inside."""
    inside = (methods.get("tls_client_auth") or {}).get("self_signed")
    beside = methods.get("self_signed")
    if inside is not None and beside is not None:
        file.fault(_KNOWN, "said twice; write it here alone")
    thumbprints = (beside or inside or {}).get("x5t_s256")
    return SelfSignedMethod(thumbprints) if thumbprints else None


def _authorities(file: PolicyFile, name: str | None, directory: PolicyDirectory) -> Authorities | None:
    if name is None:
        return None
    try:
        return Authorities.parse(directory.key_file(name))
    except ValueError as error:
        file.fault((*_BY_NAME, "ca_file"), str(error))
        return None


def _at(data: Mapping[str, object], path: YamlPath) -> Mapping[str, object] | None:
    value: object = data
    for key in path:
        value = value.get(str(key)) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None
