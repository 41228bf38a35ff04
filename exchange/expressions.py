"""Expressions of ``policies/``: CEL, compiled and type-checked when the policies load, bounded in cost.

The only module that knows the CEL runtime. The runtime *returns* its errors as values that look true, raises
on some inputs, and crashes on data that is nested deeply enough; everything but a result of the right type is
``ExpressionFailed`` here, which refuses the request.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Final

MAX_LENGTH: Final = 2048
"""Characters of one expression. The runtime allows 32 levels of nesting and 10,000 steps of loops."""
MAX_DEPTH: Final = 16
MAX_MEMBERS: Final = 1000
"""Of one array or object, in and out: the runtime counts the steps of loops, not what each of them copies."""
MAX_VALUES: Final = 4000
"""In all claims of one token together, and in one result."""
_INT64: Final = range(-(2**63), 2**63)

PARTY_MEMBERS: Final = ("id", "issuer", "claims", "scopes")
"""What ``subject`` has, and ``actor`` where there is one."""
VARIABLES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "subject": PARTY_MEMBERS,
        "actor": PARTY_MEMBERS,
        "client": ("id",),
        "request": ("scopes", "audiences"),
    }
)
_KNOWN: Final = ", ".join(f"{name}.{member}" for name, members in VARIABLES.items() for member in members)

_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ([^\n]*)")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_CONTAINER = re.compile(r" \(in container ''\)| \[[A-Z_]+\]$")
_NOT_JSON: Final = frozenset({"BYTES", "TIMESTAMP", "DURATION", "TYPE", "ERROR", "UNKNOWN"})


class InvalidExpression(ValueError):  # noqa: N818  # it says what the text is
    """The text is no expression of the right type. ``line`` and ``column`` count from 1, within the text."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"{line}:{column}: {message}")
        self.message = message
        self.line = line
        self.column = column


class ExpressionFailed(Exception):  # noqa: N818  # an outcome to be handled, not a defect
    """The expression has no value for this request. Carries nothing of the request."""


