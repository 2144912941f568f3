"""Encodes positions in lists as opaque texts (docs/decisions/0003): the cursor of a page, and the token of changes.

The numbers of a position, 8 bytes each, its text if it has one, and a digest of them and of what they belong to (4), in
base64url. The digest is a checksum, not a signature: a mistyped, truncated or foreign text is rejected instead of
returning a wrong page. A forged one gives access to no other tasks, because every statement is filtered by the owner.
"""

from base64 import b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import blake2s
from struct import Struct, error
from typing import NamedTuple, TypeAlias

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DIGEST_BYTES = 4
_NONE = -(2**63)


Value: TypeAlias = datetime | int | str | None
"""By which a list is sorted. None is after all others."""


class Position(NamedTuple):
    """The position of a task in a list. The id orders tasks of the same value."""

    value: Value
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

    def encode(self, scope: str, *numbers: int, text: str = "") -> str:
        packed = self._layout.pack(*numbers) + text.encode()
        digest = blake2s(packed + scope.encode(), digest_size=_DIGEST_BYTES, person=self._kind).digest()
        return urlsafe_b64encode(packed + digest).rstrip(b"=").decode()

    def decode(self, scope: str, encoded: str) -> tuple[tuple[int, ...], str]:
        """Returns the numbers and the text. Raises ValueError for what `encode` did not return for this scope."""
        size = self._layout.size
        try:
            data = b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_")
            numbers: tuple[int, ...] = self._layout.unpack(data[:size])
            text = data[size:-_DIGEST_BYTES].decode()
        except (ValueError, error):
            raise ValueError("not a cursor") from None
        # Several base64 texts decode to the same bytes; only the one of `encode` is valid.
        if self.encode(scope, *numbers, text=text) != encoded:
            raise ValueError("not a cursor of this list")
        return numbers, text


_CURSORS = _Codec(2, b"cursor")
_TOKENS = _Codec(3, b"changes")


def encode(owner: str, position: Position, filters: str = "") -> str:
    """Returns the cursor of a position. A time must be timezone-aware; microseconds are kept. `filters` is a text of
    the filters and the order of its page."""
    number, text = 0, ""
    match position.value:
        case datetime() as time:
            number = (time - _EPOCH) // _MICROSECOND
        case int() as number:
            pass
        case str() as text:
            pass
        case None:
            number = _NONE
    return _CURSORS.encode(_scope(owner, filters), number, position.id, text=text)


def decode(owner: str, cursor: str, filters: str = "", kind: type[datetime | int | str] = datetime) -> Position:
    """Returns the position, whose value is of a `kind` or None. Raises ValueError for a text that `encode` did not
    return for this owner and filters."""
    (number, task_id), text = _CURSORS.decode(_scope(owner, filters), cursor)
    if number == _NONE:
        return Position(None, task_id)
    if kind is not datetime:
        return Position(text if kind is str else number, task_id)
    try:
        return Position(_EPOCH + number * _MICROSECOND, task_id)
    except OverflowError:
        raise ValueError("not a cursor") from None


def encode_change(owner: str, position: ChangePosition) -> str:
    return _TOKENS.encode(owner, *position)


def decode_change(owner: str, token: str) -> ChangePosition:
    """Returns the position. Raises ValueError for a text that `encode_change` did not return for this owner."""
    numbers, text = _TOKENS.decode(owner, token)
    if text:
        raise ValueError("not a token")
    return ChangePosition(*numbers)


def _scope(owner: str, filters: str) -> str:
    # A slash is in no user id.
    return f"{owner}/{filters}" if filters else owner
