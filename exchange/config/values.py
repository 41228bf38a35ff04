"""What ``policies/`` says, as frozen values. The loader makes them; every other room only reads them.

Durations are whole seconds. ``source`` is where the YAML said it. Collections that a request looks something
up in are mappings and frozensets, never lists to scan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from exchange.certificates import Authorities, ExpectedName
from exchange.claim_path import ClaimPath
from exchange.expressions import Expression
from exchange.matchers import Condition
from exchange.model import Secret

SELF: Final = "self"
"""How a rule names this service as an issuer; no file of ``issuers/`` has this name."""


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A place in a file: path relative to where the loader was pointed, line and column from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Rate:
    """How many in which time: ``600/m``."""

    amount: int
    unit: str
    """``s``, ``m``, ``h`` or ``d``."""

    def __str__(self) -> str:
        return f"{self.amount}/{self.unit}"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What is counted of requests, and how often is too often; ``None`` is not counted."""

    per_client: Rate | None = None
    per_issuer: Rate | None = None
    per_address: Rate | None = None
    failed_authentication: Rate | None = None
    """By address."""


NO_RATE_LIMIT: Final = RateLimit()


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """``server.yaml``: this service."""

    issuer: str
    signing_algorithm: str
    token_lifetime: int
    max_token_lifetime: int
    clock_skew: int
    max_delegation_depth: int
    max_targets: int
    dpop_nonce: Literal["required", "optional"] = "required"
    """``optional``: a DPoP proof may come without a nonce of ours; one that is there must be good."""
    rate_limit: RateLimit = NO_RATE_LIMIT


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where the public keys of one issuer or client come from: exactly one of the four.

    ``discovery`` is the issuer identifier whose metadata names the ``jwks_uri``. ``document`` is a JWK Set
    that was inline or in a file, read when the policies were loaded. Equal sources share one key cache.
    """

    discovery: str | None = None
    jwks_uri: str | None = None
    document: str | None = None
    """JSON text, so that the value stays frozen and hashable."""
    metadata_template: str | None = None
    """With ``discovery`` for one tenant of many: the issuer with ``{tenant}`` in the tenant's place. Metadata
    may say so too, in the IdP's own words for the placeholder, where it is the same for all tenants."""
    allow_insecure_http: bool = False
    allow_private_network: bool = False


@dataclass(frozen=True, slots=True)
class MarkerAlternative:
    """One way to prove that a token is an access token: all conditions hold (token-shapes §3, step 5)."""

    header: tuple[Condition, ...]
    claims: tuple[Condition, ...]
    label: str
    """Such as ``keycloak[0]`` or ``access_token.marker[1]``: for audit, ``explain`` and error details."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How one IdP's access tokens prove what they are: a data file of ``exchange/profiles/``."""

    name: str
    title: str
    never: str | None
    """Why access tokens of this IdP are never accepted; ``None`` when they can be."""
    weak: str | None
    """Why the marker is weak, and must be acknowledged; ``None`` when it is sound."""
    advice: str
    """What to tell an operator whose genuine access token was refused."""


@dataclass(frozen=True, slots=True)
class Introspection:
    """How an issuer is asked about a token (RFC 7662), and which tokens it is asked about."""

    way: Literal["rfc7662", "google-tokeninfo", "github"]
    endpoint: str
    client_id: str | None
    client_secret: Secret | None = field(hash=False)
    authentication: Literal["client_secret_basic", "client_secret_post"]
    cache: int
    """Seconds, at most, for which an answer is kept; 0 for none."""
    signed_response: bool
    """A signed answer is asked for, and no other is taken (RFC 9701)."""
    every_token: bool
    """JWTs are asked about, too: nobody but the issuer can tell what they are."""
    jwt_types: frozenset[str]
    """Header types of JWTs that prove an access token of this issuer, and refuse the token of any other."""
    prefixes: tuple[str, ...]
    """How a token of this issuer begins; one that begins otherwise is not asked about. Empty for anyhow."""
    lifetime: int | None
    """Seconds for which a token counts whose answer says no end; ``None`` where every answer must."""
    allow_insecure_http: bool
    allow_private_network: bool


