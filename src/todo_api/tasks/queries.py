"""The statements of tasks. Every one is filtered by the owner, in addition to the check of the URL, so that a task of
another user is not found. Each function runs one statement in one round trip."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    CompoundSelect,
    Subquery,
    Text,
    all_,
    bindparam,
    func,
    literal_column,
    null,
    select,
    tuple_,
    union_all,
)
from todo_contract import models

from todo_api.database.rows import reader
from todo_api.database.session import Session
from todo_api.database.statement import Statement, prepare
from todo_api.idempotency import queries as idempotency
from todo_api.idempotency.key import Key
from todo_api.tasks import writes
from todo_api.tasks.cursor import ChangePosition, Position
from todo_api.tasks.table import task, task_list
from todo_api.tasks.writes import by_id, columns, is_live, list_of_owner, of_owner, tags

_read_task = reader(models.Task)
_WIDTH = len(columns)


class Page(NamedTuple):
    """A page of a list."""

    tasks: list[models.Task]
    last: Position | None
    """The position after which the next page starts; None on the last page."""
    etag: str
    """Of the whole list."""
    total: int
    """Number of all matching tasks."""


class Changes(NamedTuple):
    """A page of changes. `after` is the position after it; None if tasks may have been deleted and forgotten."""

    changed: list[models.Task]
    deleted: list[int]
    after: ChangePosition | None
    has_more: bool


class Written(NamedTuple):
    """What a write did, now or at the first request with its idempotency key."""

    task: models.Task | None
    """The task as it is now; None if there is none."""
    done: bool
    """Whether the write was carried out; False if a condition did not hold."""
    replayed: bool = False


# --- reading

_get = prepare(select(*columns).where(*by_id, is_live))


def _with_head(head: CTE, page: Subquery) -> CompoundSelect[Any]:
    """Returns the rows of a page after one that has only the columns of the head. UNION ALL keeps their order; a join
    would return the head in each row, which asyncpg would read 50 times."""
    return union_all(
        select(*(null().label(each.name) for each in page.c), *head.c),
        select(*page.c, *(null() for _ in head.c)),
    )


@cache
def _page(*, filtered: bool, after: bool, conditional: bool) -> Statement:
    head = (
        select(
            literal_column("'\"' || coalesce(max(change), 0) || '\"'", Text).label("list_etag"),
            func.coalesce(func.max(task_list.c.tasks), literal_column("0")).label("tasks"),
            func.coalesce(func.max(task_list.c.completed), literal_column("0")).label("done"),
        )
        .where(list_of_owner)
        .cte("head")
    )
    page = select(*columns).where(of_owner, is_live)
    if filtered:
        page = page.where(task.c.completed == bindparam("completed"))
    if after:
        # A comparison of rows can use the index at any depth; the equivalent with OR cannot.
        page = page.where(
            tuple_(task.c.created_at, task.c.id)
            < tuple_(bindparam("created_at", type_=task.c.created_at.type), bindparam("id", type_=task.c.id.type))
        )
    if conditional:
        # The client has this list: no task is read.
        page = page.where(select(head.c.list_etag).scalar_subquery() != all_(tags))
    tasks = (
        page.order_by(task.c.created_at.desc(), task.c.id.desc())
        .limit(bindparam("limit", type_=BigInteger))
        .offset(bindparam("offset", type_=BigInteger))
        .subquery("page")
    )
    return prepare(_with_head(head, tasks))


_changes_head = (
    select(
        func.coalesce(func.max(task_list.c.change), literal_column("0")).label("list_change"),
        func.coalesce(func.max(task_list.c.forgotten), literal_column("0")).label("forgotten"),
    )
    .where(list_of_owner)
    .cte("head")
)
_changes_page = (
    select(*columns, task.c.change, task.c.deleted_at.is_not(None).label("is_deleted"))
    .where(
        of_owner,
        tuple_(task.c.change, task.c.id)
        > tuple_(bindparam("change", type_=BigInteger), bindparam("id", type_=BigInteger)),
    )
    .order_by(task.c.change, task.c.id)
    .limit(bindparam("limit", type_=BigInteger))
    .subquery("page")
)
_changes = prepare(_with_head(_changes_head, _changes_page))


async def get(session: Session, owner: str, task_id: int) -> models.Task | None:
    row = await session.fetch_one(_get, owner=owner, task_id=task_id)
    return None if row is None else _read_task(row)


async def list_page(
    session: Session,
    owner: str,
    *,
    completed: bool | None,
    limit: int,
    offset: int | None,
    after: Position | None,
    known: Sequence[str] | None = None,
) -> Page:
    """Returns at most `limit` tasks, newest first. `completed` None selects both. `offset` reads and drops that many
    tasks; `after` costs the same at any depth. If the list's entity tag is one of `known`, no task is read."""
    # One more task than requested shows whether there is a next page.
    parameters: dict[str, Any] = {"owner": owner, "limit": limit + 1, "offset": offset or 0, "tags": known}
    if completed is not None:
        parameters["completed"] = completed
    if after is not None:
        parameters |= after._asdict()
    statement = _page(filtered=completed is not None, after=after is not None, conditional=known is not None)
    head, *rows = await session.fetch_all(statement, **parameters)
    etag, number, done = head[_WIDTH:]
    total = number if completed is None else done if completed else number - done
    tasks = [_read_task(row) for row in rows[:limit]]
    last = Position(tasks[-1].created_at, tasks[-1].id) if len(rows) > limit else None
    return Page(tasks, last, etag, total)


