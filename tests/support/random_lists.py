"""Random tasks, which are equal in much, and random queries that find some of them."""

import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from support.databases import fetch
from support.list_model import PRIORITIES, ModelTask

NOW = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
"""Half an hour before clocks change in Europe; tomorrow on Kiritimati, yesterday in America."""
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu"]
SORTS = ["created_at", "updated_at", "due", "priority", "title"]
LABELS = ["home", "Work", "ärger", "Σίγμα", "家", "50%", "a_b", "it's", "two words", "😀", "x&sort=due", "a,b", "\\"]
WORDS = [
    "buy", "Oat", "oats", "milk", "café", "CAFE", "cafe\u0301", "Молоко", "молока", "ёлка", "会議", "会議室", "カフェ",
    "회의를", "ประชุม", "😀", "👍🏽", "50%", "a_b", "O'Neil", '"quoted"', "C:\\temp", "a&b|c", "!(x)", "<->", ":*", "-",
    "ﬁn", "STRASSE", "straße", "Øl",
]  # fmt: skip
DAYS = [date(2026, 3, 29) + timedelta(n) for n in (-400, -2, -1, 0, 1, 2, 30)] + [date.min, date.max]
MOMENTS = [
    NOW + timedelta(seconds=n) for n in (-86400, -3600 * 14, -3600, -0.000001, 0, 0.000001, 3600, 3600 * 12, 86400)
] + [datetime(2026, 3, 28, hour, tzinfo=UTC) for hour in (9, 10, 12, 22, 23)]

INSERT = """
    INSERT INTO task (
        user_id, title, description, completed, due_date, due_at, priority, labels, created_at, updated_at, deleted_at
    )
    SELECT $1, title, description, completed, due_date, due_at, priority, labels, created_at, updated_at, deleted_at
    FROM json_to_recordset($2) AS task (
        title text, description text, completed boolean, due_date date, due_at timestamptz, priority text,
        labels varchar[], created_at timestamptz, updated_at timestamptz, deleted_at timestamptz
    )
    RETURNING id
"""


def insert(url: str, owner: str, tasks: Sequence[dict[str, Any]]) -> list[ModelTask]:
    """Writes tasks, and returns those that are not deleted."""
    written = []
    for task_id, task in zip(fetch(url, INSERT, owner, json.dumps(tasks, default=str)), tasks, strict=True):
        members = {**task, "labels": tuple(task["labels"])}
        if members.pop("deleted_at") is None:
            written.append(ModelTask(id=task_id, **members))
    return written


def text(choose: random.Random) -> str:
    return choose.choice([" ", "  ", ", ", "/"]).join(choose.choices(WORDS, k=choose.randint(1, 4)))


def task(choose: random.Random) -> dict[str, Any]:
    day, moment = choose.choice([(None, None), (choose.choice(DAYS), None), (None, choose.choice(MOMENTS))])
    created_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=choose.randint(0, 9))
    return {
        "title": text(choose) * choose.choice([1, 1, 1, 4]),
        "description": choose.choice([None, text(choose)]),
        "completed": choose.random() < 0.4,
        "due_date": day,
        "due_at": moment,
        "priority": choose.choice(PRIORITIES),
        "labels": choose.sample(LABELS, choose.choice([0, 1, 2, 4])),
        "created_at": created_at,
        "updated_at": created_at + timedelta(microseconds=choose.randint(0, 9)),
        "deleted_at": NOW if choose.random() < 0.1 else None,
    }


def _cased(value: str, choose: random.Random) -> str:
    return choose.choice([value, value.upper(), value.lower()])


def searched(choose: random.Random) -> str:
    """Words of tasks, of which the last one may be cut off or continued."""
    words = " ".join(choose.sample(WORDS, choose.choice([1, 1, 1, 2])))
    words = _cased(words, choose)
    return words[: choose.randint(1, len(words))] + choose.choice(["", "", "", " ", "%"])


FILTERS: dict[str, Callable[[random.Random], Any]] = {
    "completed": lambda choose: choose.random() < 0.5,
    "label": lambda choose: [_cased(label, choose) for label in choose.choices(LABELS, k=choose.choice([1, 1, 2]))],
    "priority": lambda choose: choose.choices(PRIORITIES, k=choose.randint(1, 3)),
    "due_after": lambda choose: choose.choice(DAYS),
    "due_before": lambda choose: choose.choice(DAYS),
    "overdue": lambda choose: choose.random() < 0.5,
    "time_zone": lambda choose: choose.choice(ZONES),
    "updated_since": lambda choose: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=choose.randint(0, 18)),
    "q": searched,
}


def query(choose: random.Random, sort: str | None) -> dict[str, Any]:
    names = choose.sample(list(FILTERS), choose.choice([0, 1, 1, 2, 2, 3]))
    found = {name: FILTERS[name](choose) for name in names}
    return found if sort is None else {**found, "sort": sort}


def on_the_wire(query: dict[str, Any]) -> dict[str, Any]:
    """Returns a query with each value as it is sent."""
    return {name: _sent(value) for name, value in query.items()}


def _sent(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value
