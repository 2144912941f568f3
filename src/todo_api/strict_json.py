"""JSON as RFC 8259 and RFC 7493 (I-JSON) have it. Python's own parser takes more: NaN and Infinity, a name twice in one
object, UTF-16 and UTF-32, a byte order mark."""

import json
from typing import Any, NoReturn


class StrictJSONError(ValueError):
    """What is wrong, and where, without what was sent."""


def loads(data: bytes | bytearray) -> Any:
    """Raises StrictJSONError."""
    try:
        return _DECODER.decode(data.decode())
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


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise StrictJSONError("a name stands twice in one object")
    return members


def _refuse(constant: str) -> NoReturn:
    raise StrictJSONError(f"{constant} is not JSON")


# Made once: json.loads makes one for each call.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)
