"""An explanation for people: the same members as the JSON, in the order in which they were looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from exchange.rehearsal.explanation import Explanation

_INDENT: Final = "  "
_HELD: Final = {True: "holds", False: "FAILS"}
_OF_A_REFUSAL: Final = {
    "failed": "failed check",
    "description": "the client is told",
    "detail": "detail",
    "hint": "hint",
}
_OUTCOMES: Final = {"ok": "ok", "failed": "FAILED", "not checked": "-"}


def readable_explanation(explanation: Explanation) -> str:
    """Return the text, without a line feed at its end.

    What came from a token is JSON in it, and a detail may quote the name of a claim as it is: no control
    character reaches the terminal, where it could hide or forge lines.
    """
    parts: Mapping[str, Any] = explanation
    return "\n".join(
        "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)
        for line in _lines(parts)
    )


def _lines(parts: Mapping[str, Any]) -> Iterator[str]:
    yield from _recorded(parts)
    yield from _client(parts)
    yield from _checks("subject_token", parts)
    yield from _checks("actor_token", parts)
    for fetch in parts.get("key_fetches", ()):
        yield f"keys of {fetch['issuer']}: {fetch['outcome']}"
    for asked in parts.get("introspections", ()):
        yield f"{asked['issuer']} was asked: {asked['outcome']}"
    yield from _decision(parts.get("decision") or {})
    yield from _refusal(parts.get("refusal"))
    yield from _issued(parts.get("issued"))
    for token in parts.get("used_up", ()):
        yield f"{token}: single_use, so this would use it up; whether it was used before is not asked here"


def _recorded(parts: Mapping[str, Any]) -> Iterator[str]:
    if "recorded" in parts:
        yield f"request {parts['request_id']}, as recorded at {parts['time']}"
        yield from (f"{_INDENT}{line}" for line in readable_explanation(parts["recorded"]).splitlines())
        again = f"not decided again: {parts['not_decided_again']}" if "not_decided_again" in parts else None
        yield again or "decided again, by these policies"


def _client(parts: Mapping[str, Any]) -> Iterator[str]:
    if "client" in parts:
        client = parts["client"]
        yield f"client {client['client_id']}" + (f"  ({client['source']})" if "source" in client else "")


def _checks(token: str, parts: Mapping[str, Any]) -> Iterator[str]:
    if token in parts:
        yield token
        for check in parts[token]:
            yield f"{_INDENT}{_OUTCOMES[check['outcome']]:7}{check['check']:10} {check['seen']}".rstrip()


def _decision(trace: Mapping[str, Any]) -> Iterator[str]:
    if trace.get("target") is not None:
        yield f"target {', '.join(trace.get('targets', [trace['target']]))}"
    for rule in trace.get("rules", ()):
        yield f"rule {rule['id']}  ({rule['source']})"
        for condition in rule["conditions"]:
            yield f"{_INDENT}{_HELD[condition['held']]:7}{_condition(condition)}"
        yield f"{_INDENT}{'=':7}{rule['outcome'].replace('_', ' ')}"
    for check in trace.get("checks", ()):
        saw = ", ".join(f"{name} {_value(value)}" for name, value in check["value"].items())
        yield str(check["name"])
        yield f"{_INDENT}{_HELD[check['held']]:7}{check['text']}: {saw}"
    for rule in trace.get("rules", ()):
        if rule["outcome"] == "decided":
            yield f"decided by {rule['id']}  ({rule['source']})"
    if "would_have_been" in trace:
        yield f"without mode: audit it would have been {_trial(trace['would_have_been'])}"


def _trial(trial: Mapping[str, Any]) -> str:
    if "reason" in trial:
        return f"refused: {trial['reason']}"
    return f"permitted by {', '.join(trial['rules'])}, scopes {_value(trial['scopes'])}"


def _condition(condition: Mapping[str, Any]) -> str:
    saw = _value(condition["value"]) if "value" in condition else "absent"
    return f"{condition['kind']}: {condition['text']}; saw {saw}"


def _refusal(refusal: Mapping[str, Any] | None) -> Iterator[str]:
    if refusal is None:
        return
    yield f"REFUSED {refusal['reason']}  ({refusal['error']}, status {refusal['status']})"
    for name, label in _OF_A_REFUSAL.items():
        if name in refusal:
            yield f"{_INDENT}{label}: {refusal[name]}"


def _issued(issued: Mapping[str, Any] | None) -> Iterator[str]:
    if issued is None:
        return
    yield f"ISSUED, for {issued['expires_in']} s, with the claims"
    yield from (f"{_INDENT}{line}" for line in json.dumps(issued["claims"], indent=2).splitlines())


def _value(value: object) -> str:
    return value if isinstance(value, str) and value.isascii() and value.isalnum() else json.dumps(value)
