"""The SQL of writes, which queries.py prepares.

A write locks the task, then moves the row of the user's list, and then writes the task: so the changes of one user have
the order of their commits (docs/decisions/0029), and nothing is moved if there is nothing to write. All of it is one
statement, whose parts are common table expressions.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    exists,
    false,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy import update as update_of
from sqlalchemy.dialects.postgresql import insert as insert_into

from todo_api.database import expiry
from todo_api.tasks.table import columns, task, task_list

TOMBSTONE_LIFETIME = "30 days"
"""How long a deleted task can be restored. Later deletions of the user remove its tombstone."""

_ONE = literal_column("1", Integer)
of_owner = task.c.user_id == bindparam("owner")
list_of_owner = task_list.c.user_id == bindparam("owner")
is_live = task.c.deleted_at.is_(None)
by_id = (task.c.id == bindparam("task_id"), of_owner)
WIDTH = len(columns)
_previous_etag = literal_column("'\"' || task.version - 1 || '\"'", Text)
tags = bindparam("tags", type_=ARRAY(Text))
ids = bindparam("ids", type_=ARRAY(BigInteger))
# Not now(), the start of the transaction: an update that waited for a row lock would set an earlier time than the
# previous update. If the clock is set back, each write is still a microsecond later, up to the contract's maximum.
_next_updated_at = func.least(
    func.greatest(
        func.clock_timestamp(), task.c.updated_at + literal_column("interval '1 microsecond'"), task.c.created_at
    ),
    literal_column("timestamptz '9999-12-31 23:59:59.999999+00'"),
)
next_change = task_list.c.change + _ONE


def mark(change: ColumnElement[int]) -> dict[str, ColumnElement[Any]]:
    """Returns what each write of a task sets. `change` is the one of the list that it makes."""
    return {"version": task.c.version + _ONE, "change": change, "updated_at": _next_updated_at}


def created(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Adds a task, unless the user has `max_tasks`."""
    first = select(
        bindparam("owner", type_=task_list.c.user_id.type).label("user_id"),
        _ONE.label("change"),
        _ONE.label("tasks"),
        cast(bindparam("completed", type_=task.c.completed.type), Integer).label("completed"),
    ).where(*conditions)
    inserted = insert_into(task_list).from_select(
        ["user_id", "change", "tasks", "completed"], first, include_defaults=False
    )
    moved = (
        inserted.on_conflict_do_update(
            index_elements=["user_id"],
            set_={
                "change": next_change,
                "tasks": task_list.c.tasks + _ONE,
                "completed": task_list.c.completed + inserted.excluded.completed,
            },
            where=task_list.c.tasks < bindparam("max_tasks", type_=Integer),
        )
        .returning(task_list.c.user_id, task_list.c.change)
        .cte("list")
    )
    names = ("title", "description", "completed", "due_date", "due_at", "priority", "labels")
    values = [bindparam(name, type_=task.c[name].type) for name in names]
    created = (
        insert_into(task)
        .from_select(
            ["user_id", "change", *names],
            select(moved.c.user_id, moved.c.change, *values),
            include_defaults=False,
        )
        .returning(*columns)
        .cte("created")
    )
    return select(*created.c, true().label("done"))


Counts: TypeAlias = Callable[[CTE], Mapping[str, ColumnElement[Any]]]
"""What a write makes of the counts of the list, by the task as it was."""


def _no_counts(_: CTE) -> Mapping[str, ColumnElement[Any]]:
    return {}


def changed(
    values: Mapping[str, Any], counts: Counts, *conditions: ColumnElement[bool], conditional: bool
) -> CompoundSelect[Any]:
    """Sets `values` of a task that has one of `tags`. Returns it, or the task as it is if it has none of them."""
    found = select(*columns).where(*by_id, is_live, *conditions).with_for_update().cte("found")
    task_after = _written(found, values, counts, *_has_tag(found, conditional=conditional))
    return _done_or_as_is(task_after, found, false())


