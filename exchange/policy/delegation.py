"""Delegation (RFC 8693 §1.1, §4.1, §4.4): who may act, and the chain of those who do, which is never lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from exchange.claim_path import ClaimPath
from exchange.config.values import SELF, Policies, RegisteredClient, Rule
from exchange.errors import Refusal, token_refusal
from exchange.model import Claims, Role, VerifiedToken
from exchange.policy.claims import NotJson, frozen_json
from exchange.policy.question import Question, is_ours
from exchange.policy.trace import TraceRecorder

CHAIN_NOT_ALLOWED: Final = (
    "The subject_token is itself delegated (act), and delegation is not allowed here;"
    " present a token without an actor."
)
ACTOR_IS_DELEGATED: Final = (
    "The actor_token is itself delegated (act), and two chains cannot be kept in one token;"
    " present a token of the actor alone."
)
_NAMES_OF_AN_ACTOR: Final = frozenset(ClaimPath(name) for name in ("sub", "client_id", "azp", "appid", "cid"))
_NOT_ABOUT_IDENTITY: Final = frozenset({"aud", "exp", "nbf", "iat", "jti"})
"""RFC 8693 §4.4: not meaningful within ``may_act``."""


def check_delegation(rule: Rule, question: Question, policies: Policies, trace: TraceRecorder) -> None:
    """Refuse what the rule's ``delegation`` and ``actor`` do not allow.

    Raises ``Refusal``: ``delegation_not_allowed``, ``delegation_required``, ``actor_not_client``, and
    ``actor_token_issuer_not_trusted`` for a token of ours that the rule does not name.
    """
    subject, actor = question.subject, question.actor
    if actor is None and subject.act is None and rule.delegation == "allowed":
        return
    refusal = _of_mode(rule, subject, actor)
    if refusal is None and actor is not None:
        refusal = _of_actor(rule, question, actor, policies)
    names = _names(actor) if actor is not None else frozenset[str]()
    trace.checked("delegation", rule.delegation, ("actor", names), held=refusal is None)
    if refusal is not None:
        raise refusal


def _of_mode(rule: Rule, subject: VerifiedToken, actor: VerifiedToken | None) -> Refusal | None:
    if rule.delegation == "none" and actor is not None:
        return Refusal("delegation_not_allowed", detail=f"rule {rule.id}")
    if rule.delegation == "none" and subject.act is not None:
        # Without its chain the token would hide who acts; with it, it is the delegation that is not allowed.
        return Refusal("delegation_not_allowed", description=CHAIN_NOT_ALLOWED, detail=f"rule {rule.id}")
    if rule.delegation == "required" and actor is None:
        return Refusal("delegation_required", detail=f"rule {rule.id}")
    return None


def _of_actor(rule: Rule, question: Question, actor: VerifiedToken, policies: Policies) -> Refusal | None:
    detail = f"rule {rule.id}"
    if is_ours(actor) and SELF not in (rule.actor_issuers or ()):
        return token_refusal(Role.ACTOR, "issuer_not_trusted", detail=f"{detail}: actor.issuer is not self")
    if actor.act is not None:
        return Refusal("delegation_not_allowed", description=ACTOR_IS_DELEGATED, detail=detail)
    if _is_client(actor, question.client) or _names_actor(rule, actor, policies):
        return None
    return Refusal("actor_not_client", detail=detail)


def _is_client(actor: VerifiedToken, client: RegisteredClient) -> bool:
    return not _names(actor).isdisjoint({client.client_id} if is_ours(actor) else _names_of(client))


def _names(actor: VerifiedToken) -> frozenset[str]:
    return actor.authorized_party | {actor.subject, _sub(actor)}


def _names_of(client: RegisteredClient) -> frozenset[str]:
    return client.authorized_party | {client.client_id}


def _names_actor(rule: Rule, actor: VerifiedToken, policies: Policies) -> bool:
    """Tell whether the rule, whose conditions hold, says who the actor is and not only where it is from.

    ``actor: {issuer: …}`` narrows, and must not let one client act with the token of another.
    """
    issuer = policies.issuers.get(actor.issuer)
    paths = _NAMES_OF_AN_ACTOR.union((*issuer.subject, *issuer.client) if issuer else ())
    return any(
        condition.path in paths and condition.matcher.name not in {"present", "type"}
        for condition in rule.actor_claims
    )


def check_may_act(question: Question) -> Claims | None:
    """Return the subject token's ``may_act``, to be kept, once it was obeyed; ``None`` when it has none.

    Every member that identifies the party must be the actor's; without an actor token the party is the
    client, known by ``client_id`` (or by ``sub``, where no ``iss`` says whose it is). Raises ``Refusal``:
    ``may_act_mismatch``; a ``may_act`` that names nobody allows nobody.
    """
    may_act = question.subject.may_act
    if may_act is None:
        return None
    actor = question.actor
    if actor is None:
        named = may_act.get("client_id") or (may_act.get("sub") if "iss" not in may_act else None)
        held = isinstance(named, str) and named in _names_of(question.client)
    else:
        members = [(name, value) for name, value in may_act.items() if name not in _NOT_ABOUT_IDENTITY]
        held = bool(members) and all(_is(actor, name, value) for name, value in members)
    if not held:
        raise Refusal("may_act_mismatch", detail=f"may_act has {', '.join(sorted(may_act))}")
    try:
        kept = frozen_json(may_act)
    except (NotJson, RecursionError):
        raise token_refusal(Role.SUBJECT, "claim_malformed", detail="may_act is no JSON") from None
    return kept if isinstance(kept, Mapping) else None


def _is(actor: VerifiedToken, name: str, value: object) -> bool:
    if name == "iss":
        return value == actor.issuer
    if name == "sub":
        return value == _sub(actor)
    if name == "client_id":
        return isinstance(value, str) and value in actor.authorized_party
    claim = actor.claims.get(name)
    # True is not 1, and of an array or object nobody can say what of it identifies.
    return isinstance(value, str | int | float) and type(claim) is type(value) and claim == value


# ── the chain ───────────────────────────────────────────────────────────────────────────────────────────────


def chain_of(question: Question, policies: Policies) -> Claims | None:
    """Return the ``act`` of the issued token: the actor, and in it the subject token's own, unbroken.

    Without an actor token the subject token's own stays as it is. Raises ``Refusal``: ``delegation_cycle``,
    ``delegation_too_deep``.
    """
    subject, actor = question.subject, question.actor
    if actor is None and subject.act is None:
        return None
    prior = tuple(_links(subject.act))
    if len(prior) + (actor is not None) > policies.server.max_delegation_depth:
        raise Refusal("delegation_too_deep", detail=f"after {len(prior)} actors")
    if actor is None:
        return subject.act
    if _is_party(subject, actor) or any(_is_link(link, subject, actor, policies) for link in prior):
        raise Refusal("delegation_cycle", detail=f"after {len(prior)} actors")
    party: dict[str, object] = {"sub": _sub(actor), "iss": actor.issuer}
    if len(actor.authorized_party) == 1:
        party["client_id"] = next(iter(actor.authorized_party))
    return MappingProxyType(party if subject.act is None else {**party, "act": subject.act})


def _links(act: object) -> Iterator[Claims]:
    """Yield the parties of a chain, the current actor first."""
    while isinstance(act, Mapping):
        yield act
        act = act.get("act")


def _is_party(subject: VerifiedToken, actor: VerifiedToken) -> bool:
    """Tell whether the actor is the subject. A token of ours knows the subject by its qualified name."""
    if is_ours(subject) or is_ours(actor):
        return subject.qualified_subject == actor.qualified_subject
    return subject.issuer == actor.issuer and _sub(subject) == _sub(actor)


def _is_link(link: Claims, subject: VerifiedToken, actor: VerifiedToken, policies: Policies) -> bool:
    """Tell whether a link of the subject token's chain is the actor, by ``iss`` and ``sub`` together.

    A link without ``iss`` is of the issuer that wrote it: the subject token's; in a token of ours it may be
    any, so that nobody comes back unnoticed.
    """
    ours = policies.server.issuer
    iss = link.get("iss") or (None if is_ours(subject) else subject.issuer)
    if "sub" not in link:
        return iss in {None, actor.issuer} and link.get("client_id") in actor.authorized_party
    if iss == ours and not is_ours(actor):
        return link["sub"] == actor.qualified_subject
    return iss in {None, actor.issuer} and link["sub"] == _sub(actor)


def _sub(token: VerifiedToken) -> str:
    """Return ``sub`` as the issuer wrote it; the subject where the issuer has other claims for it."""
    sub = token.claims.get("sub")
    return sub if isinstance(sub, str) else token.subject
