"""Writes the contract as the generators of models and types read it.

They generate one type for each schema, named as the schema, which is not enough for all that a contract may say:

- A schema with `readOnly` or `writeOnly` members that is used in requests and in responses has a type for each.
- A schema whose name is no name of a class is renamed.
- Models do not validate what Python cannot: multiples of 0.01 with binary numbers. The engine does.
- A required parameter that is null is passed to FastAPI as one that is not sent.
- TypeScript has no type for a recursive array or union: it ends after one level, in `unknown`.
- openapi-fetch types an answer as the union of its media types, although a program never gets the page for people that
  is beside its JSON.
"""

from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import Any

from fastapi_contract.contract import Schema
from fastapi_contract.openapi.directions import DIRECTIONS, Direction, Uses, absent_members
from fastapi_contract.openapi.document import Place, place_of, resolve, value_at
from fastapi_contract.openapi.model_names import model_name
from fastapi_contract.openapi.openapi_objects import METHODS, values_in
from fastapi_contract.openapi.schema_types import all_of, is_binary, is_nullable
from fastapi_contract.validation.media_types import without_pages

_SCHEMAS = ("components", "schemas")
_CONVERTED = frozenset({"date", "date-time", "time", "uuid"})
"""Formats whose text becomes a Python object."""
_VALIDATED = "validate_default"
"""Written by the generator as an option of pydantic's Field(): a default such as `2026-12-31` becomes a date."""


class Generator(Enum):
    """What is generated."""

    MODELS = "models"
    """Of Python."""
    TYPES = "types"
    """Of TypeScript."""


def generator_input(document: Schema, generator: Generator) -> Schema:
    """Returns the document for a generator. The document is that of a valid contract."""
    document = _with_callbacks(document) if generator is Generator.MODELS else document
    return _Writer(document, generator).written()


def _with_callbacks(document: Schema) -> Schema:
    """Returns a document whose callbacks, which the generator of models does not know, are also webhooks."""
    webhooks: dict[str, Schema] = {}
    pending = [item for path, item in document["paths"].items() if not path.startswith("x-")]
    pending += document.get("webhooks", {}).values()
    for item in (resolve(document, each) for each in pending):
        for callbacks in (item[method].get("callbacks", {}) for method in METHODS if method in item):
            for callback in (resolve(document, each) for each in callbacks.values()):
                new = [each for each in callback.values() if each not in pending]
                webhooks |= {f"callback-{len(webhooks) + number}": each for number, each in enumerate(new)}
                pending += new
    return {**document, "webhooks": {**document.get("webhooks", {}), **webhooks}} if webhooks else document


