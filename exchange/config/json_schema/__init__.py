"""JSON Schemas (draft 7) of the files of ``policies/``, for editors; made from the loader's own schemas.

What they can say they say: keys, types, names of profiles and matchers, what must stand together. What the
loader alone can see, such as a reference to another file, it finds when it loads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from marshmallow import Schema, fields

from exchange.config.audience_file import AudienceSchema
from exchange.config.client_file import ClientSchema
from exchange.config.issuer_file import IssuerSchema
from exchange.config.json_schema.kinds import DEFINITIONS, of_field
from exchange.config.json_schema.shapes import SHAPES, STANDING_TOGETHER, without_what_is_not_yet
from exchange.config.json_schema.texts import TEXTS
from exchange.config.server_file import ServerSchema
from exchange.config.test_file import DecisionTestSchema

_FILES: Final[Mapping[str, tuple[str, type[Schema]]]] = MappingProxyType(
    {
        "server": ("server", ServerSchema),
        "issuer": ("issuers", IssuerSchema),
        "client": ("clients", ClientSchema),
        "audience": ("audiences", AudienceSchema),
        "test": ("tests", DecisionTestSchema),
    }
)
NAMES: Final = tuple(_FILES)


@cache
def json_schema(name: str) -> str:
    """Return the schema of one kind of file, one of ``NAMES``, as JSON text."""
    section, schema = _FILES[name]
    document = _object(schema(), section)
    if name == "test":
        document = {
            "description": document.pop("description"),
            "type": "array",
            "minItems": 1,
            "items": document,
        }
    used = {
        key: value for key, value in DEFINITIONS.items() if f'"#/definitions/{key}"' in json.dumps(document)
    }
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": f"policies: {section}"}
    return json.dumps({**head, **document, "definitions": used}, indent=2, ensure_ascii=False) + "\n"


def _object(schema: Schema, path: str) -> dict[str, Any]:
    properties = {
        name: found
        for name, field in schema.fields.items()
        if (found := without_what_is_not_yet(f"{path}.{name}", _property(field, f"{path}.{name}")))
        is not None
    }
    required = [name for name, field in schema.fields.items() if field.required]
    return {
        "description": TEXTS[path],
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": properties,
        **STANDING_TOGETHER.get(path, {}),
    }


def _property(field: fields.Field[Any], path: str) -> dict[str, Any]:
    if isinstance(field, fields.Nested):
        return _object(field.schema, path)
    shape = SHAPES.get(path)
    made = of_field(field) if shape is None else shape(_object)
    return {"description": TEXTS[path], **made}
