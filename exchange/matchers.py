"""What a claim must look like: the matchers of ``policies/``, total, exact and linear in the claim's length.

A matcher never raises and never converts: ``True`` is not ``1`` and ``1`` is not ``"1"``. A claim that is
missing, or of another type than the matcher is about, does not match.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import re2

from exchange.claim_path import MISSING, ClaimPath
from exchange.model import Claims

Scalar = str | bool | int | float
_Test = Callable[[object], bool]
_Compiled = tuple[object, _Test]
_Identity = tuple[str, object]

MAX_PATTERN_LENGTH: Final = 1024
"""Characters. The time of a match is bounded by the claim's length times the pattern's."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One compiled matcher. Made by ``compile_matcher`` alone."""

    name: str
    """``equals``, ``one_of``, …"""
    expected: object
    """What it was given, frozen: a scalar, or a tuple of scalars in the order written."""
    proves_presence: bool
    """Whether a match means that the claim is there: absences alone are no proof of what a token is."""
    _test: _Test = field(repr=False, compare=False)

    def matches(self, value: object) -> bool:
        """Tell whether ``value``, a JSON value or ``MISSING``, is what was asked for; never raises."""
        return self._test(value)

    def __str__(self) -> str:
        return f"{self.name} {_readable(self.expected)}"


@dataclass(frozen=True, slots=True)
class Condition:
    """A claim (or header parameter) and what it must look like."""

    path: ClaimPath
    matcher: Matcher

    def holds(self, claims: Claims) -> bool:
        """Tell whether ``claims`` meets the condition; never raises, whatever the token holds."""
        return self.matcher.matches(self.path.find(claims))

    def __str__(self) -> str:
        return f"{self.path} {self.matcher}"


def compile_matcher(spec: object) -> Matcher:
    """Return the matcher that ``spec`` describes: a scalar (equals), or a mapping of one matcher's name.

    Raises ``ValueError`` with a sentence that says what to write instead.
    """
    if not isinstance(spec, Mapping):
        return _compile("equals", spec)
    if len(spec) != 1:
        raise ValueError(f"write exactly one matcher: a value, or one of {_NAMES}")
    ((name, argument),) = spec.items()
    if name not in _MATCHERS:
        raise ValueError(f"unknown matcher; write a value, or one of {_NAMES}")
    return _compile(name, argument)


def _compile(name: str, argument: object) -> Matcher:
    expected, test = _MATCHERS[name](argument)
    absent_or_null = (name == "present" and expected is False) or (
        name == "type" and "null" in _as_tuple(expected)
    )
    return Matcher(name, expected, not absent_or_null, test)


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────


def _identity(value: object) -> _Identity | None:
    """Return what makes a scalar itself, or ``None`` for what is no scalar.

    Python says ``True == 1``, so a comparison without the kind would let ``1`` pass for ``true``. JSON
    knows one kind of number: ``1`` and ``1.0`` are the same.
    """
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, str):
        return ("string", value)
    if isinstance(value, (int, float)):
        return ("number", value)
    return None


def _scalar(argument: object, name: str) -> Scalar:
    if argument is None:
        raise ValueError(
            f"{name}: write a value; a claim that must be absent is `present: false`,"
            ' one that must be null is `type: "null"`'
        )
    if not isinstance(argument, (str, bool, int, float)):
        raise ValueError(f"{name}: write one string, number or boolean")  # noqa: TRY004  # callers catch one kind
    if isinstance(argument, float) and not math.isfinite(argument):
        raise ValueError(f"{name}: write a number that JSON can hold")
    return argument


def _scalars(argument: object, name: str) -> tuple[Scalar, ...]:
    """One value may stand alone; an empty list would match nothing, or everything, so it is refused."""
    listed = argument if isinstance(argument, (list, tuple)) else (argument,)
    if not listed:
        raise ValueError(f"{name}: list at least one value")
    values = tuple(_scalar(item, name) for item in listed)
    if len({_identity(value) for value in values}) != len(values):
        raise ValueError(f"{name}: list every value once")
    return values


def _text(argument: object, name: str) -> str:
    if not isinstance(argument, str) or not argument:
        raise ValueError(f"{name}: write a string that is not empty")
    return argument


