"""What of OpenAPI 3.1 the engine carries, as tables. Everything else is rejected by name when the contract is read.

Whoever teaches the engine a construct adds it here.
"""

from collections.abc import Collection, Mapping

from fastapi_contract.validation import formats

REQUEST_MEDIA_TYPES = (
    "application/json",
    "application/merge-patch+json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/plain",
    "application/octet-stream",
    "application/x-ndjson",
)
"""The schema of the last one is that of a line."""
FILE_MEDIA_TYPES = ("multipart/form-data", "application/octet-stream")
"""Those with `format: binary`."""
RESPONSE_MEDIA_TYPES = (
    "application/json",
    "text/csv",
    "text/plain",
    "text/calendar",
    "text/html",
    "application/octet-stream",
    "application/x-ndjson",
    "text/event-stream",
)
"""Those of a 2xx or 3xx response. The schema of the last two, which are streams, is that of an item."""
PROBLEM_MEDIA_TYPES = ("application/problem+json",)
"""Those of a 4xx or 5xx response."""
STYLES = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}
"""Where parameters may be, and how they are written there."""
_SCALARS = ("string", "integer", "number", "boolean", "null")
PARAMETER_TYPES = {
    # FastAPI takes null for a parameter that is not sent.
    "path": _SCALARS[:-1],
    "query": (*_SCALARS, "array"),
    "header": (*_SCALARS, "array"),
    "cookie": _SCALARS,
}
"""The types of parameters, by where they are."""
ITEM_TYPES = _SCALARS
"""The types of the items of an array that is a parameter."""
FORM_TYPES = {
    "application/x-www-form-urlencoded": (*_SCALARS, "array"),
    "multipart/form-data": (*_SCALARS, "array", "object"),
}
"""The types of the members of a form, by its media type. Items may have the same types except `array`."""
SECURITY_SCHEMES = ("apiKey", "http")
NUMBER_FORMATS = (*formats.BOUNDS, "double")
STRING_FORMATS = (*formats.SENTENCES, "binary")

_ONE_SCHEMA = "Describe the value with type, properties, items, anyOf and oneOf."
_ONE_DIALECT = "The schemas are those of OpenAPI 3.1."
UNSUPPORTED: Mapping[str, Mapping[str, str]] = {
    "OpenAPI": {"jsonSchemaDialect": _ONE_DIALECT},
    "PathItem": {
        "head": "The engine answers HEAD from the operation `get`.",
        "query": "Use `post`.",
        "additionalOperations": "Use the methods of OpenAPI 3.1.",
        "servers": "Use the `servers` of the document.",
    },
    "Operation": {"servers": "Use the `servers` of the document."},
    "Parameter": {"content": "Describe its value with `schema`."},
    "Header": {"content": "Describe its value with `schema`."},
    "Link": {"server": "Use the `servers` of the document."},
    "MediaType": {"encoding": "Leave it out.", "itemSchema": "Use `schema`.", "itemEncoding": "Leave it out."},
    "Schema": {
        "patternProperties": "Use `additionalProperties` and `propertyNames`.",
        "prefixItems": "Use `items`, or an object.",
        "contains": "Describe all items with `items`.",
        "minContains": "Describe all items with `items`.",
        "maxContains": "Describe all items with `items`.",
        "if": "Use `oneOf`.",
        "then": "Use `oneOf`.",
        "else": "Use `oneOf`.",
        "not": _ONE_SCHEMA,
        "dependentSchemas": "Use `oneOf`.",
        "dependentRequired": "Use `oneOf`.",
        "unevaluatedProperties": "Use `additionalProperties`.",
        "unevaluatedItems": "Use `items`.",
        "contentEncoding": "Use `format: byte`.",
        "contentMediaType": "For a file, use `format: binary`.",
        "contentSchema": _ONE_SCHEMA,
        "xml": "Bodies are not XML.",
        "nullable": 'It is of OpenAPI 3.0. Use a list of types, such as `type: [string, "null"]`.',
        "definitions": "Use #/components/schemas.",
        "$defs": "Use #/components/schemas.",
        "$anchor": "Refer to a schema by its place, such as #/components/schemas/Task.",
        "$id": "Refer to a schema by its place, such as #/components/schemas/Task.",
        "$dynamicRef": "Use `$ref`.",
        "$dynamicAnchor": "Use `$ref`.",
        "$schema": _ONE_DIALECT,
        "$vocabulary": _ONE_DIALECT,
    },
}
"""Fields that OpenAPI 3.1, 3.0, 3.2 or JSON Schema define, by object, each with what to use instead."""


def not_supported(construct: str, supported: Collection[str]) -> str:
    """The predicate of a fault."""
    verb = "is" if len(supported) == 1 else "are"
    return f"uses {construct}, which is not supported. Supported {verb} {', '.join(supported)}."
