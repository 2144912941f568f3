"""The formats of strings, checked as their RFCs define them and no wider.

jsonschema-rs checks most of them itself. Those with a function here are either unknown to it, or it accepts texts that
Python's own types cannot hold: the year 0, a leap second, an instant before the year 1 in UTC.
"""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HOUR = r"(?:[01][0-9]|2[0-3])"
# At most six digits of a second, because Python's types hold microseconds.
_CLOCK = rf"{_HOUR}:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{{1,6}})?(?:Z|[+-]{_HOUR}:[0-5][0-9])"
_TIME = re.compile(_CLOCK)
_DATE_TIME = re.compile(rf"{_DATE.pattern}T{_CLOCK}")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


def _is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None and _parses(date.fromisoformat, text)


def _is_time(text: str) -> bool:
    text = text.upper()
    return _TIME.fullmatch(text) is not None and _parses(time.fromisoformat, text)


def _is_date_time(text: str) -> bool:
    # RFC 3339, section 5.6, allows lower case.
    text = text.upper()
    return _DATE_TIME.fullmatch(text) is not None and _parses(_instant, text)


def _instant(text: str) -> datetime:
    """Raises OverflowError for an instant outside the years 1 to 9999 in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _is_decimal(text: str) -> bool:
    return _DECIMAL.fullmatch(text) is not None


def _is_base64(text: str) -> bool:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)) == text.encode()
    except (binascii.Error, ValueError):
        return False


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except (ValueError, OverflowError):
        return False
    return True


CHECKS: dict[str, Callable[[str], bool]] = {
    "byte": _is_base64,
    "date": _is_date,
    "date-time": _is_date_time,
    "decimal": _is_decimal,
    "time": _is_time,
}
"""Passed to jsonschema-rs, which checks the others of SENTENCES itself."""

SENTENCES = {
    "byte": "Must be Base64, such as SGVsbG8=.",
    "date": "Must be a date, such as 2026-12-31.",
    "date-time": "Must be a date and time with an offset, such as 2026-12-31T18:30:00Z.",
    "decimal": "Must be a decimal number, such as 12.50.",
    "duration": "Must be a duration, such as P1DT12H.",
    "email": "Must be an email address, such as name@example.com.",
    "hostname": "Must be a host name, such as www.example.com.",
    "ipv4": "Must be an IPv4 address, such as 192.0.2.1.",
    "ipv6": "Must be an IPv6 address, such as 2001:db8::1.",
    "password": "Must be text.",
    "time": "Must be a time with an offset, such as 18:30:00Z.",
    "uri": "Must be a URI, such as https://example.com/path.",
    "uri-reference": "Must be a URI or a relative reference, such as /path.",
    "uuid": "Must be a UUID, such as 2eb8aa08-aa98-11ea-b4aa-73b441d16380.",
}
"""The formats of strings that are supported, each with the sentence of its error."""

BOUNDS = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "float": (-3.4028234663852886e38, 3.4028234663852886e38),
}
"""The least and the greatest number of a format. Integers without a format have those of int64."""
