"""The rules of requests that JSON Schema cannot express: a value that its schema allows may be 422 by one of them.

Whatever sends valid values, derived or random, asks here which ones the service accepts."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from todo_api.tasks.cursor import ChangePosition, Position, encode, encode_change
from todo_api.tasks.rules import MAX_LABEL, key_of, normalized

_ZONES = ["UTC", "Europe/Berlin", "America/Argentina/ComodRivadavia", "Etc/GMT+12"]


class Rule(NamedTuple):
    """A rule of a body's members. Those in `broken` are valid, and break it alone."""

    broken: dict[str, Any]
    code: str
    place: re.Pattern[str]
    """Of the error's pointer. A body may have the members at any depth."""


_LABEL = re.compile(r"/labels/\d+$")
RULES = {
    "due on a day or at a time": Rule(
        {"due_date": "2026-12-24", "due_at": "2026-12-24T17:30:00Z"}, "invalid", re.compile("/due_at$")
    ),
    "labels differ in more than case": Rule({"labels": ["home", "Home"]}, "duplicate_items", _LABEL),
    # In NFC this letter is two characters.
    "labels are short in normal form": Rule({"labels": ["\u0958" * MAX_LABEL]}, "too_long", _LABEL),
    "commands have ids of their own": Rule(
        {"commands": [{"type": "delete", "id": "a", "task_id": 1}] * 2}, "invalid", re.compile(r"/commands/\d+/id$")
    ),
}


def parameter_values(owner: str) -> dict[str, list[str]]:
    """Returns accepted values of the parameters whose pattern allows more than the service knows, by name."""
    numbers = -(2**63), 2**63 - 1
    moments = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
    return {
        # Of a list without filters.
        "cursor": [encode(owner, Position(moment, number)) for moment in moments for number in numbers],
        "since": [encode_change(owner, ChangePosition(n, m, 0)) for n in numbers for m in numbers],
        "time_zone": _ZONES,
    }


def is_only_beyond_schema(errors: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a request is rejected only by rules that its schema cannot express."""
    return all(any(_is_error_of(rule, error) for rule in RULES.values()) for error in errors)


def _is_error_of(rule: Rule, error: Mapping[str, Any]) -> bool:
    return error["code"] == rule.code and rule.place.search(error.get("pointer", "")) is not None


def accepted(value: Any) -> Any:
    """Returns a valid body without what breaks a rule: `due_at` beside `due_date`, labels, repeated ids of commands. A
    whole number is written as one, because 1.0 is rejected (docs/decisions/0016)."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [accepted(each) for each in value]
    if not isinstance(value, dict):
        return value
    members = {name: accepted(each) for name, each in value.items()}
    if isinstance(members.get("due_date"), str) and isinstance(members.get("due_at"), str):
        del members["due_at"]
    if isinstance(members.get("labels"), list):
        members["labels"] = _accepted_labels(members["labels"])
    if isinstance(members.get("commands"), list):
        members["commands"] = [{**each, "id": f"{number}"} for number, each in enumerate(members["commands"])]
    return members


def _accepted_labels(labels: list[str]) -> list[str]:
    by_key = {key_of(label): label for label in labels}
    return [label for label in by_key.values() if len(normalized(label)) <= MAX_LABEL]
