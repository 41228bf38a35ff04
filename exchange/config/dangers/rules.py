"""Dangers of a rule: what it gives to more parties than it seems to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from exchange.config.dangers.matching import (
    MUTABLE_CLAIMS,
    Danger,
    expression_dangers,
    last_part,
    mutable,
    pattern_dangers,
)
from exchange.config.faults import YamlPath
from exchange.config.rules import ALWAYS
from exchange.config.values import SELF, Policies, Rule, TargetService

_RECOGNISING: Final = frozenset({"equals", "one_of", "contains", "contains_any", "contains_all"})


def rule_dangers(target: TargetService, policies: Policies) -> Iterator[Danger]:
    """Yield the dangers of each rule of ``target`` by itself."""
    issued = frozenset(other.audience for other in policies.targets.values())
    for index, rule in enumerate(target.rules):
        path: YamlPath = ("rules", index)
        if rule.deny is None:
            yield from _of_permission(rule, path)
            yield from _of_scopes(rule, path, policies)
            yield from _never_presented(rule, path, policies, issued)
        yield from pattern_dangers(rule.subject_claims, (*path, "subject", "claims"))
        yield from pattern_dangers(rule.actor_claims, (*path, "actor", "claims"))
        if rule.when is not None:
            yield from expression_dangers(rule.when.text, (*path, "when"))
        for source in rule.claims:
            if source.expression is not None:
                place = (*path, "claims", source.name, "expression")
                yield from expression_dangers(source.expression.text, place)


def _of_permission(rule: Rule, path: YamlPath) -> Iterator[Danger]:
    if rule.presenter == "any":
        text = "whoever holds such a subject token may present it; prefer audience or authorized_party"
        yield (*path, "presenter"), text
    if rule.actor_claims and rule.actor_issuers is None:
        text = "an actor of any issuer may have such claims; name `actor.issuer` too"
        yield (*path, "actor", "claims"), text
    for party, conditions in (("subject", rule.subject_claims), ("actor", rule.actor_claims)):
        for condition in conditions:
            claim = str(condition.path)
            if last_part(claim) in MUTABLE_CLAIMS and condition.matcher.name in _RECOGNISING:
                yield (*path, party, "claims", claim), mutable(claim)


def _of_scopes(rule: Rule, path: YamlPath, policies: Policies) -> Iterator[Danger]:
    """A workload's token carries no scopes: what is granted to it is granted always, or never."""
    workloads = {issuer.name for issuer in policies.issuers.values() if issuer.kind == "workload"}
    workloads_alone = bool(rule.subject_issuers) and workloads.issuperset(rule.subject_issuers or ())
    for grant in rule.scopes:
        place = (*path, "scopes", grant.scope)
        if grant.always and not workloads_alone:
            yield (
                place,
                f"granted {ALWAYS}, whatever the subject token may do; name the scopes that it needs",
            )
        elif workloads_alone and not grant.always:
            text = f"never granted, for a workload's token carries no scopes; write `{ALWAYS}`, or remove it"
            yield place, text


def _never_presented(
    rule: Rule, path: YamlPath, policies: Policies, issued: frozenset[str]
) -> Iterator[Danger]:
    """A rule that can never permit is a mistake, and whoever mends it may open more than was meant."""
    if rule.presenter != "audience":
        return
    names = frozenset(
        name
        for client in rule.clients or ()
        if client in policies.clients
        for name in policies.clients[client].audience
    )
    if not names:
        text = "can never permit: no subject token is sent to this client, for it has no `audience`"
        yield (*path, "client"), f"{text}; add one, or use `presenter: authorized_party`"
    elif rule.subject_issuers == frozenset({SELF}) and names.isdisjoint(issued):
        text = (
            "can never permit: our own tokens are for an `audience` of audiences/, and this client has none"
        )
        yield (
            (*path, "client"),
            f"{text} of these; add it to the client's, or use `presenter: authorized_party`",
        )
