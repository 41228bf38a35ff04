"""What an inspection found, as one JSON object and as text. No token, no signature and no personal claim is
in it.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from exchange.inspection.bench import Verdict
from exchange.inspection.findings import About, Finding, anything_wrong, shown
from exchange.inspection.fitting import Fit
from exchange.inspection.keys import KeySeen
from exchange.inspection.tokens import ReadToken, Taken, seconds_left

_SHOWN: Final = ("iss", "aud")
"""Claims whose values are shown: they are names of services. Of all others only the name is."""
_SHOWN_OF_HEADER: Final = ("typ", "alg", "kid")
_MAX_NAMES: Final = 64
_SECTIONS: Final[tuple[About, ...]] = ("discovery", "keys", "clock", "tokens", "profile")
_MAX_PROFILES: Final = 6
_INDENT: Final = "  "
_WIDTH: Final = 110
_HANGING: Final = 7
"""Columns by which what is left of a long line is indented further."""


@dataclass(frozen=True, slots=True)
class TokenReport:
    """One given token: what it was taken for, and what the service says of it."""

    token: ReadToken
    taken: Taken | None
    """``None`` where it could not be read, or is another issuer's."""
    verdict: Verdict | None
    """Under the proposed file, or where there is none under ``rfc9068``."""
    judged_by: str
    """The profile of ``verdict``."""

    def to_json(self, now: float) -> dict[str, object]:
        """Return a JSON object; ``now`` in epoch seconds."""
        token = self.token
        parts: dict[str, object] = {"label": token.label}
        if token.unreadable is not None:
            return parts | {"unreadable": token.unreadable}
        if self.taken is not None:
            parts |= {
                "taken_for": self.taken.meaning.value,
                "because": self.taken.why,
                "sure": self.taken.sure,
            }
        parts |= {"header": _names(token.header), "claims": _names(token.claims)}
        values = {name: token.claims[name] for name in _SHOWN if name in token.claims}
        values |= {name: token.header[name] for name in _SHOWN_OF_HEADER if name in token.header}
        parts["values"] = {name: _text(value) for name, value in values.items()}
        parts["expires_in"] = seconds_left(token.claims, now)
        return parts | self._verdict()

    def _verdict(self) -> dict[str, object]:
        verdict = self.verdict
        if verdict is None:
            return {}
        answer: dict[str, object] = {"outcome": "accepted" if verdict.accepted else "refused"}
        if not verdict.accepted:
            answer |= {"reason": verdict.reason, "description": verdict.description, "detail": verdict.detail}
            answer["failed"] = verdict.checks[-1].value if verdict.checks else None
        return {
            "signature_verified": verdict.signature_verified,
            "under_profile": self.judged_by,
            "checks": [check.value for check in verdict.checks],
            **answer,
        }


def _names(members: Mapping[str, object]) -> list[str]:
    return [shown(name) for name in sorted(members)[:_MAX_NAMES]]


def _text(value: object) -> str:
    return shown(value if isinstance(value, str) else json.dumps(value, default=repr))


@dataclass(frozen=True, slots=True)
class Proposal:
    """A file that loads; ``yaml`` is its text."""

    name: str
    profile: str
    yaml: str


@dataclass(slots=True)
class Inspection:
    """All that was found out about one IdP."""

    issuer: str
    now: float
    findings: list[Finding] = field(default_factory=list)
    keys: tuple[KeySeen, ...] = ()
    tokens: list[TokenReport] = field(default_factory=list)
    fits: list[Fit] = field(default_factory=list)
    proposal: Proposal | None = None

    @property
    def healthy(self) -> bool:
        """A file is proposed, and nothing is wrong."""
        return self.proposal is not None and not anything_wrong(self.findings)

    def to_json(self) -> dict[str, object]:
        """Return one JSON object."""
        proposal = self.proposal
        return {
            "issuer": self.issuer,
            "outcome": "ok" if self.healthy else "wrong",
            "findings": [finding.to_json() for finding in self.findings],
            "keys": [key.to_json() for key in self.keys],
            "tokens": [report.to_json(self.now) for report in self.tokens],
            "profiles": [fit.to_json() for fit in self.fits],
            "proposal": proposal
            and {"name": proposal.name, "profile": proposal.profile, "yaml": proposal.yaml},
        }


