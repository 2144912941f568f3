"""The responses that the contract promises, made of its examples: for clients that try each of them, and for operations
that have no handler yet."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
from fastapi import Response

from fastapi_contract.contract import Contract, Operation, Schema
from fastapi_contract.middleware.request_id import problem_members
from fastapi_contract.openapi.document import resolve
from fastapi_contract.responses.answers import COMMON_HEADERS, is_json, offered_media_types, successes_of
from fastapi_contract.responses.streams import FRAMES
from fastapi_contract.validation.media_types import choose_acceptable, content_type

_PROBLEM = "application/problem+json"


class NoExampleError(Exception):
    """The contract has no example of a value. The message is the value's place in the response."""


@dataclass(frozen=True)
class Example:
    """One promised response of an operation."""

    status: int
    media_type: str | None
    name: str | None
    """None if its example has no name, or is made of the examples of its schema."""
    value: Any
    headers: Mapping[str, str]

    def response(self) -> Response:
        """Returns the response. A problem names the request in progress, as every problem does."""
        headers = dict(self.headers)
        if self.media_type is None:
            return Response(status_code=self.status, headers=headers)
        return Response(self._body(), self.status, {**headers, "Content-Type": content_type(self.media_type)})

    def _body(self) -> bytes:
        value = self.value
        if self.media_type == _PROBLEM:
            value = {**value, **problem_members()}
        before, after = FRAMES.get(str(self.media_type), (b"", b""))
        if before or after or is_json(str(self.media_type)):
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            return before + text.encode() + after
        return str(value).encode()


class Examples:
    """The promised responses of one operation: one for each status, media type and named example.

    examples = Examples(contract, contract.operations["getTask"])
    examples.choose(404, None, b"").response()
    """

    def __init__(self, contract: Contract, operation: Operation) -> None:
        self._document = contract.document
        self._operation = operation
        self._offered = offered_media_types(successes_of(contract, operation))

    def choose(self, status: int | None, name: str | None, accept: bytes) -> Example | None:
        """Returns the first example of a status, or of the first success, that has the name; None if there is none. Of
        several media types, that which the Accept header prefers.

        Raises NoExampleError if the contract promises such a response, but has no example of it.
        """
        if status is None and name is None:
            status = self._operation.successes[0]
        statuses = self.statuses if status is None else [status] if status in self.statuses else []
        for each in statuses:
            found = [example for example in self._of(each) if name in {None, example.name}]
            types = list(dict.fromkeys(str(example.media_type) for example in found))
            if found:
                chosen = choose_acceptable(types, accept) or types[0]
                return next(example for example in found if str(example.media_type) == chosen)
        return None

    @property
    def statuses(self) -> list[int]:
        """Successes first, as the examples of a name are tried."""
        return sorted(map(int, self._operation.responses))

    @property
    def names(self) -> list[str]:
        """The names of all examples."""
        contents = (response.get("content", {}) for response in self._operation.responses.values())
        return sorted(
            {name for content in contents for media in content.values() for name in media.get("examples", ())}
        )

    def _of(self, status: int) -> Iterator[Example]:
        response = self._operation.responses[str(status)]
        headers = dict(self._headers(response))
        content = response.get("content", {})
        if not content:
            yield Example(status, None, None, None, headers)
        if self._offered and status in self._operation.successes:
            headers["Vary"] = "Accept"
        for media_type, media in content.items():
            for name, value in self._values(media):
                yield Example(status, media_type, name, value, headers)

    def _values(self, media: Schema) -> Iterator[tuple[str | None, Any]]:
        named = {name: resolve(self._document, each) for name, each in media.get("examples", {}).items()}
        # One with an externalValue is in another file, which is not read.
        found = {name: each["value"] for name, each in named.items() if "value" in each}
        if found:
            yield from found.items()
        elif "example" in media:
            yield None, media["example"]
        else:
            yield None, example_of(self._document, media.get("schema", {}), "body")

    def _headers(self, response: Schema) -> Iterator[tuple[str, str]]:
        for name, each in response.get("headers", {}).items():
            header = resolve(self._document, each)
            if name.lower() in COMMON_HEADERS:
                continue
            try:
                yield name, _header_value(self._header(name, header))
            except NoExampleError:
                if header.get("required", False):
                    raise

    def _header(self, name: str, header: Schema) -> Any:
        named = [resolve(self._document, each) for each in header.get("examples", {}).values()]
        given = [each["value"] for each in named if "value" in each]
        given += [header["example"]] if "example" in header else []
        return given[0] if given else example_of(self._document, header.get("schema", {}), f"header {name}")


