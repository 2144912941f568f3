"""A model in Python of lists: which tasks a query selects, in which order."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from support.searched_words import fold, matches

Query = Mapping[str, Any]
"""The parameters of listTasks without those of a page; `label` and `priority` are lists."""
PRIORITIES = ["low", "normal", "high", "urgent"]


@dataclass(frozen=True)
class ModelTask:
    id: int
    title: str
    description: str | None
    completed: bool
    due_date: date | None
    due_at: datetime | None
    priority: str
    labels: tuple[str, ...]
    created_at: datetime
    updated_at: datetime

    @property
    def due(self) -> datetime | None:
        """The time by which tasks are sorted."""
        if self.due_date is not None:
            return datetime.combine(self.due_date, time.max, UTC)
        return self.due_at

    def day(self, zone: ZoneInfo) -> date | None:
        """The day on which the task is due, by the clock of a zone."""
        return self.due_date if self.due_at is None else self.due_at.astimezone(zone).date()

    def is_overdue(self, now: datetime, zone: ZoneInfo) -> bool:
        if self.completed:
            return False
        if self.due_at is not None:
            return self.due_at < now
        return self.due_date is not None and self.due_date < now.astimezone(zone).date()


def selected(tasks: Sequence[ModelTask], query: Query, now: datetime) -> list[ModelTask]:
    """Returns the tasks of all pages of a query."""
    sort = query.get("sort", "-created_at")
    key, descending = _KEYS[sort.removeprefix("-")], sort.startswith("-")
    found = [task for task in tasks if _matches(task, query, now)]
    without = [task for task in found if key(task) is None]
    found = sorted((task for task in found if key(task) is not None), key=lambda task: (key(task), task.id))
    without.sort(key=lambda task: task.id)
    return (found[::-1] + without[::-1]) if descending else found + without


_KEYS: Mapping[str, Callable[[ModelTask], Any]] = {
    "created_at": lambda task: task.created_at,
    "updated_at": lambda task: task.updated_at,
    "due": lambda task: task.due,
    "priority": lambda task: PRIORITIES.index(task.priority),
    "title": lambda task: fold(task.title)[:100],
}


def _matches(task: ModelTask, query: Query, now: datetime) -> bool:
    zone = ZoneInfo(query.get("time_zone", "UTC"))
    day = task.day(zone)
    labels = {_label_key(label) for label in task.labels}
    return (
        query.get("completed", task.completed) == task.completed
        and {_label_key(label) for label in query.get("label", ())} <= labels
        and task.priority in (query.get("priority") or PRIORITIES)
        and ("due_after" not in query or (day is not None and day > query["due_after"]))
        and ("due_before" not in query or (day is not None and day < query["due_before"]))
        and ("overdue" not in query or query["overdue"] == task.is_overdue(now, zone))
        and ("updated_since" not in query or task.updated_at >= query["updated_since"])
        and ("q" not in query or matches(query["q"], task.title, task.description or "", *task.labels))
    )


def _label_key(label: str) -> str:
    return "".join(character.lower()[0] for character in unicodedata.normalize("NFC", label))