@dataclass(frozen=True, slots=True)
class TenantBinding:
    """Which tenant of a multi-tenant IdP one ``TrustedIssuer`` is: its tokens must say so themselves, too."""

    claim: ClaimPath
    tenant: str
    template: str
    """The ``issuer`` of the file, in which ``{tenant}`` stands for the tenant."""


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """``issuers/NAME.yaml``, completed from its profile."""

    name: str
    source: Source
    issuer: str
    profile: Profile
    enabled: bool
    audience: frozenset[str]
    algorithms: frozenset[str]
    keys: KeySource
    marker: tuple[MarkerAlternative, ...]
    tolerate: frozenset[str]
    required_claims: tuple[ClaimPath, ...]
    require: tuple[Condition, ...]
    subject: tuple[ClaimPath, ...]
    """Several are joined with ``|``, which is escaped inside the parts."""
    subject_otherwise: ClaimPath | None
    """Who a token is about that has none of ``subject``: at Okta, a machine's."""
    subject_format: Literal["qualified", "plain"]
    scope: tuple[ClaimPath, ...]
    """The first one that the token carries is used; a space-separated string or a list of strings."""
    client: tuple[ClaimPath, ...]
    """The first one that the token carries says to whom it was issued."""
    audience_claim: ClaimPath
    max_token_age: int | None
    max_token_lifetime: int
    mode: Literal["enforce", "audit"] = "enforce"
    kind: Literal["access_token", "workload"] = "access_token"
    """``workload``: its tokens are no access tokens, about no person, and taken as ``…:jwt`` alone."""
    tenant: TenantBinding | None = None
    """Of an issuer that was made from a template: one for each allowed tenant, all under the file's name."""
    introspection: Introspection | None = None
    answers: TrustedIssuer | None = None
    """How what this issuer answers is read, which differs from its JWTs; there where it is asked."""
    single_use: bool = False
    """One of its tokens is exchanged once."""


@dataclass(frozen=True, slots=True)
class ClientSecretMethod:
    """``client_secret``: accepted as ``client_secret_basic`` and ``client_secret_post`` (RFC 6749 §2.3.1)."""

    sha256: tuple[bytes, ...]
    """Digests of the secrets in use; several while one is rotated."""


@dataclass(frozen=True, slots=True)
class PrivateKeyJwtMethod:
    """``private_key_jwt`` (RFC 7523 §3)."""

    keys: KeySource
    algorithms: frozenset[str]
    assertion_audience: Literal["issuer", "any"]
    """``issuer``: our issuer identifier alone; ``any``: that or the token endpoint."""


@dataclass(frozen=True, slots=True)
class TlsClientAuthMethod:
    """``tls_client_auth``: a certificate of an authority, known by one of its names (RFC 8705 §2.1)."""

    name: ExpectedName
    authorities: Authorities | None
    """From one of which it must come; ``None`` where the proxy alone verifies that."""


@dataclass(frozen=True, slots=True)
class SelfSignedMethod:
    """``self_signed``: certificates that are known themselves (RFC 8705 §2.2)."""

    x5t_s256: tuple[str, ...]
    """Base64url SHA-256 thumbprints; several while one is rotated."""


@dataclass(frozen=True, slots=True, order=True)
class WorkloadIdentity:
    """What a platform says of a client's own process: by whom, and about whom."""

    issuer: str
    """The file under ``issuers/``, whose ``kind`` is ``workload``."""
    subject: str
    """``sub``, character by character."""