async def list_changes(session: Session, owner: str, *, since: ChangePosition | None, limit: int) -> Changes:
    """Returns at most `limit` tasks that were written after `since`, in the order of their last writes."""
    change, task_id, start = since or (0, 0, None)
    head, *rows = await session.fetch_all(_changes, owner=owner, change=change, id=task_id, limit=limit + 1)
    list_change, forgotten = head[_WIDTH + 2 :]
    start = list_change if start is None else start
    page = rows[:limit]
    after = ChangePosition(change, task_id, start)
    if page:
        after = ChangePosition(page[-1]["change"], page[-1]["id"], start)
    return Changes(
        [_read_task(row) for row in page if not row["is_deleted"]],
        [row["id"] for row in page if row["is_deleted"]],
        None if forgotten > max(change, start) else after,
        len(rows) > limit,
    )


# --- writing

_create = prepare(writes.created())
_create_once = prepare(idempotency.keyed(writes.created), idempotent=True)
_restore = prepare(writes.restored())


@cache
def _update(names: frozenset[str], *, conditional: bool) -> Statement:
    return prepare(writes.updated(names, conditional=conditional))


@cache
def _toggle(*, conditional: bool) -> Statement:
    return prepare(writes.toggled(conditional=conditional))


@cache
def _delete(*, conditional: bool) -> Statement:
    return prepare(writes.deleted(conditional=conditional))


@cache
def _complete_once(*, toggle: bool, conditional: bool) -> Statement:
    complete = writes.toggled if toggle else partial(writes.updated, frozenset({"completed"}))
    return prepare(idempotency.keyed(partial(complete, conditional=conditional)), idempotent=True)


async def create(
    session: Session, owner: str, values: Mapping[str, Any], *, max_tasks: int, key: Key | None = None
) -> Written:
    """Stores the members of `TaskCreate` in `values`. It is not done if the user has `max_tasks`."""
    parameters = {"description": None, **values}
    if key is not None:
        answer = await idempotency.run(session, _create_once, owner, key, parameters, max_tasks=max_tasks)
        return _replayed(answer)
    return _fresh(await session.fetch_one(_create, owner=owner, max_tasks=max_tasks, **parameters))


async def update(
    session: Session, owner: str, task_id: int, changes: Mapping[str, Any], *, etags: list[str] | None = None
) -> Written:
    """Sets the members of `TaskUpdate` in `changes`. It is not done if `etags` are given and the task has none of
    them."""
    statement = _update(frozenset(changes), conditional=etags is not None)
    return _fresh(await session.fetch_one(statement, owner=owner, task_id=task_id, tags=etags, **changes))


async def set_completed(
    session: Session,
    owner: str,
    task_id: int,
    completed: bool | None,
    *,
    etags: list[str] | None = None,
    key: Key | None = None,
) -> Written:
    """Sets `completed`; None toggles. The toggle happens in SQL, so that concurrent toggles are not lost. As `update`
    otherwise."""
    parameters: dict[str, Any] = {"task_id": task_id, "completed": completed, "tags": etags}
    if key is not None:
        statement = _complete_once(toggle=completed is None, conditional=etags is not None)
        return _replayed(await idempotency.run(session, statement, owner, key, parameters))
    if completed is not None:
        return await update(session, owner, task_id, {"completed": completed}, etags=etags)
    return _fresh(await session.fetch_one(_toggle(conditional=etags is not None), owner=owner, **parameters))


async def delete(session: Session, owner: str, task_id: int, *, etags: list[str] | None = None) -> Written:
    """Leaves a tombstone. It is done already if a deletion with one of `etags` has left it. As `update` otherwise."""
    statement = _delete(conditional=etags is not None)
    return _fresh(await session.fetch_one(statement, owner=owner, task_id=task_id, tags=etags))


async def restore(session: Session, owner: str, task_id: int, *, max_tasks: int) -> Written:
    """Brings a task back that was deleted within TOMBSTONE_LIFETIME; one that is not deleted stays as it is. It is not
    done if the user has `max_tasks`."""
    return _fresh(await session.fetch_one(_restore, owner=owner, task_id=task_id, max_tasks=max_tasks))


def _fresh(row: Any) -> Written:
    return Written(None, done=False) if row is None else Written(_read_task(row), row[_WIDTH])


def _replayed(answer: idempotency.Answer) -> Written:
    if answer.row is None:
        return Written(None, done=False, replayed=answer.replayed)
    return Written(models.Task.model_validate(answer.row), answer.row["done"], answer.replayed)
