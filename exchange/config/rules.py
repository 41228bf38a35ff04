"""One rule of an audience: what chooses it, and what it then grants or denies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from marshmallow import ValidationError

from exchange.config.claim_fields import ClaimName, Conditions
from exchange.config.faults import YamlPath
from exchange.config.fields import (
    AnyMapping,
    AnyValue,
    Choice,
    Duration,
    Name,
    Names,
    Section,
    StrictSchema,
    Text,
    frozen,
    read_list,
    read_name,
    read_scope,
)
from exchange.config.policy_file import PolicyFile
from exchange.config.values import ClaimSource, Rule, ScopeGrant
from exchange.expressions import Expression, InvalidExpression, compile_condition, compile_value

RESERVED_CLAIMS: Final = frozenset(
    {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "act", "may_act", "cnf", "txn"}
)
ALWAYS: Final = "always"
_NOTHING_IS_ISSUED: Final = ("claims", "presenter", "delegation", "token_lifetime")


class _PartySchema(StrictSchema):
    issuer = Names("issuer")
    claims = Conditions()


class RuleSchema(StrictSchema):
    id = Name(required=True)
    why = Text()
    client = Names("client")
    subject = Section(_PartySchema)
    actor = Section(_PartySchema)
    when = Text()
    presenter = Choice("audience", "authorized_party", "any")
    delegation = Choice("none", "allowed", "required")
    scopes = AnyMapping()
    deny = Text()
    claims = AnyMapping()
    token_lifetime = Duration()
    mode = Choice("enforce", "audit")


class ClaimSourceSchema(StrictSchema):
    copy = ClaimName()
    value = AnyValue()
    expression = Text()


_RULE = RuleSchema()
_CLAIM_SOURCE = ClaimSourceSchema()


@dataclass(frozen=True, slots=True)
class RuleContext:
    """What a rule is checked against: its file, the scopes of the API, and how long a token may live."""

    file: PolicyFile
    scopes: tuple[str, ...] | None
    """``None`` when the API's own list has faults, so that nothing can be said about a rule's."""
    max_token_lifetime: int | None

    def check_lifetime(self, path: YamlPath, lifetime: int | None) -> None:
        if (
            lifetime is not None
            and self.max_token_lifetime is not None
            and lifetime > self.max_token_lifetime
        ):
            self.file.fault(
                path, f"longer than the server's max_token_lifetime of {self.max_token_lifetime}s; write less"
            )


def read_rule(context: RuleContext, raw: object, path: YamlPath) -> Rule | None:
    """Return the rule that stands at ``path``; ``None`` when it cannot be told. Faults go to the file."""
    file = context.file
    loaded = file.load(_RULE, raw, path)
    if not isinstance(raw, dict):
        return None
    context.check_lifetime((*path, "token_lifetime"), loaded.get("token_lifetime"))
    if "deny" in raw:
        _check_denial(file, raw, path)
    else:
        _check_permission(file, raw, path)
    scopes = _scopes(context, loaded.get("scopes", {}), (*path, "scopes"))
    claims = _claims(file, loaded.get("claims", {}), (*path, "claims"))
    when = _expression(file, loaded.get("when"), (*path, "when"), compile_condition)
    _check_actor(file, raw, path)
    if file.faults:
        return None
    subject, actor = loaded.get("subject", {}), loaded.get("actor", {})
    return Rule(
        id=loaded["id"],
        source=file.source(path),
        why=loaded.get("why"),
        clients=frozenset(loaded["client"]) if "client" in loaded else None,
        subject_issuers=frozenset(subject["issuer"]) if "issuer" in subject else None,
        subject_claims=subject.get("claims", ()),
        deny=loaded.get("deny"),
        presenter=loaded.get("presenter", "audience"),
        scopes=scopes,
        claims=claims,
        token_lifetime=loaded.get("token_lifetime"),
        actor_issuers=frozenset(actor["issuer"]) if "issuer" in actor else None,
        actor_claims=actor.get("claims", ()),
        when=when,
        delegation=loaded.get("delegation", "allowed"),
        mode=loaded.get("mode", "enforce"),
    )


def _check_actor(file: PolicyFile, raw: Mapping[str, object], path: YamlPath) -> None:
    if raw.get("actor") == {}:
        file.fault((*path, "actor"), "name `issuer` or `claims`; for any actor, write `delegation: required`")
    if "actor" in raw and raw.get("delegation") == "none":
        text = "with `delegation: none` there is never an actor; remove one of the two"
        file.fault((*path, "actor"), text, at_key=True)


def _expression(
    file: PolicyFile, text: str | None, path: YamlPath, compiled: Callable[[str], Expression]
) -> Expression | None:
    if text is None:
        return None
    try:
        return compiled(text)
    except InvalidExpression as error:
        file.fault_within(path, error.line, error.column, error.message)
        return None


def _check_denial(file: PolicyFile, raw: Mapping[str, object], path: YamlPath) -> None:
    if "scopes" in raw:
        file.fault((*path, "scopes"), "a rule grants scopes or denies; keep `scopes` or `deny`", at_key=True)
    for key in _NOTHING_IS_ISSUED:
        if key in raw:
            file.fault((*path, key), "a rule that denies issues nothing; remove this", at_key=True)


def _check_permission(file: PolicyFile, raw: Mapping[str, object], path: YamlPath) -> None:
    if "scopes" not in raw:
        file.fault((*path, "scopes"), "is missing; say which scopes the rule grants, or `deny`")
    if "client" not in raw:
        file.fault((*path, "client"), "is missing; name the client that this rule is for")
    subject = raw.get("subject")
    if "subject" not in raw or (isinstance(subject, dict) and "issuer" not in subject):
        file.fault((*path, "subject", "issuer"), "is missing; name a file of issuers/")
    if raw.get("presenter") == "any" and "why" not in raw:
        file.fault((*path, "why"), "is missing; say why anybody may present this subject token")


def _scopes(context: RuleContext, declared: Mapping[str, object], path: YamlPath) -> tuple[ScopeGrant, ...]:
    grants = []
    for name, needs in declared.items():
        if context.scopes is not None and name not in context.scopes:
            context.file.fault(
                (*path, name), "not a scope of this API; list it under `scopes` of the file", at_key=True
            )
        try:
            read_scope(name)
            needed = [] if needs == ALWAYS else read_list(needs, "scope", read_name)
        except ValidationError as error:
            context.file.record(error.messages, (*path, name))
            continue
        grants.append(ScopeGrant(name, needs == ALWAYS, frozenset(needed)))
    return tuple(grants)


def _claims(file: PolicyFile, declared: Mapping[str, object], path: YamlPath) -> tuple[ClaimSource, ...]:
    sources = []
    for name, raw in declared.items():
        place = (*path, name)
        if name in RESERVED_CLAIMS:
            file.fault(place, "a registered claim is made by the service alone; remove it", at_key=True)
        elif not name or name.startswith("/"):
            file.fault(place, "an issued claim has a plain name, without `/` in front", at_key=True)
        loaded = file.load(_CLAIM_SOURCE, raw, place)
        if isinstance(raw, dict) and len(raw.keys() & {"copy", "value", "expression"}) != 1:
            file.fault(
                place, "write exactly one of `copy` (a claim of the subject token), `value` and `expression`"
            )
        expression = _expression(file, loaded.get("expression"), (*place, "expression"), compile_value)
        sources.append(ClaimSource(name, loaded.get("copy"), frozen(loaded.get("value")), expression))
    return tuple(sources)
