"""Recorded decisions made again, by these policies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exchange.claim_path import ClaimPath
from exchange.config.tenant_template import templates_of
from exchange.config.values import Policies, Rule, TrustedIssuer
from exchange.errors import Refusal, token_refusal
from exchange.issuance.mint import Minter
from exchange.matchers import Condition
from exchange.model import IssuedToken, Role, TokenKind, TokenTypeIdentifier, VerifiedToken
from exchange.policy.decide import Decision, PolicyDecider
from exchange.policy.looked_at import expressions_of, named_in, names_all_it_needs
from exchange.policy.trace import RuleTrace
from exchange.rehearsal.believed import believed_issuers
from exchange.rehearsal.recorded import CannotReplay, RecordedDecision, RecordedParty
from exchange.rehearsal.rehearse import TOKEN_ID, ThrowawayKey
from exchange.tokens.subject import SEPARATOR, join
from exchange.tokens.validate import check_audience, check_conditions, refuse_unrecognisable


@dataclass(frozen=True, slots=True)
class Replayed:
    """What these policies answer."""

    decision: Decision | None
    """``None`` when it did not come to one."""
    issued: IssuedToken | None
    refusal: Refusal | None


class Replay:
    """Answers recorded decisions by ``policies``: the tokens are verified, and all the rest is asked again.

    Of an issuer's file that is whether it is there and enabled, and its ``audience``, ``require``,
    ``subject_format`` and ``mode``; what else it says about tokens, their kind and age among it, is not
    asked: the record does not have it.
    """

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._issuers = believed_issuers(policies)
        self._templates = {one.tenant.template for one in self._issuers.values() if one.tenant is not None}
        self._decide = PolicyDecider(policies)
        self._now = 0.0
        self._mint = Minter(
            issuer=policies.server.issuer,
            keys=ThrowawayKey(),
            clock=lambda: self._now,
            new_id=lambda: TOKEN_ID,
        )

    def __call__(self, recorded: RecordedDecision) -> Replayed:
        """Return the answer; raises ``CannotReplay`` when it would hang on a claim that is not recorded."""
        self._now = recorded.now
        try:
            decision = self._decision(recorded)
        except Refusal as refusal:
            return Replayed(None, None, refusal)
        self._refuse_guesses(recorded, decision)
        try:
            issued = self._mint(decision.permit_or_refuse(), TokenTypeIdentifier.ACCESS_TOKEN)
        except Refusal as refusal:
            return Replayed(decision, None, refusal)
        return Replayed(decision, issued, None)

    def _decision(self, recorded: RecordedDecision) -> Decision:
        client = self._policies.clients.get(recorded.client_id)
        if client is None:
            raise Refusal("client_authentication_failed", detail="no file in clients/ has this client_id")
        subject = self._token(recorded.subject)
        actor = self._token(recorded.actor) if recorded.actor is not None else None
        return self._decide(recorded.request, client, subject, actor, recorded.proof)

    def _token(self, party: RecordedParty) -> VerifiedToken:
        role, issuer = party.role, self._issuers.get(party.iss)
        if issuer is None or issuer.name != party.issuer_name:
            of_a_tenant = not self._templates.isdisjoint(templates_of(party.iss))
            raise token_refusal(role, "tenant_not_allowed" if of_a_tenant else "issuer_not_trusted")
        if not issuer.enabled:
            raise token_refusal(role, "issuer_disabled")
        refuse_unrecognisable(issuer, role)
        check_audience(party.audience, issuer, role)
        _refuse_unknown(party, (condition.path for condition in issuer.require))
        check_conditions(party.claims, issuer, role)
        return _verified(party, issuer)

    def _refuse_guesses(self, recorded: RecordedDecision, decision: Decision) -> None:
        """Claims that are not recorded look absent: no answer is given that was decided by one of them."""
        for entry in decision.trace.rules:
            if entry.rule.mode == "audit":
                continue  # decides nothing
            made = entry.rule if entry.outcome == "decided" and decision.permit is not None else None
            _refuse_unknown(recorded.subject, _paths(entry, Role.SUBJECT, made))
            if recorded.actor is not None:
                _refuse_unknown(recorded.actor, _paths(entry, Role.ACTOR, made))


def _paths(entry: RuleTrace, role: Role, made: Rule | None) -> Iterator[ClaimPath]:
    """Yield what the rule looked at in the token of ``role``, to choose it and, once ``made``, to issue."""
    for condition in entry.conditions:
        if isinstance(condition.expected, Condition) and condition.kind == f"{role}.claims":
            yield condition.expected.path
    evaluated = {condition.kind for condition in entry.conditions}
    for expression in expressions_of(entry.rule):
        if made is not None or (expression is entry.rule.when and "when" in evaluated):
            if not names_all_it_needs(expression):
                raise CannotReplay("an expression looks at claims that its text does not name")
            yield from named_in(expression)
    if made is not None and role is Role.SUBJECT:
        yield from (source.copy for source in made.claims if source.copy is not None)


def _refuse_unknown(party: RecordedParty, paths: Iterator[ClaimPath]) -> None:
    for path in paths:
        if not party.knows(path):
            raise CannotReplay(f"the claim {path} of the {party.role} token is not recorded")


def _verified(party: RecordedParty, issuer: TrustedIssuer) -> VerifiedToken:
    return VerifiedToken(
        role=party.role,
        kind=TokenKind.ACCESS_TOKEN,
        evidence="recorded",
        issuer=issuer.issuer,
        issuer_name=issuer.name,
        claims=party.claims,
        subject=party.subject,
        qualified_subject=_qualified(party, issuer),
        audience=party.audience,
        scopes=party.scopes,
        authorized_party=party.authorized_party,
        issued_at=None,
        expires_at=party.expires_at,
        token_id=None,
        sha256="",
        act=party.act,
        may_act=party.may_act,
        confirmation=party.confirmation,
        in_audit_mode=issuer.mode == "audit",
    )


def _qualified(party: RecordedParty, issuer: TrustedIssuer) -> str:
    """As ``name_subject`` does; a subject of several claims is recorded with its parts escaped already."""
    if issuer.subject_format == "plain":
        return party.subject
    if len(issuer.subject) > 1:
        return SEPARATOR.join((join((issuer.name,)), party.subject))
    return join((issuer.name, party.subject))
