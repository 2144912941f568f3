"""What a schema means in requests and in responses: a `readOnly` member is not sent, a `writeOnly` one not returned.

If such a member is required, that concerns the other direction only, as OpenAPI 3.0 says and 3.1 leaves open.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cached_property
from typing import Any

from fastapi_contract.openapi.document import Place, place_of, value_at
from fastapi_contract.openapi.model_names import model_name
from fastapi_contract.openapi.openapi_objects import OBJECTS, values_in
from fastapi_contract.openapi.schema_types import Schema, all_of


class Direction(Enum):
    """Where a value is sent. The value is the keyword of the members that are absent there."""

    REQUEST = "readOnly"
    RESPONSE = "writeOnly"


DIRECTIONS = {
    "Parameter": Direction.REQUEST,
    "RequestBody": Direction.REQUEST,
    "Response": Direction.RESPONSE,
    "Callback": Direction.RESPONSE,
}
"""By the object of OpenAPI that has the schema. Callbacks, and also webhooks, are sent by the service itself."""


def absent_members(document: Mapping[str, Any], schema: Any, direction: Direction) -> set[str]:
    """The names of the members that are not sent in a direction, also of those that `allOf` adds."""
    return {
        name
        for part in all_of(document, schema)
        for name, member in part.get("properties", {}).items()
        if any(each.get(direction.value) for each in all_of(document, member))
    }


class Uses:
    """In which directions the schemas of `components` are used."""

    def __init__(self, document: Schema) -> None:
        self._document = document
        self._schemas: Mapping[str, Any] = document.get("components", {}).get("schemas", {})
        self._found: set[tuple[str, str, Direction | None]] = set()
        self._walk(("paths",), "{PathItem}", None)
        self._walk(("webhooks",), "{PathItem}", Direction.RESPONSE)

    def names(self, direction: Direction) -> set[str]:
        """The schemas that a direction uses."""
        return {place_of(ref)[2] for ref, kind, each in self._found if kind == "Schema" and each is direction}

    @cached_property
    def twins(self) -> Mapping[str, str]:
        """The schemas that need a model for each direction, and the name of the model for requests. They are used in
        both, and have members that are absent in one."""
        both = self.names(Direction.REQUEST) & self.names(Direction.RESPONSE)
        return {name: f"{model_name(name)}Request" for name in self._schemas if name in both and self._differs(name)}

    def _walk(self, start: Place, kind: str, direction: Direction | None) -> None:
        value = value_at(self._document, start) if start[0] in self._document else {}
        for each, found, inner in _objects(value, kind, start, direction):
            key = (each.get("$ref", ""), found, inner)
            if key[0] and key not in self._found:
                self._found.add(key)
                place = place_of(key[0])
                # All of a schema counts, if a member of it is used.
                self._walk(place[:3] if found == "Schema" else place, found, inner)

    def _differs(self, name: str) -> bool:
        pending, seen = [name], {name}
        while pending:
            for schema, _, _ in _objects(self._schemas[pending.pop()], "Schema", ()):
                if any(absent_members(self._document, schema, each) for each in Direction):
                    return True
                if "$ref" in schema and (other := place_of(schema["$ref"])[2]) not in seen:
                    pending.append(other)
                    seen.add(other)
        return False


def _objects(
    value: Any, kind: str, place: Place, direction: Direction | None = None
) -> Iterator[tuple[dict[str, Any], str, Direction | None]]:
    """The objects of OpenAPI in a value, with their kinds and directions."""
    if kind in OBJECTS and isinstance(value, dict):
        direction = direction or DIRECTIONS.get(kind)
        yield value, kind, direction
    for name, each, field in values_in(value, kind, place):
        yield from _objects(each, field, (*place, name), direction)
