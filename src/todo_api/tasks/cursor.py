"""Encodes positions in lists as opaque texts (docs/decisions/0003): the cursor of a page, and the token of changes.

The numbers of a position, 8 bytes each, and a digest of them and of what they belong to (4), in base64url. The digest
is a checksum, not a signature: a mistyped, truncated or foreign text is rejected instead of returning a wrong page. A
forged one gives access to no other tasks, because every statement is filtered by the owner.
"""

from base64 import b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import blake2s
from struct import Struct, error
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DIGEST_BYTES = 4


class Position(NamedTuple):
    """The position of a task in a list. The id orders tasks of the same microsecond."""

    created_at: datetime
    id: int


class ChangePosition(NamedTuple):
    """The position after a change of a list. The id orders tasks that were written before changes were counted."""

    change: int
    id: int
    start: int
    """The change of the list when the client began without a token: what was deleted before, it has never seen."""


class _Codec:
    """Encodes numbers, for one kind of text."""

    def __init__(self, numbers: int, kind: bytes) -> None:
        self._layout = Struct(f">{numbers}q")
        self._kind = kind

    def encode(self, scope: str, *numbers: int) -> str:
        packed = self._layout.pack(*numbers)
        digest = blake2s(packed + scope.encode(), digest_size=_DIGEST_BYTES, person=self._kind).digest()
        return urlsafe_b64encode(packed + digest).rstrip(b"=").decode()

    def decode(self, scope: str, text: str) -> tuple[int, ...]:
        try:
            data = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_")
            numbers: tuple[int, ...] = self._layout.unpack(data[: self._layout.size])
        except (ValueError, error):
            raise ValueError("not a cursor") from None
        # Several base64 texts decode to the same bytes; only the one of `encode` is valid.
        if self.encode(scope, *numbers) != text:
            raise ValueError("not a cursor of this list")
        return numbers


_CURSORS = _Codec(2, b"cursor")
_TOKENS = _Codec(3, b"changes")


def encode(owner: str, position: Position, filters: str = "") -> str:
    """Returns the cursor of a position, whose `created_at` must be timezone-aware. Microseconds are kept. `filters` is
    a text of the filters of its page."""
    microseconds = (position.created_at - _EPOCH) // _MICROSECOND
    return _CURSORS.encode(_scope(owner, filters), microseconds, position.id)


def decode(owner: str, cursor: str, filters: str = "") -> Position:
    """Returns the position. Raises ValueError for a text that `encode` did not return for this owner and filters."""
    microseconds, task_id = _CURSORS.decode(_scope(owner, filters), cursor)
    try:
        return Position(_EPOCH + microseconds * _MICROSECOND, task_id)
    except OverflowError:
        raise ValueError("not a cursor") from None


def encode_change(owner: str, position: ChangePosition) -> str:
    return _TOKENS.encode(owner, *position)


def decode_change(owner: str, token: str) -> ChangePosition:
    """Returns the position. Raises ValueError for a text that `encode_change` did not return for this owner."""
    return ChangePosition(*_TOKENS.decode(owner, token))


def _scope(owner: str, filters: str) -> str:
    # A slash is in no user id.
    return f"{owner}/{filters}" if filters else owner
