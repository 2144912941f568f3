"""The normal form of a schema: the branches of values that it allows, each of one type at most.

One meaning has many notations: `$ref` or a copy, `type: [string, "null"]` or `anyOf` with null, `const` or `enum`,
`allOf` or its parts merged. Two schemas are compared in this form, one level at a time, so that recursive schemas end.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from fastapi_contract.contract import Schema
from fastapi_contract.openapi.directions import Direction, absent_members
from fastapi_contract.openapi.document import place_of, value_at
from fastapi_contract.openapi.schema_types import json_type

MAX_BRANCHES = 100
"""A schema with more branches counts as one that allows any value."""

_TYPE_OF = {
    **dict.fromkeys(("minLength", "maxLength", "pattern", "format"), "string"),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
    **dict.fromkeys(("items", "minItems", "maxItems"), "array"),
    **dict.fromkeys(("properties", "required", "additionalProperties"), "object"),
}
"""The keywords that are compared, by the type of the values that they restrict."""

_Combine = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Branch:
    """Values of one type, or of any type if `type` is None."""

    type: str | None
    keywords: Mapping[str, Any]
    sources: Sequence[Schema] = ()
    """The schemas in the document that the keywords are from."""


def source_of(branch: Branch, keyword: str) -> tuple[Schema, str] | None:
    """Where a keyword of a branch is, or would be, in the document."""
    found = [source for source in branch.sources if keyword in source] or branch.sources
    return (found[-1], keyword) if found else None


class NormalForm:
    """Reads schemas of one document in normal form."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        # By the identity of a schema. The schema is kept with it, so that no other one gets the same identity.
        self._branches: dict[int, tuple[Any, list[Branch]]] = {}

    def branches(self, schema: Any) -> list[Branch]:
        """Returns the branches of a schema: of type "null" for null, and with `enum` for fixed values."""
        return _with_joined_values(self._expand(schema))

    def target(self, schema: Any) -> Any:
        """Returns the schema that a `$ref` with nothing beside it leads to; another schema as it is."""
        while isinstance(schema, dict) and schema.keys() == {"$ref"}:
            schema = value_at(self._document, place_of(schema["$ref"]))
        return schema

    def allows(self, schema: Any, value: Any) -> bool:
        """Whether a schema as it is written allows a value: a branch of fixed values has no bounds beside them."""
        whole = {**self._document, "allOf": [schema]}
        return jsonschema_rs.is_valid(whole, value, validate_formats=True)

    def default(self, schema: Any) -> Any:
        """Returns the default of a schema, also of one that it refers to; None if there is none."""
        seen: set[int] = set()
        while isinstance(schema, dict) and "default" not in schema and "$ref" in schema and id(schema) not in seen:
            seen.add(id(schema))
            schema = value_at(self._document, place_of(schema["$ref"]))
        return plain(schema.get("default")) if isinstance(schema, dict) else None

    def absent_members(self, branch: Branch, direction: Direction) -> set[str]:
        """The names of the members that are not sent in a direction."""
        return absent_members(self._document, branch.keywords, direction)

    def _expand(self, schema: Any) -> list[Branch]:
        if not isinstance(schema, dict):
            return [] if schema is False else [Branch(None, {})]
        if id(schema) not in self._branches:
            # A schema inside itself, without a member or an item between, adds nothing.
            self._branches[id(schema)] = schema, [Branch(None, {})]
            self._branches[id(schema)] = schema, self._conjunction(schema)
        return self._branches[id(schema)][1]

    def _conjunction(self, schema: Schema) -> list[Branch]:
        found = _split(schema)
        parts = [self._expand(part) for part in schema.get("allOf", ())]
        if "$ref" in schema:
            parts.append(self._expand(value_at(self._document, place_of(schema["$ref"]))))
        unions = [schema[union] for union in ("anyOf", "oneOf") if union in schema]
        parts += [[branch for each in union for branch in self._expand(each)] for union in unions]
        for part in parts:
            found = [both for one in found for other in part if (both := _both(one, other)) is not None]
            if len(found) > MAX_BRANCHES:
                return [Branch(None, {}, (schema,))]
        return found


