"""Finds what values a schema allows: their JSON types, their members, and whether they are files."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from fastapi_contract.openapi.document import place_of, resolve, value_at

Schema = dict[str, Any]

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
        return frozenset(map(json_type, schema.get("enum", [schema.get("const")])))
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return frozenset().union(*(json_types(document, each, seen) for each in schema[keyword]))
    if "allOf" in schema:
        return JSON_TYPES.intersection(*(json_types(document, each, seen) for each in schema["allOf"]))
    return JSON_TYPES


def is_binary(step: float) -> bool:
    """Whether a binary number is exactly this decimal one. Of 20,000 prices with two digits, pydantic rejects 2,580 as
    no multiples of 0.01."""
    return Decimal(step) == Decimal(str(step))


def is_nullable(document: Mapping[str, Any], schema: Schema) -> bool:
    """Whether a schema names null as one of its types or values."""
    types = json_types(document, schema)
    return "null" in types and types != JSON_TYPES


def members_of(document: Mapping[str, Any], schema: Schema) -> dict[str, Schema]:
    """Returns the members that a schema and its branches describe. One that several of them describe differently has a
    schema that allows each."""
    found: dict[str, list[Schema]] = {}
    for each in parts_of(document, schema):
        for name, member in each.get("properties", {}).items():
            if member not in found.setdefault(name, []):
                found[name].append(member)
    return {name: each[0] if len(each) == 1 else {"anyOf": each} for name, each in found.items()}


def parts_of(document: Mapping[str, Any], schema: Schema, seen: frozenset[int] = frozenset()) -> Iterator[Schema]:
    """A schema, and the branches of its `allOf`, `anyOf` and `oneOf`, without their `$ref`."""
    if id(schema) in seen:
        return
    resolved = resolve(document, schema)
    yield resolved
    for keyword in ("allOf", "anyOf", "oneOf"):
        for branch in resolved.get(keyword, ()):
            yield from parts_of(document, branch, seen | {id(schema)})


def is_file(document: Mapping[str, Any], schema: Schema) -> bool:
    """Whether the values of a schema are files in a multipart form."""
    parts = list(parts_of(document, schema))
    return any(part.get("format") == "binary" for part in parts) or json_types(document, schema) == JSON_TYPES


def all_of(document: Mapping[str, Any], schema: Any, seen: frozenset[str] = frozenset()) -> Iterator[dict[str, Any]]:
    """A schema, and all that its `$ref` and `allOf` add."""
    if not isinstance(schema, dict):
        return
    yield schema
    ref = schema.get("$ref")
    if ref is not None and ref not in seen:
        yield from all_of(document, value_at(document, place_of(ref)), seen | {ref})
    for part in schema.get("allOf", ()):
        yield from all_of(document, part, seen)


def is_inline_model(schema: Mapping[str, Any]) -> bool:
    """Whether a model is generated for a schema without a name; otherwise Python's own types are enough."""
    if "$ref" in schema:
        return False
    if schema.get("type") == "array":
        return is_inline_model(schema.get("items", {}))
    types = {schema["type"]} if isinstance(schema.get("type"), str) else {*schema.get("type", ())}
    return bool(
        types & {"array", "object"} or schema.keys() & {"enum", "const", "allOf", "anyOf", "oneOf", "properties"}
    )


def json_type(value: Any) -> str:
    """The JSON type of a value."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")
