"""Parses the headers Content-Type and Accept (RFC 9110, sections 8.3 and 12.5.1)."""

import re
from collections.abc import Iterable, Mapping, Sequence

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
TEXT = "text/plain"
BINARY = "application/octet-stream"
NDJSON = "application/x-ndjson"
EVENT_STREAM = "text/event-stream"
HTML = "text/html"
STREAM_MEDIA_TYPES = (NDJSON, EVENT_STREAM)
"""Those of responses whose items are sent one by one."""
JSON = frozenset({"application/json", "application/merge-patch+json"})
"""The media types of requests that are JSON."""

MAX_MEDIA_TYPE = 1024
"""Bytes of a Content-Type. FastAPI parses it with the `email` module, which took 5 ms for 32 KiB of parameters."""
MAX_ACCEPT = 4096
"""Bytes of an Accept header; a longer one is ignored. Browsers send about 150."""

# RFC 9110, section 5.6.6. No possessive quantifiers, because of a bug before Python 3.11.5 (CPython issue 106052).
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5B\x5D-\x7E\x80-\xFF]|\\[\t \x21-\x7E\x80-\xFF])*"'
_NAME = re.compile(rb"[ \t]*(%s/%s)" % (_TOKEN, _TOKEN))
_PARAMETER = re.compile(rb"[ \t]*;[ \t]*(?:(%s)=(%s|%s))?" % (_TOKEN, _TOKEN, _QUOTED))
_END = re.compile(rb"[ \t]*(,|\Z)")
_WEIGHT = re.compile(rb"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")

Parameters = Mapping[bytes, bytes]
"""The parameters of a media type, by their names in lower case."""


def is_text(media_type: str) -> bool:
    """Whether a response of a media type is a text. One of events is not, although its name says so."""
    return media_type.startswith("text/") and media_type != EVENT_STREAM


def without_pages(media_types: Iterable[str]) -> list[str]:
    """Returns the media types of an answer that programs read: not HTML, which is for people, unless it is the only
    one."""
    listed = list(media_types)
    return [each for each in listed if each != HTML] or listed


def content_type(media_type: str) -> str:
    """The value of a response's Content-Type: text is UTF-8."""
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type


def parse_content_type(header: bytes) -> tuple[str, Parameters] | None:
    """Returns the media type in lower case and its parameters; None if the header is malformed.

    parse_content_type(b"Text/Plain; charset=UTF-8")  # ("text/plain", {b"charset": b"UTF-8"})
    """
    found = _parse(header, 0) if len(header) <= MAX_MEDIA_TYPE else None
    if found is None or found[2] != len(header) or header.rstrip(b" \t").endswith(b","):
        return None
    return found[0], found[1]


def choose_acceptable(offered: Sequence[str], accept: bytes) -> str | None:
    """Returns the media type that an Accept header prefers, the first of those that it prefers equally; None if it
    accepts none of them.

    Parameters except the weight `q` are ignored. Without the header, or if it is malformed, each one is acceptable.

        choose_acceptable(["application/json", "text/csv"], b"text/csv, */*;q=0.1")  # "text/csv"
    """
    ranges = _ranges(accept)
    if not ranges:
        return offered[0]
    weights = {each: _weight(each, ranges) for each in offered}
    best = max(offered, key=weights.__getitem__)
    return best if weights[best] > 0 else None


def _weight(media_type: str, ranges: Mapping[str, float]) -> float:
    """The most specific range that matches decides."""
    kind = media_type.partition("/")[0]
    return next((ranges[each] for each in (media_type, f"{kind}/*", "*/*") if each in ranges), 0)


def _ranges(accept: bytes) -> dict[str, float]:
    """The weight of each media range; empty if the header is malformed."""
    ranges: dict[str, float] = {}
    at = 0
    while at < len(accept) <= MAX_ACCEPT:
        found = _parse(accept, at)
        if found is None:
            return {}
        name, parameters, at = found
        weight = parameters.get(b"q", b"1")
        if not _WEIGHT.fullmatch(weight):
            return {}
        ranges[name] = max(float(weight), ranges.get(name, 0))
    return ranges


def _parse(header: bytes, at: int) -> tuple[str, Parameters, int] | None:
    """Parses one media type of a list; None if it is malformed, or has a parameter with two values. The third value is
    where the next one begins."""
    match = _NAME.match(header, at)
    if match is None:
        return None
    name, at = match[1].decode().lower(), match.end()
    parameters: dict[bytes, bytes] = {}
    while match := _PARAMETER.match(header, at):
        at = match.end()
        if match[1] is not None:
            key, value = match[1].lower(), _unquoted(match[2])
            if parameters.setdefault(key, value).lower() != value.lower():
                return None
    match = _END.match(header, at)
    return None if match is None else (name, parameters, match.end())


def _unquoted(value: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", value[1:-1]) if value.startswith(b'"') else value
