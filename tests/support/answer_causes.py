"""Requests that cause the answers of the contract's examples."""

import asyncio
import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx

from fastapi_contract.contract import Operation
from fastapi_contract.serving.protocol import MAX_HEADER_LINES
from support.databases import execute
from support.issuer import make_key
from support.operations import CONTRACT, create_things, send, tasks
from support.service import Service
from support.tokens import make_token
from todo_api.idempotency.key import Key
from todo_api.idempotency.queries import lock_of

EXAMPLES = CONTRACT.document["components"]["examples"]
CREATE, UPDATE, DELETE, COMPLETE, LIST, BATCH = (
    CONTRACT.operations[name]
    for name in ("createTask", "updateTask", "deleteTask", "toggleTaskCompletion", "listTasks", "runTaskBatch")
)
JSON = {"Content-Type": "application/json"}


def value(name: str) -> Any:
    return EXAMPLES[name]["value"]


@dataclass(frozen=True)
class Scene:
    """A user of a service, whose tasks are those of the examples."""

    service: Service
    user: str
    database_url: str

    @property
    def client(self) -> httpx.Client:
        return self.service.client(self.user)

    def send(self, operation: Operation, body: Any = None, **others: Any) -> httpx.Response:
        """Send a valid request about new things, with changes: `body` is JSON, `others` are arguments of `send`."""
        others = {"client": self.client, "user_id": self.user, **others}
        if body is not None:
            others["content"] = json.dumps(body)
        if "content" in others:
            others.setdefault("headers", JSON)
        if "things" not in others:
            others["things"] = create_things(self.client, self.user)
        return send(operation=operation, **others)

    def create(self, body: Any) -> dict[str, object]:
        """Create a task, and return its path parameter."""
        return {"task_id": self.send(CREATE, body, things={}).json()["id"]}

    def change(self, operation: Operation, *examples: str) -> httpx.Response:
        """Send requests about the new task of the examples, and return the answer to the last one."""
        things = self.create(value("TaskCreateFullExample"))
        return [self.send(operation, value(name), things=things) for name in examples][-1]

    def list(self, **query: Any) -> httpx.Response:
        """List the tasks of the examples of pages. They are created and completed in the order of their times."""
        items = [*value("FirstPageExample")["items"], *value("LastPageExample")["items"]]
        for item in sorted(items, key=lambda item: item["created_at"]):
            members = ("title", "description", "due_date", "due_at", "priority", "labels")
            things = self.create({name: item[name] for name in members})
            if item["completed"]:
                assert self.send(COMPLETE, {"completed": True}, things=things).status_code == 200
        return self.client.get(tasks(self.user), params={"limit": 2, **query})


def task(scene: Scene, operation: Operation) -> httpx.Response:
    body = value("TaskCreateFullExample")
    return scene.send(operation, body) if operation is CREATE else scene.send(operation, things=scene.create(body))


def last_page(scene: Scene, _: Operation) -> httpx.Response:
    return scene.client.get(tasks(scene.user), params={"cursor": scene.list().json()["next_cursor"]})


def labelled(scene: Scene, operation: Operation, **others: Any) -> httpx.Response:
    """Send a request when two tasks have one label, and one of them another one."""
    task = {**value("TaskCreateFullExample"), "completed": True, "labels": ["home"]}
    for body in value("TaskCreateFullExample"), task:
        scene.create(body)
    return scene.send(operation, things={}, **others)


def two_tokens(scene: Scene, operation: Operation) -> httpx.Response:
    tokens = [("Authorization", f"Bearer {scene.service.token(scene.user)}")] * 2
    return scene.send(operation, client=scene.service.client(), headers=tokens)


def expired(scene: Scene, operation: Operation) -> httpx.Response:
    token = make_token({"sub": scene.user, "exp": 1})
    return scene.send(operation, client=scene.service.client(Authorization=f"Bearer {token}"))


def issuer_unavailable(scene: Scene, operation: Operation) -> httpx.Response:
    token = make_key("EdDSA", "http://127.0.0.1:1").token(scene.user)
    return scene.send(operation, client=scene.service.client(Authorization=f"Bearer {token}"), things={})


