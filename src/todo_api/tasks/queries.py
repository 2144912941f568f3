"""The SQL of tasks. Every statement is filtered by the owner, in addition to the check of the URL, so that a task of
another user is not found. Each function runs one statement in one round trip."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, bindparam, func, literal_column, not_, select, tuple_
from sqlalchemy import delete as delete_from
from sqlalchemy import insert as insert_into
from sqlalchemy import update as update_of
from todo_contract import models

from todo_api.database.rows import columns_of, reader
from todo_api.database.session import Session
from todo_api.database.statement import Statement, prepare
from todo_api.tasks.cursor import Position
from todo_api.tasks.table import task

_of_owner = task.c.user_id == bindparam("owner")
_by_id = (task.c.id == bindparam("task_id"), _of_owner)
_read_task = reader(models.Task)
_columns = columns_of(task, models.Task)
# Not now(), the start of the transaction: an update that waited for a row lock would set an earlier time than the
# previous update. If the clock is set back, each write is still a microsecond later, up to the contract's maximum.
_next_updated_at = func.least(
    func.greatest(
        func.clock_timestamp(), task.c.updated_at + literal_column("interval '1 microsecond'"), task.c.created_at
    ),
    literal_column("timestamptz '9999-12-31 23:59:59.999999+00'"),
)

_get = prepare(select(*_columns).where(*_by_id))
_create = prepare(
    insert_into(task)
    .values(
        user_id=bindparam("owner"),
        title=bindparam("title"),
        description=bindparam("description"),
        completed=bindparam("completed"),
    )
    .returning(*_columns)
)
_delete = prepare(delete_from(task).where(*_by_id).returning(task.c.id))
_toggle = prepare(
    update_of(task)
    .where(*_by_id)
    .values(completed=not_(task.c.completed), updated_at=_next_updated_at)
    .returning(*_columns)
)


@cache
def _update(columns: frozenset[str]) -> Statement:
    return prepare(
        update_of(task)
        .where(*_by_id)
        .values({name: bindparam(name) for name in sorted(columns)})
        .values(updated_at=_next_updated_at)
        .returning(*_columns)
    )


@cache
def _count(*, filtered: bool) -> Statement:
    return prepare(select(func.count()).select_from(task).where(*_conditions(filtered=filtered)))


@cache
def _page(*, filtered: bool, after: bool) -> Statement:
    statement = select(*_columns).where(*_conditions(filtered=filtered))
    if after:
        # A comparison of rows can use the index at any depth; the equivalent with OR cannot.
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


def _conditions(*, filtered: bool) -> tuple[Any, ...]:
    return (_of_owner, task.c.completed == bindparam("completed")) if filtered else (_of_owner,)


async def list_page(
    session: Session,
    owner: str,
    *,
    completed: bool | None,
    limit: int,
    offset: int | None,
    after: Position | None,
) -> tuple[list[models.Task], Position | None]:
    """Returns at most `limit` tasks, newest first, and the position after which the next page starts, or None on the
    last page. `completed` None selects both. `offset` reads and drops that many tasks; `after` costs the same at any
    depth."""
    # One more task than requested shows whether there is a next page.
    parameters: dict[str, Any] = {"owner": owner, "limit": limit + 1, "offset": offset or 0}
    if completed is not None:
        parameters["completed"] = completed
    if after is not None:
        parameters |= after._asdict()
    rows = await session.fetch_all(_page(filtered=completed is not None, after=after is not None), **parameters)
    tasks = [_read_task(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return tasks, None
    return tasks, Position(tasks[-1].created_at, tasks[-1].id)


async def count(session: Session, owner: str, *, completed: bool | None) -> int:
    """Returns the number of matching tasks. Reads an index entry of each."""
    statement = _count(filtered=completed is not None)
    row = await session.fetch_one(statement, owner=owner, completed=completed)
    assert row is not None
    number: int = row[0]
    return number


async def create(session: Session, owner: str, values: Mapping[str, Any]) -> models.Task:
    """Stores the members of `TaskCreate` in `values`."""
    return _read_task(await session.fetch_one(_create, owner=owner, **{"description": None, **values}))


async def get(session: Session, owner: str, task_id: int) -> models.Task | None:
    return _task_or_none(await session.fetch_one(_get, owner=owner, task_id=task_id))


async def update(session: Session, owner: str, task_id: int, changes: Mapping[str, Any]) -> models.Task | None:
    """Sets the members of `TaskUpdate` in `changes`, and `updated_at`. Returns None if there is no such task."""
    statement = _update(frozenset(changes))
    return _task_or_none(await session.fetch_one(statement, owner=owner, task_id=task_id, **changes))


async def delete(session: Session, owner: str, task_id: int) -> bool:
    """Returns whether the task existed."""
    return await session.fetch_one(_delete, owner=owner, task_id=task_id) is not None


async def set_completed(session: Session, owner: str, task_id: int, completed: bool | None) -> models.Task | None:
    """Sets `completed`; None toggles. The toggle happens in SQL, so that concurrent toggles are not lost."""
    if completed is None:
        return _task_or_none(await session.fetch_one(_toggle, owner=owner, task_id=task_id))
    return await update(session, owner, task_id, {"completed": completed})


def _task_or_none(row: Any) -> models.Task | None:
    return None if row is None else _read_task(row)
