"""Strict JSON (RFC 8259 and RFC 7493, I-JSON). Python's own parser also accepts NaN and Infinity, duplicate names in an
object, half of a surrogate pair, numbers beyond those of a double, UTF-16 and UTF-32, and a byte order mark."""

import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

MAX_OBJECTS = 1000
"""Per document. Each object costs a call of a Python function: the 22,000 that fit in 64 KiB took 4 ms."""
MAX_VALUES = 5000
"""Per document. The 16,000 fractions that fit in 64 KiB took 5 ms, and 7,200 members 3 ms."""
MAX_DEPTH = 100
"""Arrays and objects within one another. Errors in 900 levels of a recursive schema took 1 s."""
# An unterminated string matches up to the end of the text, so a match never fails, and never backtracks.
_STRING = re.compile(rb'"(?:[^"\\]+|\\(?:.|\Z))*(?:"|\Z)', re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89A-Fa-f]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class StrictJSONError(ValueError):
    """A document is not strict JSON. The message has the reason and the position, and no part of the document."""


def loads(data: bytes | bytearray, *, allow_half_pairs: bool = False) -> Any:
    """Returns the parsed document. Half of a surrogate pair may be allowed, for a caller that checks each text itself.

    Raises StrictJSONError if it is not strict JSON, or exceeds MAX_OBJECTS, MAX_VALUES or MAX_DEPTH.
    """
    if data.count(b",") > MAX_VALUES and _STRING.sub(b"", data).count(b",") > MAX_VALUES:
        raise StrictJSONError(f"it has more than {MAX_VALUES} values")
    braces = data.count(b"{")
    if braces + data.count(b"[") > MAX_DEPTH and _is_too_deep(data):
        raise StrictJSONError("it is nested too deeply")
    # Objects are counted only if there are enough braces for too many.
    decoder = _DECODER if braces <= MAX_OBJECTS else _decoder(_counting_hook())
    try:
        document = decoder.decode(data.decode())
        if not allow_half_pairs and b"\\u" in data and _SURROGATE.search(data):
            # Fails only for half of a pair.
            json.dumps(document, ensure_ascii=False).encode()
    except StrictJSONError:
        raise
    except UnicodeDecodeError as error:
        raise StrictJSONError(f"it is not UTF-8 at byte {error.start}") from None
    except UnicodeEncodeError:
        raise StrictJSONError("it has half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise StrictJSONError(f"{error.msg[:1].lower()}{error.msg[1:]} (character {error.pos})") from None
    except ValueError:
        # Python raises it for integers of more than 4,300 digits (CVE-2020-10735).
        raise StrictJSONError("a number is too long") from None
    return document


def _is_too_deep(data: bytes | bytearray) -> bool:
    depth = 0
    for bracket in _STRING.sub(b"", data).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise StrictJSONError("a name appears twice in one object")
    return members


def _counting_hook() -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    count = 0

    def hook(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal count
        count += 1
        if count > MAX_OBJECTS:
            raise StrictJSONError(f"it has more than {MAX_OBJECTS} objects")
        return _object(pairs)

    return hook


def _reject_constant(constant: str) -> NoReturn:
    raise StrictJSONError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    """Python reads 1e999 as infinity."""
    number = float(text)
    if not math.isfinite(number):
        raise StrictJSONError("a number is too large")
    return number


def _decoder(object_hook: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=object_hook, parse_constant=_reject_constant, parse_float=_finite)


# Reused, because json.loads() with these options makes a decoder per call.
_DECODER = _decoder(_object)
