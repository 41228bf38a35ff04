"""The nouns of an exchange, in the order in which one turns into the next.

``ClientCredentials`` → ``TokenExchangeRequest`` → ``VerifiedToken`` (subject, actor) → ``Permit`` →
``IssuedToken``. All are frozen; none has logic or does I/O. What is not yet verified says so in its name.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

Claims = Mapping[str, object]
"""The members of a JSON object, read-only."""

NO_CLAIMS: Claims = MappingProxyType({})


class Secret:
    """A token, an assertion or a client secret: something that must never be printed.

    ``repr`` and ``str`` hide the value, so that a log line, an exception or a debugger cannot leak it.
    Comparison takes constant time. ``reveal`` is called where the bytes are really needed: ``exchange.jose``,
    ``exchange.clients`` and the response.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # a hashable secret ends up in sets, and from there in a repr

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__


class TokenTypeIdentifier(StrEnum):
    """What a client *declares* a token to be (RFC 8693 §3). It is never evidence of what the token is."""

    ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
    JWT = "urn:ietf:params:oauth:token-type:jwt"
    ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
    REFRESH_TOKEN = "urn:ietf:params:oauth:token-type:refresh_token"
    SAML1 = "urn:ietf:params:oauth:token-type:saml1"
    SAML2 = "urn:ietf:params:oauth:token-type:saml2"


class TokenKind(StrEnum):
    """What a token *is*, by our own classification (RFC 8725 §3.11, §3.12)."""

    ACCESS_TOKEN = "access_token"
    WORKLOAD = "workload"
    """A workload identity token, of an issuer that is configured as ``kind: workload``."""
    ID_TOKEN = "id_token"
    OTHER = "other"
    UNPROVEN = "unproven"


class Role(StrEnum):
    """Which of the two tokens of a request (RFC 8693 §2.1); prefixes the reason of a refusal."""

    SUBJECT = "subject"
    ACTOR = "actor"


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The certificate of a mutual TLS connection, as a trusted proxy vouches for it (RFC 8705, RFC 9440)."""

    der: bytes
    x5t_s256: str
    """Base64url of the SHA-256 of ``der`` (RFC 8705 §3.1)."""


@dataclass(frozen=True, slots=True)
class PresentedProof:
    """What a request brings to prove what it holds; the certificate is believed, the DPoP proof not yet."""

    unverified_dpop: Secret | None = None
    """The value of the ``DPoP`` header, of all of them where there are several; ``None`` without one."""
    certificate: ClientCertificate | None = None


@dataclass(frozen=True, slots=True)
class SenderProof:
    """What this request has *proved* to hold; a constrained token is taken with its own proof alone."""

    jkt: str | None = None
    """Thumbprint of the key of a verified DPoP proof (RFC 9449 §6.1)."""
    x5t_s256: str | None = None
    """Thumbprint of the certificate that the request came over (RFC 8705 §3.1)."""

    def as_confirmation(self) -> dict[str, str]:
        """Return the members of ``cnf`` that a token has which is bound to all of it (RFC 7800 §3.1)."""
        members = {"jkt": self.jkt, "x5t#S256": self.x5t_s256}
        return {name: value for name, value in members.items() if value is not None}


NO_PROOF: Final = SenderProof()


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """How the caller says who it is, as sent and not yet believed (RFC 6749 §2.3, RFC 7521 §4.2)."""

    unverified_basic: str | None = None
    """The ``Authorization`` header's credentials after the scheme ``Basic``, still encoded."""
    other_authorization_scheme: bool = False
    """An ``Authorization`` header of another scheme was sent: a method we do not know."""
    unverified_client_id: str | None = None
    client_secret: Secret | None = None
    client_assertion_type: str | None = None
    client_assertion: Secret | None = None
    certificate: ClientCertificate | None = None
    """Believed, for it comes from a proxy that is configured as trusted; nothing else ever becomes one."""


