"""Checks each request for what FastAPI accepts and the contract does not, before FastAPI reads it.

FastAPI 0.165 parses the body before authentication, and accepts unknown and repeated query parameters, `5.0`, `+1` and
`1_0` as integers, `yes` as a boolean, duplicate names, NaN and UTF-16 in JSON, and any media type that ends in `+json`.
"""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import Message

from fastapi_contract import strict_json
from fastapi_contract.problems import (
    MAX_ERRORS,
    ContentTooLarge,
    InputError,
    MalformedBody,
    UnsupportedMediaType,
    UriTooLong,
    ValidationFailed,
)

MAX_BODY = 64 * 1024
"""Bytes of a body: 30 times the largest that todo-api's contract allows, in UTF-8 with each character escaped."""
MAX_MEDIA_TYPE = 1024
"""Bytes of a Content-Type. FastAPI parses it with the `email` module, which took 5 ms for 32 KiB of parameters."""
MAX_QUERY = 4 * 1024
"""Bytes of a query string. The longest that todo-api's contract allows has 120."""

Guard = Callable[[Request], Awaitable[object]]
"""An async callable that raises a Problem to reject a request, called before query and body are read. Each security
scheme needs one that is an instance of FastAPI's SecurityBase: only those appear in FastAPI's schema, which is compared
with the contract.

    async def from_localhost(request: Request) -> None:
        if request.client is None or request.client.host != "127.0.0.1":
            raise Forbidden
"""

# 19 digits are enough for each 64-bit integer; longer ones stay text, which the models reject.
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_BOOLEANS = {"true": True, "false": False}
# RFC 9110, section 5.6.6. No possessive quantifiers, because of a bug before Python 3.11.5 (CPython issue 106052).
_MEDIA_TYPE = re.compile(rb"[ \t]*application/json", re.IGNORECASE)
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5B\x5D-\x7E\x80-\xFF]|\\[\t \x21-\x7E\x80-\xFF])*"'
_PARAMETER = re.compile(rb"[ \t]*;[ \t]*(?:(%s)=(%s|%s))?" % (_TOKEN, _TOKEN, _QUOTED))
_UTF_8 = {b"utf-8", b"utf8"}
"""`utf8` is a label that many clients send (https://encoding.spec.whatwg.org/#names-and-labels)."""


