"""``rate_limit`` of ``server.yaml``: how often is too often."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from marshmallow import ValidationError

from exchange.config.fields import Field, StrictSchema
from exchange.config.values import NO_RATE_LIMIT, Rate, RateLimit

UNITS: Final = "smhd"
MAX_AMOUNT: Final = 1_000_000

_RATE: Final = re.compile(rf"([1-9][0-9]{{0,6}})/([{UNITS}])", re.ASCII)
_MESSAGE: Final = (
    f"write how many in which time, such as 10/s, 600/m, 5000/h or 20000/d, from 1 to {MAX_AMOUNT}"
)


class RateField(Field):
    """``600/m``: a whole number, a slash, and one of s, m, h, d."""

    def read(self, value: object) -> Rate:
        match = _RATE.fullmatch(value) if isinstance(value, str) else None
        if match is None or int(match[1]) > MAX_AMOUNT:
            raise ValidationError(_MESSAGE)
        return Rate(int(match[1]), match[2])


class RateLimitSchema(StrictSchema):
    per_client = RateField()
    per_issuer = RateField()
    per_address = RateField()
    failed_authentication = RateField()


def read_rate_limit(loaded: Mapping[str, Any]) -> RateLimit:
    """Return what ``rate_limit`` says; what is not there is not limited."""
    rates = loaded.get("rate_limit")
    return RateLimit(**rates) if rates else NO_RATE_LIMIT
