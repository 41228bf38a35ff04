"""``audiences/NAME.yaml``: one downstream API, what is issued for it, and to whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import merge
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from exchange.config.fields import AnyList, Choice, Duration, Name, Names, Scopes, StrictSchema
from exchange.config.not_yet import refuse_not_yet
from exchange.config.policy_file import PolicyFile
from exchange.config.rules import RuleContext, read_rule
from exchange.config.urls import check_resource
from exchange.config.values import Rule, TargetService


class AudienceSchema(StrictSchema):
    audience = Name(required=True)
    resources = Names("resource", load_default=())
    token_lifetime = Duration()
    token_format = Choice("jwt", "opaque")
    sender_constraint = Choice("none", "dpop", "mtls", "any", load_default="none")
    scopes = Scopes("scope", load_default=())
    rules = AnyList("rule", required=True)


_AUDIENCE = AudienceSchema()


def read_audience(file: PolicyFile, max_token_lifetime: int | None) -> TargetService | None:
    """Return the API that ``file`` describes; ``None`` when there are faults, which ``file`` has then.

    ``max_token_lifetime`` is the server's, in seconds; ``None`` when it is wrong itself.
    """
    if not file.is_mapping:
        return None
    refuse_not_yet("audiences", file)
    loaded = file.load(_AUDIENCE, file.data)
    _check_resources(file, loaded)
    context = RuleContext(file, loaded.get("scopes"), max_token_lifetime)
    context.check_lifetime(("token_lifetime",), loaded.get("token_lifetime"))
    rules = [read_rule(context, raw, ("rules", index)) for index, raw in enumerate(loaded.get("rules", ()))]
    _check_ids(file, loaded.get("rules", ()))
    known = tuple(rule for rule in rules if rule is not None)
    if file.faults:
        return None
    return TargetService(
        name=file.name,
        source=file.source(),
        audience=loaded["audience"],
        resources=frozenset(loaded["resources"]),
        token_lifetime=loaded.get("token_lifetime"),
        scopes=frozenset(loaded["scopes"]),
        rules=known,
        rules_by_client=MappingProxyType(_rules_by_client(known)),
        sender_constraint=loaded["sender_constraint"],
    )


def _check_resources(file: PolicyFile, loaded: Mapping[str, Any]) -> None:
    listed = isinstance(file.data.get("resources"), list)
    for index, resource in enumerate(loaded.get("resources", ())):
        try:
            check_resource(resource)
        except ValueError as error:
            file.fault(("resources", index) if listed else ("resources",), str(error))


def _check_ids(file: PolicyFile, rules: Iterable[object]) -> None:
    first: dict[str, int] = {}
    for index, raw in enumerate(rules):
        rule_id = raw.get("id") if isinstance(raw, dict) else None
        if not isinstance(rule_id, str):
            continue
        path = ("rules", index, "id")
        if rule_id in first:
            line = file.source(("rules", first[rule_id], "id")).line
            file.fault(path, f"another rule, on line {line}, has this id; give every rule its own")
        first.setdefault(rule_id, index)


def _rules_by_client(rules: tuple[Rule, ...]) -> dict[str, tuple[Rule, ...]]:
    """One pass over the rules: an API may have a hundred thousand, each for a client of its own."""
    for_anybody = [(place, rule) for place, rule in enumerate(rules) if rule.clients is None]
    naming: dict[str, list[tuple[int, Rule]]] = {}
    for place, rule in enumerate(rules):
        for client in rule.clients or ():
            naming.setdefault(client, []).append((place, rule))
    return {
        client: tuple(rule for _, rule in merge(own, for_anybody, key=itemgetter(0)))
        for client, own in naming.items()
    }
