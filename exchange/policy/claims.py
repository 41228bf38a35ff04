"""Which claims the issued token gets beside the registered ones: what the rule lists, built from empty."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from exchange.claim_path import MISSING
from exchange.config.values import ClaimSource, Rule
from exchange.errors import Refusal
from exchange.model import Claims, VerifiedToken

MAX_DEPTH: Final = 16
"""Levels of a copied value. The token itself is read no deeper."""


class NotJson(Exception):  # noqa: N818  # it says what the value is
    """A value is not finite JSON of at most ``MAX_DEPTH`` levels."""


def claims_of(rule: Rule, subject: VerifiedToken) -> Claims:
    """Return the claims that the rule lists, as frozen JSON.

    A claim whose source is absent or null is left out: there is nothing to say. Raises ``Refusal``:
    ``subject_token_claim_malformed`` when a value to copy is no JSON; it is never signed in part.
    """
    listed = {source.name: _value(source, rule, subject) for source in rule.claims}
    return MappingProxyType({name: value for name, value in listed.items() if value is not MISSING})


def _value(source: ClaimSource, rule: Rule, subject: VerifiedToken) -> object:
    if source.copy is None:
        return source.value
    try:
        value = source.copy.find(subject.claims)
        return MISSING if value is None or value is MISSING else frozen_json(value)
    except Exception:  # noqa: BLE001  # whatever is odd about a stranger's value: it is refused
        detail = f"rule {rule.id}: the source of the claim {source.name} cannot be copied"
        raise Refusal("subject_token_claim_malformed", detail=detail) from None


def frozen_json(value: object, depth: int = MAX_DEPTH) -> object:
    """Return a copy of a JSON value with tuples and read-only mappings inside; raises ``NotJson``."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if depth == 0:
        raise NotJson("nested too deeply")
    if isinstance(value, list | tuple):
        return tuple(frozen_json(item, depth - 1) for item in value)
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return MappingProxyType({name: frozen_json(member, depth - 1) for name, member in value.items()})
    raise NotJson("not JSON")