def changes(scene: Scene, operation: Operation) -> httpx.Response:
    scene.create(value("TaskCreateFullExample"))
    scene.create(value("TaskCreateExample"))
    return scene.send(operation, params={"limit": 1}, things={})


def later_changes(scene: Scene, operation: Operation) -> httpx.Response:
    things, others = scene.create(value("TaskCreateFullExample")), scene.create(value("TaskCreateExample"))
    since = scene.send(operation, things={}).json()["next_since"]
    assert scene.send(UPDATE, value("TaskUpdateExample"), things=things).is_success
    assert scene.send(DELETE, things=others).is_success
    return scene.send(operation, params={"since": since}, things={})


def no_changes(scene: Scene, operation: Operation) -> httpx.Response:
    since = scene.send(operation).json()["next_since"]
    return scene.send(operation, params={"since": since}, things={})


def expired_changes(scene: Scene, operation: Operation) -> httpx.Response:
    since = scene.send(operation).json()["next_since"]
    execute(scene.database_url, f"UPDATE task_list SET forgotten = 1000 WHERE user_id = '{scene.user}'")  # noqa: S608
    return scene.send(operation, params={"since": since}, things={})


def too_many_tasks(scene: Scene, operation: Operation) -> httpx.Response:
    things = create_things(scene.client, scene.user)
    assert scene.send(DELETE, things=things).is_success
    execute(scene.database_url, f"UPDATE task_list SET tasks = 10000 WHERE user_id = '{scene.user}'")  # noqa: S608
    return scene.send(operation, things=things)


def restored(scene: Scene, operation: Operation) -> httpx.Response:
    things = scene.create(value("TaskCreateFullExample"))
    assert scene.send(DELETE, things=things).is_success
    return scene.send(operation, things=things)


def changed(scene: Scene, operation: Operation) -> httpx.Response:
    things = scene.create(value("TaskCreateFullExample"))
    for example in "TaskCompletionExample", "TaskReopeningExample":
        assert scene.send(COMPLETE, value(example), things=things).is_success
    return scene.send(operation, things=things, headers={"If-Match": '"1"'})


def key_reused(scene: Scene, operation: Operation) -> httpx.Response:
    bodies = {
        CREATE.id: ["TaskCreateExample", "TaskCreateFullExample"],
        BATCH.id: ["TaskBatchExample", "AtomicTaskBatchExample"],
        COMPLETE.id: ["TaskCompletionExample"] * 2,
    }
    answers = [
        scene.send(operation, value(body), headers={**JSON, "Idempotency-Key": "a"}) for body in bodies[operation.id]
    ]
    return answers[-1]


def batch(scene: Scene, example: str, *, stale: bool = False) -> httpx.Response:
    """Send the batch of an example about the task of the examples, which has another etag if it is `stale`."""
    task_id = scene.create(value("TaskCreateFullExample"))["task_id"]
    if stale:
        assert scene.send(UPDATE, {"completed": False}, things={"task_id": task_id}).is_success
    body = copy.deepcopy(value(example))
    for command in body["commands"]:
        if "task_id" in command:
            command["task_id"] = task_id if command["task_id"] == 42 else 2**53 - 1
    return scene.send(BATCH, body, things={})


def export(scene: Scene, operation: Operation, media_type: str) -> httpx.Response:
    scene.create(value("TaskCreateFullExample"))
    return scene.send(operation, things={}, headers={"Accept": media_type})


def in_progress(scene: Scene, operation: Operation) -> httpx.Response:
    """The lock of the key is what tells that a request is in progress."""

    async def run() -> httpx.Response:
        connection = await asyncpg.connect(scene.database_url)
        try:
            await connection.fetchval("SELECT pg_advisory_lock($1)", lock_of(scene.user, Key(operation.id, "a")))
            headers = {"Idempotency-Key": "a"}
            return await asyncio.to_thread(scene.send, operation, headers=headers)
        finally:
            await connection.close()

    return asyncio.run(run())


