"""The SQL of export and import, which queries.py prepares."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    String,
    Text,
    bindparam,
    cast,
    column,
    exists,
    func,
    insert,
    literal_column,
    not_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, distinct_on
from sqlalchemy.dialects.postgresql import insert as insert_into
from todo_contract import models

from todo_api.database.rows import columns_of
from todo_api.tasks.table import task, task_list
from todo_api.tasks.writes import is_live, list_of_owner, next_change, of_owner

OWN = "todo-api"
"""Begins the external id of a task that was created here: `todo-api:<user>:<id>`."""
_ID = literal_column(f"'{OWN}:' || task.user_id || ':' || task.id", Text)
record = columns_of(task, models.TaskRecord, external_id=func.coalesce(task.c.external_id, _ID))
_ZERO: ColumnElement[int] = literal_column("0")


def exported(*, after: bool) -> Select[Any]:
    """Selects a page of tasks, oldest first, with their ids."""
    position = tuple_(bindparam("created_at", type_=task.c.created_at.type), bindparam("id", type_=task.c.id.type))
    return (
        select(*record, task.c.id)
        .where(of_owner, is_live, *([tuple_(task.c.created_at, task.c.id) > position] if after else []))
        .order_by(task.c.created_at, task.c.id)
        .limit(bindparam("limit", type_=BigInteger))
    )


_new_list = select(
    bindparam("owner", type_=task_list.c.user_id.type).label("user_id"),
    _ZERO.label("change"),
    _ZERO.label("tasks"),
    _ZERO.label("completed"),
)
list_locked = (
    insert_into(task_list)
    .from_select(["user_id", "change", "tasks", "completed"], _new_list, include_defaults=False)
    .on_conflict_do_update(index_elements=["user_id"], set_={"change": task_list.c.change})
    .returning(task_list.c.user_id)
)
"""Locks the row of the list, which it creates if necessary."""


def imported() -> Select[Any]:
    """Creates the tasks of `lines` that the user has not yet, unless they would be more than `max_tasks`. Returns their
    number, and how many were created."""
    names = ("title", "description", "completed", "due_date", "due_at", "priority", "created_at")
    lines = (
        func.jsonb_to_recordset(bindparam("lines", type_=JSONB))
        .table_valued(
            column("number", Integer()),
            column("own_id", BigInteger()),
            column("external_id", Text()),
            column("labels", ARRAY(String())),
            *(column(name, task.c[name].type) for name in names),
        )
        .render_derived("line", with_types=True)
    )
    known = select(task.c.id).where(of_owner, is_live)
    new = (
        select(lines)
        .ext(distinct_on(lines.c.external_id))
        .where(
            not_(exists(known.where(task.c.external_id == lines.c.external_id))),
            not_(exists(known.where(task.c.id == lines.c.own_id))),
        )
        .order_by(lines.c.external_id, lines.c.number)
        .cte("new")
    )
    count = select(func.count()).select_from(new).scalar_subquery()
    completed = select(func.count()).select_from(new).where(new.c.completed).scalar_subquery()
    moved = (
        update(task_list)
        .where(list_of_owner, count > _ZERO, task_list.c.tasks + count <= bindparam("max_tasks", type_=Integer))
        .values(
            change=next_change,
            tasks=task_list.c.tasks + cast(count, Integer),
            completed=task_list.c.completed + cast(completed, Integer),
        )
        .returning(task_list.c.user_id, task_list.c.change)
        .cte("list")
    )
    written = ("external_id", "labels", *names[:-1])
    created = (
        insert(task)
        .from_select(
            ["user_id", "change", "created_at", "updated_at", *written],
            select(
                moved.c.user_id,
                moved.c.change,
                func.coalesce(new.c.created_at, func.now()),
                func.greatest(new.c.created_at, func.now()),
                *(new.c[name] for name in written),
            ).order_by(new.c.number),
            include_defaults=False,
        )
        .returning(task.c.id)
        .cte("created")
    )
    return select(count.label("new"), select(func.count()).select_from(created).scalar_subquery().label("created"))
