"""``introspection`` as a file of ``issuers/`` and a profile write it; ``opaque_tokens_from`` of a client."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from marshmallow import ValidationError

from exchange.config.fields import (
    AnyValue,
    Choice,
    Duration,
    Field,
    Flag,
    Name,
    Names,
    StrictSchema,
    read_name,
)
from exchange.config.issuer_shape import Markers

MAX_CACHE: Final = "60s"
DEFAULT_CACHE: Final = 30


class OneIssuer(Field):
    """``opaque_tokens_from``: the name of one file of ``issuers/``."""

    def read(self, value: object) -> str:
        if isinstance(value, list):
            raise ValidationError(
                "name one issuer: a token is never shown to one that was guessed; a backend that receives"
                " opaque tokens of several is a client for each"
            )
        return read_name(value)


class IntrospectionSchema(StrictSchema):
    """``introspection`` of ``issuers/NAME.yaml``."""

    endpoint = Name()
    client_id = Name()
    client_secret = AnyValue()
    authentication = Choice("client_secret_basic", "client_secret_post", load_default="client_secret_basic")
    signed_response = Flag(load_default=False)
    marker = Markers()
    cache = Duration(zero=True, maximum=MAX_CACHE, load_default=DEFAULT_CACHE)


class ProfileIntrospectionSchema(StrictSchema):
    """``introspection`` of a profile."""

    every_token = Flag(load_default=False)
    way = Choice("rfc7662", "google-tokeninfo", "github", load_default="rfc7662")
    endpoint = Name()
    marker = Markers()
    jwt_types = Names("header type", load_default=())
    prefixes = Names("prefix", load_default=())
    lifetime = Duration()


GENERIC: Final[Mapping[str, Any]] = MappingProxyType(ProfileIntrospectionSchema().load({}))
"""For a profile that says nothing of introspection: RFC 7662 for what is no JWT."""
