"""Handlers of the task operations: load, act, return."""

from typing import Annotated

from fastapi import Body, Query, Request
from pydantic import MISSING
from todo_contract import models, operations

from fastapi_contract.entity_tags import matches, tags
from fastapi_contract.problems import ValidationFailed
from fastapi_contract.responses.negotiation import AcceptedMediaType
from fastapi_contract.validation.input_errors import InputError
from todo_api import contract
from todo_api.auth.bearer import Owner, bearer, owns_url
from todo_api.database.dependency import DbSession
from todo_api.idempotency.key import IdempotencyKey
from todo_api.services import services
from todo_api.tasks import cursor, exports, queries, rules, shapes
from todo_api.tasks.batch import Batch
from todo_api.tasks.dependencies import IfMatch, IfNoneMatch, MaxTasks
from todo_api.tasks.filters import filters_of, scope_of
from todo_api.tasks.problems import ChangesExpired, TaskNotFound, TooManyTasks

router = contract.router(bearerAuth=[bearer, owns_url])
MAX_LINK = 2048
"""Characters of a Link header. A query may be longer."""
urls = {operation_id: operation.url for operation_id, operation in router.contract.operations.items()}

ListTasksQuery = Annotated[models.ListTasksParametersQuery, Query()]
ListTaskChangesQuery = Annotated[models.ListTaskChangesParametersQuery, Query()]


@router.operation("listTasks")
async def list_tasks(
    query: ListTasksQuery, owner: Owner, session: DbSession, if_none_match: IfNoneMatch = None
) -> operations.ListTasks:
    page = await queries.list_page(
        session,
        owner,
        filters_of(query),
        limit=query.limit,
        offset=0 if query.offset is MISSING else query.offset,
        after=_after(owner, query),
        known=None if if_none_match is None else tags(if_none_match, weak=True),
        counted=query.include_total,
    )
    if if_none_match is not None and matches(if_none_match, page.etag):
        return operations.ListTasks304(etag=page.etag)
    found = models.TaskPage(
        items=page.tasks, next_cursor=page.last and cursor.encode(owner, page.last, scope_of(query))
    )
    if query.include_total and page.total is not None:
        found.total = page.total
    return operations.ListTasks200(found, etag=page.etag, link=_next_page(owner, query, found.next_cursor))


@router.operation("listTaskChanges")
async def list_task_changes(query: ListTaskChangesQuery, owner: Owner, session: DbSession) -> models.TaskChanges:
    since = None if query.since is MISSING else _since(owner, query.since)
    page = await queries.list_changes(session, owner, since=since, limit=query.limit)
    if page.after is None:
        raise ChangesExpired
    return models.TaskChanges(
        changed=page.changed,
        deleted=page.deleted,
        next_since=cursor.encode_change(owner, page.after),
        has_more=page.has_more,
    )


@router.operation("createTask")
async def create_task(
    task: models.TaskCreate, owner: Owner, session: DbSession, max_tasks: MaxTasks, key: IdempotencyKey
) -> operations.CreateTask201:
    written = await queries.create(session, owner, rules.checked(task.model_dump()), max_tasks=max_tasks, key=key)
    if written.task is None:
        raise TooManyTasks(max_tasks, written.headers)
    location = urls["getTask"](user_id=owner, task_id=written.task.id)
    return operations.CreateTask201(
        written.task,
        etag=written.task.etag,
        location=location,
        idempotency_replayed="true" if written.replayed else None,
    )


@router.operation("runTaskBatch")
async def run_task_batch(
    batch: models.TaskBatch, owner: Owner, session: DbSession, request: Request, key: IdempotencyKey
) -> operations.RunTaskBatch200:
    settings = services(request.scope)
    checked = Batch.of(owner, batch, max_tasks=settings.max_tasks, require_if_match=settings.require_if_match)
    result, is_replayed = await checked.run(session, key)
    return operations.RunTaskBatch200(result, idempotency_replayed="true" if is_replayed else None)


@router.operation("exportTasks")
async def export_tasks(owner: Owner, session: DbSession, media_type: AcceptedMediaType) -> operations.ExportTasks:
    tasks = await queries.export(session, owner)
    if media_type == "text/csv":
        return operations.ExportTasks200Csv(exports.as_csv(tasks))
    if media_type == "text/calendar":
        return operations.ExportTasks200Calendar(exports.as_calendar(tasks))
    return operations.ExportTasks200Ndjson(tasks)


