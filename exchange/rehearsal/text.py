"""An explanation for people: the same members as the JSON, in the order in which they were looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from exchange.rehearsal.explanation import Explanation

_INDENT: Final = "  "
_HELD: Final = {True: "holds", False: "FAILS"}
_OUTCOMES: Final = {"ok": "ok", "failed": "FAILED", "not checked": "-"}


def readable_explanation(explanation: Explanation) -> str:
    """Return the text, without a line feed at its end; all that came from a token in it is ASCII JSON."""
    parts: Mapping[str, Any] = explanation
    return "\n".join(
        (
            *_client(parts),
            *_checks("subject_token", parts),
            *_checks("actor_token", parts),
            *(f"keys of {fetch['issuer']}: {fetch['outcome']}" for fetch in parts.get("key_fetches", ())),
            *_decision(parts.get("decision") or {}),
            *_refusal(parts.get("refusal")),
            *_issued(parts.get("issued")),
        )
    )


def _client(parts: Mapping[str, Any]) -> Iterator[str]:
    if "client" in parts:
        yield f"client {parts['client']['client_id']}  ({parts['client']['source']})"


def _checks(token: str, parts: Mapping[str, Any]) -> Iterator[str]:
    if token in parts:
        yield token
        for check in parts[token]:
            yield f"{_INDENT}{_OUTCOMES[check['outcome']]:7}{check['check']:10} {check['seen']}".rstrip()


def _decision(trace: Mapping[str, Any]) -> Iterator[str]:
    if trace.get("target") is not None:
        yield f"target {_value(trace['target'])}"
    for rule in trace.get("rules", ()):
        yield f"rule {rule['id']}  ({rule['source']})"
        for condition in rule["conditions"]:
            yield f"{_INDENT}{_HELD[condition['held']]:7}{_condition(condition)}"
        yield f"{_INDENT}{'=':7}{rule['outcome'].replace('_', ' ')}"
    for check in trace.get("checks", ()):
        saw = ", ".join(f"{name} {_value(value)}" for name, value in check["value"].items())
        yield f"{check['name']}\n{_INDENT}{_HELD[check['held']]:7}{check['text']}: {saw}"
    if trace.get("decided_by"):
        yield f"decided by {trace['decided_by']['rule']}  ({trace['decided_by']['source']})"


def _condition(condition: Mapping[str, Any]) -> str:
    saw = _value(condition["value"]) if "value" in condition else "absent"
    return f"{condition['kind']}: {condition['text']}; saw {saw}"


def _refusal(refusal: Mapping[str, Any] | None) -> Iterator[str]:
    if refusal is None:
        return
    yield f"REFUSED {refusal['reason']}  ({refusal['error']}, status {refusal['status']})"
    if "failed" in refusal:
        yield f"{_INDENT}failed check: {refusal['failed']}"
    yield f"{_INDENT}the client is told: {refusal['description']}"
    for name in ("detail", "hint"):
        if name in refusal:
            yield f"{_INDENT}{name}: {refusal[name]}"


def _issued(issued: Mapping[str, Any] | None) -> Iterator[str]:
    if issued is None:
        return
    yield f"ISSUED, for {issued['expires_in']} s, with the claims"
    yield from (f"{_INDENT}{line}" for line in json.dumps(issued["claims"], indent=2).splitlines())


def _value(value: object) -> str:
    return value if isinstance(value, str) and value.isascii() and value.isalnum() else json.dumps(value)
