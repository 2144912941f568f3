"""JSON log lines: every value can be written."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from todo_api.logs import _render_json

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("text", "text"),
        ("\ud800", "\ud800"),
        (2**70, 2**70),
        ((1, None), [1, None]),
        (MOMENT, "2026-01-01T00:00:00Z"),
        ({1}, "{1}"),
    ],
    ids=["text", "surrogate", "integer above 64 bits", "tuple", "time", "set"],
)
def test_value_of_any_type_is_written_as_json(value: Any, written: object) -> None:
    line = _render_json(None, "info", {"value": value, "timestamp": MOMENT})
    assert json.loads(line)["value"] == written
    assert b"\n" not in line
