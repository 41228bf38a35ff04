"""What a decision was made on, for the audit record: enough to make it again by other policies, no more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from exchange.claim_path import MISSING, ClaimPath
from exchange.config.values import Policies, RegisteredClient, TargetService
from exchange.model import NO_PROOF, SenderProof, TokenExchangeRequest, VerifiedToken
from exchange.policy.looked_at import LookedAt, looked_at, top_level

_NOTHING: Final = LookedAt()
_SUBJECT: Final = ClaimPath("sub")


@dataclass(frozen=True, slots=True)
class DecidedOn:
    """The parties, the request, and what the rules could look at; put into words when it is recorded."""

    request: TokenExchangeRequest
    subject: VerifiedToken
    actor: VerifiedToken | None
    policies: Policies
    targets: tuple[TargetService, ...]
    looked_at: LookedAt
    proof: SenderProof = NO_PROOF

    def to_json(self) -> dict[str, object]:
        """Return a JSON object. Of the claims it holds what the rules for this client can look at."""
        record: dict[str, object] = {
            "subject": _party(self.subject, self.looked_at.subject),
            "request": self._request(),
        }
        if self.actor is not None:
            record["actor"] = _party(self.actor, self.looked_at.actor)
        if proved := self.proof.as_confirmation():
            record["proof"] = proved
        return record

    def _request(self) -> dict[str, object]:
        """Names that the policies have, alone: what else a caller sent may be a token in the wrong place."""
        requested = (*self.request.audiences, *self.request.resources)
        known = [name for name in requested if name in self.policies.targets]
        record: dict[str, object] = {"targets": known, "unknown_targets": len(requested) - len(known)}
        if self.request.scopes is not None:
            scopes = frozenset(scope for target in self.targets for scope in target.scopes)
            named = [scope for scope in self.request.scopes if scope in scopes]
            record |= {"scopes": named, "unknown_scopes": len(self.request.scopes) - len(named)}
        return record


class DecisionInputs:
    """Knows, for one load of the policies, what the rules look at for each target and client."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._targets = {target.name: target for target in policies.targets.values()}
        self._by_target = {
            (name, client_id): looked_at(rules)
            for name, target in self._targets.items()
            for client_id, rules in target.rules_by_client.items()
        }
        self._required = {
            issuer.name: tuple(condition.path for condition in issuer.require)
            for issuer in policies.issuers.values()
        }

    def of(
        self,
        request: TokenExchangeRequest,
        client: RegisteredClient,
        subject: VerifiedToken,
        actor: VerifiedToken | None,
        targets: Iterable[str],
        *,
        proof: SenderProof = NO_PROOF,
    ) -> DecidedOn:
        """Return what a decision about the files ``targets`` of ``audiences/`` is made on."""
        named = tuple(targets)
        found = self._looked_at(named, client, subject, actor)
        return DecidedOn(
            request=request,
            subject=subject,
            actor=actor,
            policies=self._policies,
            targets=tuple(self._targets[name] for name in named),
            looked_at=found if actor is None else found | _of_delegation(subject),
            proof=proof,
        )

    def _looked_at(
        self,
        targets: tuple[str, ...],
        client: RegisteredClient,
        subject: VerifiedToken,
        actor: VerifiedToken | None,
    ) -> LookedAt:
        found = LookedAt(
            self._required.get(subject.issuer_name, ()),
            self._required.get(actor.issuer_name, ()) if actor is not None else (),
        )
        for name in targets:
            rules = self._by_target.get((name, client.client_id), _NOTHING)
            found = found | rules if found != _NOTHING else rules
        return found


def _of_delegation(subject: VerifiedToken) -> LookedAt:
    """Parties are compared by ``sub``, and ``may_act`` may name any claim of the actor (RFC 8693 §4.4)."""
    return LookedAt((_SUBJECT,), (_SUBJECT, *map(top_level, subject.may_act or ())))


def _party(token: VerifiedToken, paths: tuple[ClaimPath, ...]) -> dict[str, object]:
    found = [(path.text, path.find(token.claims)) for path in paths]
    record: dict[str, object] = {
        "issuer": token.issuer_name,
        "iss": token.issuer,
        "sub": token.subject,
        "qualified_sub": token.qualified_subject,
        "audience": sorted(token.audience),
        "authorized_party": sorted(token.authorized_party),
        "scopes": sorted(token.scopes),
        "expires_at": token.expires_at,
        "claims": {name: value for name, value in found if value is not MISSING},
        "absent": [name for name, value in found if value is MISSING],
    }
    if token.act is not None:
        record["act"] = _plain(token.act)
    if token.confirmation is not None:
        record["cnf"] = dict(token.confirmation)
    if token.may_act is not None:
        record["may_act"] = _plain(token.may_act)
    return record


def _plain(value: object) -> object:
    """Delegation claims are read-only; all others are as they were parsed."""
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
