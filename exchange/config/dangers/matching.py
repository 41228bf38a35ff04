"""Dangers of matchers and expressions: what matches more than it says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from exchange.config.faults import YamlPath
from exchange.matchers import Condition

Danger = tuple[YamlPath, str]
"""Where in the file, and why it is dangerous and what to write instead."""

MUTABLE_CLAIMS: Final = frozenset(
    {
        *("email", "mail", "emails", "preferred_username", "upn", "unique_name", "username", "user_name"),
        *("login", "name", "nickname", "given_name", "family_name", "phone_number", "samaccountname"),
    }
)
_OPEN_START = re.compile(r"\^?(\(\?[a-z]+\))?\(*\.[*+]")
_OPEN_END = re.compile(r"(?<!\\)\.[*+]\??\)*\$?$")
_BARE_DOT = re.compile(r"(?<=[a-z0-9])\.(?=[a-z0-9])", re.IGNORECASE)
_ESCAPE_OR_CLASS = re.compile(r"\\.|\[[^\]]*\]")

_OPEN: Final = "begins or ends with anything at all; a stranger may choose that part, so write it out"
_DOT: Final = "a dot stands for any character, so another name fits too; write `\\.` for a dot"
_LONGER: Final = (
    "a longer name begins like this too, and a stranger may take it; end it with a separator, such as / or :"
)
_MATCHES = re.compile(r"\.\s*matches\s*\(\s*(?:r?(?P<quote>[\"'])(?P<pattern>.*?)(?P=quote)\s*\))?")
_CONTAINS = re.compile(r"\.\s*contains\s*\(")
_COMPARED = re.compile(
    r"\bclaims\s*(?:\.\s*|\[\s*[\"'])(?P<claim>\w+)(?:[\"']\s*\])?\s*(?:==|in\b|\.\s*(?:matches|startsWith|endsWith)\b)",
)


def last_part(name: str) -> str:
    """Return what a claim is called without where it is nested, in lower case."""
    return name.rpartition("/")[2].lower()


def pattern_dangers(conditions: Iterable[Condition], path: YamlPath) -> Iterator[Danger]:
    """Yield the dangers of the matchers of ``conditions``, a mapping at ``path``."""
    for condition in conditions:
        name = condition.matcher.name
        for text in _of_matcher(name, str(condition.matcher.expected)):
            yield (*path, str(condition.path), name), text


def _of_matcher(name: str, text: str) -> Iterator[str]:
    if name == "pattern":
        if _OPEN_START.match(text) or _OPEN_END.search(text):
            yield _OPEN
        if _BARE_DOT.search(_ESCAPE_OR_CLASS.sub("", text)):
            yield _DOT
    elif name == "glob":
        if text.startswith("*"):
            yield _OPEN
        elif text.endswith("*") and text[-2].isalnum():
            yield _LONGER
    elif name == "prefix" and text[-1].isalnum():
        yield _LONGER


def expression_dangers(text: str, path: YamlPath) -> Iterator[Danger]:
    """Yield the dangers of a CEL expression, as far as its text shows them."""
    for call in _MATCHES.finditer(text):
        pattern = call["pattern"]
        if pattern is None or not _is_anchored(pattern):
            yield (
                path,
                "`matches` finds its pattern anywhere in the text; begin it with ^( and end it with )$",
            )
    if _CONTAINS.search(text):
        text_of = "`contains` looks inside a text, and not-admin contains admin; write `name in list`"
        yield path, f"{text_of}, such as `in subject.scopes`"
    for compared in _COMPARED.finditer(text):
        if compared["claim"].lower() in MUTABLE_CLAIMS:
            yield path, mutable(compared["claim"])


def mutable(claim: str) -> str:
    """Return what is said of a condition that recognises somebody by a claim that may change."""
    return f"{claim} may change or pass to somebody else; recognise people by a stable claim, such as sub"


def _is_anchored(pattern: str) -> bool:
    # `^a|b$` is anchored in neither of its halves.
    whole = pattern.startswith("^") and pattern.endswith("$") and not pattern.endswith("\\$")
    return whole and ("|" not in pattern or (pattern.startswith("^(") and pattern.endswith(")$")))
