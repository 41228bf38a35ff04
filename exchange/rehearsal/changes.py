"""What candidate policies would change of what was decided, counted by what changes and for whom."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from exchange.rehearsal.recorded import RecordedAnswer, RecordedDecision
from exchange.rehearsal.replay import Replayed

MAX_EXAMPLES: Final = 3
"""Request ids that are kept of each change."""
_NOT_POLICY: Final = frozenset({"iss", "iat", "exp", "jti", "scope"})
"""Claims that no rule says, and ``scope``, which has a line of its own."""


@dataclass(frozen=True, slots=True)
class Result:
    """One answer, in the terms in which two are compared."""

    reason: str | None
    """``None`` where a token was issued."""
    rule: str | None
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, str] = field(default_factory=dict)
    """JSON texts."""
    lifetime: int | None = None
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Change:
    """One kind of change, for one client; equal ones are counted together."""

    client_id: str
    before: str
    """``issued`` or ``refused``, by which rule and with which reason."""
    after: str
    what: tuple[str, ...]
    """One line for each thing that differs."""


@dataclass(slots=True)
class Tally:
    """All that came of one log."""

    replayed: int = 0
    changes: dict[Change, list[str]] = field(default_factory=dict)
    """The first request ids of each change."""
    counts: Counter[Change] = field(default_factory=Counter)
    not_replayed: Counter[str] = field(default_factory=Counter)

    def add(self, recorded: RecordedDecision, before: Result, after: Result) -> None:
        """Count one decision that was made again."""
        self.replayed += 1
        what = tuple(_differences(before, after))
        if not what:
            return
        change = Change(recorded.client_id, said(before), said(after), what)
        self.counts[change] += 1
        examples = self.changes.setdefault(change, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(recorded.request_id)

    def to_json(self) -> dict[str, object]:
        """Return one JSON object; the most frequent change comes first."""
        return {
            "replayed": self.replayed,
            "changed": self.counts.total(),
            "changes": [
                {
                    "client_id": change.client_id,
                    "before": change.before,
                    "after": change.after,
                    "what": list(change.what),
                    "count": count,
                    "request_ids": self.changes[change],
                }
                for change, count in self.counts.most_common()
            ],
            "not_replayed": dict(self.not_replayed.most_common()),
        }


def recorded_result(answer: RecordedAnswer) -> Result:
    """Return what the log says was answered."""
    claims: Mapping[str, Any] = answer.claims
    if answer.reason is not None:
        return Result(answer.reason, answer.rule)
    scopes = frozenset(str(claims.get("scope", "")).split())
    return Result(None, answer.rule, scopes, _texts(claims), int(claims["exp"]) - int(claims["iat"]))


def replayed_result(replayed: Replayed) -> Result:
    """Return what some policies answer."""
    rule = replayed.decision.trace.rule if replayed.decision is not None else None
    if replayed.issued is None:
        reason = replayed.refusal.reason.slug if replayed.refusal is not None else None
        return Result(reason, rule)
    issued = replayed.issued
    return Result(None, rule, frozenset(issued.scopes), _texts(issued.claims), issued.expires_in)


def _texts(claims: Mapping[str, object]) -> dict[str, str]:
    return {
        name: json.dumps(value, sort_keys=True, default=dict)
        for name, value in claims.items()
        if name not in _NOT_POLICY
    }


def said(result: Result) -> str:
    """Return the result in a few words."""
    by = f" by {result.rule}" if result.rule is not None else ""
    return f"issued{by}" if result.reason is None else f"refused{by}: {result.reason}"


def _differences(before: Result, after: Result) -> list[str]:
    if before.reason is not None or after.reason is not None:
        if before.reason == after.reason:
            return []
        was, becomes = ("refused" if one.reason else "issued" for one in (before, after))
        return [f"{was} -> {becomes}" if was != becomes else "refused -> refused otherwise"]
    return [
        *_sets("scope", before.scopes, after.scopes),
        *_sets("claim", before.claims.keys(), after.claims.keys()),
        *(
            f"claim {name}: another value"
            for name in sorted(before.claims.keys() & after.claims.keys())
            if before.claims[name] != after.claims[name]
        ),
        *_lifetimes(before.lifetime, after.lifetime),
    ]


def _sets(noun: str, before: Any, after: Any) -> list[str]:
    taken = [f"{noun} {name}: no longer" for name in sorted(before - after)]
    return taken + [f"{noun} {name}: new" for name in sorted(after - before)]


def _lifetimes(before: int | None, after: int | None) -> list[str]:
    """Longer or shorter alone: the seconds hang on what was left of each token."""
    if before is None or after is None or before == after:
        return []
    return ["lifetime: longer" if after > before else "lifetime: shorter"]
