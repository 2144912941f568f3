"""Writes tasks as CSV (RFC 4180) and as iCalendar (RFC 5545), piece by piece."""

import csv
import io
from collections.abc import AsyncIterator

from icalendar import Todo
from todo_contract import models

_PRIORITIES = {"low": 9, "normal": 5, "high": 3, "urgent": 1}
"""1 is the highest (RFC 5545, section 3.8.1.9)."""


async def as_csv(tasks: AsyncIterator[models.TaskRecord]) -> AsyncIterator[str]:
    """Yields a row with the names of the members, and one for each task. Labels are between commas."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(models.TaskRecord.model_fields)
    yield text.getvalue()
    async for task in tasks:
        text.seek(0)
        text.truncate()
        members = task.model_dump(mode="json")
        rows.writerow({**members, "completed": str(task.completed).lower(), "labels": ", ".join(task.labels)}.values())
        yield text.getvalue()


async def as_calendar(tasks: AsyncIterator[models.TaskRecord]) -> AsyncIterator[str]:
    """Yields a calendar with a to-do for each task."""
    yield "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//todo-api//EN\r\n"
    async for task in tasks:
        yield _todo(task).to_ical().decode()
    yield "END:VCALENDAR\r\n"


def _todo(task: models.TaskRecord) -> Todo:
    todo = Todo()
    todo.add("uid", task.external_id)
    todo.add("dtstamp", task.updated_at)
    todo.add("created", task.created_at)
    todo.add("last-modified", task.updated_at)
    todo.add("summary", task.title)
    todo.add("status", "COMPLETED" if task.completed else "NEEDS-ACTION")
    todo.add("priority", _PRIORITIES[task.priority])
    if task.description is not None:
        todo.add("description", task.description)
    if (due := task.due_date or task.due_at) is not None:
        todo.add("due", due)
    if task.labels:
        todo.add("categories", task.labels)
    return todo