def _has_tag(found: CTE, *, conditional: bool) -> list[ColumnElement[bool]]:
    return [found.c.etag == any_(tags)] if conditional else []


def _done_or_as_is(task_after: CTE, found: CTE, is_done: ColumnElement[bool]) -> CompoundSelect[Any]:
    """Returns the task that was written, or the one that was found with whether that is what the request asks for."""
    return union_all(
        select(*task_after.c, true().label("done")),
        select(*list(found.c)[:WIDTH], is_done).where(not_(exists(select(task_after.c.id)))),
    )


def _written(found: CTE, values: Mapping[str, Any], counts: Counts, *conditions: ColumnElement[bool]) -> CTE:
    """Moves the list and writes the task that was found, if the conditions hold."""
    moved = (
        update_of(task_list)
        .where(list_of_owner, found.c.id == bindparam("task_id"), *conditions)
        .values(change=next_change, **counts(found))
        .returning(task_list.c.change)
        .cte("list")
    )
    return (
        update_of(task)
        .where(*by_id, moved.c.change.is_not(None))
        .values({**mark(moved.c.change), **values})
        .returning(*columns)
        .cte("changed")
    )


def restored() -> CompoundSelect[Any]:
    """Brings a deleted task back, unless the user has `max_tasks`."""
    found = (
        select(*columns, task.c.deleted_at)
        .where(*by_id, or_(is_live, task.c.deleted_at > expiry.before(TOMBSTONE_LIFETIME)))
        .with_for_update()
        .cte("found")
    )
    is_deleted = found.c.deleted_at.is_not(None)
    has_room = task_list.c.tasks < bindparam("max_tasks", type_=Integer)
    task_after = _written(
        found,
        {"deleted_at": null()},
        lambda found: {
            "tasks": task_list.c.tasks + _ONE,
            "completed": task_list.c.completed + cast(found.c.completed, Integer),
        },
        is_deleted,
        has_room,
    )
    return _done_or_as_is(task_after, found, not_(is_deleted))


def deleted(*, conditional: bool) -> CompoundSelect[Any]:
    """Leaves a tombstone. With the tags of an earlier deletion it is done already (RFC 9110, section 13.1.1)."""
    found = (
        select(*columns, task.c.deleted_at)
        # A tombstone of the version after one of the tags: this deletion was carried out, and its answer was lost.
        .where(*by_id, or_(is_live, _previous_etag == any_(tags)) if conditional else is_live)
        .with_for_update()
        .cte("found")
    )
    is_deleted = found.c.deleted_at.is_not(None)
    task_after = _written(
        found,
        {"deleted_at": func.clock_timestamp()},
        lambda found: {
            "tasks": task_list.c.tasks - _ONE,
            "completed": task_list.c.completed - cast(found.c.completed, Integer),
        },
        not_(is_deleted),
        *_has_tag(found, conditional=conditional),
    )
    return _done_or_as_is(task_after, found, is_deleted).add_cte(
        expiry.removal(task, task.c.deleted_at, TOMBSTONE_LIFETIME, of_owner)
    )


def toggled(*conditions: ColumnElement[bool], conditional: bool) -> CompoundSelect[Any]:
    return changed(
        {"completed": not_(task.c.completed)},
        lambda found: {
            "completed": task_list.c.completed
            + cast(not_(found.c.completed), Integer)
            - cast(found.c.completed, Integer)
        },
        *conditions,
        conditional=conditional,
    )


def updated(names: frozenset[str], *conditions: ColumnElement[bool], conditional: bool) -> CompoundSelect[Any]:
    def counts(found: CTE) -> Mapping[str, ColumnElement[Any]]:
        new = cast(bindparam("completed", type_=task.c.completed.type), Integer)
        return {"completed": task_list.c.completed + new - cast(found.c.completed, Integer)}

    return changed(
        {name: bindparam(name, type_=task.c[name].type) for name in sorted(names)},
        counts if "completed" in names else _no_counts,
        *conditions,
        conditional=conditional,
    )