class _Writer:
    def __init__(self, document: Schema, generator: Generator) -> None:
        self._document = document
        self._is_python = generator is Generator.MODELS
        self._uses = Uses(document)
        self._seen: set[Place] = set()
        schemas = document.get("components", {}).get("schemas", ())
        circles = (self._find_circles((*_SCHEMAS, name)) for name in schemas)
        self._endless = set() if self._is_python else {each for circle in circles for each in circle}

    def written(self) -> Schema:
        schemas: Mapping[str, Any] = self._document.get("components", {}).get("schemas", {})
        only_requests = self._uses.names(Direction.REQUEST) - self._uses.names(Direction.RESPONSE)
        written = {}
        for name, schema in schemas.items():
            direction = Direction.REQUEST if name in only_requests else Direction.RESPONSE
            written[model_name(name)] = self._copy(schema, "Schema", (*_SCHEMAS, name), direction)
            if name in self._uses.twins:
                written[self._uses.twins[name]] = self._copy(schema, "Schema", (*_SCHEMAS, name), Direction.REQUEST)
        result: Schema = self._copy(self._document, "OpenAPI", (), None)
        if "webhooks" in result:
            hooks = self._document["webhooks"]
            result["webhooks"] = self._copy(hooks, "{PathItem}", ("webhooks",), Direction.RESPONSE)
        return {**result, "components": {**result.get("components", {}), "schemas": written}}

    def _copy(self, value: Any, kind: str, place: Place, direction: Direction | None) -> Any:
        direction = direction or DIRECTIONS.get(kind)
        held = values_in(value, kind, place)
        copied = {name: self._copy(each, field, (*place, name), direction) for name, each, field in held}
        if isinstance(value, list) and kind[0] == "[":
            return list(copied.values())
        if not isinstance(value, dict) or kind == "any":
            return value
        if kind == "Schema":
            self._schema(value, copied, direction or Direction.RESPONSE)
        elif kind == "Parameter" and self._is_python and "$ref" not in value:
            self._parameter(value, copied)
        elif kind == "Response" and not self._is_python and "content" in copied:
            copied["content"] = {each: copied["content"][each] for each in without_pages(copied["content"])}
        return copied

    def _schema(self, schema: Schema, copied: Schema, direction: Direction) -> None:
        if id(schema) in self._endless:
            del copied["$ref"]
        elif "$ref" in schema:
            copied["$ref"] = self._ref(schema["$ref"], direction)
        mapping = schema.get("discriminator", {}).get("mapping")
        if mapping:
            refs = {tag: self._ref(target, direction) for tag, target in mapping.items()}
            copied["discriminator"] = {**schema["discriminator"], "mapping": refs}
        if self._is_python:
            self._python(schema, copied)
        if absent := absent_members(self._document, schema, direction):
            _remove(copied, absent)

    def _ref(self, ref: str, direction: Direction) -> str:
        """`ref` is a reference to a schema, or its name."""
        place = place_of(ref) if "/" in ref else (*_SCHEMAS, ref)
        if place[:2] != _SCHEMAS:
            return ref
        is_request = direction is Direction.REQUEST and place[2] in self._uses.twins
        name = self._uses.twins[place[2]] if is_request else model_name(place[2])
        rest = [part.replace("~", "~0").replace("/", "~1") for part in place[3:]]
        return "/".join(["#", *_SCHEMAS, name, *rest])

    def _python(self, schema: Schema, copied: Schema) -> None:
        if not is_binary(schema.get("multipleOf", 1)):
            del copied["multipleOf"]
        for name, member in schema.get("properties", {}).items():
            self._default(member, copied["properties"][name])

    def _default(self, schema: Schema, copied: Schema) -> None:
        """Marks a default that is converted; `schema` is that of a member or a parameter."""
        defaults = [part["default"] for part in all_of(self._document, schema) if "default" in part]
        if defaults and defaults[0] is not None and _formats(self._document, schema) & _CONVERTED:
            copied |= {"default": defaults[0], _VALIDATED: True}

    def _parameter(self, parameter: Schema, copied: Schema) -> None:
        self._default(parameter["schema"], copied["schema"])
        if parameter.get("required") and is_nullable(self._document, parameter["schema"]):
            copied["required"] = False
            copied["schema"]["default"] = None

    def _find_circles(self, place: Place, path: tuple[Place, ...] = ()) -> Iterator[int]:
        """The identities of the references that close a circle without an object, which TypeScript cannot follow."""
        pending = [value_at(self._document, place)]
        for each in pending:
            if not isinstance(each, dict):
                continue
            pending += [each.get("items"), *each.get("anyOf", ()), *each.get("oneOf", ()), *each.get("allOf", ())]
            target = place_of(each["$ref"]) if "$ref" in each else place
            if target in {*path, place} and "$ref" in each:
                yield id(each)
            elif target not in self._seen:
                self._seen.add(target)
                yield from self._find_circles(target, (*path, place))


def _formats(document: Schema, schema: Schema) -> set[str]:
    """The formats of a schema's values, of their branches, items and members of a map."""
    found = set()
    for part in all_of(document, schema):
        branches = [*part.get("anyOf", ()), *part.get("oneOf", ()), part.get("items"), part.get("additionalProperties")]
        inner = [each for branch in branches for each in all_of(document, branch)]
        found |= {each["format"] for each in (part, *inner) if "format" in each}
    return found


def _remove(copied: Schema, names: Collection[str]) -> None:
    """Removes members, also from the parts of `allOf`."""
    if "properties" in copied:
        copied["properties"] = {name: each for name, each in copied["properties"].items() if name not in names}
    if "required" in copied:
        copied["required"] = [name for name in copied["required"] if name not in names]
    for part in copied.get("allOf", ()):
        _remove(part, names)
