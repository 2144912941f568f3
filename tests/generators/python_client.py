"""The scenarios of scenario.ts, with the client that openapi-python-client generates."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from generated import AuthenticatedClient
from generated.api.tasks import (
    create_task,
    delete_task,
    get_task,
    list_tasks,
    patch_task,
    toggle_task_completion,
    update_task,
)
from generated.models import (
    Task,
    TaskCompletion,
    TaskCreate,
    TaskNotFoundProblem,
    TaskPage,
    TaskUpdate,
    ValidationFailedProblem,
)
from generated.types import UNSET, Unset

Answer = TypeVar("Answer")
USER = os.environ["USER_ID"]
api = AuthenticatedClient(os.environ["BASE_URL"], token=os.environ["TOKEN"])


def expect(expected: type[Answer], answer: object) -> Answer:
    assert isinstance(answer, expected), answer
    return answer


def create(title: str) -> Task:
    return expect(Task, create_task.sync(USER, client=api, body=TaskCreate(title)))


def page(cursor: str | Unset = UNSET) -> TaskPage:
    return expect(TaskPage, list_tasks.sync(USER, client=api, limit=1, cursor=cursor))


def describe(task_id: int, description: str | None) -> Task:
    return expect(Task, patch_task.sync(USER, task_id, client=api, body=TaskUpdate(description=description)))


def toggle(task_id: int, body: TaskCompletion | Unset = UNSET) -> bool:
    return expect(Task, toggle_task_completion.sync(USER, task_id, client=api, body=body)).completed


@contextmanager
def prefer(preference: str) -> Iterator[None]:
    headers = api.get_httpx_client().headers
    headers["Prefer"] = preference
    try:
        yield
    finally:
        del headers["Prefer"]


def call_service() -> None:
    first, second = create("Buy milk"), create("Water the plants")
    assert (first.title, first.description, first.completed) == ("Buy milk", None, False)

    newest = page()
    assert [task.id for task in newest.items] == [second.id]
    assert newest.next_cursor is not None
    last = page(newest.next_cursor)
    assert ([task.id for task in last.items], last.next_cursor) == ([first.id], None)

    renamed = expect(Task, update_task.sync(USER, first.id, client=api, body=TaskUpdate(title="Buy oat milk")))
    assert renamed.title == "Buy oat milk"
    described = describe(first.id, "Two litres")
    assert (described.title, described.description) == ("Buy oat milk", "Two litres")
    assert describe(first.id, None).description is None

    assert [toggle(first.id), toggle(first.id)] == [True, False]
    assert [toggle(first.id, TaskCompletion(completed=completed)) for completed in (False, True)] == [False, True]

    for task in [first, second]:
        assert delete_task.sync_detailed(USER, task.id, client=api).status_code == 204
    missing = expect(TaskNotFoundProblem, get_task.sync(USER, first.id, client=api))
    assert missing.type_ == "/problems/task-not-found"
    rejected = expect(ValidationFailedProblem, create_task.sync(USER, client=api, body=TaskCreate(" ")))
    assert [(error.code, error.pointer) for error in rejected.errors] == [("blank", "#/title")]


def call_mock() -> None:
    created = create("Buy milk")
    assert (created.title, created.completed) == ("Buy milk", False)

    newest = page()
    assert newest.next_cursor is not None
    with prefer("example=last"):
        last = page(newest.next_cursor)
    assert ([task.id for task in last.items], last.next_cursor) == ([created.id], None)

    renamed = expect(Task, update_task.sync(USER, created.id, client=api, body=TaskUpdate(title="Buy oat milk")))
    assert renamed.title == "Buy oat milk"
    assert describe(created.id, "Two litres").description == "Two litres"
    with prefer("example=cleared"):
        assert describe(created.id, None).description is None

    assert [toggle(created.id), toggle(created.id, TaskCompletion(completed=True))] == [True, True]
    with prefer("example=reopened"):
        assert [toggle(created.id), toggle(created.id, TaskCompletion(completed=False))] == [False, False]

    assert delete_task.sync_detailed(USER, created.id, client=api).status_code == 204
    with prefer("status=404"):
        missing = expect(TaskNotFoundProblem, get_task.sync(USER, created.id, client=api))
    assert missing.type_ == "/problems/task-not-found"
    rejected = expect(ValidationFailedProblem, create_task.sync(USER, client=api, body=TaskCreate(" ")))
    assert [(error.code, error.pointer) for error in rejected.errors] == [("blank", "#/title")]


call_mock() if os.environ.get("MOCK") else call_service()
sys.stdout.write("completed\n")
