"""Parses multipart/form-data (RFC 7578)."""

import logging
import re
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from fastapi_contract.validation.files import File

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 200
"""Per body. Each costs calls of Python functions: 200 took 5 ms, and 14 ms with 8 headers each."""
MAX_HEADER = 1024
"""Bytes of a header of a part. A name of 4,000 quotation marks took 2.5 ms, one of 1,000 took 0.2 ms."""
# What browsers escape in names (https://html.spec.whatwg.org/#multipart-form-data).
_ESCAPED = re.compile(r"%(?:22|0D|0A)", re.IGNORECASE)
# Its warnings contain characters of the body.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


class MultipartError(ValueError):
    """A body is not multipart/form-data. The message has the reason, and no part of the body."""


def parse_multipart(body: bytes, boundary: bytes) -> list[tuple[str, File]]:
    """Returns the parts with their names.

    Raises MultipartError for a body that is malformed, incomplete, or has more than MAX_PARTS parts.
    """
    collector = _Collector()
    callbacks: MultipartCallbacks = {
        "on_part_begin": collector.begin,
        "on_header_field": collector.add_header_name,
        "on_header_value": collector.add_header_value,
        "on_header_end": collector.end_header,
        "on_headers_finished": collector.end_headers,
        "on_part_data": collector.add_data,
        "on_part_end": collector.end,
        "on_end": collector.finish,
    }
    try:
        MultipartParser(boundary, callbacks, max_header_size=MAX_HEADER).write(body)
    except FormParserError:
        raise MultipartError("a boundary or a header of a part is malformed, or too long") from None
    if not collector.is_complete:
        raise MultipartError("its closing boundary is missing")
    return collector.parts


class _Collector:
    """Receives the callbacks of the parser, which passes texts as a range of the body, in one or more pieces."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, File]] = []
        self.is_complete = False
        self.begin()

    def begin(self) -> None:
        if len(self.parts) >= MAX_PARTS:
            raise MultipartError(f"it has more than {MAX_PARTS} parts")
        self._headers: dict[bytes, bytes] = {}
        self._header_name, self._header_value, self._data = b"", b"", list[bytes]()

    def add_header_name(self, body: bytes, start: int, end: int) -> None:
        self._header_name += body[start:end]

    def add_header_value(self, body: bytes, start: int, end: int) -> None:
        self._header_value += body[start:end]

    def end_header(self) -> None:
        name = self._header_name.lower()
        if name in self._headers:
            raise MultipartError("a part has a header twice")
        self._headers[name] = self._header_value
        self._header_name = self._header_value = b""

    def end_headers(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition"))
        if disposition != b"form-data" or b"name" not in options:
            raise MultipartError("a part has no Content-Disposition: form-data with a name")
        # RFC 7578, section 4.7, deprecates encodings.
        if self._headers.get(b"content-transfer-encoding", b"binary").lower() not in {b"7bit", b"8bit", b"binary"}:
            raise MultipartError("a part has a Content-Transfer-Encoding")
        self._name = _text(options[b"name"])
        self._file_name = _text(options[b"filename"]) if b"filename" in options else None

    def add_data(self, body: bytes, start: int, end: int) -> None:
        self._data.append(body[start:end])

    def end(self) -> None:
        part = File(b"".join(self._data))
        if self._file_name is not None:
            # RFC 7578, section 4.2: no information about folders may be used.
            part.name = self._file_name.replace("\\", "/").rpartition("/")[2]
        if media_type := self._headers.get(b"content-type"):
            part.media_type = media_type.decode("latin-1")
        self.parts.append((self._name, part))

    def finish(self) -> None:
        self.is_complete = True


def _text(name: bytes) -> str:
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise MultipartError("the name of a part or a file is not UTF-8") from None
    return _ESCAPED.sub(lambda match: chr(int(match[0][1:], 16)), text)
