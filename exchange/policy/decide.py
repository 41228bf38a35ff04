"""What is allowed: a pure function of the request, the client, the verified tokens and the policies.

No clock, no network, no log. The same question always gets the same answer, so that ``exchange test`` and
``exchange explain`` can ask the very code that serves requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from exchange.config.values import Policies, RegisteredClient, Rule, ServerSettings, TargetService
from exchange.errors import Refusal
from exchange.model import Permit, TokenExchangeRequest, VerifiedToken
from exchange.policy.claims import claims_of
from exchange.policy.delegation import refuse_delegation
from exchange.policy.presenter import check_presenter
from exchange.policy.rules import choose_rule
from exchange.policy.scopes import grant_scopes
from exchange.policy.targets import resolve_target, rules_for
from exchange.policy.trace import Trace, TraceRecorder


@dataclass(frozen=True, slots=True)
class Decision:
    """A permit or a refusal, never both and never neither, and why."""

    permit: Permit | None
    refusal: Refusal | None
    trace: Trace

    def __post_init__(self) -> None:
        if (self.permit is None) == (self.refusal is None):
            raise ValueError("a decision permits or refuses")

    def permit_or_refuse(self) -> Permit:
        """Return the permit, or raise the ``Refusal``."""
        if self.refusal is not None:
            raise self.refusal
        assert self.permit is not None  # noqa: S101  # for the type checker; see __post_init__
        return self.permit


class Decide(Protocol):
    """Decides one exchange; returns refusals rather than raising them, so that each comes with its trace."""

    def __call__(
        self,
        request: TokenExchangeRequest,
        client: RegisteredClient,
        subject: VerifiedToken,
        actor: VerifiedToken | None,
    ) -> Decision: ...


class PolicyDecider:
    """Decides by ``policies/``. Takes time in proportion to the rules that name the client in the target."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    def __call__(
        self,
        request: TokenExchangeRequest,
        client: RegisteredClient,
        subject: VerifiedToken,
        actor: VerifiedToken | None,
    ) -> Decision:
        """Return the decision; raises nothing."""
        trace = TraceRecorder()
        try:
            permit = self._permit(request, client, subject, actor, trace)
        except Refusal as refusal:
            return Decision(None, refusal, trace.finish())
        return Decision(permit, None, trace.finish())

    def _permit(
        self,
        request: TokenExchangeRequest,
        client: RegisteredClient,
        subject: VerifiedToken,
        actor: VerifiedToken | None,
        trace: TraceRecorder,
    ) -> Permit:
        """Return the permit, or raise the ``Refusal`` of the first line that finds a reason."""
        refuse_delegation(subject, actor)
        self._refuse_own_token(subject)
        target = trace.target = resolve_target(request, client, self._policies)
        rule = choose_rule(rules_for(client, target), client, subject, trace)
        check_presenter(rule, client, subject, trace)
        scopes = grant_scopes(rule, target, request, subject, trace)
        return Permit(
            rules=(rule.id,),
            client_id=client.client_id,
            subject=subject.qualified_subject,
            audience=(target.audience,),
            scopes=scopes,
            claims=claims_of(rule, subject),
            lifetime=lifetime_of(rule, target, self._policies.server),
            not_after=subject.expires_at,
        )

    def _refuse_own_token(self, subject: VerifiedToken) -> None:
        # A token of ours, exchanged for the next one, would live on for as long as somebody asks.
        if subject.issuer == self._policies.server.issuer:
            raise Refusal("self_renewal")


def lifetime_of(rule: Rule, target: TargetService, server: ServerSettings) -> int:
    """Return the seconds an issued token may live, what is left of the subject token aside.

    The shortest of what the rule and the audience ask for; ``server.token_lifetime`` where neither asks;
    never above ``server.max_token_lifetime``.
    """
    asked = [seconds for seconds in (rule.token_lifetime, target.token_lifetime) if seconds is not None]
    return (
        min(*asked, server.max_token_lifetime)
        if asked
        else min(server.token_lifetime, server.max_token_lifetime)
    )
