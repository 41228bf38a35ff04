"""Strict marshmallow fields: one per kind of value in ``policies/``. None converts.

marshmallow's own fields coerce: ``Integer`` takes ``"5"``, ``Boolean`` takes ``"yes"``. In a file that says
whom to trust, a value of the wrong type is a mistake to be reported, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from marshmallow import RAISE, Schema, ValidationError, fields

ASYMMETRIC_ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
SIGNING_ALGORITHMS: Final = ("ES256", "EdDSA", "RS256", "PS256")

_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_MAX_DURATION: Final = 3660 * 86400
_NOT_A_NAME = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]")
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+", re.ASCII)


_MESSAGES: dict[str, Any] = {
    "required": "is missing; it is required",
    "null": "has no value; write one, or leave the key out",
}


class AtKey(str):
    """A message about the key itself: its place is the key's, not the value's."""

    __slots__ = ()


class StrictSchema(Schema):
    """A mapping with known keys alone."""

    class Meta:
        unknown = RAISE

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.error_messages["type"] = "write a mapping of names to values"
        self.error_messages["unknown"] = AtKey(
            f"unknown key; the keys known here are {', '.join(self.fields)}"
        )


class Field(fields.Field[Any]):
    """The base of all: what is absent or null is said in the same words everywhere."""

    default_error_messages = _MESSAGES

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Any:  # noqa: ARG002
        return self.read(value)

    def read(self, value: object) -> object:
        """Return what ``value`` means; raises ``ValidationError``."""
        raise NotImplementedError


class Section(fields.Nested):
    """A nested mapping with its own schema."""

    default_error_messages = _MESSAGES


class Text(Field):
    """A sentence for people: any text that is not empty."""

    def read(self, value: object) -> str:
        if not isinstance(value, str) or not value.strip() or _NOT_TEXT.search(value):
            raise ValidationError("write a text that is not empty")
        return value


class Name(Field):
    """An identifier that is compared character by character: not empty, without white space."""

    def read(self, value: object) -> str:
        return read_name(value)


class Flag(Field):
    def read(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("write true or false")
        return value


class Count(Field):
    def __init__(self, *, minimum: int, maximum: int, **options: Any) -> None:
        super().__init__(**options)
        self.minimum, self.maximum = minimum, maximum

    def read(self, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not self.minimum <= value <= self.maximum:
            raise ValidationError(f"write a whole number from {self.minimum} to {self.maximum}")
        return value


class Choice(Field):
    def __init__(self, *choices: str, **options: Any) -> None:
        super().__init__(**options)
        self.choices = choices

    def read(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.choices:
            raise ValidationError(f"write {' or '.join(self.choices)}")
        return value


class Duration(Field):
    """Seconds, or ``30s``, ``5m``, ``1h``, ``30d``; read as whole seconds."""

    def __init__(self, *, zero: bool = False, maximum: str = "3660d", **options: Any) -> None:
        super().__init__(**options)
        self.zero, self.maximum = zero, maximum

    def read(self, value: object) -> int:
        seconds = parse_duration(value)
        if seconds == 0 and not self.zero:
            raise ValidationError("write a duration longer than nothing")
        if seconds > parse_duration(self.maximum):
            raise ValidationError(f"write a duration of at most {self.maximum}")
        return seconds


class Names(Field):
    """A list of names, each once; one name may stand alone. Read as a tuple."""

    def __init__(self, noun: str = "name", *, among: tuple[str, ...] = (), **options: Any) -> None:
        super().__init__(**options)
        self._noun, self.among = noun, among

    def read(self, value: object) -> tuple[str, ...]:
        return tuple(str(name) for name in read_list(value, self._noun, self._read_item))

    def _read_item(self, value: object) -> str:
        name = read_name(value)
        if self.among and name not in self.among:
            raise ValidationError(f"write one of {', '.join(self.among)}")
        return name


class Algorithms(Names):
    """JWS algorithms. Symmetric ones are refused by name: whoever holds the secret could mint tokens."""

    def _read_item(self, value: object) -> str:
        name = read_name(value)
        if name.lower() == "none" or name.upper().startswith("HS"):
            raise ValidationError(
                "`none` and HMAC are never accepted; write an asymmetric algorithm such as RS256"
            )
        if name not in ASYMMETRIC_ALGORITHMS:
            raise ValidationError(f"unknown algorithm; write one of {', '.join(ASYMMETRIC_ALGORITHMS)}")
        return name


class Scopes(Names):
    """Scope tokens (RFC 6749 §3.3)."""

    def _read_item(self, value: object) -> str:
        return read_scope(value)


class AnyValue(Field):
    """Any JSON value but null; its form is checked by whoever reads it."""

    def read(self, value: object) -> object:
        return value


class AnyMapping(Field):
    """A mapping whose names and values are checked by whoever reads it."""

    def read(self, value: object) -> Mapping[str, object]:
        if not isinstance(value, Mapping):
            raise ValidationError("write a mapping of names to values")
        return value


class AnyList(Field):
    """A list whose members are checked by whoever reads it."""

    def __init__(self, noun: str, **options: Any) -> None:
        super().__init__(**options)
        self._noun = noun

    def read(self, value: object) -> list[object]:
        if not isinstance(value, list):
            raise ValidationError(f"write a list of {self._noun}s")
        if not value:
            raise ValidationError(f"list at least one {self._noun}")
        return value


def frozen(value: Any) -> object:
    """Return JSON that nobody can change afterwards: tuples and read-only mappings."""
    if isinstance(value, Mapping):
        return MappingProxyType({name: frozen(item) for name, item in value.items()})
    if isinstance(value, list):
        return tuple(frozen(item) for item in value)
    return value


def parse_duration(value: object) -> int:
    """Return the seconds that ``300``, ``"30s"``, ``"5m"``, ``"1h"`` or ``"30d"`` mean; may be zero.

    Raises ``ValidationError`` for anything else: a boolean, a fraction, a sign, a space, an unknown unit.
    """
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        match = (
            _DURATION.fullmatch(str(value)) if isinstance(value, str) or 0 <= value <= _MAX_DURATION else None
        )
        if match:
            seconds = int(match[1]) * _SECONDS[match[2]]
            if seconds <= _MAX_DURATION:
                return seconds
    raise ValidationError("write a duration: seconds, or such as 30s, 5m, 1h or 30d")


def read_name(value: object) -> str:
    """Return ``value`` if it can be a name; raises ``ValidationError``."""
    if not isinstance(value, str):
        raise ValidationError("write a string; put it in quotes if it looks like something else")
    if not value or _NOT_A_NAME.search(value):
        raise ValidationError("write a name that is not empty and has no white space")
    return value


def read_scope(value: object) -> str:
    """Return ``value`` if it is a scope token (RFC 6749 §3.3); raises ``ValidationError``."""
    name = read_name(value)
    if not _SCOPE_TOKEN.fullmatch(name):
        raise ValidationError('write a scope in printable ASCII, without `"` and `\\` (RFC 6749 §3.3)')
    return name


def read_list(value: object, noun: str, read_item: Any) -> list[Any]:
    """Return what ``read_item`` makes of each member; one that is no list stands alone.

    Raises ``ValidationError`` for an empty list, which must never mean "everything", and for a repeat.
    """
    if isinstance(value, dict):
        raise ValidationError(f"write one {noun}, or a list of them")
    if not isinstance(value, list):
        return [read_item(value)]
    if not value:
        raise ValidationError(f"list at least one {noun}")
    errors: dict[int, list[str]] = {}
    read: list[Any] = []
    seen: set[Any] = set()
    for index, item in enumerate(value):
        try:
            one = read_item(item)
        except ValidationError as error:
            errors[index] = [str(message) for message in error.messages]
            continue
        if one in seen:
            errors[index] = [f"this {noun} is listed twice; list it once"]
        seen.add(one)
        read.append(one)
    if errors:
        raise ValidationError(errors)
    return read