class Variables:
    """What the expressions of one decision may look at: ``subject``, ``actor``, ``client`` and ``request``.

    ``values`` has these four; ``subject``, and ``actor`` unless it is ``None``, has ``id``, ``issuer``,
    ``claims`` and ``scopes``. Made once for a decision: nothing is converted before the first expression is
    evaluated, and then only once.
    """

    __slots__ = ("_activation", "_failed", "_values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._activation: Any = None
        self._failed = False

    def activation(self) -> Any:
        """Return the values as the runtime takes them; raises ``ExpressionFailed`` when they are odd."""
        if self._activation is None:
            if self._failed:
                raise ExpressionFailed("odd values")
            self._failed = True  # until it is done
            self._activation = _runtime().environment.Activation(dict(_bindings(self._values)))
        return self._activation


@dataclass(frozen=True, slots=True)
class Expression:
    """One compiled expression. Made by ``compile_condition`` and ``compile_value`` alone."""

    text: str
    _evaluate: Callable[[Variables], object] = field(repr=False, compare=False)

    def evaluate(self, variables: Variables | Mapping[str, Any]) -> object:
        """Return the value; raises ``ExpressionFailed``, and nothing else.

        A condition's is ``True`` or ``False``. Another's is frozen JSON: ``None``, booleans, integers of 64
        bit, finite floats, strings, tuples, read-only mappings.
        """
        try:
            return self._evaluate(variables if isinstance(variables, Variables) else Variables(variables))
        except Exception:  # noqa: BLE001  # whatever it was: no value. Its text may hold claims, so it ends here.
            raise ExpressionFailed("no value for this request") from None


def compile_condition(text: str) -> Expression:
    """Return the expression, whose value is ``True`` or ``False``; raises ``InvalidExpression``."""
    program = _compile(text)
    if program.return_type().name() not in {"BOOL", "DYN"}:
        raise InvalidExpression('the expression must be true or false, such as subject.claims.tenant == "a"')

    def evaluate(variables: Variables) -> object:
        result = program.eval(variables.activation())
        # Never truthiness: an error is a value too, a text that is not empty.
        value = result.value() if result.type().name() == "BOOL" else None
        if value is True or value is False:
            return value
        raise ExpressionFailed("neither true nor false")

    return Expression(text, evaluate)


def compile_value(text: str) -> Expression:
    """Return the expression, whose value is any JSON value; raises ``InvalidExpression``."""
    program = _compile(text)
    if program.return_type().name().partition("<")[0] in _NOT_JSON:
        raise InvalidExpression(
            "the expression must be a string, number, boolean, list or map; convert it, as in string(…)"
        )

    def evaluate(variables: Variables) -> object:
        result = program.eval(variables.activation())
        if result.type().name().partition("<")[0] in _NOT_JSON:
            raise ExpressionFailed("an error")
        return _Json(list_of=tuple, map_of=MappingProxyType).copy(result.plain_value())

    return Expression(text, evaluate)


# ── the runtime ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Runtime:
    environment: Any
    checker: Any
    """The same, but knows what ``actor`` has."""


@cache
def _runtime() -> _Runtime:
    """Return the runtime, imported when a policy first needs it; raises ``InvalidExpression`` without."""
    try:
        from cel_expr_python import cel  # noqa: PLC0415  # 50 MB that most policies do without
    except ImportError:
        raise InvalidExpression(
            "expressions need the package cel-expr-python, which is not installed here;"
            " install it, or write the condition with matchers"
        ) from None
    kinds = {
        "claims": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
        "scopes": cel.Type.List(cel.Type.STRING),
        "audiences": cel.Type.List(cel.Type.STRING),
    }
    # Each member is a variable of its own: of a map, the runtime would take any member that is written.
    declared = {
        f"{name}.{member}": kinds.get(member, cel.Type.STRING)
        for name, members in VARIABLES.items()
        for member in members
    }
    # `actor` itself may be compared with null and has no members beside the declared ones. The checker knows
    # such a type, a wrapper; but no value can be bound to it, so programs are made with one that fits all.
    nullable = cel.Type("google.protobuf.BoolValue")
    return _Runtime(
        environment=cel.NewEnv(variables=declared | {"actor": cel.Type.DYN}),
        checker=cel.NewEnv(variables=declared | {"actor": nullable}),
    )


def _compile(text: str) -> Any:
    if not text.strip():
        raise InvalidExpression("write an expression")
    if len(text) > MAX_LENGTH:
        raise InvalidExpression(f"write at most {MAX_LENGTH} characters")
    runtime = _runtime()
    try:
        runtime.checker.compile(text)
        return runtime.environment.compile(text)
    except (RuntimeError, TypeError, ValueError) as error:
        raise _explained(str(error)) from None


def _explained(error: str) -> InvalidExpression:
    """Return the first error of the runtime's text as one plain sentence with its place."""
    found = _ERROR.search(error)
    if "recursion" in error:
        return InvalidExpression("nested too deeply; write it with fewer levels, or as several rules")
    if found is None:
        return InvalidExpression("not an expression that CEL knows")
    line, column = max(int(found[1]), 1), max(int(found[2]), 1)
    message = _CONTAINER.sub("", found[3])
    if unknown := _UNDECLARED.match(message):
        message = f"unknown name {unknown[1]}; the names known here are {_KNOWN}, and what CEL has"
    elif "'wrapper(bool)'" in message:
        message = f"actor has only {', '.join(PARTY_MEMBERS)}, and may be null"
    elif message.startswith("Syntax error"):
        # The runtime goes on to list every token that it could have taken.
        message = message.partition(" expecting ")[0].replace("Syntax error", "not CEL", 1)
    return InvalidExpression(message, line, column)


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────


def _bindings(values: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the declared variables. Of an actor that is not there, none: what looks at it has no value."""
    for name, members in VARIABLES.items():
        party = values[name]
        if party is not None:
            for member in members:
                yield f"{name}.{member}", _plain(party[member])
        if name == "actor":
            yield name, None if party is None else {"id": _plain(party["id"])}


def _plain(value: object) -> object:
    members = sorted(value) if isinstance(value, AbstractSet) else value
    return _Json(list_of=list, map_of=dict).copy(members)


class _Json:
    """A copy of a JSON value, bounded. One integer beyond 64 bit, in a claim that no rule names, would spoil
    every access, and a lone surrogate or deep nesting would do worse.
    """

    def __init__(self, *, list_of: Callable[[Any], object], map_of: Callable[[Any], object]) -> None:
        self._list_of, self._map_of = list_of, map_of
        self._left = MAX_VALUES

    def copy(self, value: object, depth: int = MAX_DEPTH) -> object:
        """Return the copy; raises ``ExpressionFailed`` or ``UnicodeEncodeError`` for anything else."""
        self._left -= 1
        if self._left < 0:
            raise ExpressionFailed("too many values")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            value.encode()  # a lone surrogate raises
            return value
        if isinstance(value, int) and value in _INT64:
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        if depth and isinstance(value, (list, tuple)) and len(value) <= MAX_MEMBERS:
            return self._list_of([self.copy(item, depth - 1) for item in value])
        if depth and isinstance(value, Mapping) and len(value) <= MAX_MEMBERS:
            return self._map_of({self._name(name): self.copy(value[name], depth - 1) for name in value})
        raise ExpressionFailed("not JSON, or too much of it")

    @staticmethod
    def _name(name: object) -> str:
        if not isinstance(name, str):
            raise ExpressionFailed("not the name of a member")
        name.encode()
        return name