Cause = Callable[[Scene, Operation], httpx.Response]
CAUSES: dict[str, Cause] = {
    "ServiceInfoExample": Scene.send,
    "HealthExample": Scene.send,
    "ReadinessExample": Scene.send,
    "TaskExample": task,
    "TaskUpdatedExample": lambda scene, operation: scene.change(operation, "TaskUpdateExample"),
    "TaskPostponedExample": lambda scene, operation: scene.change(operation, "TaskPostponeExample"),
    "TaskClearedExample": lambda scene, operation: scene.change(operation, "TaskUpdateClearExample"),
    "TaskCompletedExample": lambda scene, operation: scene.change(operation, "TaskCompletionExample"),
    "TaskReopenedExample": lambda scene, operation: scene.change(
        operation, "TaskCompletionExample", "TaskReopeningExample"
    ),
    "FirstPageExample": lambda scene, _: scene.list(),
    "LastPageExample": last_page,
    "FirstLabelsExample": lambda scene, operation: labelled(scene, operation, params={"limit": 1}),
    "LabelsExample": labelled,
    "NoLabelsExample": lambda scene, operation: scene.send(operation, things={}),
    "LabelChangedExample": labelled,
    "LabelNotUsedExample": lambda scene, operation: scene.send(operation, things={}),
    "FirstChangesExample": changes,
    "LaterChangesExample": later_changes,
    "NoChangesExample": no_changes,
    "ChangesExpiredExample": expired_changes,
    "TaskRestoredExample": restored,
    "TaskChangedExample": changed,
    "TaskBatchDoneExample": lambda scene, _: batch(scene, "TaskBatchExample"),
    "TaskBatchNotDoneExample": lambda scene, _: batch(scene, "AtomicTaskBatchExample", stale=True),
    "TaskRecordExample": lambda scene, operation: export(scene, operation, "application/x-ndjson"),
    "TaskTableExample": lambda scene, operation: export(scene, operation, "text/csv"),
    "TaskCalendarExample": lambda scene, operation: export(scene, operation, "text/calendar"),
    "TasksImportedExample": lambda scene, operation: scene.send(operation, things={}),
    "NotAcceptableExample": lambda scene, operation: scene.send(operation, headers={"Accept": "text/html"}),
    "PreconditionRequiredExample": Scene.send,
    "TooManyTasksExample": too_many_tasks,
    "IdempotencyKeyReusedExample": key_reused,
    "RequestInProgressExample": in_progress,
    "EmptyPageExample": lambda scene, _: scene.client.get(tasks(scene.user)),
    "CountedPageExample": lambda scene, _: scene.list(include_total="true"),
    "InvalidRequestExample": two_tokens,
    "MalformedBodyExample": lambda scene, operation: scene.send(operation, content=b'{title: "Buy milk"}'),
    "AuthenticationRequiredExample": lambda scene, operation: scene.send(operation, client=scene.service.client()),
    "InvalidTokenExample": expired,
    "ForbiddenExample": lambda scene, operation: scene.send(operation, user_id=f"{scene.user}-other"),
    "TaskNotFoundExample": lambda scene, operation: scene.send(operation, things={"task_id": 2**53 - 1}),
    "ContentTooLargeExample": lambda scene, operation: scene.send(operation, {"title": "x" * 65536}),
    "UriTooLongExample": lambda scene, operation: scene.send(operation, params={"x": "x" * 4096}),
    "UnsupportedMediaTypeExample": lambda scene, operation: scene.send(
        operation, content=b"x", headers={"Content-Type": "text/plain"}
    ),
    "InvalidBodyExample": lambda scene, operation: scene.send(operation, {"title": "x" * 201}),
    "InvalidParameterExample": lambda scene, operation: scene.send(operation, params={"limit": 101}),
    "HeaderFieldsTooLargeExample": lambda scene, operation: scene.send(
        operation, headers={f"X-{number}": "x" for number in range(MAX_HEADER_LINES)}
    ),
    "InternalErrorExample": lambda scene, operation: scene.send(operation, things={}),
    "DatabaseUnavailableExample": lambda scene, operation: scene.send(operation, things={}),
    "IssuerUnavailableExample": issuer_unavailable,
}
"""How an answer is caused that equals an example, by the name of the example."""
