"""Validates values against the contract's own schemas (JSON Schema 2020-12).

The generated models are laxer than the contract: they accept `0` as a date, `true` as a number, a UUID in braces. So
values are validated here first, and the models only convert them.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import jsonschema_rs

from fastapi_contract.contract import Schema
from fastapi_contract.openapi.directions import Direction, absent_members
from fastapi_contract.openapi.document import place_of, value_at
from fastapi_contract.openapi.schema_types import all_of
from fastapi_contract.validation.formats import BOUNDS, CHECKS
from fastapi_contract.validation.input_errors import InputError
from fastapi_contract.validation.schema_errors import READ_ONLY, TAGS, WHOLE, SchemaErrors

_SCHEMAS_BY_NAME = {"properties", "patternProperties", "dependentSchemas"}
_SCHEMAS_IN_LIST = {"allOf", "anyOf", "oneOf", "prefixItems"}
_ONE_SCHEMA = {
    "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then", "unevaluatedItems",
    "unevaluatedProperties",
}  # fmt: skip
_ANNOTATIONS = {
    "$comment", "$defs", "default", "deprecated", "description", "discriminator", "example", "examples", "externalDocs",
    "readOnly", "title", "writeOnly", "xml",
}  # fmt: skip


class Validator:
    """Validates the values of one schema of requests: a body, or a parameter.

    It is stricter than JSON Schema in four ways:

    - `1.0` is not an integer, because it would become `1`, and an integer has at most 64 bits.
    - A member that is `readOnly` must not be sent, and is not required.
    - Every `format` is checked.
    - The tag of a discriminator must be the one of the branch that matches.

        validator = Validator(contract.document, {"$ref": "#/components/schemas/TaskCreate"})
        validator.is_valid({"title": ""})  # False
        validator.errors({"title": ""})[0].detail  # "Must have at least 1 character."
    """

    is_valid: Final[Callable[[Any], bool]]
    """Whether a parsed value is valid: 0.3 µs for a task."""

    def __init__(self, document: Schema, schema: Schema) -> None:
        """`schema` is a part of `document`, an OpenAPI document in which its `$ref` are resolved."""
        self._schema = _Bundle(document).of(schema)
        self._validator = jsonschema_rs.Draft202012Validator(
            self._schema,
            formats=CHECKS,
            validate_formats=True,
            keywords={WHOLE: _Whole, READ_ONLY: _ReadOnly},
            email_options=jsonschema_rs.EmailOptions(allow_domain_literal=False, allow_display_text=False),
            offline=True,
        )
        self.is_valid = self._validator.is_valid

    def errors(self, value: Any, *, parameter: str | None = None, within: Sequence[str | int] = ()) -> list[InputError]:
        """Returns the errors of a value, one for each place, and at most MAX_ERRORS + 1. They are located by pointers,
        or by the name of the parameter that has the value. `within` is the place of the value in the body."""
        return SchemaErrors(self._schema, value, parameter, within).of(self._validator.iter_errors(value))


class _Whole:
    """A keyword of our own: rejects 1.0, which JSON Schema accepts as an integer."""

    def __init__(self, parent_schema: Schema, value: Any, schema_path: list[str | int]) -> None: ...

    def validate(self, instance: Any) -> None:
        if isinstance(instance, float):
            raise ValueError


class _ReadOnly:
    """A keyword of our own: rejects every value."""

    def __init__(self, parent_schema: Schema, value: Any, schema_path: list[str | int]) -> None: ...

    def validate(self, instance: Any) -> None:
        raise ValueError


class _Bundle:
    """Makes one self-contained JSON Schema of a schema and all others that it refers to, in its `$defs`."""

    def __init__(self, document: Schema) -> None:
        self._document = document
        self._names: dict[tuple[str, frozenset[str]], str] = {}
        """The key in `$defs` of each reference, and of the readOnly members of the schema that `allOf` adds it to."""

    def of(self, schema: Schema) -> Schema:
        root = self._convert(schema)
        definitions: Schema = {}
        while pending := [key for key, name in self._names.items() if name not in definitions]:
            for ref, read_only in pending:
                target = value_at(self._document, place_of(ref))
                definitions[self._names[ref, read_only]] = self._convert(target, read_only)
        return {**(root if isinstance(root, dict) else {"allOf": [root]}), "$defs": definitions}

    def _convert(self, schema: Any, read_only: frozenset[str] = frozenset()) -> Any:
        """`read_only` are the readOnly members of the same object that other schemas describe."""
        if not isinstance(schema, dict):
            return schema
        read_only |= absent_members(self._document, schema, Direction.REQUEST)
        converted = {
            key: self._value(key, value, read_only) for key, value in schema.items() if key not in _ANNOTATIONS
        }
        _bound_numbers(converted)
        if "required" in schema:
            converted["required"] = [name for name in schema["required"] if name not in read_only]
        for name in read_only & schema.get("properties", {}).keys():
            converted["properties"][name] = {READ_ONLY: True}
        for union in {"anyOf", "oneOf"} & schema.keys():
            self._mark_tags(schema, converted, union)
        return converted

    def _value(self, keyword: str, value: Any, read_only: frozenset[str]) -> Any:
        if keyword == "$ref":
            return "#/$defs/" + self._names.setdefault((value, read_only), f"schema{len(self._names)}")
        if keyword in _ONE_SCHEMA:
            return self._convert(value)
        if keyword in _SCHEMAS_IN_LIST:
            return [self._convert(each, read_only) for each in value]
        if keyword in _SCHEMAS_BY_NAME:
            return {name: self._convert(each) for name, each in value.items()}
        return value

    def _mark_tags(self, schema: Schema, converted: Schema, union: str) -> None:
        """Notes which branch of a union each tag belongs to, and requires the tags of a discriminator.

        Without a discriminator, a member whose values differ in all branches is the tag. It only decides which branch's
        errors are reported.
        """
        branches = {index: branch for index, branch in enumerate(schema[union]) if branch != {"type": "null"}}
        if "discriminator" in schema:
            name, mapping = schema["discriminator"]["propertyName"], schema["discriminator"].get("mapping", {})
            tags = {i: self._tags(branch, name, mapping) for i, branch in branches.items() if "$ref" in branch}
            for i, values in tags.items():
                converted[union][i] |= {"properties": {name: {"enum": values}}, "required": [name]}
        else:
            fixed = {i: self._fixed_members(branch) for i, branch in branches.items()}
            name = next(self._shared(list(fixed.values())), "")
            tags = {i: members[name] for i, members in fixed.items() if name}
        if tags:
            branch_of = {tag: i for i, values in tags.items() for tag in values}
            converted[TAGS] = {"property": name, "branches": branch_of}

    def _tags(self, branch: Schema, name: str, mapping: dict[str, str]) -> list[Any]:
        names = {branch["$ref"], short := branch["$ref"].rpartition("/")[2]}
        mapped = [tag for tag, target in mapping.items() if target in names]
        return mapped or self._fixed_members(branch).get(name) or [short]

    def _fixed_members(self, branch: Any) -> dict[str, list[Any]]:
        """The members of an object that have a `const` or an `enum`, with their values."""
        return {
            name: [each["const"]] if "const" in each else each["enum"]
            for part in all_of(self._document, branch)
            for name, member in part.get("properties", {}).items()
            for each in all_of(self._document, member)
            if "const" in each or "enum" in each
        }

    @staticmethod
    def _shared(branches: list[dict[str, list[Any]]]) -> Iterator[str]:
        """The members that have other values in each of several branches."""
        for name in branches[0] if len(branches) > 1 else ():
            values = [value for members in branches for value in members.get(name, [None])]
            if all(isinstance(value, str) for value in values) and len(values) == len(set(values)):
                yield name


def _bound_numbers(schema: Schema) -> None:
    kinds = schema.get("type", ())
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    values = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]
    if ("integer" in kinds and "number" not in kinds) or (
        not kinds
        and any(type(value) is int for value in values)
        and not any(isinstance(value, float) for value in values)
    ):
        schema[WHOLE] = True
    if kinds & {"integer", "number"}:
        default = "int64" if "number" not in kinds else None
        bounds = BOUNDS.get(schema.pop("format", default) or "", BOUNDS.get(default or ""))
        if bounds is not None:
            schema["minimum"] = max(schema.get("minimum", bounds[0]), bounds[0])
            schema["maximum"] = min(schema.get("maximum", bounds[1]), bounds[1])
