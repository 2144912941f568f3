"""The objects of OpenAPI 3.1.1 (section 4.8) as a table: the fields of each, and what they hold.

A field that is required ends in `!`. It holds one of the kinds

    text  flag  number  count (an integer from 0)  any (any JSON value)  type (of a schema)
    Name    an object of this table
    [Kind]  a list of them
    {Kind}  a map of them, by any name

`*` are all names of an object that is a map. Names that begin with `x-` are extensions, which every object may have.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Fields = Mapping[str, str]

_EXAMPLES = {"example": "any", "examples": "{Example}"}
_SERIALIZATION = {"style": "text", "explode": "flag", "content": "{MediaType}", "schema": "Schema", **_EXAMPLES}
_DESCRIBED = {"summary": "text", "description": "text"}

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

IGNORED_PARAMETERS = frozenset({("header", "accept"), ("header", "content-type"), ("header", "authorization")})
"""The keys of parameters that have no effect (OpenAPI 3.1.1, section 4.8.12.1)."""


def parameter_key(parameter: Mapping[str, Any]) -> tuple[str, str]:
    """Where a parameter is, and its name; that of a header in lower case (RFC 9110, section 5.1)."""
    where, name = parameter["in"], parameter["name"]
    return where, name.lower() if where == "header" else name


OBJECTS: Mapping[str, Fields] = {
    "OpenAPI": {
        "openapi!": "text",
        "info!": "Info",
        "servers": "[Server]",
        "paths!": "{PathItem}",
        "webhooks": "{PathItem}",
        "components": "Components",
        "security": "[SecurityRequirement]",
        "tags": "[Tag]",
        "externalDocs": "ExternalDocs",
    },
    "Info": {
        "title!": "text",
        **_DESCRIBED,
        "termsOfService": "text",
        "contact": "Contact",
        "license": "License",
        "version!": "text",
    },
    "Contact": {"name": "text", "url": "text", "email": "text"},
    "License": {"name!": "text", "identifier": "text", "url": "text"},
    "Server": {"url!": "text", "description": "text", "variables": "{ServerVariable}"},
    "ServerVariable": {"enum": "[text]", "default!": "text", "description": "text"},
    "Components": {
        "schemas": "{Schema}",
        "responses": "{Response}",
        "parameters": "{Parameter}",
        "examples": "{Example}",
        "requestBodies": "{RequestBody}",
        "headers": "{Header}",
        "securitySchemes": "{SecurityScheme}",
        "links": "{Link}",
        "callbacks": "{Callback}",
        "pathItems": "{PathItem}",
    },
    "PathItem": {**_DESCRIBED, "parameters": "[Parameter]", **dict.fromkeys(METHODS, "Operation")},
    "Operation": {
        "tags": "[text]",
        **_DESCRIBED,
        "externalDocs": "ExternalDocs",
        "operationId": "text",
        "parameters": "[Parameter]",
        "requestBody": "RequestBody",
        "responses!": "{Response}",
        "callbacks": "{Callback}",
        "deprecated": "flag",
        "security": "[SecurityRequirement]",
    },
    "ExternalDocs": {"description": "text", "url!": "text"},
    "Parameter": {
        "name!": "text",
        "in!": "text",
        "description": "text",
        "required": "flag",
        "deprecated": "flag",
        "allowEmptyValue": "flag",
        "allowReserved": "flag",
        **_SERIALIZATION,
    },
    "RequestBody": {"description": "text", "content!": "{MediaType}", "required": "flag"},
    "MediaType": {"schema!": "Schema", **_EXAMPLES, "encoding": "{Encoding}"},
    "Encoding": {
        "contentType": "text",
        "headers": "{Header}",
        "style": "text",
        "explode": "flag",
        "allowReserved": "flag",
    },
    "Response": {"description!": "text", "headers": "{Header}", "content": "{MediaType}", "links": "{Link}"},
    "Callback": {"*": "PathItem"},
    "Example": {**_DESCRIBED, "value": "any", "externalValue": "text"},
    "Link": {
        "operationId": "text",
        "operationRef": "text",
        "parameters": "{any}",
        "requestBody": "any",
        "description": "text",
    },
    "Header": {"description": "text", "required": "flag", "deprecated": "flag", **_SERIALIZATION},
    "Tag": {"name!": "text", "description": "text", "externalDocs": "ExternalDocs"},
    "SecurityScheme": {
        "type!": "text",
        "description": "text",
        "name": "text",
        "in": "text",
        "scheme": "text",
        "bearerFormat": "text",
        "flows": "any",
        "openIdConnectUrl": "text",
    },
    "SecurityRequirement": {"*": "[text]"},
    "Discriminator": {"propertyName!": "text", "mapping": "{text}"},
    "Schema": {
        "$comment": "text",
        "title": "text",
        "description": "text",
        "default": "any",
        "example": "any",
        "examples": "[any]",
        "deprecated": "flag",
        "readOnly": "flag",
        "writeOnly": "flag",
        "externalDocs": "ExternalDocs",
        "type": "type",
        "enum": "[any]",
        "const": "any",
        "format": "text",
        "pattern": "text",
        "minLength": "count",
        "maxLength": "count",
        "minimum": "number",
        "maximum": "number",
        "exclusiveMinimum": "number",
        "exclusiveMaximum": "number",
        "multipleOf": "number",
        "items": "Schema",
        "minItems": "count",
        "maxItems": "count",
        "uniqueItems": "flag",
        "properties": "{Schema}",
        "required": "[text]",
        "minProperties": "count",
        "maxProperties": "count",
        "additionalProperties": "Schema",
        "propertyNames": "Schema",
        "allOf": "[Schema]",
        "anyOf": "[Schema]",
        "oneOf": "[Schema]",
        "discriminator": "Discriminator",
    },
}

REFERENCEABLE = frozenset(
    {"Schema", "PathItem", "Parameter", "RequestBody", "Response", "Header", "Example", "Link", "Callback"}
    | {"SecurityScheme"}
)
"""The objects in whose place a `$ref` may be."""


def kind_within(kind: str, name: str, place: Sequence[str]) -> str:
    """The kind of what `name` holds in an object or a map of a kind; "any" if the table has no such field. `place` is
    that of the object or map in the document."""
    if kind[0] == "{":
        # `paths` and `responses` may have extensions; components have names.
        is_extension = name.startswith("x-") and kind in {"{PathItem}", "{Response}"} and place[:-1] != ("components",)
        return "any" if is_extension else kind[1:-1]
    fields = OBJECTS.get(kind, {})
    return fields.get(name) or fields.get(f"{name}!") or fields.get("*", "any")


def values_in(value: Any, kind: str, place: Sequence[str]) -> Iterator[tuple[str, Any, str]]:
    """What an object, a map or a list of a kind holds: the name or index of each value, and its kind."""
    if isinstance(value, list) and kind[0] == "[":
        for index, each in enumerate(value):
            yield str(index), each, kind[1:-1]
    elif isinstance(value, dict) and (kind[0] == "{" or kind in OBJECTS):
        for name, each in value.items():
            yield name, each, kind_within(kind, name, place)


REFERENCE_SIBLINGS = frozenset({"summary", "description"})
"""What may be beside a `$ref`, except in a schema, where every keyword may be."""
