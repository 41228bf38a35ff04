"""Which downstream APIs the request is for (RFC 8693 §2.1, RFC 8707 §2)."""

from __future__ import annotations

from exchange.config.values import Policies, RegisteredClient, Rule, TargetService
from exchange.errors import Refusal
from exchange.model import TokenExchangeRequest


def resolve_targets(
    request: TokenExchangeRequest, client: RegisteredClient, policies: Policies
) -> tuple[TargetService, ...]:
    """Return the targets that the request names, each once and in that order, or else the client's default.

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
    if len(found) > policies.server.max_targets:
        raise Refusal("too_many_targets", detail=f"{len(found)} different targets")
    return tuple(found.values())


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
