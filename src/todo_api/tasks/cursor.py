"""Encodes a position in a list as an opaque cursor of 27 characters (docs/decisions/0003).

20 bytes in base64url: `created_at` in microseconds since 1970 (8), the id (8), and a digest of both and the owner (4).
The digest is a checksum, not a signature: a mistyped, truncated or foreign cursor is rejected instead of returning a
wrong page. A forged cursor gives access to no other tasks, because every statement is filtered by the owner.
"""

from base64 import b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import blake2s
from struct import Struct, error
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_POSITION = Struct(">qq")
_DIGEST_BYTES = 4


class Position(NamedTuple):
    """The position of a task in a list. The id orders tasks of the same microsecond."""

    created_at: datetime
    id: int


def encode(owner: str, position: Position) -> str:
    """Returns the cursor of a position, whose `created_at` must be timezone-aware. Microseconds are kept."""
    microseconds = (position.created_at - _EPOCH) // _MICROSECOND
    packed = _POSITION.pack(microseconds, position.id)
    digest = blake2s(packed + owner.encode(), digest_size=_DIGEST_BYTES, person=b"cursor").digest()
    return urlsafe_b64encode(packed + digest).rstrip(b"=").decode()


def decode(owner: str, cursor: str) -> Position:
    """Returns the position. Raises ValueError for a text that `encode` did not return for this owner."""
    try:
        data = b64decode(cursor + "=", altchars=b"-_")
        microseconds, task_id = _POSITION.unpack(data[: _POSITION.size])
        position = Position(_EPOCH + microseconds * _MICROSECOND, task_id)
    except (ValueError, OverflowError, error):
        raise ValueError("not a cursor") from None
    # Several base64 texts decode to the same bytes; only the one of `encode` is valid.
    if encode(owner, position) != cursor:
        raise ValueError("not a cursor of this list")
    return position
