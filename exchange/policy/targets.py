"""Which downstream API the request is for (RFC 8693 §2.1, RFC 8707 §2)."""

from __future__ import annotations

from typing import Final

from exchange.config.values import Policies, RegisteredClient, Rule, TargetService
from exchange.errors import Refusal
from exchange.model import TokenExchangeRequest

MAX_DECIDED_TARGETS: Final = 1
"""A token for several targets at once is not issued, whatever ``max_targets`` says."""


def resolve_target(
    request: TokenExchangeRequest, client: RegisteredClient, policies: Policies
) -> TargetService:
    """Return the one target that the request names, or else the client's default.

    ``audience`` and ``resource`` are looked up in the same table, so that neither is a way around the other.
    Raises ``Refusal``: ``target_missing``, ``target_unknown`` or ``too_many_targets``.
    """
    names = (*request.audiences, *request.resources) or _default(client)
    found: dict[str, TargetService] = {}
    for name in names:
        target = policies.targets.get(name)
        if target is None:
            # RFC 8707 §2. The name is the caller's own, perhaps a misplaced token: it is not repeated.
            raise Refusal("target_unknown")
        found[target.audience] = target
    if len(found) > min(policies.server.max_targets, MAX_DECIDED_TARGETS):
        raise Refusal("too_many_targets", detail=f"{len(found)} different targets")
    return next(iter(found.values()))


def rules_for(client: RegisteredClient, target: TargetService) -> tuple[Rule, ...]:
    """Return the rules that can apply to the client, in file order.

    Raises ``Refusal``: ``target_not_permitted`` when none names the client.
    """
    rules = target.rules_by_client.get(client.client_id)
    if not rules:
        raise Refusal(
            "target_not_permitted", detail=f"no rule of {target.name} names the client {client.client_id}"
        )
    return rules


def _default(client: RegisteredClient) -> tuple[str, ...]:
    if client.default_target is None:
        raise Refusal("target_missing")
    return (client.default_target,)
