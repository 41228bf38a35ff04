"""What each kind of field takes, as JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from exchange.config.certificate_fields import CertificateName, Thumbprints
from exchange.config.claim_fields import ClaimName, ClaimNames, Conditions
from exchange.config.fields import (
    ASYMMETRIC_ALGORITHMS,
    Algorithms,
    AnyList,
    AnyMapping,
    AnyValue,
    Choice,
    Count,
    Duration,
    Flag,
    Name,
    Names,
    Scopes,
    Text,
    parse_duration,
)
from exchange.config.introspection_fields import OneIssuer
from exchange.config.issuer_shape import Markers
from exchange.config.rate_limit_fields import UNITS, RateField
from exchange.config.test_file import GrantedScopes, ReasonName, RequestedScope
from exchange.config.workload_client import WorkloadIdentities
from exchange.errors import REASONS
from exchange.matchers import MATCHER_NAMES, MAX_PATTERN_LENGTH

JsonSchema = dict[str, Any]

NAME: Final[JsonSchema] = {"type": "string", "pattern": r"^\S+$"}
_SCOPE: Final[JsonSchema] = {"type": "string", "pattern": r"^[\x21\x23-\x5b\x5d-\x7e]+$"}
_CLAIM: Final[JsonSchema] = {"type": "string", "pattern": r"^([^/]|/([^~]|~[01])*$)"}
_SCALAR: Final[JsonSchema] = {"type": ["string", "number", "boolean"]}
_TEXT: Final[JsonSchema] = {"type": "string", "minLength": 1}
_WORKLOAD: Final[JsonSchema] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["issuer", "subject"],
    "properties": {
        "issuer": {"description": "The file of issuers/, of `kind: workload`.", **NAME},
        "subject": {"description": "`sub`, character by character.", **NAME},
    },
}
_THUMBPRINT: Final[JsonSchema] = {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"}


def one_or_several(item: JsonSchema, minimum: int = 1) -> JsonSchema:
    """Return the schema of a list of ``item``, of which one may stand alone."""
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": minimum, "uniqueItems": True}]}


def described(texts: Mapping[str, str]) -> JsonSchema:
    """Return the schema of one of the names in ``texts``, each with what it means."""
    return {"oneOf": [{"const": name, "description": text} for name, text in texts.items()]}


_MATCHERS: Final[Mapping[str, tuple[str, JsonSchema]]] = MappingProxyType(
    {
        "equals": ("is this value", _SCALAR),
        "one_of": ("is one of these", one_or_several(_SCALAR)),
        "contains": ("is an array with this member", _SCALAR),
        "contains_any": ("is an array with one of these members", one_or_several(_SCALAR)),
        "contains_all": ("is an array with all of these members", one_or_several(_SCALAR)),
        "glob": ("fits as a whole: * is any number of characters, ? is one", _TEXT),
        "pattern": (
            "is matched as a whole by this RE2 expression",
            {**_TEXT, "maxLength": MAX_PATTERN_LENGTH},
        ),
        "prefix": ("begins so; end it with a separator", _TEXT),
        "present": ("true: is there and not null; false: is not there at all", {"type": "boolean"}),
        "type": (
            "is of this type",
            one_or_several({"enum": ["string", "number", "boolean", "array", "object", "null"]}),
        ),
    }
)
DEFINITIONS: Final[Mapping[str, JsonSchema]] = MappingProxyType(
    {
        "matcher": {
            "description": "What the claim must be: a value, or one matcher.",
            "anyOf": [
                _SCALAR,
                {
                    "type": "object",
                    "additionalProperties": False,
                    "minProperties": 1,
                    "maxProperties": 1,
                    "properties": {
                        name: {"description": f"The claim {_MATCHERS[name][0]}.", **_MATCHERS[name][1]}
                        for name in MATCHER_NAMES
                    },
                },
            ],
        }
    }
)
CONDITIONS: Final[JsonSchema] = {
    "type": "object",
    "minProperties": 1,
    "propertyNames": _CLAIM,
    "additionalProperties": {"$ref": "#/definitions/matcher"},
}


def _marker(**parts: JsonSchema) -> JsonSchema:
    alternative = {"type": "object", "additionalProperties": False, "minProperties": 1, "properties": parts}
    return {"type": "array", "minItems": 1, "items": alternative}


ANSWER_MARKER: Final = _marker(claims=CONDITIONS)
_MARKER: Final = _marker(header=CONDITIONS, claims=CONDITIONS)


def _duration(field: Duration) -> JsonSchema:
    seconds = {"type": "integer", "minimum": 0 if field.zero else 1, "maximum": parse_duration(field.maximum)}
    # What is nothing, or too long, in another unit is the loader's to find.
    return {
        "anyOf": [seconds, {"type": "string", "pattern": "^[0-9]{1,9}[smhd]?$"}],
        "examples": ["30s", "5m", "1h"],
    }


def _names(field: Names) -> JsonSchema:
    return one_or_several({"enum": list(field.among)} if field.among else NAME)


_BY_KIND: Final[Mapping[type, Callable[[Any], JsonSchema]]] = MappingProxyType(
    {
        Text: lambda _: {"type": "string", "pattern": r"\S"},
        Name: lambda _: NAME,
        OneIssuer: lambda _: NAME,
        CertificateName: lambda _: _TEXT,
        Thumbprints: lambda _: one_or_several(_THUMBPRINT),
        Flag: lambda _: {"type": "boolean"},
        Count: lambda field: {"type": "integer", "minimum": field.minimum, "maximum": field.maximum},
        Choice: lambda field: {"enum": list(field.choices)},
        Duration: _duration,
        RateField: lambda _: {
            "type": "string",
            "pattern": f"^[1-9][0-9]{{0,6}}/[{UNITS}]$",
            "examples": ["10/s", "600/m"],
        },
        Names: _names,
        Algorithms: lambda _: one_or_several({"enum": list(ASYMMETRIC_ALGORITHMS)}),
        Scopes: lambda _: one_or_several(_SCOPE),
        ClaimName: lambda _: _CLAIM,
        ClaimNames: lambda _: one_or_several(_CLAIM),
        Conditions: lambda _: CONDITIONS,
        Markers: lambda _: _MARKER,
        WorkloadIdentities: lambda _: one_or_several(_WORKLOAD),
        RequestedScope: lambda _: one_or_several({"type": "string", "minLength": 1}),
        GrantedScopes: lambda _: one_or_several(_SCOPE, minimum=0),
        ReasonName: lambda _: described({slug: reason.description for slug, reason in REASONS.items()}),
        AnyMapping: lambda _: {"type": "object"},
        AnyList: lambda _: {"type": "array", "minItems": 1},
        AnyValue: lambda _: {"not": {"type": "null"}},
    }
)


def of_field(field: object) -> JsonSchema:
    """Return what a field takes; raises ``KeyError`` for a kind of field that nobody has described."""
    return _BY_KIND[type(field)](field)