@dataclass(frozen=True, slots=True)
class TokenExchangeRequest:
    """The parameters of RFC 8693 §2.1, parsed once; nothing behind the edge reads the form."""

    subject_token: Secret
    subject_token_type: TokenTypeIdentifier
    actor_token: Secret | None = None
    actor_token_type: TokenTypeIdentifier | None = None
    audiences: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    """The requested scopes in the order sent; ``None`` when the request has no ``scope``."""
    requested_token_type: TokenTypeIdentifier = TokenTypeIdentifier.ACCESS_TOKEN


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """A token as a client sent it, in which role and called what: nothing of it is believed yet."""

    token: Secret
    role: Role
    declared: TokenTypeIdentifier = TokenTypeIdentifier.ACCESS_TOKEN
    """What the client says it is (RFC 8693 §3): it can refuse a token, and never prove one."""
    opaque_tokens_from: str | None = None
    """The file under ``policies/issuers/`` whose issuer is asked about a token that is no JWT, as the
    client's file says: a token is never sent to an issuer that was guessed."""
    proof: SenderProof = NO_PROOF


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A token whose signature, times, kind and audience were checked (RFC 9068 §4, RFC 8725)."""

    role: Role
    kind: TokenKind
    evidence: str
    """What proved the kind, such as ``header.typ=at+jwt``: for audit and ``explain``."""
    issuer: str
    """``iss``, character by character as configured."""
    issuer_name: str
    """The file name under ``policies/issuers/``."""
    claims: Claims
    subject: str
    """Who the token is about, as its issuer writes it; several claims joined with ``|``."""
    qualified_subject: str
    """The ``sub`` of a token issued for it: ``NAME|subject`` or ``subject``, as the issuer's file says."""
    audience: frozenset[str]
    scopes: frozenset[str]
    authorized_party: frozenset[str]
    """To which clients the issuer says it issued the token."""
    issued_at: int | None
    """Seconds since the epoch."""
    expires_at: int
    """Seconds since the epoch."""
    token_id: str | None
    """``jti``."""
    sha256: str
    """Hexadecimal digest of the token, for audit; the token itself is not kept."""
    act: Claims | None = None
    """Who acts, and on whose behalf before (RFC 8693 §4.1); ``None`` when the token carries no ``act``."""
    may_act: Claims | None = None
    """Who may act for the subject (RFC 8693 §4.4); ``None`` when the token carries no ``may_act``."""
    confirmation: Claims | None = None
    """``cnf``, all of it proved by this request (RFC 7800 §3.1); ``None`` when it is bound to nobody."""
    single_use_id: str | None = None
    """What is marked when it is exchanged, unique at its issuer; ``None`` if it may be exchanged again."""
    in_audit_mode: bool = False
    """The issuer is on trial: everything is checked and recorded, and nothing is issued."""


@dataclass(frozen=True, slots=True)
class Permit:
    """What policy allows to be issued. Only ``exchange.policy`` makes one; only ``exchange.issuance`` uses
    it.
    """

    rules: tuple[str, ...]
    """The rules that decided, one for each of ``audience``."""
    client_id: str
    subject: str
    audience: tuple[str, ...]
    scopes: tuple[str, ...]
    claims: Claims
    """Claims beside the registered ones, as the rule lists them."""
    lifetime: int
    """Seconds, at most."""
    not_after: int
    """Seconds since the epoch: the issued token never outlives what it was issued from."""
    act: Claims | None = None
    """The actor with the subject token's own chain nested in it, unbroken (RFC 8693 §4.1)."""
    may_act: Claims | None = None
    """Kept from the subject token (RFC 8693 §4.4)."""
    confirmation: Claims | None = None
    """``cnf`` of the issued token (RFC 7800 §3.1): whom it is bound to; ``None`` for a bearer token."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """The result, and what the response and the audit record say of it (RFC 8693 §2.2.1)."""

    access_token: Secret
    issued_token_type: TokenTypeIdentifier
    token_type: str
    expires_in: int
    """Seconds."""
    scopes: tuple[str, ...]
    claims: Claims
    """The claims that were signed, for the audit record and ``explain``."""
    token_id: str
    """``jti``."""
    expires_at: int
    """Seconds since the epoch."""
    sha256: str
