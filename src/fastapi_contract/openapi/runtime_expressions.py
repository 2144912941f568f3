"""Checks the runtime expressions of links and callbacks, such as `$response.body#/id` (OpenAPI 3.1.1).

What an expression names must exist: a parameter of the operation, a header of the response, a member of a body.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fastapi_contract.openapi.document import Place, place_of, value_at
from fastapi_contract.openapi.openapi_objects import IGNORED_PARAMETERS
from fastapi_contract.openapi.schema_types import JSON_TYPES, json_types, parts_of
from fastapi_contract.openapi.structure import Fault, Structure

_EXPRESSION = re.compile(
    r"\$(?:url|method|statusCode|(?P<message>request|response)\."
    r"(?:(?P<where>header|query|path)\.(?P<name>.+)|body(?P<pointer>#(?:/.*)?)?))",
    re.DOTALL,
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_INDEX = re.compile(r"0|[1-9][0-9]*")
_BAD_ESCAPE = re.compile(r"~(?![01])")
_EMBEDDED = re.compile(r"\{(\$[^{}]*)\}")
_GRAMMAR = "such as $response.body#/id, $request.path.id or $response.header.Location"


class Exchange(NamedTuple):
    """What an expression may refer to."""

    operation: str
    """The operationId."""
    parameters: Mapping[tuple[str, str], Any]
    """Those of the request, by where they are and their name; names of headers in lower case."""
    request: Mapping[str, Any]
    """The request body, or {}."""
    response: Mapping[str, Any] | None
    """None in a callback, of which each response may be the cause."""


def link_faults(structure: Structure, place: Place, exchange: Exchange) -> Iterator[Fault]:
    """The faults of the expressions in a link at `place`."""
    link = value_at(structure.root, place)
    values: dict[Place, Any] = {("parameters", name): value for name, value in link.get("parameters", {}).items()}
    for path, value in {**values, ("requestBody",): link.get("requestBody")}.items():
        for expression in _expressions(value):
            if text := _problem(structure.root, expression, exchange):
                yield Fault((*place, *path), f"has a link with {expression}, {text}", is_malformed=True)


def callback_faults(structure: Structure, place: Place, exchange: Exchange) -> Iterator[Fault]:
    """The faults of the expressions in the URLs of a callback at `place`."""
    for url in value_at(structure.root, place):
        for expression in _expressions(url):
            if text := _problem(structure.root, expression, exchange):
                yield Fault((*place, url), f"has a callback to {expression}, {text}", is_malformed=True)


def _expressions(value: Any) -> list[str]:
    """The expressions in a text: all of it, or parts of it in braces. Other values are constants."""
    if not isinstance(value, str):
        return []
    return [value] if value.startswith("$") else _EMBEDDED.findall(value)


def _problem(root: Any, expression: str, exchange: Exchange) -> str | None:
    """A clause that says what is wrong with an expression, if anything."""
    match = _EXPRESSION.fullmatch(expression)
    if match is None or (match["where"] == "header" and not _TOKEN.fullmatch(match["name"])):
        return f"which is not a runtime expression. Write one, {_GRAMMAR}."
    if match["message"] is None:
        return None
    if match["where"] is not None:
        return _parameter_problem(match["message"], match["where"], match["name"], exchange)
    return _body_problem(root, match["message"], match["pointer"] or "#", exchange)


def _body_problem(root: Any, message: str, pointer: str, exchange: Exchange) -> str | None:
    body = exchange.request if message == "request" else exchange.response
    if body is None:
        return None
    if not body.get("content"):
        return f"but the {message} of {exchange.operation} has no body. Correct it."
    if _BAD_ESCAPE.search(pointer):
        return "whose JSON Pointer has a ~ that is not ~0 or ~1. Correct it."
    schemas = [media.get("schema", {}) for media in body["content"].values()]
    if not any(_exists(root, schema, place_of(pointer[1:])) for schema in schemas):
        return f"but the body of the {message} of {exchange.operation} has no such member. Correct it."
    return None


def _parameter_problem(message: str, where: str, name: str, exchange: Exchange) -> str | None:
    key = (where, name.lower() if where == "header" else name)
    if message == "request":
        is_known = key in exchange.parameters or key in IGNORED_PARAMETERS
        return None if is_known else f"but {exchange.operation} has no {where} parameter of this name. Correct it."
    if where != "header":
        return f"but a response has no {where}. Use header or body."
    if exchange.response is None or key == ("header", "content-type"):
        return None
    headers = {each.lower() for each in exchange.response.get("headers", {})}
    return None if key[1] in headers else f"but the response of {exchange.operation} has no such header. Correct it."


def _exists(root: Any, schema: Any, pointer: Place) -> bool:
    """Whether a value of a schema may have something at a pointer."""
    if not pointer or not isinstance(schema, dict):
        return schema is not False
    name, rest = pointer[0], pointer[1:]
    parts = list(parts_of(root, schema))
    described = [part["properties"][name] for part in parts if name in part.get("properties", {})]
    if described:
        return any(_exists(root, each, rest) for each in described)
    for part in parts:
        # A member that is only possible because the object is open is taken for a wrong name.
        inner = part.get("additionalProperties", False)
        if _INDEX.fullmatch(name) and ("items" in part or part.get("type") == "array"):
            inner = part.get("items", {})
        if inner is not False and _exists(root, inner, rest):
            return True
    is_described = any(part.keys() & {"properties", "items", "additionalProperties"} for part in parts)
    return json_types(root, schema) == JSON_TYPES and not is_described