class ContractRoute(APIRoute):
    """A FastAPI route that calls the guards, and then checks query and body, before FastAPI's own handling."""

    guards: ClassVar[Sequence[Guard]]
    """Called in this order, before query and body are read: an unauthenticated caller learns nothing about them."""
    path_types: ClassVar[Mapping[str, str]]
    query_types: ClassVar[Mapping[str, str]]
    """The JSON type of each parameter, by its name."""
    parse: Callable[[bytes], Any]
    """Parses a body; only set if the operation has one."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is not None:
            schema = self.body_field._type_adapter.json_schema()  # noqa: SLF001
            self.parse = strict_json.Parser(_closed_names(schema), MAX_ERRORS).loads

        async def handle_strictly(received: Request) -> Response:
            request = ContractRequest(received.scope, received.receive)
            await request.prepare(self)
            return await handle(request)

        return handle_strictly


def contract_route(
    guards: Sequence[Guard], path_types: Mapping[str, str], query_types: Mapping[str, str]
) -> type[ContractRoute]:
    """Returns a subclass of ContractRoute for one operation; a class, because FastAPI makes the route itself.

    `path_types` and `query_types` have the JSON type of each parameter, by its name.
    """
    members = {"guards": guards, "path_types": path_types, "query_types": query_types}
    return type("ContractRoute", (ContractRoute,), members)


class ContractRequest(Request):
    """A request whose parameters have the contract's types, and whose body is strict JSON.

    A parameter that is not the canonical text of its type stays text, which the strict generated models reject. The
    results are stored in Starlette's own caches (`_query_params`, `_body`, `_json`), where FastAPI finds them.
    """

    parsed: Any = None
    """The parsed body; None if there is none."""

    async def prepare(self, route: ContractRoute) -> list[object]:
        """Calls the guards, converts the parameters, and reads and parses the body. Returns what the guards return.

        Raises the guards' exceptions, and the problems of a query or body that cannot be passed to the models.
        """
        results = [await guard(self) for guard in route.guards]
        self._read_parameters(route.path_types, route.query_types)
        if route.body_field is not None:
            await self._load_body(route.parse)
        return results

    async def replay(self) -> Message:
        """An ASGI `receive` for the next layer: returns the body again if it has been read here, already parsed."""
        if not hasattr(self, "_body"):
            return await self.receive()
        body = self._body
        del self._body
        return {"type": "http.request", "body": body, "parsed": self.parsed}

    def _read_parameters(self, path_types: Mapping[str, str], query_types: Mapping[str, str]) -> None:
        """Converts the text of path and query parameters to their types.

        Raises UriTooLong, and ValidationFailed for an unknown or repeated query parameter.
        """
        self.scope["path_params"] = {
            name: _convert(path_types.get(name, "string"), text) for name, text in self.scope["path_params"].items()
        }
        if not self.scope["query_string"]:
            self._query_params = {}  # type: ignore[assignment]
            return
        if len(self.scope["query_string"]) > MAX_QUERY:
            raise UriTooLong("query", MAX_QUERY)
        received = parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        values = dict(received)
        if len(values) < len(received) or not values.keys() <= query_types.keys():
            raise ValidationFailed(_query_errors(received, query_types))
        self._query_params = {name: _convert(query_types[name], text) for name, text in received}  # type: ignore[assignment]

    async def _load_body(self, parse: Callable[[bytes], Any]) -> None:
        """Reads the body and parses it.

        Raises ContentTooLarge (before the body is read if Content-Length is too large), UnsupportedMediaType,
        MalformedBody, and ValidationFailed for null.
        """
        headers = dict(self.scope["headers"])
        if int(headers.get(b"content-length", 0)) > MAX_BODY:
            raise ContentTooLarge(MAX_BODY)
        self._body = await self._read_body()
        if self._body:
            media_type = headers.get(b"content-type", b"")
            if media_type != b"application/json" and not _is_json(media_type):
                raise UnsupportedMediaType
            # Of several Content-Type headers a proxy may use another one than this service.
            if len(headers) < len(self.scope["headers"]) and _has_several_media_types(self.scope["headers"]):
                raise UnsupportedMediaType
            if self.parsed is None:
                self.parsed = _parse(parse, self._body)
            self._json = self.parsed

    async def _read_body(self) -> bytes:
        body: bytes = b""
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body += message.get("body", b"")
            # Set if the shortcut has parsed the body before it passed the request on.
            self.parsed = message.get("parsed")
            if len(body) > MAX_BODY:
                raise ContentTooLarge(MAX_BODY)
            if not message.get("more_body", False):
                return body


def _is_json(media_type: bytes) -> bool:
    """Whether a Content-Type is JSON in UTF-8. Parameters except `charset` are ignored (RFC 2045, section 5)."""
    match = _MEDIA_TYPE.match(media_type) if len(media_type) <= MAX_MEDIA_TYPE else None
    while match is not None:
        end = match.end()
        if not media_type[end:].strip(b" \t"):
            return True
        match = _PARAMETER.match(media_type, end)
        if match is not None and match[1] is not None and match[1].lower() == b"charset":
            charset = re.sub(rb"\\(.)", rb"\1", match[2].strip(b'"')).lower()
            if charset not in _UTF_8:
                return False
    return False


def _has_several_media_types(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return [name for name, _ in headers].count(b"content-type") > 1


def _parse(parse: Callable[[bytes], Any], body: bytes) -> Any:
    """Raises MalformedBody, and ValidationFailed for null."""
    try:
        parsed = parse(body)
    except strict_json.StrictJSONError as error:
        raise MalformedBody(str(error)) from None
    if parsed is None:
        # FastAPI treats null as a missing body if the body is optional.
        raise ValidationFailed([InputError("The body must not be null.", pointer="#")])
    return parsed


def _closed_names(schema: Any) -> frozenset[str] | None:
    """The names of all properties in a JSON Schema; None if one of its objects allows other names."""
    names: set[str] = set()
    nodes = [schema]
    while nodes:
        node = nodes.pop()
        if isinstance(node, list):
            nodes.extend(node)
        elif isinstance(node, dict):
            if node.get("type") == "object" and node.get("additionalProperties") is not False:
                return None
            names.update(node.get("properties", ()))
            nodes.extend(node.values())
    return frozenset(names)


def _query_errors(received: Sequence[tuple[str, str]], known: Mapping[str, str]) -> list[InputError]:
    unknown = f"Unknown parameter. Known parameters: {', '.join(known) or 'none'}."
    errors = (
        InputError(unknown, parameter=name)
        if name not in known
        else InputError("The parameter appears more than once. Send it once.", parameter=name)
        for name, count in Counter(name for name, _ in received).items()
        if name not in known or count > 1
    )
    return list(islice(errors, MAX_ERRORS + 1))


def _convert(json_type: str, text: str) -> int | bool | str:
    if json_type == "integer" and _INTEGER.fullmatch(text):
        return int(text)
    if json_type == "boolean":
        return _BOOLEANS.get(text, text)
    return text
