"""An audit record read back: what a decision was made on, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from exchange.claim_path import ClaimPath
from exchange.model import Claims, Role, Secret, SenderProof, TokenExchangeRequest, TokenTypeIdentifier
from exchange.strict_json import InvalidJson, parse_object

_NO_TOKEN: Final = Secret("")
_USED: Final = frozenset(f"{role}_token_used" for role in Role)
"""Reasons of a policy that permitted: each such token was exchanged before."""
_UNKNOWN: Final = "\x00unknown"
"""Stands for a scope that no policies had; no scope is written so (RFC 6749 §3.3)."""


class CannotReplay(Exception):  # noqa: N818  # a finding about a record, not a defect
    """The decision cannot be made again. ``cause`` is from a small set, for counting."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class RecordedParty:
    """What is recorded of a verified token."""

    role: Role
    issuer_name: str
    iss: str
    subject: str
    qualified_subject: str
    audience: frozenset[str]
    authorized_party: frozenset[str]
    scopes: frozenset[str]
    expires_at: int
    act: Claims | None
    may_act: Claims | None
    confirmation: Claims | None
    claims: Claims
    """Those that the rules could look at, nested as they were in the token."""
    known: frozenset[tuple[str, ...]]
    """The paths that are recorded, as reference tokens, be they present in the token or absent."""

    def knows(self, path: ClaimPath) -> bool:
        """Tell whether the record says what stood at ``path``: it, or something around it, is recorded."""
        tokens = path.tokens
        return any(tokens[:length] in self.known for length in range(1, len(tokens) + 1))


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """What the service answered: a token or a reason."""

    reason: str | None
    rule: str | None
    claims: Claims
    """Of the issued token; empty where none was issued."""


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """One decision of the audit log."""

    request_id: str
    client_id: str
    now: float
    """Seconds since the epoch, when it was decided."""
    request: TokenExchangeRequest
    subject: RecordedParty
    actor: RecordedParty | None
    proof: SenderProof
    answer: RecordedAnswer


def read_record(line: str) -> Mapping[str, Any]:
    """Return the audit record that stands in ``line``; raises ``CannotReplay``."""
    try:
        record = parse_object(line)
    except InvalidJson:
        raise CannotReplay("not a JSON object") from None
    if record.get("event") != "token_exchange":
        raise CannotReplay("not a record of a token exchange")
    return record


def recorded_decision(record: Mapping[str, Any]) -> RecordedDecision:
    """Return the decision in ``record``; raises ``CannotReplay`` where none can be made again."""
    if "decided_on" not in record:
        raise CannotReplay("refused before policy decided")
    try:
        return _decision(record, record["decided_on"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CannotReplay("a record of another form") from None


def _decision(record: Mapping[str, Any], on: Mapping[str, Any]) -> RecordedDecision:
    if record["outcome"] == "failed":
        raise CannotReplay("failed for a reason that is not policy")
    if record.get("reason") in _USED:
        raise CannotReplay("refused because a token was used before")
    issued = record.get("issued", {}).get("claims", {})
    return RecordedDecision(
        request_id=str(record["request_id"]),
        client_id=str(record["client_id"]),
        now=float(issued.get("iat", datetime.fromisoformat(record["time"]).timestamp())),
        request=_request(on["request"]),
        subject=_party(Role.SUBJECT, on["subject"]),
        actor=_party(Role.ACTOR, on["actor"]) if "actor" in on else None,
        proof=_proof(on.get("proof", {})),
        answer=RecordedAnswer(record.get("reason"), record.get("rule"), issued),
    )


def _request(asked: Mapping[str, Any]) -> TokenExchangeRequest:
    if asked["unknown_targets"]:
        raise CannotReplay("asked for a target that was not known")
    scopes = None
    if "scopes" in asked:
        unknown = (f"{_UNKNOWN}{number}" for number in range(asked["unknown_scopes"]))
        scopes = (*_texts(asked["scopes"]), *unknown)
    return TokenExchangeRequest(
        subject_token=_NO_TOKEN,
        subject_token_type=TokenTypeIdentifier.ACCESS_TOKEN,
        audiences=_texts(asked["targets"]),
        scopes=scopes,
    )


def _proof(members: Mapping[str, object]) -> SenderProof:
    jkt, x5t_s256 = members.get("jkt"), members.get("x5t#S256")
    if not isinstance(jkt, str | None) or not isinstance(x5t_s256, str | None):
        raise TypeError("not a thumbprint")
    return SenderProof(jkt, x5t_s256)


def _party(role: Role, party: Mapping[str, Any]) -> RecordedParty:
    claims: Mapping[str, object] = party["claims"]
    paths = {name: ClaimPath(name).tokens for name in (*claims, *_texts(party["absent"]))}
    return RecordedParty(
        role=role,
        issuer_name=str(party["issuer"]),
        iss=str(party["iss"]),
        subject=str(party["sub"]),
        qualified_subject=str(party["qualified_sub"]),
        audience=frozenset(_texts(party["audience"])),
        authorized_party=frozenset(_texts(party["authorized_party"])),
        scopes=frozenset(_texts(party["scopes"])),
        expires_at=int(party["expires_at"]),
        act=party.get("act"),
        may_act=party.get("may_act"),
        confirmation=party.get("cnf"),
        claims=_nested({paths[name]: value for name, value in claims.items()}),
        known=frozenset(paths.values()),
    )


def _nested(values: Mapping[tuple[str, ...], object]) -> Claims:
    """The shorter paths first: what is recorded whole is not replaced by a part of it."""
    claims: dict[str, Any] = {}
    for tokens in sorted(values, key=len):
        around: Any = claims
        for token in tokens[:-1]:
            around = around.setdefault(token, {}) if isinstance(around, dict) else None
        if isinstance(around, dict):
            around.setdefault(tokens[-1], values[tokens])
    return claims


def _texts(values: Sequence[object]) -> tuple[str, ...]:
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise ValueError("not a list of strings")
    return tuple(str(value) for value in values)