@router.operation("importTasks")
async def import_tasks(
    lines: Annotated[list[models.TaskImport], Body()], owner: Owner, session: DbSession, max_tasks: MaxTasks
) -> models.TaskImportResult:
    values = [rules.checked(line.model_dump(), f"#/{number}") for number, line in enumerate(lines)]
    result = await queries.import_tasks(session, owner, values, max_tasks=max_tasks)
    if result is None:
        raise TooManyTasks(max_tasks)
    return result


@router.operation("getTask")
async def get_task(
    task_id: models.TaskId, owner: Owner, session: DbSession, if_none_match: IfNoneMatch = None
) -> operations.GetTask:
    task = await queries.get(session, owner, task_id)
    if task is None:
        raise TaskNotFound
    if if_none_match is not None and matches(if_none_match, task.etag):
        return operations.GetTask304(etag=task.etag)
    return operations.GetTask200(task, etag=task.etag)


@router.operation("updateTask")
async def update_task(
    task_id: models.TaskId, changes: models.TaskUpdate, owner: Owner, session: DbSession, if_match: IfMatch
) -> operations.UpdateTask200:
    values = rules.checked(changes.model_dump(exclude_unset=True))
    written = await queries.update(session, owner, task_id, values, etags=if_match)
    task = written.outcome()
    return operations.UpdateTask200(task, etag=task.etag)


@router.operation("patchTask")
async def patch_task(
    task_id: models.TaskId, changes: models.TaskUpdate, owner: Owner, session: DbSession, if_match: IfMatch
) -> operations.PatchTask200:
    values = rules.checked(changes.model_dump(exclude_unset=True))
    written = await queries.update(session, owner, task_id, values, etags=if_match)
    task = written.outcome()
    return operations.PatchTask200(task, etag=task.etag)


@router.operation("deleteTask")
async def delete_task(task_id: models.TaskId, owner: Owner, session: DbSession, if_match: IfMatch) -> None:
    (await queries.delete(session, owner, task_id, etags=if_match)).outcome()


@router.operation("toggleTaskCompletion")
async def toggle_task_completion(
    task_id: models.TaskId,
    owner: Owner,
    session: DbSession,
    if_match: IfMatch,
    key: IdempotencyKey,
    completion: models.TaskCompletion | None = None,
) -> operations.ToggleTaskCompletion200:
    completed = completion.completed if completion else None
    written = await queries.set_completed(session, owner, task_id, completed, etags=if_match, key=key)
    task = written.outcome()
    return operations.ToggleTaskCompletion200(
        task, etag=task.etag, idempotency_replayed="true" if written.replayed else None
    )


@router.operation("restoreTask")
async def restore_task(
    task_id: models.TaskId, owner: Owner, session: DbSession, max_tasks: MaxTasks
) -> operations.RestoreTask200:
    written = await queries.restore(session, owner, task_id, max_tasks=max_tasks)
    if written.task is None:
        raise TaskNotFound
    if not written.done:
        raise TooManyTasks(max_tasks)
    return operations.RestoreTask200(written.task, etag=written.task.etag)


def _after(owner: str, query: models.ListTasksParametersQuery) -> cursor.Position | None:
    if query.cursor is MISSING:
        return None
    if query.offset is not MISSING:
        fault = "cursor and offset cannot be combined. Send only one of them."
        raise ValidationFailed([InputError("invalid", fault, parameter="offset")])
    try:
        kind = shapes.SORTS[query.sort.removeprefix("-")].kind
        return cursor.decode(owner, query.cursor, scope_of(query), kind)
    except ValueError:
        fault = (
            "Not a cursor of this list with these filters and this order. Send the next_cursor of the previous page."
        )
        raise ValidationFailed([InputError("invalid", fault, parameter="cursor")]) from None


def _since(owner: str, token: str) -> cursor.ChangePosition:
    try:
        return cursor.decode_change(owner, token)
    except ValueError:
        fault = "Not a token of this user. Send the next_since of an earlier answer."
        raise ValidationFailed([InputError("invalid", fault, parameter="since")]) from None


def _next_page(owner: str, query: models.ListTasksParametersQuery, next_cursor: str | None) -> str | None:
    """The Link header of a page; None on the last one, and if it would be too long."""
    if next_cursor is None:
        return None
    kept = {name: getattr(query, name) for name in sorted(query.model_fields_set - {"offset", "cursor"})}
    link = f'<{urls["listTasks"](user_id=owner, **kept, cursor=next_cursor)}>; rel="next"'
    return link if len(link) <= MAX_LINK else None
