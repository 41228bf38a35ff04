"""One valid question to the policy and its parts; a test changes exactly one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from exchange.claim_path import ClaimPath
from exchange.config.values import (
    ClaimSource,
    Policies,
    RegisteredClient,
    Rule,
    ScopeGrant,
    ServerSettings,
    Source,
    TargetService,
)
from exchange.expressions import compile_condition, compile_value
from exchange.matchers import Condition, compile_matcher
from exchange.model import (
    NO_PROOF,
    Role,
    Secret,
    SenderProof,
    TokenExchangeRequest,
    TokenKind,
    TokenTypeIdentifier,
    VerifiedToken,
)
from exchange.policy.decide import Decision, PolicyDecider

BFF = "https://bff.acme.example"
ORDERS = "https://orders.acme.example"
ORDERS_API = "https://orders.acme.example/api"
BILLING = "https://billing.acme.example"
EXPIRES_AT = 2_000_000_600

SERVER = ServerSettings(
    issuer="https://exchange.acme.example",
    signing_algorithm="ES256",
    token_lifetime=300,
    max_token_lifetime=3600,
    clock_skew=30,
    max_delegation_depth=4,
    max_targets=1,
)


def source(line: int = 1) -> Source:
    return Source("policies/audiences/orders.yaml", line, 3)


def conditions(claims: Mapping[str, Any]) -> tuple[Condition, ...]:
    return tuple(Condition(ClaimPath.parse(path), compile_matcher(spec)) for path, spec in claims.items())


def grants(scopes: Mapping[str, Any]) -> tuple[ScopeGrant, ...]:
    return tuple(
        ScopeGrant(name, always=True, needs=frozenset())
        if needs == "always"
        else ScopeGrant(name, always=False, needs=frozenset(needs))
        for name, needs in scopes.items()
    )


def copied(name: str, path: str) -> ClaimSource:
    return ClaimSource(name=name, copy=ClaimPath.parse(path), value=None)


def computed(name: str, text: str) -> ClaimSource:
    return ClaimSource(name=name, copy=None, value=None, expression=compile_value(text))


def fixed(name: str, value: object) -> ClaimSource:
    return ClaimSource(name=name, copy=None, value=value)


def rule(**changes: Any) -> Rule:
    """The rule ``shop-reads-orders``; ``…_claims``, ``scopes`` and ``when`` may be given as in YAML."""
    for name in ("subject_claims", "actor_claims"):
        if name in changes:
            changes[name] = conditions(changes[name])
    if isinstance(changes.get("when"), str):
        changes["when"] = compile_condition(changes["when"])
    if "scopes" in changes:
        changes["scopes"] = grants(changes["scopes"])
    default = Rule(
        id="shop-reads-orders",
        source=source(7),
        why=None,
        clients=frozenset({"orders-bff"}),
        subject_issuers=frozenset({"acme"}),
        subject_claims=conditions({"email_verified": True, "/realm_access/roles": {"contains": "customer"}}),
        deny=None,
        presenter="audience",
        scopes=grants({"orders:read": ["orders.read", "openid-orders"], "orders:write": ["orders.write"]}),
        claims=(),
        token_lifetime=None,
    )
    return replace(default, **changes)


def denial(**changes: Any) -> Rule:
    everybody: dict[str, Any] = {"clients": None, "subject_issuers": None, "subject_claims": {}, "scopes": {}}
    return rule(**(everybody | {"id": "no-guests", "deny": "guests never see orders"} | changes))


def target(*rules: Rule, **changes: Any) -> TargetService:
    permitting = [entry for entry in rules if entry.deny is None and entry.clients]
    by_client = {
        name: tuple(entry for entry in rules if entry.clients is None or name in entry.clients)
        for permitted in permitting
        for name in permitted.clients or ()
    }
    default = TargetService(
        name="orders",
        source=source(),
        audience=ORDERS,
        resources=frozenset({ORDERS_API}),
        token_lifetime=None,
        scopes=frozenset({"orders:read", "orders:write"}),
        rules=rules,
        rules_by_client=MappingProxyType(by_client),
    )
    return replace(default, **changes)


def client(**changes: Any) -> RegisteredClient:
    default = RegisteredClient(
        name="orders-bff",
        source=source(),
        client_id="orders-bff",
        audience=frozenset({BFF}),
        authorized_party=frozenset({"orders-bff", "shop-frontend"}),
        default_target=None,
        client_secret=None,
        private_key_jwt=None,
    )
    return replace(default, **changes)


def token(**changes: Any) -> VerifiedToken:
    default = VerifiedToken(
        role=Role.SUBJECT,
        kind=TokenKind.ACCESS_TOKEN,
        evidence="header.typ=at+jwt",
        issuer="https://login.acme.example/realms/main",
        issuer_name="acme",
        claims=MappingProxyType(
            {"sub": "u1", "email_verified": True, "tenant": "acme", "realm_access": {"roles": ["customer"]}}
        ),
        subject="u1",
        qualified_subject="acme|u1",
        audience=frozenset({BFF}),
        scopes=frozenset({"orders.read"}),
        authorized_party=frozenset({"shop-frontend"}),
        issued_at=2_000_000_000,
        expires_at=EXPIRES_AT,
        token_id="t1",
        sha256="0" * 64,
    )
    return replace(default, **changes)


def token_with(**claims: Any) -> VerifiedToken:
    """The valid token with some claims replaced; ``...`` takes one away."""
    merged = {name: value for name, value in {**token().claims, **claims}.items() if value is not ...}
    return token(claims=MappingProxyType(merged))


def actor(**changes: Any) -> VerifiedToken:
    """The client's own token, with which it acts."""
    subject = changes.get("subject", "svc-orders-bff")
    default: dict[str, Any] = {
        "role": Role.ACTOR,
        "claims": MappingProxyType({"sub": subject, "azp": "orders-bff"}),
        "subject": subject,
        "qualified_subject": f"{changes.get('issuer_name', 'acme')}|{subject}",
        "authorized_party": frozenset({"orders-bff"}),
        "scopes": frozenset(),
        "token_id": "t2",
    }
    return token(**(default | changes))