def readable(inspection: Inspection) -> str:
    """Return the report as text, without a line feed at its end.

    Much of it is a stranger's: no control character of a document or a token reaches the terminal, where it
    could hide lines or forge them.
    """
    lines = (_printable(line) for line in _lines(inspection.to_json()))
    return "\n".join(part for line in lines for part in _wrapped(line))


def _printable(line: str) -> str:
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)


def _wrapped(line: str) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()) + _HANGING)
    return textwrap.wrap(
        line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"issuer {report['issuer']}"
    for section in _SECTIONS:
        findings = [one for one in report["findings"] if one["about"] == section]
        details = list(_DETAILS[section](report)) if section in _DETAILS else []
        if findings or details:
            yield section
        yield from details
        for finding in findings:
            level = finding["level"].upper() if finding["level"] == "wrong" else finding["level"]
            yield f"{_INDENT}{level:7}{finding['code'].replace('_', ' ')}: {finding['text']}"
    proposal = report["proposal"]
    yield (
        f"proposed: policies/issuers/{proposal['name']}.yaml with profile {proposal['profile']}"
        if proposal
        else "nothing is proposed"
    )


def _tokens(report: Mapping[str, Any]) -> Iterator[str]:
    for token in report["tokens"]:
        if "unreadable" in token:
            yield f"{_INDENT}{token['label']}: {token['unreadable']}"
        else:
            yield from _token(token)


def _token(token: Mapping[str, Any]) -> Iterator[str]:
    yield f"{_INDENT}{token['label']}: {_kind(token)}"
    yield f"{_INDENT * 2}header     {', '.join(token['header'])}"
    yield f"{_INDENT * 2}claims     {', '.join(token['claims'])}"
    left = token["expires_in"]
    seen = [f"{name} {value}" for name, value in token["values"].items()]
    yield f"{_INDENT * 2}values     {', '.join((*seen, 'no exp' if left is None else f'exp {left:+d} s'))}"
    if "outcome" in token:
        yield f"{_INDENT * 2}signature  {'verified' if token['signature_verified'] else 'not verified'}"
        yield from _outcome(token)


def _kind(token: Mapping[str, Any]) -> str:
    if "taken_for" not in token:
        return "of another issuer"
    article = "a" if token["taken_for"].startswith("token") else "an"
    return f"{'' if token['sure'] else 'probably '}{article} {token['taken_for']}, because {token['because']}"


def _outcome(token: Mapping[str, Any]) -> Iterator[str]:
    under = f"under profile {token['under_profile']}"
    if token["outcome"] == "accepted":
        yield f"{_INDENT * 2}accepted   {under}"
        return
    yield f"{_INDENT * 2}refused    {under}: {token['reason']}, at the check {token['failed']}"
    if token["detail"]:
        yield f"{_INDENT * 2}because    {token['detail']}"


def _profiles(report: Mapping[str, Any]) -> Iterator[str]:
    """Those that matter one by one, and the others by name."""
    proposed = report["proposal"] and report["proposal"]["profile"]
    fitting = [one["profile"] for one in report["profiles"] if one["fits"] and one["profile"] != proposed]
    taking_nothing = []
    for one in report["profiles"]:
        if one["profile"] == proposed:
            yield f"{_INDENT}fits   {one['profile']}: {one['why']}"
        elif not one["fits"] and one["lets_in"]:
            yield f"{_INDENT}-      {one['profile']}: {one['why']}"
        elif not one["fits"]:
            taking_nothing.append(one["profile"])
    if fitting:
        yield f"{_INDENT}fits   as well: {_several(fitting)}"
    if taking_nothing:
        yield f"{_INDENT}-      not every access token is taken by {_several(taking_nothing)}"


def _several(profiles: Sequence[str]) -> str:
    return ", ".join(profiles) if len(profiles) <= _MAX_PROFILES else f"{len(profiles)} other profiles"


_DETAILS: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]]] = MappingProxyType(
    {"tokens": _tokens, "profile": _profiles}
)
