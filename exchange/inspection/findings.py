"""What the doctor found: a level, a stable code and one plain sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

MAX_SHOWN: Final = 200
"""Characters that are quoted of one value."""
MAX_LISTED: Final = 40
About = Literal["discovery", "keys", "clock", "tokens", "profile"]


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Works, and is worth knowing."""
    WRONG = "wrong"
    """Tokens would be refused, or must not be trusted, until it is put right."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``code`` is stable; ``text`` is for people, and may quote the IdP: it is escaped when printed."""

    level: Level
    about: About
    code: str
    text: str

    def to_json(self) -> dict[str, str]:
        """Return a JSON object."""
        return {"level": self.level.value, "about": self.about, "code": self.code, "text": self.text}


def shown(value: str) -> str:
    """Return a stranger's text as a finding quotes it: not longer than anybody reads."""
    return value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…"


def listed(names: Iterable[str]) -> str:
    """Return names of a stranger's, a few of them, separated by commas."""
    every = list(names)
    more = f" and {len(every) - MAX_LISTED} more" if len(every) > MAX_LISTED else ""
    return ", ".join(shown(name) for name in every[:MAX_LISTED]) + more


def ok(about: About, code: str, text: str) -> Finding:
    return Finding(Level.OK, about, code, text)


def note(about: About, code: str, text: str) -> Finding:
    return Finding(Level.NOTE, about, code, text)


def wrong(about: About, code: str, text: str) -> Finding:
    return Finding(Level.WRONG, about, code, text)


def anything_wrong(findings: Iterable[Finding]) -> bool:
    """Tell whether one of them is ``WRONG``."""
    return any(finding.level is Level.WRONG for finding in findings)
