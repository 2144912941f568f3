"""The statements of tasks. Every one is filtered by the owner, in addition to the check of the URL, so that a task of
another user is not found. Each function runs one statement in one round trip; only `lock`, `export` and `import_tasks`
run several."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

import asyncpg
import orjson
from sqlalchemy import any_, select
from todo_contract import models

from todo_api.database.rows import reader
from todo_api.database.session import Session
from todo_api.database.statement import Statement, prepare
from todo_api.idempotency import queries as idempotency
from todo_api.idempotency.key import Key
from todo_api.tasks import lists, shapes, transfers, writes
from todo_api.tasks.cursor import ChangePosition, Position
from todo_api.tasks.filters import NO_FILTERS, Filters
from todo_api.tasks.problems import TaskChanged, TaskNotFound
from todo_api.tasks.shapes import Shape
from todo_api.tasks.table import columns, task, task_list
from todo_api.tasks.writes import by_id, is_live, of_owner

_read_task = reader(models.Task)
utc_now = partial(datetime.now, UTC)
_WIDTH = len(columns)


class Page(NamedTuple):
    """A page of a list."""

    tasks: list[models.Task]
    last: Position | None
    """The position after which the next page starts; None on the last page."""
    etag: str
    """Of the whole list."""
    total: int | None
    """Number of all tasks of the list; None if it was not counted."""


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

    @property
    def headers(self) -> dict[str, str]:
        """The header of an answer that is repeated."""
        return {"Idempotency-Replayed": "true"} if self.replayed else {}

    def outcome(self) -> models.Task:
        """Returns the task that was written. Raises TaskNotFound and TaskChanged."""
        if self.task is None:
            raise TaskNotFound(self.headers)
        if not self.done:
            raise TaskChanged(self.task, self.headers)
        return self.task


# --- reading

_get = prepare(select(*columns).where(*by_id, is_live))


@lru_cache(1000)
def _page(shape: Shape, *, after: bool, undated: bool, conditional: bool, counted: bool) -> Statement:
    return prepare(lists.page(shape, after=after, undated=undated, conditional=conditional, counted=counted))


_changes = prepare(lists.changes)


async def get(session: Session, owner: str, task_id: int) -> models.Task | None:
    row = await session.fetch_one(_get, owner=owner, task_id=task_id)
    return None if row is None else _read_task(row)


async def list_page(
    session: Session,
    owner: str,
    filters: Filters,
    *,
    limit: int,
    offset: int = 0,
    after: Position | None = None,
    known: Sequence[str] | None = None,
    counted: bool = False,
) -> Page:
    """Returns at most `limit` tasks in the order of the filters. `offset` reads and drops that many tasks; `after`
    costs the same at any depth. If the list's entity tag is one of `known`, no task is read. `counted` is whether the
    total is needed."""
    shape = shapes.shape_of(filters)
    statement = _page(
        shape,
        after=after is not None,
        undated=after is not None and after.value is None,
        conditional=known is not None,
        counted=counted and not shape.is_counted,
    )
    # One more task than requested shows whether there is a next page.
    parameters: dict[str, Any] = {"owner": owner, "limit": limit + 1, "offset": offset, "tags": known}
    if filters is not NO_FILTERS:
        parameters |= shapes.values_of(filters, utc_now())
    if after is not None:
        parameters |= after._asdict()
    head, *rows = await session.fetch_all(statement, **parameters)
    etag, total = head[-2:]
    last = None
    if len(rows) > limit:
        last = Position(rows[limit - 1][shape.by.column], rows[limit - 1]["id"])
    return Page([_read_task(row) for row in rows[:limit]], last, etag, total)


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
_ABSENT = dict.fromkeys(("description", "due_date", "due_at"))


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


_lock_tasks = prepare(
    select(task.c.id).where(of_owner, task.c.id == any_(writes.ids)).order_by(task.c.id).with_for_update()
)
_lock_list = prepare(select(task_list.c.user_id).where(writes.list_of_owner).with_for_update())


async def lock(session: Session, owner: str, ids: Sequence[int]) -> None:
    """Locks tasks in the order of `ids`, which are sorted, and then the list, for the rest of the transaction."""
    if ids:
        await session.fetch_all(_lock_tasks, owner=owner, ids=ids)
    await session.fetch_one(_lock_list, owner=owner)


async def create(
    session: Session, owner: str, values: Mapping[str, Any], *, max_tasks: int, key: Key | None = None
) -> Written:
    """Stores the members of `TaskCreate` in `values`. It is not done if the user has `max_tasks`."""
    parameters = {**_ABSENT, **values}
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


# --- export and import

EXPORTED = 500
"""Tasks that one statement of an export reads."""
_read_record = reader(models.TaskRecord)
_lock_or_create_list = prepare(transfers.list_locked)
_import = prepare(transfers.imported())


@cache
def _export(*, after: bool) -> Statement:
    return prepare(transfers.exported(after=after))


async def export(session: Session, owner: str) -> AsyncIterator[models.TaskRecord]:
    """Returns all tasks, oldest first. The first page is read at once, so that a database that cannot be reached is an
    error instead of an answer that breaks off. No connection is held between pages."""
    first = await _exported_page(session, owner)

    async def tasks() -> AsyncIterator[models.TaskRecord]:
        rows = first
        while rows:
            for row in rows:
                yield _read_record(row)
            rows = await _exported_page(session, owner, rows[-1]) if len(rows) == EXPORTED else []

    return tasks()


async def _exported_page(session: Session, owner: str, last: asyncpg.Record | None = None) -> list[asyncpg.Record]:
    position = {} if last is None else {"created_at": last["created_at"], "id": last["id"]}
    return await session.fetch_all(_export(after=last is not None), owner=owner, limit=EXPORTED, **position)


async def import_tasks(
    session: Session, owner: str, lines: Sequence[Mapping[str, Any]], *, max_tasks: int
) -> models.TaskImportResult | None:
    """Stores the members of `TaskImport` in each line, unless a task has its external id. Returns None, and stores
    nothing, if the user would have more than `max_tasks`."""
    numbered = [
        {**line, "number": number, "own_id": _own_id(owner, line["external_id"])} for number, line in enumerate(lines)
    ]
    async with session.transaction() as transaction:
        # The next statement sees what another import has stored before.
        await transaction.fetch_one(_lock_or_create_list, owner=owner)
        text = orjson.dumps(numbered).decode()
        row = await transaction.fetch_one(_import, owner=owner, lines=text, max_tasks=max_tasks)
    assert row is not None
    if row["created"] < row["new"]:
        return None
    return models.TaskImportResult(created=row["created"], existing=len(lines) - row["created"])


def _own_id(owner: str, external_id: str) -> int | None:
    """Returns the id of a task of this user; None if it was created elsewhere."""
    prefix, _, number = external_id.rpartition(":")
    is_own = prefix == f"{transfers.OWN}:{owner}" and number.isascii() and number.isdigit() and len(number) < 17
    return int(number) if is_own else None
