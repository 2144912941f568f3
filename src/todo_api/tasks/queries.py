"""The SQL of tasks. Every statement is filtered by the owner, besides the check of the URL: a task of another user is
not there. Each function is one statement and one round trip."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, bindparam, func, literal_column, not_, select, tuple_
from sqlalchemy import delete as delete_from
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_of
from todo_contract import models

from todo_api.database.rows import reader
from todo_api.database.session import Session
from todo_api.database.statement import Statement, prepare
from todo_api.tasks.cursor import Position
from todo_api.tasks.table import task

_owned = task.c.user_id == bindparam("owner")
_one = (task.c.id == bindparam("task_id"), _owned)
_task = reader(models.Task)
_members = [task.c[name] for name in models.Task.model_fields]
# now() is the start of the transaction: an update that waited for the row would set an earlier time than the update
# before it. A clock may be set back, too: each write is at least a microsecond later, up to the contract's last one.
_written = func.least(
    func.greatest(
        func.clock_timestamp(), task.c.updated_at + literal_column("interval '1 microsecond'"), task.c.created_at
    ),
    literal_column("timestamptz '9999-12-31 23:59:59.999999+00'"),
)

_get = prepare(select(*_members).where(*_one))
_create = prepare(
    insert_into(task)
    .values(
        user_id=bindparam("owner"),
        title=bindparam("title"),
        description=bindparam("description"),
        completed=bindparam("completed"),
    )
    .returning(*_members)
)
_delete = prepare(delete_from(task).where(*_one).returning(task.c.id))
_toggle = prepare(
    update_of(task).where(*_one).values(completed=not_(task.c.completed), updated_at=_written).returning(*_members)
)


@cache
def _update(columns: frozenset[str]) -> Statement:
    return prepare(
        update_of(task)
        .where(*_one)
        .values({name: bindparam(name) for name in sorted(columns)})
        .values(updated_at=_written)
        .returning(*_members)
    )


@cache
def _count(*, filtered: bool) -> Statement:
    return prepare(select(func.count()).select_from(task).where(*_matching(filtered=filtered)))


@cache
def _page(*, filtered: bool, after: bool) -> Statement:
    statement = select(*_members).where(*_matching(filtered=filtered))
    if after:
        # As a comparison of rows the index serves it at any depth; spelt out with OR it does not.
        statement = statement.where(
            tuple_(task.c.created_at, task.c.id)
            < tuple_(
                bindparam("created_at", type_=task.c.created_at.type),
                bindparam("id", type_=task.c.id.type),
            )
        )
    return prepare(
        statement.order_by(task.c.created_at.desc(), task.c.id.desc())
        .limit(bindparam("limit", type_=BigInteger))
        .offset(bindparam("offset", type_=BigInteger))
    )


def _matching(*, filtered: bool) -> tuple[Any, ...]:
    return (_owned, task.c.completed == bindparam("completed")) if filtered else (_owned,)


async def list_page(
    session: Session,
    owner: str,
    *,
    completed: bool | None,
    limit: int,
    offset: int | None,
    after: Position | None,
) -> tuple[list[models.Task], Position | None]:
    """At most `limit` tasks, newest first, and the position after which the next page goes on; None where none
    follows. `completed` None stands for both. `offset` reads that many tasks and drops them; `after` costs the same
    at any depth."""
    # One more than wanted tells whether a page follows.
    parameters: dict[str, Any] = {"owner": owner, "limit": limit + 1, "offset": offset or 0}
    if completed is not None:
        parameters["completed"] = completed
    if after is not None:
        parameters |= after._asdict()
    rows = await session.fetch_all(_page(filtered=completed is not None, after=after is not None), **parameters)
    tasks = [_task(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return tasks, None
    return tasks, Position(tasks[-1].created_at, tasks[-1].id)


async def count(session: Session, owner: str, *, completed: bool | None) -> int:
    """Reads an index entry of every task that matches."""
    statement = _count(filtered=completed is not None)
    row = await session.fetch_one(statement, owner=owner, completed=completed)
    assert row is not None
    number: int = row[0]
    return number


async def create(session: Session, owner: str, title: str, description: str | None, completed: bool) -> models.Task:
    values = {"title": title, "description": description, "completed": completed}
    return _task(await session.fetch_one(_create, owner=owner, **values))


async def get(session: Session, owner: str, task_id: int) -> models.Task | None:
    return _first(await session.fetch_one(_get, owner=owner, task_id=task_id))


async def update(session: Session, owner: str, task_id: int, changes: Mapping[str, Any]) -> models.Task | None:
    """Sets the members of `TaskUpdate` that `changes` holds, and `updated_at`; the others keep their values."""
    statement = _update(frozenset(changes))
    return _first(await session.fetch_one(statement, owner=owner, task_id=task_id, **changes))


async def delete(session: Session, owner: str, task_id: int) -> bool:
    """Whether there was one."""
    return await session.fetch_one(_delete, owner=owner, task_id=task_id) is not None


async def set_completed(session: Session, owner: str, task_id: int, completed: bool | None) -> models.Task | None:
    """None turns it to what it is not: in the database, so that of two at once neither is lost."""
    if completed is None:
        return _first(await session.fetch_one(_toggle, owner=owner, task_id=task_id))
    return await update(session, owner, task_id, {"completed": completed})


def _first(row: Any) -> models.Task | None:
    return None if row is None else _task(row)
