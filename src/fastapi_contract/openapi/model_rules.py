"""Finds what OpenAPI allows and the generated types do not carry: they would reject right requests, or lose members."""

from collections.abc import Iterator
from typing import Any

from fastapi_contract.openapi.directions import Uses
from fastapi_contract.openapi.document import Place, value_at
from fastapi_contract.openapi.model_names import model_name
from fastapi_contract.openapi.schema_types import Schema, all_of, is_inline_model
from fastapi_contract.openapi.structure import Fault, Structure
from fastapi_contract.openapi.supported import PROBLEM_MEDIA_TYPES

_COMPONENTS = ("components", "schemas")
_SCHEMAS = "#/components/schemas/"
_MEMBERS = frozenset(
    {"properties", "additionalProperties", "propertyNames", "allOf", "anyOf", "oneOf", "$ref", "enum", "const"}
    | {"minProperties", "maxProperties"}
)
"""Keywords of an object that say which members it has."""


def model_faults(structure: Structure) -> Iterator[Fault]:
    """The faults of all schemas. The document is not malformed."""
    yield from _names(structure.root)
    for place, kind in structure.kinds.items():
        if kind != "Schema" or not isinstance(schema := value_at(structure.root, place), dict):
            continue
        yield from _lost_members(place, schema)
        yield from _reference(place, schema)
        if "discriminator" in schema:
            yield from _discriminator(structure, place, schema)


def inline_answers(structure: Structure, operation: Place) -> Iterator[Fault]:
    """The generator numbers the models of inline schemas, so that only one of an operation's has a fixed name."""
    found = []
    responses = value_at(structure.root, operation)["responses"]
    for status in responses:
        if status.startswith("x-"):
            continue
        place = structure.follow((*operation, "responses", status))
        for media_type, media in value_at(structure.root, place).get("content", {}).items():
            if is_inline_model(media.get("schema", {})):
                found.append((*place, "content", media_type, "schema"))
    for place in found[1:]:
        text = "uses inline schemas in several responses, which is not supported. Move them to #/components/schemas."
        yield _unsupported(place, text)


def _unsupported(place: Place, text: str) -> Fault:
    return Fault(place, text, is_malformed=False)


def _names(document: Schema) -> Iterator[Fault]:
    """The faults of schemas that would have generated models of the same name, or of none."""
    names, twins = document.get("components", {}).get("schemas", {}), Uses(document).twins
    found: dict[str, str] = {}
    for name in names:
        for made in (model_name(name), twins.get(name)):
            if made == "":
                text = "is a name without a letter or digit, which its generated model cannot have. Rename it."
                yield _unsupported((*_COMPONENTS, name), text)
            elif made in found:
                text = f"has the generated model {made}, as schemas/{found[made]} has. Rename one of them."
                yield _unsupported((*_COMPONENTS, name), text)
            elif made is not None:
                found[made] = name


def _lost_members(place: Place, schema: dict[str, Any]) -> Iterator[Fault]:
    is_component = len(place) == 3 and place[:2] == _COMPONENTS
    is_body = place[-3:-2] == ("content",) and place[-2] not in PROBLEM_MEDIA_TYPES
    if (is_component or is_body) and _has_no_members(schema):
        text = "is an object without `properties`, whose members would be lost. Add `additionalProperties: true`"
        yield _unsupported(place, f"{text}, or `properties`.")


def _reference(place: Place, schema: dict[str, Any]) -> Iterator[Fault]:
    if not schema.get("$ref", _SCHEMAS).startswith(_SCHEMAS):
        text = f"refers to {schema['$ref']}, which is not supported. Move the schema to {_SCHEMAS[:-1]}."
        yield _unsupported((*place, "$ref"), text)


def _has_no_members(schema: dict[str, Any]) -> bool:
    return schema.get("type") in ("object", ["object"]) and not schema.keys() & _MEMBERS


def _discriminator(structure: Structure, place: Place, schema: dict[str, Any]) -> Iterator[Fault]:
    name = schema["discriminator"].get("propertyName")
    for union in {"oneOf", "anyOf"} & schema.keys():
        for branch in schema[union]:
            if branch == {"type": "null"}:
                continue
            members = [
                part["properties"][name]
                for part in all_of(structure.root, branch)
                if name in part.get("properties", ())
            ]
            fixed = any(
                {"const", "enum"} & each.keys() for member in members for each in all_of(structure.root, member)
            )
            if "$ref" not in branch or not fixed:
                text = f"uses `discriminator` with a branch that does not fix its {name}, which is not supported"
                yield _unsupported((*place, "discriminator"), f"{text}. Refer to schemas with a `const` of {name}.")
                return