def _as_tuple(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def _identities(values: Iterable[object]) -> frozenset[_Identity]:
    return frozenset(identity for value in values if (identity := _identity(value)))


def _readable(expected: object) -> str:
    if isinstance(expected, tuple):
        return f"[{', '.join(_readable(item) for item in expected)}]"
    return str(expected).lower() if isinstance(expected, bool) else str(expected)


# ── the matchers ────────────────────────────────────────────────────────────────────────────────────────────


def _equals(argument: object) -> _Compiled:
    wanted = _scalar(argument, "equals")
    identity = _identity(wanted)
    return wanted, lambda value: _identity(value) == identity


def _one_of(argument: object) -> _Compiled:
    wanted = _scalars(argument, "one_of")
    identities = _identities(wanted)
    return wanted, lambda value: _identity(value) in identities


def _contains(argument: object) -> _Compiled:
    if isinstance(argument, (list, tuple)):
        raise ValueError("contains: write one value; for several, use contains_any or contains_all")  # noqa: TRY004
    wanted = _scalar(argument, "contains")
    return wanted, _array_test((wanted,), frozenset.issubset)


def _contains_any(argument: object) -> _Compiled:
    wanted = _scalars(argument, "contains_any")
    return wanted, _array_test(wanted, lambda asked, found: not asked.isdisjoint(found))


def _contains_all(argument: object) -> _Compiled:
    wanted = _scalars(argument, "contains_all")
    return wanted, _array_test(wanted, frozenset.issubset)


def _array_test(
    wanted: Iterable[Scalar], test: Callable[[frozenset[_Identity], frozenset[_Identity]], bool]
) -> _Test:
    asked = _identities(wanted)
    # Arrays alone: in a string, "not-admin" contains "admin".
    return lambda value: isinstance(value, (list, tuple)) and test(asked, _identities(value))


def _prefix(argument: object) -> _Compiled:
    prefix = _text(argument, "prefix")
    return prefix, lambda value: isinstance(value, str) and value.startswith(prefix)


def _pattern(argument: object) -> _Compiled:
    pattern = _text(argument, "pattern")
    return pattern, _fullmatch(pattern, "pattern")


def _glob(argument: object) -> _Compiled:
    glob = _text(argument, "glob")
    wildcards = {"*": ".*", "?": "."}
    translated = "".join(wildcards.get(character) or re2.escape(character) for character in glob)
    return glob, _fullmatch(f"(?s:{translated})", "glob")


def _fullmatch(pattern: str, name: str) -> _Test:
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise ValueError(f"{name}: write at most {MAX_PATTERN_LENGTH} characters")
    options = re2.Options()
    options.log_errors = False
    try:
        # RE2 and not re: its time is linear in the value, so no token can make it backtrack for hours.
        compiled = re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError):
        raise ValueError(
            f"{name}: not a regular expression that RE2 knows (no look-around, no back-references)"
        ) from None

    def test(value: object) -> bool:
        if not isinstance(value, str):
            return False
        try:
            # fullmatch: with search, "^a|b$" lets anything pass that ends in "b".
            return compiled.fullmatch(value) is not None
        except UnicodeEncodeError:  # a lone surrogate has no UTF-8, which is what RE2 reads
            return False

    return test


def _present(argument: object) -> _Compiled:
    if not isinstance(argument, bool):
        raise ValueError("present: write true or false")  # noqa: TRY004
    if argument:
        return True, lambda value: value is not MISSING and value is not None
    return False, lambda value: value is MISSING


_TYPES: Mapping[str, _Test] = MappingProxyType(
    {
        "string": lambda value: isinstance(value, str),
        "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
        "boolean": lambda value: isinstance(value, bool),
        "array": lambda value: isinstance(value, (list, tuple)),
        "object": lambda value: isinstance(value, Mapping),
        "null": lambda value: value is None,
    }
)


def _type(argument: object) -> _Compiled:
    wanted = _scalars(argument, "type")
    if not all(isinstance(name, str) and name in _TYPES for name in wanted):
        raise ValueError(f"type: write one or several of {', '.join(_TYPES)} (quote null)")
    tests = tuple(_TYPES[str(name)] for name in wanted)
    return wanted, lambda value: any(test(value) for test in tests)


_MATCHERS: Mapping[str, Callable[[object], _Compiled]] = MappingProxyType(
    {
        "equals": _equals,
        "one_of": _one_of,
        "contains": _contains,
        "contains_any": _contains_any,
        "contains_all": _contains_all,
        "glob": _glob,
        "pattern": _pattern,
        "prefix": _prefix,
        "present": _present,
        "type": _type,
    }
)

MATCHER_NAMES: Final = tuple(_MATCHERS)
_NAMES: Final = ", ".join(_MATCHERS)
