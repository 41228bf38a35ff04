"""Who a token is about, in one string that two different subjects can never share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

SEPARATOR = "|"
_ESCAPE = "\\"


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject as its issuer writes it, and as the ``sub`` of a token issued for it."""

    text: str
    qualified: str


def name_subject(issuer_name: str, parts: Sequence[str], form: Literal["qualified", "plain"]) -> Subject:
    """Return the names of the subject whose claims are ``parts``, in the order of the issuer's file.

    A single claim is copied as it is, so that it equals what the issuer and its APIs call the subject. What
    is joined is escaped, or ``a|b`` and ``c`` would become the same person as ``a`` and ``b|c``.
    """
    text = parts[0] if len(parts) == 1 else join(parts)
    return Subject(text, join((issuer_name, *parts)) if form == "qualified" else text)


def join(parts: Iterable[str]) -> str:
    """Return ``parts`` with ``|`` between them, and a backslash before each ``|`` and backslash inside."""
    return SEPARATOR.join(
        part.replace(_ESCAPE, _ESCAPE * 2).replace(SEPARATOR, _ESCAPE + SEPARATOR) for part in parts
    )
