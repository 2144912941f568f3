"""A cursor encodes a position exactly, and a text that the service did not encode for that user is rejected."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todo_api.tasks.cursor import Position, decode, encode

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
OWNER = "pZ4nT0aVJvXc9dK2mQ7rLw1sYb8hUeGf"
CURSOR = encode(OWNER, Position(datetime(2026, 11, 22, 9, 30, 0, 123456, tzinfo=UTC), 42))

owners = st.text(st.characters(codec="ascii", exclude_categories=["C", "Z"]), min_size=1, max_size=255)
positions = st.builds(
    Position,
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.astimezone(UTC))
    | st.sampled_from([datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]),
    st.integers(-(2**63), 2**63 - 1),
)


@given(owners, positions)
def test_cursor_encodes_a_position_exactly(owner: str, position: Position) -> None:
    cursor = encode(owner, position)
    assert len(cursor) == 27
    assert set(cursor) <= set(ALPHABET)
    assert decode(owner, cursor) == position


@pytest.mark.parametrize("place", range(len(CURSOR)), ids=lambda place: f"character {place}")
def test_cursor_with_one_other_character_is_rejected(place: int) -> None:
    for character in ALPHABET + "+/= \n\0é":
        mistyped = CURSOR[:place] + character + CURSOR[place + 1 :]
        if mistyped != CURSOR:
            with pytest.raises(ValueError, match="not a cursor"):
                decode(OWNER, mistyped)


@given(owners, owners, positions)
def test_cursor_of_another_user_is_rejected(owner: str, other: str, position: Position) -> None:
    if owner != other:
        with pytest.raises(ValueError, match="not a cursor"):
            decode(other, encode(owner, position))


@given(st.text() | st.text(ALPHABET, min_size=27, max_size=27))
def test_text_that_is_no_cursor_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        decode(OWNER, text)


@pytest.mark.parametrize(
    "cursor",
    [
        CURSOR[:-1],
        CURSOR[1:],
        CURSOR + "A",
        CURSOR + "=",
        " " + CURSOR,
        CURSOR[:9] + "\n" + CURSOR[9:],
        urlsafe_b64encode(b"\x7f" + b"\xff" * 19).rstrip(b"=").decode(),
        urlsafe_b64encode(b"\x80" + b"\x00" * 19).rstrip(b"=").decode(),
    ],
    ids=[
        "last character missing", "first character missing", "one character more", "padding", "leading blank",
        "line feed", "largest time and id", "smallest time",
    ],
)  # fmt: skip
def test_malformed_or_out_of_range_cursor_is_rejected(cursor: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        decode(OWNER, cursor)
