"""Finds the JSON types of the values that a schema allows."""

from collections.abc import Mapping
from typing import Any

from fastapi_contract.document import resolve

JSON_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


def json_types(
    document: Mapping[str, Any], schema: dict[str, Any], seen: frozenset[int] = frozenset()
) -> frozenset[str]:
    """The JSON types that a schema allows: those of its `type`, or of its values, or of its branches; all of them if it
    has none of these."""
    schema = resolve(document, schema)
    if id(schema) in seen:
        return frozenset()
    seen |= {id(schema)}
    if "type" in schema:
        return frozenset([schema["type"]] if isinstance(schema["type"], str) else schema["type"])
    if "const" in schema or "enum" in schema:
        return frozenset(map(_type_of, schema.get("enum", [schema.get("const")])))
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return frozenset().union(*(json_types(document, each, seen) for each in schema[keyword]))
    if "allOf" in schema:
        return JSON_TYPES.intersection(*(json_types(document, each, seen) for each in schema["allOf"]))
    return JSON_TYPES


def _type_of(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")
