"""Records the requests and responses of a run: of those that look alike to the contract, the first.

Two exchanges look alike if operation, status and kinds of errors are the same, and each value in them has the same
type and the same distance to each bound of the contract. So the record stays small, and does not depend on the order of
the tests.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import httpx

from fastapi_contract.validation.media_types import NDJSON
from support.ndjson import items_of

BOUNDS = {"minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "minProperties", "maxProperties"}
MAX_BODY = 16 * 1024
"""Characters of a request's body that are recorded; none of the contract's values needs more."""

SECRET = {"authorization", "cookie"}

_NAMED = {("headers",), ("request_headers",), ("path",)}
"""Parts of an exchange whose names are all told apart."""

Exchange = dict[str, Any]
"""A request and its response, of JSON's types only. It has no credentials."""


class Recording:
    """The exchanges of a run that differ in what the contract says."""

    def __init__(self, document: Any) -> None:
        self._names: set[str] = set()
        self._request_headers: set[str] = set()
        """The names of header parameters, in lower case."""
        self._sizes: set[float] = set()
        """The bounds of the contract, and their neighbours."""
        self._constants: list[Any] = []
        self._learn(document)
        self._known: set[object] = set()
        self.exchanges: list[str] = []
        """Each in JSON."""

    def add(self, operation: str, request: httpx.Request, response: httpx.Response, answer: Any) -> None:
        """Record a request, whose body is lost if it was a stream, and its response, whose body is `answer` in
        JSON, or a list of its first items if it was a stream."""
        # A streamed body can be read only once.
        body = request.content.decode("latin-1") if isinstance(request.stream, httpx.ByteStream) else None
        exchange: Exchange = {
            "operation": operation,
            "method": request.method,
            "path": request.url.path,
            "query": request.url.query.decode("latin-1"),
            "has_credentials": "authorization" in request.headers,
            "request_headers": {name: value for name, value in request.headers.items() if name not in SECRET},
            "media_types": request.headers.get_list("content-type"),
            "body": body if body is not None and len(body) <= MAX_BODY else None,
            "status": response.status_code,
            "headers": {name: value for name, value in response.headers.items() if name != "date"},
            "answer": answer,
        }
        features = set(self._features(exchange))
        if not features <= self._known:
            self._known |= features
            self.exchanges.append(json.dumps(exchange))

    def _learn(self, node: Any) -> None:
        """Find the names, bounds and constants in the contract."""
        if isinstance(node, list):
            for each in node:
                self._learn(each)
        if not isinstance(node, dict):
            return
        if node.get("in") == "header" and "name" in node:
            self._request_headers.add(node["name"].lower())
        for key, value in node.items():
            self._learn_keyword(key, value)
            if key not in {"example", "examples"}:
                self._learn(value)

    def _learn_keyword(self, key: str, value: Any) -> None:
        if key in BOUNDS and isinstance(value, int | float):
            self._sizes |= {value - 1, value, value + 1}
        elif key == "const":
            self._constants.append(value)
        elif key == "enum" and isinstance(value, list):
            self._constants += value
        elif key == "properties" and isinstance(value, dict):
            self._names |= value.keys()
        elif key == "name" and isinstance(value, str):
            self._names.add(value)

    def _features(self, exchange: Exchange) -> Iterator[object]:
        answer = exchange["answer"]
        problem = answer if exchange["status"] >= 400 and isinstance(answer, dict) else {}
        errors = problem.get("errors", [])
        kind = (
            *(exchange[name] for name in ("operation", "status", "has_credentials")),
            *(each.partition(";")[0] for each in exchange["media_types"]),
            problem.get("type"),
            bool(exchange["body"]),
            # Errors of several places are not told apart, because random tests have very many combinations.
            *self._values(errors[0] if len(errors) == 1 else len(errors) > 1, ()),
        )
        query = dict(parse_qsl(exchange["query"], keep_blank_values=True))
        parts: dict[str, Any] = {"answer": answer, "headers": exchange["headers"], "query": query}
        sent = exchange["request_headers"]
        parts["request_headers"] = {name: sent[name] for name in sent if name in self._request_headers}
        parts["path"] = {str(index): _number(each) for index, each in enumerate(exchange["path"].split("/"))}
        body, media_types = exchange["body"] or "null", exchange["media_types"]
        try:
            is_lines = [each.partition(";")[0].lower() for each in media_types] == [NDJSON]
            parts["body"] = items_of(body) if is_lines else json.loads(body)
        except (ValueError, RecursionError):
            parts["body"] = "malformed"
        for part, value in parts.items():
            for feature in self._values(value, (part,)):
                yield kind, feature

    def _values(self, value: Any, place: tuple[str, ...]) -> Iterator[object]:
        """Yield type, size and names of a value and of all values in it. An unknown name is one of many."""
        if isinstance(value, Mapping):
            yield place, frozenset(name for name in value if name in self._names), self._near(len(value))
            for name, each in value.items():
                inner = name if name in self._names or place in _NAMED else "?"
                yield from self._values(_number(each) if place == ("query",) else each, (*place, inner))
        elif isinstance(value, list):
            yield place, "array", self._near(len(value))
            for each in value[:100]:
                yield from self._values(each, (*place, "[]"))
        elif isinstance(value, str):
            yield place, "string", self._near(len(value)), value if value in self._constants else None
        elif isinstance(value, bool) or value is None:
            yield place, value
        else:
            constant = value if value in self._constants else None
            yield place, type(value).__name__, self._near(value), constant

    def _near(self, size: float) -> float | None:
        return size if size in self._sizes else None


def _number(text: Any) -> Any:
    """A number in text, as a number."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 19 else text
