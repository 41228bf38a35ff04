"""Strict marshmallow fields for claims: their names, and what they must look like."""

from __future__ import annotations

from collections.abc import Mapping

from marshmallow import ValidationError

from exchange.claim_path import ClaimPath
from exchange.config.fields import Field, read_list
from exchange.matchers import Condition, compile_matcher


class ClaimNames(Field):
    """Claims, by literal name or JSON Pointer; one may stand alone. Read as a tuple of ``ClaimPath``."""

    def read(self, value: object) -> tuple[ClaimPath, ...]:
        return tuple(read_list(value, "claim", read_claim_path))


class ClaimName(Field):
    def read(self, value: object) -> ClaimPath:
        return read_claim_path(value)


class Conditions(Field):
    """Claims and what each must look like, all of them together. Read as a tuple of ``Condition``."""

    def read(self, value: object) -> tuple[Condition, ...]:
        if not isinstance(value, Mapping):
            raise ValidationError("write a mapping of claims to what they must look like")
        if not value:
            raise ValidationError("write at least one condition, or leave the key out")
        errors: dict[str, list[str]] = {}
        conditions = []
        for name, spec in value.items():
            try:
                conditions.append(Condition(ClaimPath.parse(name), compile_matcher(spec)))
            except ValueError as error:
                errors[name] = [str(error)]
        if errors:
            raise ValidationError(errors)
        return tuple(conditions)


def read_claim_path(value: object) -> ClaimPath:
    """Return the claim that ``value`` names; raises ``ValidationError``."""
    if not isinstance(value, str):
        raise ValidationError("write the name of a claim; put it in quotes if it looks like something else")
    try:
        return ClaimPath.parse(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None
