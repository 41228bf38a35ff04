"""Which claims a rule can look at, told from its text: what a decision is recorded with, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from exchange.claim_path import ClaimPath
from exchange.config.values import Rule
from exchange.expressions import Expression

# `claims.NAME` where NAME is not called, or `claims["NAME"]`. Whatever else is done with claims may read any.
_CLAIMS: Final = re.compile(r"\bclaims\b")
_MEMBER: Final = re.compile(
    r"\s*(?:\.\s*([A-Za-z_]\w*)(?!\w|\s*\()|\[\s*(?:\"([^\"\\]+)\"|'([^'\\]+)')\s*\])", re.ASCII
)


@dataclass(frozen=True, slots=True)
class LookedAt:
    """Paths into the claims of the subject token and of the actor token, each once, in file order."""

    subject: tuple[ClaimPath, ...] = ()
    actor: tuple[ClaimPath, ...] = ()

    def __or__(self, other: LookedAt) -> LookedAt:
        return LookedAt(_once(self.subject + other.subject), _once(self.actor + other.actor))


def looked_at(rules: Iterable[Rule]) -> LookedAt:
    """Return what the conditions, copies and expressions of ``rules`` can look at."""
    found = LookedAt()
    for rule in rules:
        conditions = LookedAt(
            tuple(condition.path for condition in rule.subject_claims),
            tuple(condition.path for condition in rule.actor_claims),
        )
        copies = tuple(source.copy for source in rule.claims if source.copy is not None)
        named = tuple(path for expression in expressions_of(rule) for path in named_in(expression))
        found = found | conditions | LookedAt(copies + named, named)
    return found


def expressions_of(rule: Rule) -> tuple[Expression, ...]:
    """Return the expressions of ``rule``: its ``when``, and those that make claims."""
    made = tuple(source.expression for source in rule.claims if source.expression is not None)
    return made if rule.when is None else (rule.when, *made)


def named_in(expression: Expression) -> tuple[ClaimPath, ...]:
    """Return the claims, of whichever party, that ``expression`` names."""
    members = (_MEMBER.match(expression.text, found.end()) for found in _CLAIMS.finditer(expression.text))
    names = (next(filter(None, member.groups())) for member in members if member is not None)
    return _once(tuple(top_level(name) for name in names))


def names_all_it_needs(expression: Expression) -> bool:
    """Tell whether every claim that ``expression`` looks at stands in its text: ``claims[x]`` does not."""
    text = expression.text
    return all(_MEMBER.match(text, found.end()) is not None for found in _CLAIMS.finditer(text))


def top_level(name: str) -> ClaimPath:
    """Return the path of the member ``name``; some names only a JSON Pointer can say (RFC 6901)."""
    sayable = name and not name.startswith("/")
    return ClaimPath(name if sayable else "/" + name.replace("~", "~0").replace("/", "~1"))


def _once(paths: tuple[ClaimPath, ...]) -> tuple[ClaimPath, ...]:
    return tuple(dict.fromkeys(paths))
