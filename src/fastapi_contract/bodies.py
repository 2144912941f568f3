"""Reads and parses the body of a request."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from fastapi_contract import strict_json
from fastapi_contract.input_errors import InputError
from fastapi_contract.problems import ContentTooLarge, MalformedBody, UnsupportedMediaType, ValidationFailed
from fastapi_contract.schemas import Validator

MAX_BODY = 64 * 1024
"""Bytes of a body: 30 times the largest that todo-api's contract allows, in UTF-8 with each character escaped."""
MAX_MEDIA_TYPE = 1024
"""Bytes of a Content-Type. FastAPI parses it with the `email` module, which took 5 ms for 32 KiB of parameters."""

# RFC 9110, section 5.6.6. No possessive quantifiers, because of a bug before Python 3.11.5 (CPython issue 106052).
_MEDIA_TYPE = re.compile(rb"[ \t]*application/json", re.IGNORECASE)
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5B\x5D-\x7E\x80-\xFF]|\\[\t \x21-\x7E\x80-\xFF])*"'
_PARAMETER = re.compile(rb"[ \t]*;[ \t]*(?:(%s)=(%s|%s))?" % (_TOKEN, _TOKEN, _QUOTED))
_UTF_8 = {b"utf-8", b"utf8"}
"""`utf8` is a label that many clients send (https://encoding.spec.whatwg.org/#names-and-labels)."""


class JsonBody:
    """The JSON body of an operation's requests."""

    def __init__(self, validator: Validator) -> None:
        """`validator` is that of the body's schema in the contract."""
        self._validator = validator

    async def read(
        self, headers: Mapping[bytes, bytes], all_headers: Sequence[tuple[bytes, bytes]], receive: Receive
    ) -> tuple[bytes, Any]:
        """Reads the body, and returns it with the parsed and valid value; None without a body.

        Raises ContentTooLarge (before the body is read if Content-Length is too large), UnsupportedMediaType,
        MalformedBody, and ValidationFailed.
        """
        if int(headers.get(b"content-length", 0)) > MAX_BODY:
            raise ContentTooLarge(MAX_BODY)
        body, parsed = await _read(receive)
        if not body:
            return body, None
        media_type = headers.get(b"content-type", b"")
        if media_type != b"application/json" and not _is_json(media_type):
            raise UnsupportedMediaType
        # Of several Content-Type headers a proxy may use another one than this service.
        if len(headers) < len(all_headers) and _has_several_media_types(all_headers):
            raise UnsupportedMediaType
        return body, self._loads(body) if parsed is None else parsed

    def _loads(self, body: bytes) -> Any:
        """Raises MalformedBody, and ValidationFailed."""
        try:
            parsed = strict_json.loads(body)
        except strict_json.StrictJSONError as error:
            raise MalformedBody(str(error)) from None
        if not self._validator.is_valid(parsed):
            raise ValidationFailed(self._validator.errors(parsed))
        if parsed is None:
            # FastAPI treats null as a missing body.
            raise ValidationFailed([InputError("type", "Must not be null.", pointer="#")])
        return parsed


async def _read(receive: Receive) -> tuple[bytes, Any]:
    """Returns the body, and its parsed value if the shortcut has parsed it before it passed the request on."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise ContentTooLarge(MAX_BODY)
        if not message.get("more_body", False):
            return body, message.get("parsed")


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
