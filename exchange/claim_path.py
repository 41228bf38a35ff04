"""How ``policies/`` names a claim: a literal top-level name, or a JSON Pointer (RFC 6901) when nested."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from exchange.model import Claims


class _Missing:
    """The type of ``MISSING``: not ``None``, which is what JSON's ``null`` becomes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()
"""What ``ClaimPath.find`` returns when the token has no such member."""

_BAD_ESCAPE = re.compile(r"~(?![01])")
# RFC 6901 §4: no leading zeros. ASCII digits only, and few of them: int() takes other scripts' digits, and
# raises on very long ones.
_ARRAY_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,8})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ClaimPath:
    """The name of a claim. ``text`` starting with ``/`` is a JSON Pointer, anything else one literal name.

    So ``https://acme.example/roles`` is one claim, and ``/realm_access/roles`` is a member of another. Raises
    ``ValueError`` when ``text`` is empty or a malformed pointer (RFC 6901 §3).
    """

    text: str
    _tokens: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tokens", _reference_tokens(self.text))

    @classmethod
    def parse(cls, text: str) -> ClaimPath:
        """Return the path that ``text`` names; raises ``ValueError`` with what is wrong about it."""
        return cls(text)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The names from the top, unescaped: one for a literal name (RFC 6901 §4)."""
        return self._tokens

    def find(self, claims: Claims) -> object:
        """Return the member of ``claims``, or ``MISSING``; never raises, whatever the token holds."""
        value: object = claims
        for token in self._tokens:
            if isinstance(value, Mapping):
                value = value.get(token, MISSING)
            elif isinstance(value, (list, tuple)):
                value = _element(value, token)
            else:
                return MISSING
        return value

    def __str__(self) -> str:
        return self.text


def _reference_tokens(text: str) -> tuple[str, ...]:
    if not text:
        raise ValueError("name a claim; an empty name is none")
    if not text.startswith("/"):
        return (text,)
    if _BAD_ESCAPE.search(text):
        raise ValueError("a JSON Pointer writes `~` as `~0` and `/` inside a name as `~1` (RFC 6901)")
    # RFC 6901 §4: ~1 before ~0, so that "~01" becomes "~1" and not "/".
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text[1:].split("/"))


def _element(array: list[object] | tuple[object, ...], token: str) -> object:
    if not _ARRAY_INDEX.fullmatch(token):
        return MISSING
    index = int(token)
    return array[index] if index < len(array) else MISSING
