"""Handlers of the six task operations: load, act, return."""

from typing import Annotated

from fastapi import Query
from pydantic import MISSING
from todo_contract import models, operations

from fastapi_contract.problems import ValidationFailed
from fastapi_contract.validation.input_errors import InputError
from todo_api import contract
from todo_api.auth.bearer import Owner, bearer, owns_url
from todo_api.database.dependency import DbSession
from todo_api.tasks import cursor, queries
from todo_api.tasks.problems import TaskNotFound

router = contract.router(bearerAuth=[bearer, owns_url])
urls = {operation_id: operation.url for operation_id, operation in router.contract.operations.items()}

ListTasksQuery = Annotated[models.ListTasksParametersQuery, Query()]


@router.operation("listTasks")
async def list_tasks(query: ListTasksQuery, owner: Owner, session: DbSession) -> operations.ListTasks200:
    after = _after(owner, query)
    completed = None if query.completed is MISSING else query.completed
    offset = None if query.offset is MISSING else query.offset
    tasks, last = await queries.list_page(
        session, owner, completed=completed, limit=query.limit, offset=offset, after=after
    )
    page = models.TaskPage(items=tasks, next_cursor=last and cursor.encode(owner, last))
    if query.include_total:
        page.total = await queries.count(session, owner, completed=completed)
    return operations.ListTasks200(page, link=_next_page(owner, query, page.next_cursor))


@router.operation("createTask")
async def create_task(task: models.TaskCreate, owner: Owner, session: DbSession) -> operations.CreateTask201:
    created = await queries.create(session, owner, task.model_dump())
    return operations.CreateTask201(created, location=urls["getTask"](user_id=owner, task_id=created.id))


@router.operation("getTask")
async def get_task(task_id: models.TaskId, owner: Owner, session: DbSession) -> models.Task:
    task = await queries.get(session, owner, task_id)
    if task is None:
        raise TaskNotFound
    return task


@router.operation("patchTask")
@router.operation("updateTask")
async def update_task(
    task_id: models.TaskId, changes: models.TaskUpdate, owner: Owner, session: DbSession
) -> models.Task:
    task = await queries.update(session, owner, task_id, changes.model_dump(exclude_unset=True))
    if task is None:
        raise TaskNotFound
    return task


@router.operation("deleteTask")
async def delete_task(task_id: models.TaskId, owner: Owner, session: DbSession) -> None:
    if not await queries.delete(session, owner, task_id):
        raise TaskNotFound


@router.operation("toggleTaskCompletion")
async def toggle_task_completion(
    task_id: models.TaskId, owner: Owner, session: DbSession, completion: models.TaskCompletion | None = None
) -> models.Task:
    task = await queries.set_completed(session, owner, task_id, completion.completed if completion else None)
    if task is None:
        raise TaskNotFound
    return task


def _after(owner: str, query: models.ListTasksParametersQuery) -> cursor.Position | None:
    if query.cursor is MISSING:
        return None
    if query.offset is not MISSING:
        fault = "cursor and offset cannot be combined. Send only one of them."
        raise ValidationFailed([InputError("invalid", fault, parameter="offset")])
    try:
        return cursor.decode(owner, query.cursor)
    except ValueError:
        fault = "Not a cursor of this list. Send the next_cursor of the previous page."
        raise ValidationFailed([InputError("invalid", fault, parameter="cursor")]) from None


def _next_page(owner: str, query: models.ListTasksParametersQuery, next_cursor: str | None) -> str | None:
    """The Link header of a page; None on the last one."""
    if next_cursor is None:
        return None
    kept = {name: getattr(query, name) for name in sorted(query.model_fields_set - {"offset", "cursor"})}
    return f'<{urls["listTasks"](user_id=owner, **kept, cursor=next_cursor)}>; rel="next"'