def plain(value: Any) -> Any:
    """A JSON value with whole numbers as integers: 1.0 is 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value


def _split(schema: Schema) -> list[Branch]:
    """The branches of a schema's own keywords."""
    types = schema.get("type")
    types = [types] if isinstance(types, str) else types
    if "const" in schema or "enum" in schema:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        return [
            Branch(kind, {"enum": fixed} if kind != "null" else {}, (schema,))
            for kind, fixed in _by_type(values).items()
            if types is None or kind in types or (kind == "integer" and "number" in types)
        ]
    keywords = {name: plain(value) for name, value in schema.items() if name in _TYPE_OF}
    if "patternProperties" in schema:
        # Pydantic's form of a map whose names have a pattern.
        keywords |= {"additionalProperties": next(iter(schema["patternProperties"].values()), True)}
    if types is None:
        families = {_TYPE_OF[name] for name in keywords}
        types = [*families] if len(families) == 1 else [None]
    return [Branch(kind, _of_type(keywords, kind), (schema,)) for kind in types]


def _by_type(values: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for value in map(plain, values):
        found.setdefault(json_type(value), []).append(value)
    return found


def _of_type(keywords: Mapping[str, Any], kind: str | None) -> dict[str, Any]:
    """The keywords that restrict values of a type, bounds of integers as `minimum` and `maximum`."""
    if kind is None:
        return {**keywords}
    family = "number" if kind == "integer" else kind
    kept = {name: value for name, value in keywords.items() if _TYPE_OF.get(name, family) == family}
    if kind == "integer":
        for exclusive, inclusive, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
            if isinstance(kept.get(exclusive), int):
                kept = _combined(kept, {inclusive: kept.pop(exclusive) + step})
    return kept


def _both(one: Branch, other: Branch) -> Branch | None:
    """The values that are in both branches; None if there are none."""
    kind = one.type if other.type is None else other.type
    if one.type is not None and one.type != kind:
        if {one.type, kind} != {"integer", "number"}:
            return None
        kind = "integer"
    keywords = _combined(_of_type(one.keywords, kind), _of_type(other.keywords, kind))
    return None if keywords.get("enum") == [] else Branch(kind, keywords, (*one.sources, *other.sources))


def _combined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    both = {name: _COMBINE.get(name, _last)(one[name], other[name]) for name in one.keys() & other.keys()}
    return {**one, **other, **both}


def _last(_: Any, other: Any) -> Any:
    return other


def _all_of(one: Any, other: Any) -> Any:
    if one is False or other is False:
        return False
    return other if one in (True, other) else one if other is True else {"allOf": [one, other]}


def _members(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**one, **other, **{name: _all_of(one[name], other[name]) for name in one.keys() & other.keys()}}


_COMBINE: Mapping[str, _Combine] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems"), min),
    **dict.fromkeys(("items", "additionalProperties"), _all_of),
    "required": lambda one, other: [*one, *(name for name in other if name not in one)],
    "enum": lambda one, other: [value for value in one if value in other],
    "properties": _members,
}


def _with_joined_values(branches: Iterable[Branch]) -> list[Branch]:
    """Joins branches of fixed values, and leaves out a boolean's if they are all booleans."""
    found: list[Branch] = []
    fixed: dict[str, list[Branch]] = {}
    for branch in branches:
        if branch.type is not None and branch.keywords.keys() == {"enum"}:
            fixed.setdefault(branch.type, []).append(branch)
        elif branch.type != "null" or all(each.type != "null" for each in found):
            found.append(branch)
    for kind, same in fixed.items():
        values = [value for branch in same for value in branch.keywords["enum"]]
        is_any = kind == "boolean" and {True, False} <= {*values}
        sources = [source for branch in same for source in branch.sources]
        found.append(Branch(kind, {} if is_any else {"enum": values}, sources))
    return found
