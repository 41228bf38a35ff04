"""What is allowed: a pure function of the request, the client, the verified tokens and the policies.

No clock, no network, no log. The same question always gets the same answer, so that ``exchange test`` and
``exchange explain`` can ask the very code that serves requests.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol

from exchange.config.values import Policies, RegisteredClient, Rule
from exchange.errors import Refusal
from exchange.model import NO_PROOF, Permit, SenderProof, TokenExchangeRequest, VerifiedToken
from exchange.policy.claims import claims_of
from exchange.policy.decided_on import DecidedOn, DecisionInputs
from exchange.policy.delegation import chain_of, check_delegation, check_may_act
from exchange.policy.lifetime import lifetime_of, not_after
from exchange.policy.presenter import check_presenter
from exchange.policy.question import Question, is_ours
from exchange.policy.rules import choose_rule
from exchange.policy.scopes import grant_scopes
from exchange.policy.sender_constraint import confirmation_of
from exchange.policy.targets import resolve_targets, rules_for
from exchange.policy.trace import Trace, TraceRecorder, WouldHaveBeen


@dataclass(frozen=True, slots=True)
class Decision:
    """A permit or a refusal, never both and never neither, and why."""

    permit: Permit | None
    refusal: Refusal | None
    trace: Trace
    decided_on: DecidedOn | None = None
    """For the audit record, to decide it again by other policies."""

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
        proof: SenderProof = NO_PROOF,
    ) -> Decision: ...


class PolicyDecider:
    """Decides by ``policies/``. Takes time in proportion to the rules that name the client in the targets."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._inputs = DecisionInputs(policies)

    def __call__(
        self,
        request: TokenExchangeRequest,
        client: RegisteredClient,
        subject: VerifiedToken,
        actor: VerifiedToken | None,
        proof: SenderProof = NO_PROOF,
    ) -> Decision:
        """Return the decision; raises nothing.

        What is in ``mode: audit`` never decides: an issuer's is decided in full and then refused; for a rule
        the question is asked again as if all rules were enforced, and the answer is recorded.
        """
        decision = self._decide(request, client, subject, actor, proof)
        decided_on = self._inputs.of(request, client, subject, actor, decision.trace.targets, proof=proof)
        return replace(decision, decided_on=decided_on)

    def _decide(
        self,
        request: TokenExchangeRequest,
        client: RegisteredClient,
        subject: VerifiedToken,
        actor: VerifiedToken | None,
        proof: SenderProof = NO_PROOF,
    ) -> Decision:
        trace = TraceRecorder()
        answer = self._answer(request, client, subject, actor, proof=proof, trace=trace)
        if subject.in_audit_mode or (actor is not None and actor.in_audit_mode):
            refusal = Refusal("issuer_in_audit_mode", detail=_on_trial(subject, actor))
            return Decision(None, refusal, trace.finish(_would_have_been("issuer", answer)))
        would_have_been = None
        if trace.audited:
            trial = self._answer(
                request, client, subject, actor, proof=proof, trace=TraceRecorder(of_a_trial=True)
            )
            would_have_been = _would_have_been("rule", trial)
        if isinstance(answer, Refusal):
            return Decision(None, answer, trace.finish(would_have_been))
        return Decision(answer, None, trace.finish(would_have_been))

    def _answer(
        self,
        request: TokenExchangeRequest,
        client: RegisteredClient,
        subject: VerifiedToken,
        actor: VerifiedToken | None,
        *,
        proof: SenderProof,
        trace: TraceRecorder,
    ) -> Permit | Refusal:
        try:
            targets = trace.targets = resolve_targets(request, client, self._policies)
            return self._permit(Question(request, client, subject, actor, targets, proof=proof), trace)
        except Refusal as refusal:
            return refusal

    def _permit(self, question: Question, trace: TraceRecorder) -> Permit:
        """Return the permit, or raise the ``Refusal`` of the first line that finds a reason.

        Every target is permitted, or nothing is.
        """
        client, subject = question.client, question.subject
        candidates = [(target, rules_for(client, target)) for target in question.targets]
        _refuse_renewal(question)
        chosen = [(target, self._choose(rules, question, trace)) for target, rules in candidates]
        confirmation = confirmation_of(question, trace)
        may_act = check_may_act(question)
        return Permit(
            rules=tuple(rule.id for _, rule in chosen),
            client_id=client.client_id,
            subject=subject.qualified_subject,
            audience=tuple(target.audience for target in question.targets),
            act=chain_of(question, self._policies),
            may_act=may_act,
            scopes=grant_scopes(chosen, question, trace),
            claims=claims_of(chosen, question),
            lifetime=lifetime_of(chosen, self._policies.server),
            not_after=not_after(subject, question.actor),
            confirmation=confirmation,
        )

    def _choose(self, rules: tuple[Rule, ...], question: Question, trace: TraceRecorder) -> Rule:
        rule = choose_rule(rules, question, trace)
        check_presenter(rule, question, trace)
        check_delegation(rule, question, self._policies, trace)
        return rule


def _refuse_renewal(question: Question) -> None:
    """A token of ours, exchanged for the like of it, could live on for as long as somebody asks."""
    client, subject = question.client, question.subject
    if not is_ours(subject) or client.client_id not in subject.authorized_party:
        return
    for target in question.targets:
        if target.audience in subject.audience:
            raise Refusal("self_renewal", detail=f"the token is for {target.name} and this client already")


def _on_trial(subject: VerifiedToken, actor: VerifiedToken | None) -> str:
    tokens = (subject, actor) if actor is not None else (subject,)
    names = dict.fromkeys(token.issuer_name for token in tokens if token.in_audit_mode)
    return f"issuer {', '.join(names)}"


def _would_have_been(on_trial: Literal["issuer", "rule"], answer: Permit | Refusal) -> WouldHaveBeen:
    if isinstance(answer, Refusal):
        return WouldHaveBeen(on_trial, (), (), answer.reason.slug, answer.detail)
    return WouldHaveBeen(on_trial, answer.rules, answer.scopes, None, None)
