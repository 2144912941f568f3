"""Strict JSON (RFC 8259 and RFC 7493, I-JSON). Python's own parser also accepts NaN and Infinity, duplicate names in an
object, UTF-16 and UTF-32, and a byte order mark."""

import json
import re
from collections.abc import Callable
from itertools import islice
from typing import Any, NoReturn

MAX_OBJECTS = 1000
"""Per document. Each object costs a call of a Python function: the 22,000 that fit in 64 KiB took 4 ms."""
MAX_VALUES = 5000
"""Per document. The 16,000 fractions that fit in 64 KiB took 5 ms, and 7,200 members 3 ms."""
# An unterminated string matches up to the end of the text, so a match never fails, and never backtracks.
_STRING = re.compile(rb'"(?:[^"\\]+|\\(?:.|\Z))*(?:"|\Z)', re.DOTALL)


class StrictJSONError(ValueError):
    """A document is not strict JSON. The message has the reason and the position, and no part of the document."""


class Parser:
    """A JSON parser for documents of one schema."""

    def __init__(self, names: frozenset[str] | None = None, max_unknown: int = 0) -> None:
        """`names` are the member names that the schema allows anywhere; None allows any name.

        Of the members with other names, each object keeps only the first `max_unknown + 1`. They are enough to reject
        it, and pydantic takes 5 µs to report each.
        """
        self._names = names
        self._max_unknown = max_unknown
        # Reused, because json.loads() with these options makes a decoder per call.
        self._decoder = _decoder(self._object)

    def loads(self, data: bytes | bytearray) -> Any:
        """Returns the parsed document. Raises StrictJSONError if it is not strict JSON, or exceeds MAX_OBJECTS or
        MAX_VALUES."""
        if data.count(b",") > MAX_VALUES and _STRING.sub(b"", data).count(b",") > MAX_VALUES:
            raise StrictJSONError(f"it has more than {MAX_VALUES} values")
        # Objects are counted only if there are enough braces for too many.
        decoder = self._decoder if data.count(b"{") <= MAX_OBJECTS else _decoder(self._counting_hook())
        try:
            return decoder.decode(data.decode())
        except StrictJSONError:
            raise
        except UnicodeDecodeError as error:
            raise StrictJSONError(f"it is not UTF-8 at byte {error.start}") from None
        except json.JSONDecodeError as error:
            raise StrictJSONError(f"{error.msg[:1].lower()}{error.msg[1:]} (character {error.pos})") from None
        except ValueError:
            # Python raises it for integers of more than 4,300 digits (CVE-2020-10735).
            raise StrictJSONError("a number is too long") from None
        except RecursionError:
            raise StrictJSONError("it is nested too deeply") from None

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            raise StrictJSONError("a name appears twice in one object")
        if self._names is not None and len(members) > len(self._names) + self._max_unknown:
            known = [name for name in self._names if name in members]
            unknown = islice((name for name in members if name not in self._names), self._max_unknown + 1)
            return {name: members[name] for name in (*known, *unknown)}
        return members

    def _counting_hook(self) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
        count = 0

        def hook(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            nonlocal count
            count += 1
            if count > MAX_OBJECTS:
                raise StrictJSONError(f"it has more than {MAX_OBJECTS} objects")
            return self._object(pairs)

        return hook


def _reject_constant(constant: str) -> NoReturn:
    raise StrictJSONError(f"{constant} is not JSON")


def _decoder(object_hook: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=object_hook, parse_constant=_reject_constant)


loads = Parser().loads
"""Parses a document of any schema; see Parser.loads."""
