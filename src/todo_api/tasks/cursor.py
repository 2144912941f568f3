"""The cursor of a list: a position, as 27 characters that clients pass back without understanding them.

20 bytes in base64url: `created_at` in microseconds since 1970 (8), the id (8), and a digest of both and the owner
(4). The digest is no secret and no signature: it tells a mistyped, cut or foreign cursor from a real one, so that it
is refused instead of showing a wrong page. A forged one shows its maker nothing but their own tasks, since every
statement is filtered by the owner.
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
    """Where in a list a task stands. The id tells tasks of the same microsecond apart."""

    created_at: datetime
    id: int


def encode(owner: str, position: Position) -> str:
    """`created_at` must be aware of its time zone; nothing of it is rounded."""
    microseconds = (position.created_at - _EPOCH) // _MICROSECOND
    packed = _POSITION.pack(microseconds, position.id)
    digest = blake2s(packed + owner.encode(), digest_size=_DIGEST_BYTES, person=b"cursor").digest()
    return urlsafe_b64encode(packed + digest).rstrip(b"=").decode()


def decode(owner: str, cursor: str) -> Position:
    """Raises ValueError for everything that `encode` did not make for this owner."""
    try:
        data = b64decode(cursor + "=", altchars=b"-_")
        microseconds, task_id = _POSITION.unpack(data[: _POSITION.size])
        position = Position(_EPOCH + microseconds * _MICROSECOND, task_id)
    except (ValueError, OverflowError, error):
        raise ValueError("not a cursor") from None
    # Base64 has several spellings of the same bytes: only the one that `encode` makes will do.
    if encode(owner, position) != cursor:
        raise ValueError("not a cursor of this list")
    return position