def example_of(document: Schema, schema: Schema, place: str) -> Any:
    """Returns a value of a schema that is made of the examples in it: its own, or those of its members and items.

    `place` names the value in the message of an error. Raises NoExampleError for a text or a number without an example,
    a default or listed values, for a value that contains itself, and if no valid value can be made in this way.
    """
    value = _made_of(document, schema, place, frozenset())
    # With the whole document, in which the references are resolved.
    if not jsonschema_rs.Draft202012Validator({**document, "allOf": [schema]}).is_valid(value):
        raise NoExampleError(place)
    return value


def _made_of(document: Schema, schema: Schema, place: str, within: frozenset[str]) -> Any:
    """`within` are the references that lead to the schema."""
    if "$ref" in schema:
        reference = schema["$ref"]
        if reference in within:
            raise NoExampleError(place)
        within |= {reference}
        schema = resolve(document, schema)
    given = _given(schema)
    if given:
        return given[0]
    if "allOf" in schema:
        parts = [_made_of(document, part, place, within) for part in schema["allOf"]]
        parts += [_object(document, schema, place, within)] if "properties" in schema else []
        objects = [part for part in parts if isinstance(part, dict)]
        return {name: value for part in objects for name, value in part.items()} if objects else parts[0]
    for union in ("oneOf", "anyOf"):
        if union in schema:
            return _first_of(document, schema[union], place, within)
    kinds = schema.get("type", "object" if "properties" in schema else ())
    kind = kinds if isinstance(kinds, str) else next((each for each in kinds if each != "null"), "null")
    if kind == "object":
        return _object(document, schema, place, within)
    if kind == "array":
        return _array(document, schema, place, within)
    if kind in {"boolean", "null"}:
        return None if kind == "null" else True
    raise NoExampleError(place)


def _given(schema: Schema) -> list[Any]:
    """The values that a schema itself has."""
    found = [schema[keyword] for keyword in ("const", "example") if keyword in schema]
    found += schema.get("examples", ())
    return [*found, *([schema["default"]] if "default" in schema else ()), *schema.get("enum", ())]


def _first_of(document: Schema, branches: list[Any], place: str, within: frozenset[str]) -> Any:
    for branch in branches:
        try:
            return _made_of(document, branch, place, within)
        except NoExampleError:
            continue
    raise NoExampleError(place)


def _object(document: Schema, schema: Schema, place: str, within: frozenset[str]) -> dict[str, Any]:
    """An object with all members of which there is an example: at least the required ones."""
    value = {}
    for name, member in schema.get("properties", {}).items():
        if isinstance(member, dict) and resolve(document, member).get("writeOnly"):
            continue
        try:
            value[name] = _made_of(document, member, f"{place} / {name}", within)
        except NoExampleError:
            if name in schema.get("required", ()):
                raise
    return value


def _array(document: Schema, schema: Schema, place: str, within: frozenset[str]) -> list[Any]:
    least = schema.get("minItems", 0)
    if schema.get("maxItems") == 0:
        return []
    try:
        item = _made_of(document, schema.get("items", {}), f"{place} / items", within)
    except NoExampleError:
        if least:
            raise
        return []
    if least > 1 and schema.get("uniqueItems"):
        raise NoExampleError(place)
    return [item] * max(least, 1)


def _header_value(value: Any) -> str:
    """As OpenAPI writes it, in the style `simple`."""
    if isinstance(value, list):
        return ",".join(map(_header_value, value))
    return value if isinstance(value, str) else json.dumps(value)
