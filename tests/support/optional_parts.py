"""The optional parts of responses: members and headers that may be absent, and each value of an enum; and the media
types of requests that have been sent with success.

A response without them keeps the contract, so only a list of those that no test has seen tells that the code never
sends one, or that it was renamed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi_contract.openapi.document import resolve
from fastapi_contract.validation.media_types import STREAM_MEDIA_TYPES

ANY: Any = object()
"""Stands for every value of a schema."""


class OptionalParts:
    """Finds the optional parts that a document promises, and those that a response has."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def promised(self) -> set[str]:
        return {
            part
            for item in self._document["paths"].values()
            for operation in item.values()
            if isinstance(operation, dict) and "responses" in operation
            for status in operation["responses"]
            for part in self.of(operation, status, ANY, ANY, ANY)
        }

    def of(self, operation: dict[str, Any], status: str, headers: Any, body: Any, sent: Any) -> Iterator[str]:
        """Yields the parts of a response that `headers` and `body` have, and of its request, whose media type is
        `sent`; all of them if these are ANY. The body of a stream is the list of its items."""
        if status < "4":
            accepted = resolve(self._document, operation.get("requestBody", {})).get("content", {})
            for media_type in accepted:
                if sent is ANY or sent == media_type:
                    yield f"a request of {operation['operationId']} in {media_type}"
        reference = operation["responses"][status]
        name = reference.get("$ref", f"{operation['operationId']} {status}").rpartition("/")[2]
        response = resolve(self._document, reference)
        for header, spec in response.get("headers", {}).items():
            if not resolve(self._document, spec).get("required") and (headers is ANY or header in headers):
                yield f"the header {header} of {name}"
        for media_type, media in response.get("content", {}).items():
            if media_type in STREAM_MEDIA_TYPES:
                yield from self._of_items(media["schema"], name, body)
            elif media_type.endswith("json"):
                # The types of problems are compared with the examples of each response.
                yield from self._parts(media.get("schema", {}), name, body, frozenset(), has_enums=status < "4")

    def _of_items(self, schema: dict[str, Any], name: str, items: Any) -> Iterator[str]:
        for item in [ANY] if items is ANY else items if isinstance(items, list) else []:
            yield from self._parts(schema, name, item, frozenset(), has_enums=True)

    def _parts(
        self, schema: dict[str, Any], name: str, value: Any, inside: frozenset[str], *, has_enums: bool
    ) -> Iterator[str]:
        if ref := schema.get("$ref"):
            if ref in inside and value is ANY:
                return
            name, inside = ref.rpartition("/")[2], inside | {ref}
        schema = resolve(self._document, schema)
        for branch in [*schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())]:
            yield from self._parts(branch, name, value, inside, has_enums=has_enums)
        if has_enums:
            values = [each for each in schema.get("enum", ()) if value is ANY or value == each]
            yield from (f"the value {each} of {name}" for each in values)
        for member, each in schema.get("properties", {}).items():
            if value is ANY or (isinstance(value, Mapping) and member in value):
                if member not in schema.get("required", ()):
                    yield f"the member {name}.{member}"
                inner = ANY if value is ANY else value[member]
                yield from self._parts(each, f"{name}.{member}", inner, inside, has_enums=has_enums)
        if "items" in schema:
            for each in value if isinstance(value, list) else [ANY] if value is ANY else []:
                yield from self._parts(schema["items"], f"{name} items", each, inside, has_enums=has_enums)
