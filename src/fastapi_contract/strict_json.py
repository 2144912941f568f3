"""JSON as RFC 8259 and RFC 7493 (I-JSON) have it. Python's own parser takes more: NaN and Infinity, a name twice in one
object, UTF-16 and UTF-32, a byte order mark."""

import json
import re
from collections.abc import Callable
from itertools import islice
from typing import Any, NoReturn

MAX_OBJECTS = 1000
"""In one text. Each costs a call of Python: the 22,000 that 64 KiB can hold took 4 ms."""
MAX_VALUES = 5000
"""In one text. The 16,000 fractions that 64 KiB can hold took 5 ms, and 7,200 members 3 ms."""
# One that does not end reaches to the end of the text: a match never fails, so no part of the text is read twice.
_STRING = re.compile(rb'"(?:[^"\\]+|\\(?:.|\Z))*(?:"|\Z)', re.DOTALL)


class StrictJSONError(ValueError):
    """What is wrong, and where, without what was sent."""


class Parser:
    """Parses JSON for a schema."""

    def __init__(self, names: frozenset[str] | None = None, max_unknown: int = 0) -> None:
        """Of members whose names are not in `names`, every object keeps the first `max_unknown + 1`, which are enough
        to reject it: pydantic takes 5 µs to report each. None keeps them all."""
        self._names = names
        self._max_unknown = max_unknown
        # Made once: json.loads makes one for each call.
        self._decoder = _decoder(self._object)

    def loads(self, data: bytes | bytearray) -> Any:
        """Raises StrictJSONError."""
        if data.count(b",") > MAX_VALUES and _STRING.sub(b"", data).count(b",") > MAX_VALUES:
            raise StrictJSONError(f"it has more than {MAX_VALUES} values")
        # Most texts can't have too many objects, and need not be counted.
        decoder = self._decoder if data.count(b"{") <= MAX_OBJECTS else _decoder(self._counted())
        try:
            return decoder.decode(data.decode())
        except StrictJSONError:
            raise
        except UnicodeDecodeError as error:
            raise StrictJSONError(f"it is not UTF-8 at byte {error.start}") from None
        except json.JSONDecodeError as error:
            raise StrictJSONError(f"{error.msg[:1].lower()}{error.msg[1:]} (character {error.pos})") from None
        except ValueError:
            # Python refuses integers of more than 4,300 digits (CVE-2020-10735).
            raise StrictJSONError("a number is too long") from None
        except RecursionError:
            raise StrictJSONError("it is nested too deeply") from None

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            raise StrictJSONError("a name stands twice in one object")
        if self._names is not None and len(members) > len(self._names) + self._max_unknown:
            known = [name for name in self._names if name in members]
            unknown = islice((name for name in members if name not in self._names), self._max_unknown + 1)
            return {name: members[name] for name in (*known, *unknown)}
        return members

    def _counted(self) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
        count = 0

        def make(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            nonlocal count
            count += 1
            if count > MAX_OBJECTS:
                raise StrictJSONError(f"it has more than {MAX_OBJECTS} objects")
            return self._object(pairs)

        return make


def _refuse(constant: str) -> NoReturn:
    raise StrictJSONError(f"{constant} is not JSON")


def _decoder(make: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=make, parse_constant=_refuse)


loads = Parser().loads
