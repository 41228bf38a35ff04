"""JSON of strangers: one meaning or none (RFC 8259, I-JSON RFC 7493).

Parsers differ on what is odd, and every difference is a way to show one thing to a check and another to
whoever acts on it. So what is odd is refused: duplicate members, NaN and Infinity, lone surrogates, integers
beyond 64 bit, numbers that overflow, nesting deeper than ``MAX_DEPTH``.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final, NoReturn, cast

MAX_DEPTH: Final = 16
"""Levels of objects and arrays. Deep nesting crashes native readers of the same data further on."""

_MAX_INTEGER_DIGITS: Final = 19
_MAX_INTEGER: Final = 2**63 - 1
_MIN_INTEGER: Final = -(2**63)

# The closing quote is optional so that an unterminated string is one match to the end. Otherwise `"\"\"\"…`
# is tried again from each of its quotes, and the depth check itself takes quadratic time.
_STRING: Final = re.compile(r'"(?:[^"\\]+|\\.)*+"?', re.DOTALL)
_NOT_A_BRACKET: Final = re.compile(r"[^\[\]{}]+")
_ONE_KIND_OF_BRACKET: Final = str.maketrans("{}", "[]")
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


class InvalidJson(Exception):  # noqa: N818  # it says what the text is
    """The text is not JSON with exactly one meaning. Carries no part of the text."""


def parse_object(text: str) -> dict[str, object]:
    """Return the JSON object that ``text`` is; its values are plain ``dict``, ``list``, ``str``, and so on.

    The caller bounds the size of ``text``; time and memory are linear in it. Raises ``InvalidJson``.
    """
    _refuse_depth(text)
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise InvalidJson("not JSON, or not with one meaning") from None
    if not isinstance(value, dict):
        raise InvalidJson("not an object")
    _refuse_lone_surrogates(text, value)
    return cast("dict[str, object]", value)


def _refuse_depth(text: str) -> None:
    # Nothing is deeper than it has opening brackets: most honest tokens leave here at once.
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    brackets = _NOT_A_BRACKET.sub("", _STRING.sub("", text)).translate(_ONE_KIND_OF_BRACKET)
    for _ in range(MAX_DEPTH):  # each pass takes the innermost level away
        brackets = brackets.replace("[]", "")
    if brackets:
        raise InvalidJson("nested too deeply, or unbalanced")


def _refuse_lone_surrogates(text: str, value: object) -> None:
    # A lone surrogate cannot be encoded: it would turn any later write (audit, response, store) into a 500.
    if not _SURROGATE.search(text):
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidJson("a lone surrogate") from None


def _unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _bounded_integer(text: str) -> int:
    if len(text) > _MAX_INTEGER_DIGITS + text.startswith("-"):
        raise ValueError("integer beyond 64 bit")
    number = int(text)
    if not _MIN_INTEGER <= number <= _MAX_INTEGER:
        raise ValueError("integer beyond 64 bit")
    return number


def _finite_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("number out of range")
    return number


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique_members,
    parse_int=_bounded_integer,
    parse_float=_finite_number,
    parse_constant=_refuse_constant,
)