@dataclass(frozen=True, slots=True)
class WorkloadMethod:
    """``workload``: a token of a trusted workload issuer as client assertion (RFC 7523 §2.2)."""

    identities: tuple[WorkloadIdentity, ...]
    assertion_audience: Literal["issuer", "any"]
    """As of ``PrivateKeyJwtMethod``."""


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """``clients/NAME.yaml``: who may ask."""

    name: str
    source: Source
    client_id: str
    audience: frozenset[str]
    """The names under which this client receives tokens (``presenter: audience``)."""
    authorized_party: frozenset[str]
    """What the IdPs call this client, its ``client_id`` included (``presenter: authorized_party``)."""
    default_target: str | None
    client_secret: ClientSecretMethod | None
    private_key_jwt: PrivateKeyJwtMethod | None
    opaque_tokens_from: str | None = None
    """The file under ``issuers/`` whose issuer is asked about opaque tokens that this client presents."""
    tls_client_auth: TlsClientAuthMethod | None = None
    self_signed: SelfSignedMethod | None = None
    workload: WorkloadMethod | None = None

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:  # noqa: ARG002  # Authlib's signature
        """Tell Authlib's registry whether this client may authenticate with ``method``."""
        configured: Mapping[str, object] = {
            "client_secret_basic": self.client_secret,
            "client_secret_post": self.client_secret,
            "private_key_jwt": self.private_key_jwt,
            "tls_client_auth": self.tls_client_auth,
            "self_signed_tls_client_auth": self.self_signed,
            "workload": self.workload,
        }
        return configured.get(method) is not None


@dataclass(frozen=True, slots=True)
class ScopeGrant:
    """One line of a rule's ``scopes``: granted always, or if the subject token carries one of ``needs``."""

    scope: str
    always: bool
    needs: frozenset[str]


@dataclass(frozen=True, slots=True)
class ClaimSource:
    """One line of a rule's ``claims``: copied from the subject token, or a fixed value."""

    name: str
    copy: ClaimPath | None
    value: object
    """Frozen JSON: tuples and read-only mappings inside."""
    expression: Expression | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of an audience. Its conditions choose it; ``presenter`` and ``scopes`` are checked after."""

    id: str
    source: Source
    why: str | None
    clients: frozenset[str] | None
    """Client identifiers; ``None`` (any client) only in a rule that denies."""
    subject_issuers: frozenset[str] | None
    """Names of files under ``issuers/``, or ``self``; ``None`` (any issuer) only in a rule that denies."""
    subject_claims: tuple[Condition, ...]
    deny: str | None
    """The text for the operator; ``None`` for a rule that permits."""
    presenter: Literal["audience", "authorized_party", "any"]
    scopes: tuple[ScopeGrant, ...]
    claims: tuple[ClaimSource, ...]
    token_lifetime: int | None
    actor_issuers: frozenset[str] | None = None
    """As ``subject_issuers``; ``None`` is no condition on the actor's issuer."""
    actor_claims: tuple[Condition, ...] = ()
    when: Expression | None = None
    delegation: Literal["none", "allowed", "required"] = "allowed"
    mode: Literal["enforce", "audit"] = "enforce"


@dataclass(frozen=True, slots=True)
class TargetService:
    """``audiences/NAME.yaml``: one downstream API."""

    name: str
    source: Source
    audience: str
    resources: frozenset[str]
    token_lifetime: int | None
    scopes: frozenset[str]
    rules: tuple[Rule, ...]
    rules_by_client: Mapping[str, tuple[Rule, ...]]
    """The rules that can apply to a client, in file order: those that name it, and denials that name nobody.
    A client that no rule names is not in here at all."""
    sender_constraint: Literal["none", "dpop", "mtls", "any"] = "none"
    """What an issued token must be bound to; ``any``: to one of the two."""


@dataclass(frozen=True, slots=True)
class Policies:
    """The whole of what the service believes and allows, loaded without a fault."""

    directory: str
    sha256: str
    """Of the loaded files' names and bytes: says which policies are in force."""
    server: ServerSettings
    issuers: Mapping[str, TrustedIssuer]
    """By ``issuer``, exactly as in the token's ``iss``."""
    clients: Mapping[str, RegisteredClient]
    """By ``client_id``."""
    targets: Mapping[str, TargetService]
    """By ``audience`` and by each of ``resources``."""