def own_token(**changes: Any) -> VerifiedToken:
    """A token that this service issued to another client, for the API that is now the client."""
    default: dict[str, Any] = {
        "issuer": SERVER.issuer,
        "issuer_name": "self",
        "claims": MappingProxyType({"sub": "acme|u1", "client_id": "shop"}),
        "subject": "acme|u1",
        "qualified_subject": "acme|u1",
        "authorized_party": frozenset({"shop"}),
    }
    return token(**(default | changes))


def own_rule(**changes: Any) -> Rule:
    """A rule that takes tokens of ours."""
    return rule(**({"subject_issuers": frozenset({"self"}), "subject_claims": {}} | changes))


def request(**changes: Any) -> TokenExchangeRequest:
    default = TokenExchangeRequest(
        subject_token=Secret("a.b.c"),
        subject_token_type=TokenTypeIdentifier.ACCESS_TOKEN,
        audiences=(ORDERS,),
    )
    return replace(default, **changes)


@dataclass(frozen=True)
class Question:
    """Everything the policy is asked with. By default it is permitted."""

    targets: tuple[TargetService, ...] = field(default_factory=lambda: (target(rule()),))
    request: TokenExchangeRequest = field(default_factory=request)
    client: RegisteredClient = field(default_factory=client)
    subject: VerifiedToken = field(default_factory=token)
    actor: VerifiedToken | None = None
    server: ServerSettings = SERVER
    proof: SenderProof = NO_PROOF

    def decide(self) -> Decision:
        return PolicyDecider(policies(*self.targets, server=self.server))(
            self.request, self.client, self.subject, self.actor, self.proof
        )


def policies(
    *targets: TargetService, server: ServerSettings = SERVER, clients: tuple[RegisteredClient, ...] = ()
) -> Policies:
    by_name = {name: entry for entry in targets for name in (entry.audience, *entry.resources)}
    return Policies(
        directory="policies",
        sha256="0" * 64,
        server=server,
        issuers=MappingProxyType({}),
        clients=MappingProxyType({entry.client_id: entry for entry in clients}),
        targets=MappingProxyType(by_name),
    )


def ask(*rules: Rule, **changes: Any) -> Decision:
    """Decide the valid question with these rules and changes."""
    if rules:
        changes["targets"] = (target(*rules),)
    return Question(**changes).decide()


def reason(decision: Decision) -> str | None:
    """The slug of the refusal; ``None`` for a permit."""
    return decision.refusal.reason.slug if decision.refusal else None
