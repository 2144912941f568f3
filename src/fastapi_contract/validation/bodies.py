"""Reads and parses the body of a request, by the media types of its operation."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from fastapi_contract.contract import Schema
from fastapi_contract.problems import ContentTooLarge, MalformedBody, UnsupportedMediaType, ValidationFailed
from fastapi_contract.validation import strict_json
from fastapi_contract.validation.forms import Form
from fastapi_contract.validation.input_errors import MAX_ERRORS, InputError
from fastapi_contract.validation.media_types import FORM, JSON, MULTIPART, NDJSON, TEXT, Parameters, parse_content_type
from fastapi_contract.validation.schemas import Validator

MAX_BODY = 64 * 1024
"""Bytes of a body, if the contract has no `x-max-bytes` for it: 30 times the largest that todo-api's contract allows,
in UTF-8 with each character escaped."""
MAX_LINES = 1000
"""Lines of a body of NDJSON, if the contract has no `x-max-items` for it. `strict_json` limits the values of each."""
_UTF_8 = {b"utf-8", b"utf8"}
"""`utf8` is a label that many clients send (https://encoding.spec.whatwg.org/#names-and-labels)."""


def schema_of_body(media_type: str, media: Schema) -> Schema:
    """Returns the schema of a whole body: that of a media type object, or for NDJSON the list of its lines."""
    if media_type.lower() != NDJSON:
        schema: Schema = media["schema"]
        return schema
    return {"type": "array", "items": media["schema"], "minItems": 1, "maxItems": media.get("x-max-items", MAX_LINES)}


class RequestBody:
    """The body of an operation's requests: one media type, or a choice of several."""

    def __init__(self, document: Schema, spec: Schema) -> None:
        """`spec` is a request body object of `document`, with its `$ref` resolved."""
        limit = spec.get("x-max-bytes", MAX_BODY)
        self._contents = {
            name.lower(): _content(document, name.lower(), media, media.get("x-max-bytes", limit))
            for name, media in spec["content"].items()
        }
        self._accepted = list(spec["content"])
        self._by_header = {name.encode(): content for name, content in self._contents.items()}
        """Finds most media types without parsing the header."""
        self._limit = max(content.limit for content in self._contents.values())

    async def read(
        self, headers: Mapping[bytes, bytes], all_headers: Sequence[tuple[bytes, bytes]], receive: Receive
    ) -> tuple[Any, Any]:
        """Reads the body, and returns what FastAPI takes for its content, and the parsed and valid value; None without
        a body.

        FastAPI parses JSON again, so its content stays bytes; that of another media type is the value.

        Raises ContentTooLarge (before the body is read if Content-Length is too large), UnsupportedMediaType,
        MalformedBody, and ValidationFailed.
        """
        content, parameters = self._find(headers, all_headers)
        limit = self._limit if content is None else content.limit
        if int(headers.get(b"content-length", 0)) > limit:
            raise ContentTooLarge(limit)
        message = await receive()
        if "parsed" in message:
            # The shortcut has read it before it passed the request on.
            return message["body"], message["parsed"]
        body = await _read(message, receive, limit)
        if not body:
            return b"", None
        if content is None:
            raise UnsupportedMediaType(self._accepted)
        parsed = content.loads(body, parameters)
        return body if content.is_json else parsed, parsed

    def _find(
        self, headers: Mapping[bytes, bytes], all_headers: Sequence[tuple[bytes, bytes]]
    ) -> "tuple[_Content | _Lines | None, Parameters]":
        """Returns the content that a Content-Type declares, and the parameters of the media type."""
        # Of several Content-Type headers a proxy may use another one than this service.
        if len(headers) < len(all_headers) and _has_several_media_types(all_headers):
            return None, {}
        header = headers.get(b"content-type", b"")
        if header in self._by_header:
            return self._by_header[header], {}
        media_type, parameters = parse_content_type(header) or ("", {})
        if parameters.get(b"charset", b"utf-8").lower() not in _UTF_8:
            return None, {}
        return self._contents.get(media_type), parameters


class _Content:
    """The body in one media type."""

    def __init__(self, document: Schema, media_type: str, schema: Schema, limit: int) -> None:
        self.limit = limit
        self.is_json = media_type in JSON
        self._validator = Validator(document, schema)
        self._is_form = media_type in {FORM, MULTIPART}
        self._parse: Callable[[bytes, Parameters], Any]
        if self._is_form:
            self._parse = Form(document, schema, is_multipart=media_type == MULTIPART).loads
        elif self.is_json:
            self._parse = _parse_json
        else:
            self._parse = _parse_text if media_type == TEXT else _keep_bytes

    def loads(self, body: bytes, parameters: Parameters) -> Any:
        """Raises MalformedBody, and ValidationFailed."""
        parsed = self._parse(body, parameters)
        value = parsed if self.is_json else _as_described(parsed)
        if not self._validator.is_valid(value):
            raise ValidationFailed(self._validator.errors(value))
        if parsed is None:
            # FastAPI treats null as a missing body.
            raise ValidationFailed([InputError("type", "Must not be null.", pointer="#")])
        return parsed


class _Lines:
    """The body in NDJSON: the JSON of an item in each line."""

    is_json = False

    def __init__(self, document: Schema, media: Schema, limit: int) -> None:
        self.limit = limit
        self._validator = Validator(document, media["schema"])
        self._max_lines: int = media.get("x-max-items", MAX_LINES)

    def loads(self, body: bytes, _: Parameters) -> list[Any]:
        """Returns the items. Raises MalformedBody, and ValidationFailed.

        An empty line is malformed, so that the index of an item in a pointer is that of its line.
        """
        lines = body.removesuffix(b"\n").split(b"\n")
        if len(lines) > self._max_lines:
            detail = f"Must have at most {self._max_lines} line{'s' if self._max_lines > 1 else ''}."
            raise ValidationFailed([InputError("too_many", detail, limit=self._max_lines, pointer="#")])
        items: list[Any] = []
        errors: list[InputError] = []
        for index, line in enumerate(lines):
            try:
                item = strict_json.loads(line)
            except strict_json.StrictJSONError as error:
                raise MalformedBody(f"line {index + 1}: {error}", "NDJSON") from None
            items.append(item)
            if not self._validator.is_valid(item):
                errors += self._validator.errors(item, within=(index,))
                # The 4,000 errors of one line took 20 ms.
                if len(errors) > MAX_ERRORS:
                    break
        if errors:
            raise ValidationFailed(errors)
        return items


def _content(document: Schema, media_type: str, media: Schema, limit: int) -> _Content | _Lines:
    if media_type == NDJSON:
        return _Lines(document, media, limit)
    return _Content(document, media_type, media["schema"], limit)


async def _read(message: Message, receive: Receive, limit: int) -> bytes:
    """Returns the body that begins with `message`. Raises ContentTooLarge, and ClientDisconnect."""
    chunks: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise ContentTooLarge(limit)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        message = await receive()


def _parse_json(body: bytes, _: Parameters) -> Any:
    try:
        return strict_json.loads(body)
    except strict_json.StrictJSONError as error:
        raise MalformedBody(str(error)) from None


def _parse_text(body: bytes, _: Parameters) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody(f"it is not UTF-8 at byte {error.start}", "text") from None


def _keep_bytes(body: bytes, _: Parameters) -> bytes:
    return body


def _as_described(value: Any) -> Any:
    """Returns a value as its schema can describe it: bytes are text of the same length, which is all that a schema may
    restrict. Their own text would take 50 ms for 10 MB."""
    if isinstance(value, dict):
        return {name: _as_described(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_as_described(each) for each in value]
    return "x" * len(value) if isinstance(value, bytes) else value


def _has_several_media_types(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return [name for name, _ in headers].count(b"content-type") > 1
