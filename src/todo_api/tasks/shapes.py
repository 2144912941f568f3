"""Which filters and order a list has, the conditions of its statement and their values."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Date,
    DateTime,
    String,
    Text,
    and_,
    any_,
    bindparam,
    literal_column,
    not_,
    or_,
)
from sqlalchemy.types import TypeEngine

from todo_api.tasks.filters import BEGIN, END, Filters
from todo_api.tasks.table import due, task

_RANK = "array_position('{low,normal,high,urgent}'::varchar[], task.priority)"
# As bytes, because the order of a language depends on the version of the operating system.
_TITLE = """left(task_fold(task.title), 100) COLLATE "C" """


class Sort(NamedTuple):
    """By what a list is sorted, the type of its values, and the column of a row that has the value."""

    key: ColumnElement[Any]
    kind: type[datetime | int | str]
    column: str = "position"


SORTS: Mapping[str, Sort] = {
    "created_at": Sort(task.c.created_at, datetime, "created_at"),
    "updated_at": Sort(task.c.updated_at, datetime, "updated_at"),
    "due": Sort(due, datetime),
    "priority": Sort(literal_column(_RANK, BigInteger), int),
    "title": Sort(literal_column(_TITLE, Text), str),
}


class Shape(NamedTuple):
    """What a list has of `Filters`."""

    completed: bool | None
    labels: int
    priorities: bool
    due_after: bool
    due_before: bool
    overdue: bool | None
    updated_since: bool
    words: bool
    sort: str

    @property
    def by(self) -> Sort:
        return SORTS[self.sort.removeprefix("-")]

    @property
    def is_counted(self) -> bool:
        """Whether the row of the list has the number of the tasks."""
        return not any(self[1:-1]) and self.overdue is None

    @property
    def is_dated(self) -> bool:
        """Whether all tasks of the list are due at some time."""
        return self.due_after or self.due_before or self.overdue is True


def shape_of(filters: Filters) -> Shape:
    return Shape(
        filters.completed,
        len(filters.labels),
        bool(filters.priorities),
        filters.due_after is not None,
        filters.due_before is not None,
        filters.overdue,
        filters.updated_since is not None,
        filters.words is not None,
        filters.sort,
    )


def values_of(filters: Filters, now: datetime) -> dict[str, Any]:
    """Returns the parameters of a statement for its filters. `now` tells what is overdue."""
    found: dict[str, Any] = {f"label_{number}": label for number, label in enumerate(filters.labels)}
    bounds = {"after": (filters.due_after, END), "before": (filters.due_before, BEGIN)}
    days = {name: (day, filters.moment(day, clock)) for name, (day, clock) in bounds.items() if day is not None}
    if filters.overdue is not None:
        days["overdue"] = filters.today(now), now
    for name, (day, moment) in days.items():
        # `due` is compared, too, so that the index can be used. A day counts as its end in UTC.
        bound, clock = (min, END) if name == "after" else (max, BEGIN)
        key = bound(datetime.combine(day, clock, UTC), moment)
        found |= {f"{name}_day": day, f"{name}_at": moment, f"{name}_key": key}
    return found | {
        "completed": filters.completed,
        "priorities": list(filters.priorities),
        "updated_since": filters.updated_since,
        "words": filters.words,
    }


def conditions_of(shape: Shape) -> Iterator[ColumnElement[bool]]:
    """Returns those of the filters, without labels and words."""
    if shape.completed is not None:
        # A parameter keeps plans for any value from the partial index of `due`, of which they would sort all tasks. In
        # the order of `due` they must use it.
        in_order = shape.by.key is due and not shape.completed
        yield not_(task.c.completed) if in_order else task.c.completed == bindparam("completed")
    if shape.priorities:
        yield task.c.priority == any_(bindparam("priorities", type_=ARRAY(String)))
    if shape.due_after:
        at, day, key = _due_parameters("after")
        yield and_(due > key, or_(task.c.due_at > at, task.c.due_date > day))
    if shape.due_before:
        at, day, key = _due_parameters("before")
        yield and_(due < key, or_(task.c.due_at < at, task.c.due_date < day))
    if shape.overdue is not None:
        at, day, key = _due_parameters("overdue")
        if shape.overdue:
            yield and_(not_(task.c.completed), due < key, or_(task.c.due_at < at, task.c.due_date < day))
        else:
            yield or_(task.c.completed, due.is_(None), task.c.due_at >= at, task.c.due_date >= day)
    if shape.updated_since:
        yield task.c.updated_at >= bindparam("updated_since", type_=DateTime(timezone=True))


def _due_parameters(name: str) -> Iterator[ColumnElement[Any]]:
    types: dict[str, TypeEngine[Any]] = {"at": DateTime(timezone=True), "day": Date(), "key": DateTime(timezone=True)}
    return (bindparam(f"{name}_{each}", type_=kind) for each, kind in types.items())
