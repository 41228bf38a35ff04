"""What fields alone do not say: values that a reader looks into, and keys that go together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from marshmallow import Schema

from exchange.config.certificate_fields import CHOICES
from exchange.config.client_file import METHODS as AUTHENTICATION
from exchange.config.fields import Scopes
from exchange.config.json_schema.kinds import (
    ANSWER_MARKER,
    NAME,
    JsonSchema,
    described,
    of_field,
    one_or_several,
)
from exchange.config.key_documents import SOURCES
from exchange.config.not_yet import NOT_YET
from exchange.config.profiles import shipped_profiles
from exchange.config.rules import ALWAYS, RESERVED_CLAIMS, ClaimSourceSchema, RuleSchema

Nest = Callable[[Schema, str], JsonSchema]
"""Makes the schema of a mapping that stands at a path."""

_URL: Final[JsonSchema] = {"type": "string", "format": "uri", "pattern": r"^https?://\S+$"}
_ISSUER: Final[JsonSchema] = {"type": "string", "pattern": r"^((https?|spiffe)://\S+|[^\s:]+)$"}
"""Mostly a URL, with a tenant's placeholder or without; a cluster may be called anything."""
_RESOURCE: Final[JsonSchema] = {
    "type": "string",
    "format": "uri",
    "pattern": r"^[A-Za-z][A-Za-z0-9+.-]*:[^#\s]+$",
}
_HASH: Final[JsonSchema] = {
    "type": "string",
    "pattern": r"^(sha256:[0-9a-f]{64}|\$\{[A-Za-z_][A-Za-z0-9_]*\})$",
}
_KEY_SET: Final[JsonSchema] = {
    "type": "object",
    "required": ["keys"],
    "properties": {
        "keys": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["kty"]}}
    },
}


def _rules(nest: Nest) -> JsonSchema:
    return {"type": "array", "minItems": 1, "items": nest(RuleSchema(), "audiences.rules")}


def _scopes(_: Nest) -> JsonSchema:
    needs = one_or_several(NAME)
    always = {"const": ALWAYS, "description": "Granted whatever the subject token holds."}
    return {
        "type": "object",
        "propertyNames": of_field(Scopes())["anyOf"][0],
        "additionalProperties": {"anyOf": [always, *needs["anyOf"]]},
    }


def _claims(nest: Nest) -> JsonSchema:
    return {
        "type": "object",
        "propertyNames": {"not": {"enum": sorted(RESERVED_CLAIMS)}, "pattern": "^[^/]"},
        "additionalProperties": nest(ClaimSourceSchema(), "audiences.rules.claims"),
    }


def _client_secret(_: Nest) -> JsonSchema:
    hashes = {"description": "As `exchange client-secret` prints it.", **one_or_several(_HASH)}
    section = {
        "type": "object",
        "additionalProperties": False,
        "required": ["hash"],
        "properties": {"hash": hashes},
    }
    return {"anyOf": [_HASH, section]}


def _profile(_: Nest) -> JsonSchema:
    return described({name: found.profile.title for name, found in shipped_profiles().by_name.items()})


SHAPES: Final[Mapping[str, Callable[[Nest], JsonSchema]]] = MappingProxyType(
    {
        "server.issuer": lambda _: _URL,
        "issuers.issuer": lambda _: _ISSUER,
        "issuers.profile": _profile,
        "issuers.keys.discovery": lambda _: {"const": True},
        "issuers.keys.jwks_uri": lambda _: _URL,
        "issuers.keys.jwks": lambda _: _KEY_SET,
        "issuers.introspection.client_secret": lambda _: NAME,
        "issuers.introspection.marker": lambda _: ANSWER_MARKER,
        "clients.authentication.client_secret": _client_secret,
        "clients.authentication.private_key_jwt.jwks_uri": lambda _: _URL,
        "clients.authentication.private_key_jwt.jwks": lambda _: _KEY_SET,
        "audiences.resources": lambda _: one_or_several(_RESOURCE),
        "audiences.rules": _rules,
        "audiences.rules.scopes": _scopes,
        "audiences.rules.claims": _claims,
    }
)


def _exactly_one_of(*names: str) -> JsonSchema:
    return {"oneOf": [{"required": [name]} for name in names]}


def _never(*names: str) -> JsonSchema:
    return {"not": {"anyOf": [{"required": [name]} for name in names]}}


_DENIES: Final = {
    "required": ["deny"],
    **_never("scopes", "claims", "presenter", "delegation", "token_lifetime"),
}
_PERMITS: Final = {
    "required": ["client", "subject", "scopes"],
    "properties": {"subject": {"required": ["issuer"]}},
    "allOf": [
        {
            "if": {"properties": {"presenter": {"const": "any"}}, "required": ["presenter"]},
            "then": {"required": ["why"]},
        },
        {
            "if": {"properties": {"delegation": {"const": "none"}}, "required": ["delegation"]},
            "then": _never("actor"),
        },
    ],
}
STANDING_TOGETHER: Final[Mapping[str, JsonSchema]] = MappingProxyType(
    {
        "issuers.keys": _exactly_one_of(*SOURCES),
        "clients.authentication": {"anyOf": [{"required": [name]} for name in AUTHENTICATION]},
        "clients.authentication.tls_client_auth": _exactly_one_of(*CHOICES),
        "clients.authentication.private_key_jwt": _exactly_one_of(*SOURCES[1:]),
        "audiences.rules": {"if": {"required": ["deny"]}, "then": _DENIES, "else": _PERMITS},
        "audiences.rules.actor": {"minProperties": 1},
        "audiences.rules.claims": {"minProperties": 1, "maxProperties": 1},
        "tests.request.proof": {"minProperties": 1},
        "tests.expect": {
            "minProperties": 1,
            "if": {"required": ["refuse"]},
            "then": {"maxProperties": 1},
        },
    }
)


def without_what_is_not_yet(path: str, made: JsonSchema) -> JsonSchema | None:
    """Return ``made`` without the values that this version refuses by name; ``None`` when none is left."""
    for row in NOT_YET:
        if ".".join((row.section, *row.path)) != path:
            continue
        choices = made.get("enum", [True, False] if made.get("type") == "boolean" else [])
        left = [choice for choice in choices if not row.applies(choice)]
        return {"description": made["description"], "enum": left} if left else None
    return made
