"""How long an issued token may live: the shortest of all that have a say."""

from __future__ import annotations

from collections.abc import Sequence

from exchange.config.values import Rule, ServerSettings, TargetService
from exchange.model import VerifiedToken


def lifetime_of(chosen: Sequence[tuple[TargetService, Rule]], server: ServerSettings) -> int:
    """Return the seconds an issued token may live, what is left of the presented tokens aside.

    For each target the shortest of what its rule and its audience ask for; ``server.token_lifetime`` where
    neither asks; never above ``server.max_token_lifetime``. Of several targets the shortest.
    """
    return min(server.max_token_lifetime, *[_asked(rule, target, server) for target, rule in chosen])


def _asked(rule: Rule, target: TargetService, server: ServerSettings) -> int:
    if rule.token_lifetime is None:
        return server.token_lifetime if target.token_lifetime is None else target.token_lifetime
    return (
        rule.token_lifetime
        if target.token_lifetime is None
        else min(rule.token_lifetime, target.token_lifetime)
    )


def not_after(subject: VerifiedToken, actor: VerifiedToken | None) -> int:
    """Return the time, in seconds since the epoch, that the issued token never outlives."""
    return subject.expires_at if actor is None else min(subject.expires_at, actor.expires_at)
