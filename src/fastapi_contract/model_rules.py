"""Finds what OpenAPI allows and the generated types do not carry: they would reject right requests, or lose members."""

import re
from collections.abc import Iterator
from typing import Any

from fastapi_contract.document import Place, place_of, value_at
from fastapi_contract.schema_types import all_of, is_inline_model
from fastapi_contract.structure import Fault, Structure
from fastapi_contract.supported import PROBLEM_MEDIA_TYPES

_MODEL_NAME = re.compile(r"[A-Z][A-Za-z0-9]*")
_IMPORTED = frozenset(
    {"Annotated", "Any", "AwareDatetime", "BaseModel", "ConfigDict", "Field", "False", "Literal", "MISSING", "None"}
    | {"StrEnum", "StrictBool", "StrictInt", "StrictStr", "True", "TypeAliasType", "UUID"}
)
"""Names that the generated module imports, and those of constants: the generator would change them."""
_SCHEMAS = "#/components/schemas/"
_CONVERTED = frozenset({"date", "date-time", "time", "uuid"})
"""Formats whose text becomes a Python object. A default stays text, which no answer can contain."""
_MEMBERS = frozenset(
    {"properties", "additionalProperties", "propertyNames", "allOf", "anyOf", "oneOf", "$ref", "enum", "const"}
    | {"minProperties", "maxProperties"}
)
"""Keywords of an object that say which members it has."""


def model_faults(structure: Structure) -> Iterator[Fault]:
    """The faults of all schemas. The document is not malformed."""
    reachable: set[Place] | None = None
    for place, kind in structure.kinds.items():
        if kind != "Schema" or not isinstance(schema := value_at(structure.root, place), dict):
            continue
        yield from _type(structure.root, place, schema)
        yield from _reference(place, schema)
        yield from _default(structure.root, place, schema)
        if "discriminator" in schema:
            yield from _discriminator(structure, place, schema)
        if "$ref" not in schema and (required := _required_read_only(structure.root, schema)):
            reachable = _in_requests(structure) if reachable is None else reachable
            if place in reachable:
                text = f"requires the `readOnly` member {required[0]}, and is part of a request, which is not supported"
                yield _unsupported(place, f"{text}. Write one schema for requests and one for responses.")


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


def _type(root: Any, place: Place, schema: dict[str, Any]) -> Iterator[Fault]:
    """The faults of a schema that has a generated type of its own: that of a component or a body."""
    is_component = len(place) == 3 and place[:2] == ("components", "schemas")
    is_body = place[-3:-2] == ("content",) and place[-2] not in PROBLEM_MEDIA_TYPES
    if is_component and (not _MODEL_NAME.fullmatch(place[2]) or place[2] in _IMPORTED):
        text = "is a name that its generated model cannot have. Rename it, such as TaskList"
        yield _unsupported(place, f"{text}: letters and digits, the first one upper case.")
    if (is_component or is_body) and _has_no_members(schema):
        text = "is an object without `properties`, whose members would be lost. Add `additionalProperties: true`"
        yield _unsupported(place, f"{text}, or `properties`.")
    if is_component and _contains_itself(root, schema):
        text = "contains itself without a member of an object between, which is not supported"
        yield _unsupported(place, f"{text}. Put it into a member, such as `children`.")


def _reference(place: Place, schema: dict[str, Any]) -> Iterator[Fault]:
    if not schema.get("$ref", _SCHEMAS).startswith(_SCHEMAS):
        text = f"refers to {schema['$ref']}, which is not supported. Move the schema to {_SCHEMAS[:-1]}."
        yield _unsupported((*place, "$ref"), text)


def _default(root: Any, place: Place, schema: dict[str, Any]) -> Iterator[Fault]:
    if "default" in schema and _formats(root, schema) & _CONVERTED:
        names = ", ".join(sorted(_CONVERTED))
        text = f"uses `default` with one of the formats {names}, which is not supported. Set it in the handler."
        yield _unsupported((*place, "default"), text)


def _has_no_members(schema: dict[str, Any]) -> bool:
    return schema.get("type") in ("object", ["object"]) and not schema.keys() & _MEMBERS


def _contains_itself(root: Any, schema: dict[str, Any]) -> bool:
    """Whether a schema is a recursive map, array or union. FastAPI cannot read such a type, and TypeScript neither."""
    pending, seen = [schema], set[int]()
    while pending:
        each = pending.pop()
        if "properties" in each or "allOf" in each:
            # A class is generated for it.
            continue
        inner = [each.get("items"), each.get("additionalProperties"), *each.get("anyOf", ()), *each.get("oneOf", ())]
        if "$ref" in each:
            inner.append(value_at(root, place_of(each["$ref"])))
        if any(part is schema for part in inner):
            return True
        pending += [part for part in inner if isinstance(part, dict) and id(part) not in seen]
        seen |= {id(part) for part in inner}
    return False


def _formats(root: Any, schema: dict[str, Any]) -> set[str]:
    """The formats of a schema's values, of their branches and their items."""
    found = set()
    for part in all_of(root, schema):
        branches = [*part.get("anyOf", ()), *part.get("oneOf", ()), *([part["items"]] if "items" in part else [])]
        inner = [each for branch in branches for each in all_of(root, branch)]
        found |= {each["format"] for each in (part, *inner) if "format" in each}
    return found


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


def _required_read_only(root: Any, schema: dict[str, Any]) -> list[str]:
    parts = list(all_of(root, schema))
    required = {name for part in parts for name in part.get("required", ())}
    return [
        name
        for part in parts
        for name, member in part.get("properties", {}).items()
        if name in required and any(each.get("readOnly") for each in all_of(root, member))
    ]


def _in_requests(structure: Structure) -> set[Place]:
    """The places of the schemas that request bodies consist of."""
    bodies = [place for place, kind in structure.kinds.items() if kind == "RequestBody"]
    pending = [(*structure.follow(place), "content") for place in bodies]
    found: set[Place] = set()
    while pending:
        start = pending.pop()
        for place, kind in structure.kinds.items():
            if kind == "Schema" and place[: len(start)] == start and place not in found:
                found.add(place)
                ref = value_at(structure.root, place)
                if isinstance(ref, dict) and "$ref" in ref:
                    pending.append(structure.follow(place))
    return found
