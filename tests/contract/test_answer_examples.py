"""Each example of an answer equals an answer that a request causes: a frontend can be built on the examples alone.

Ids, times, cursors and users differ each time, so their order is compared instead of their values.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest

from fastapi_contract.contract import Operation
from fastapi_contract.serving.protocol import MAX_HEADER_LINES
from support.databases import execute
from support.issuer import make_key
from support.operations import CONTRACT, OPERATIONS, create_things, resolve, send, tasks
from support.service import Service, running, settings_for
from support.tokens import make_token
from todo_api.app import create_app
from todo_api.database.session import Session
from todo_api.idempotency.key import Key
from todo_api.idempotency.queries import lock_of

EXAMPLES = CONTRACT.document["components"]["examples"]
CREATE, UPDATE, DELETE, COMPLETE, LIST = (
    CONTRACT.operations[name]
    for name in ("createTask", "updateTask", "deleteTask", "toggleTaskCompletion", "listTasks")
)
JSON = {"Content-Type": "application/json"}
GROUPS = {
    "id": "id",
    "user_id": "user",
    "created_at": "time",
    "updated_at": "time",
    "next_cursor": "cursor",
    "deleted": "id",
    "next_since": "token",
    "request_id": "request",
}
"""The members that differ each time, and the group in which the order of their values is compared."""


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
            things = self.create({name: item[name] for name in ("title", "description")})
            if item["completed"]:
                assert self.send(COMPLETE, {"completed": True}, things=things).status_code == 200
        return self.client.get(tasks(self.user), params={"limit": 2, **query})


def task(scene: Scene, operation: Operation) -> httpx.Response:
    body = value("TaskCreateFullExample")
    return scene.send(operation, body) if operation is CREATE else scene.send(operation, things=scene.create(body))


def last_page(scene: Scene, _: Operation) -> httpx.Response:
    return scene.client.get(tasks(scene.user), params={"cursor": scene.list().json()["next_cursor"]})


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
    answers = [
        scene.send(operation, body, things=things, headers={**JSON, "Idempotency-Key": "a"})
        for body, things in zip(
            [value("TaskCreateExample"), value("TaskCreateFullExample")]
            if operation is CREATE
            else [value("TaskCompletionExample")] * 2,
            [create_things(scene.client, scene.user) for _ in range(2)],
            strict=True,
        )
    ]
    return answers[-1]


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
    "TaskClearedExample": lambda scene, operation: scene.change(operation, "TaskUpdateClearExample"),
    "TaskCompletedExample": lambda scene, operation: scene.change(operation, "TaskCompletionExample"),
    "TaskReopenedExample": lambda scene, operation: scene.change(
        operation, "TaskCompletionExample", "TaskReopeningExample"
    ),
    "FirstPageExample": lambda scene, _: scene.list(),
    "LastPageExample": last_page,
    "FirstChangesExample": changes,
    "LaterChangesExample": later_changes,
    "NoChangesExample": no_changes,
    "ChangesExpiredExample": expired_changes,
    "TaskRestoredExample": restored,
    "TaskChangedExample": changed,
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
WAIVERS = {"TooManyRequestsExample": "test_rate_limits.py compares it, because health checks are never limited."}


def examples() -> Iterator[tuple[Operation, int, str]]:
    """Yield each example of each operation: the status of its answer, and the name of its component."""
    for operation in OPERATIONS:
        for status, response in operation.responses.items():
            for media in response.get("content", {}).values():
                for name, example in media.get("examples", {}).items():
                    yield operation, int(status), example.get("$ref", f"{operation.id} {name}").rpartition("/")[2]


def can_cause(operation: Operation, name: str) -> bool:
    """Return whether the operation has what the example is about: responses are shared by operations."""
    if name == "InvalidParameterExample":
        return operation is LIST
    content = resolve(operation.spec.get("requestBody", {})).get("content", {})
    if name == "InvalidBodyExample":
        members: dict[str, Any] = resolve(content["application/json"]["schema"])["properties"]
        return "title" in members
    if name == "UnsupportedMediaTypeExample":
        return list(content) == ["application/json"]
    return name in CAUSES


def comparable(body: Any, ranks: dict[str, list[Any]] | None = None) -> Any:
    """Return a body with each value that differs each time replaced by its type and its rank in the body."""
    if ranks is None:
        found = defaultdict(set)
        for name, each in _members(body):
            found[GROUPS[name]].add(each)
        ranks = {group: sorted(each) for group, each in found.items()}
    if isinstance(body, list):
        return [comparable(each, ranks) for each in body]
    if not isinstance(body, dict):
        return body
    compared = {
        name: comparable(each, ranks) if name not in GROUPS or each is None
        else [(type(one), ranks[GROUPS[name]].index(one)) for one in each] if isinstance(each, list)
        else (type(each), ranks[GROUPS[name]].index(each))
        for name, each in body.items()
    }  # fmt: skip
    if "instance" in body:
        compared["instance"] = body["instance"].replace(body["request_id"], "")
    return compared


def _members(body: Any) -> Iterator[tuple[str, Any]]:
    for name, each in body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ():
        if name in GROUPS and each is not None:
            yield from ((name, one) for one in each) if isinstance(each, list) else [(name, each)]
        yield from _members(each)


@pytest.fixture(scope="module")
def unavailable() -> Iterator[Service]:
    """A service whose database and issuer cannot be reached: no server listens on port 1."""
    settings = settings_for(
        "postgresql://127.0.0.1:1/unused", database_wait_timeout=0.1, better_auth_jwks_url="http://127.0.0.1:1/jwks"
    )
    with running(create_app(settings)) as service:
        yield service


@pytest.fixture(scope="module")
def strict(database_url: str) -> Iterator[Service]:
    """A service that requires If-Match."""
    with running(create_app(settings_for(database_url, require_if_match=True))) as service:
        yield service


SERVICES = {503: "unavailable", 428: "strict"}


@pytest.mark.parametrize(
    ("operation", "status", "name"),
    [pytest.param(*each, id=f"{each[0].id} {each[1]} {each[2]}") for each in examples() if can_cause(each[0], each[2])],
)
def test_example_of_an_answer_equals_an_answer(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    user: str,
    database_url: str,
    operation: Operation,
    status: int,
    name: str,
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    if status == 500:
        monkeypatch.setattr(Session, "fetch_one", fail)
        monkeypatch.setattr(Session, "fetch_all", fail)
    service: Service = request.getfixturevalue(SERVICES.get(status, "service"))

    answer = CAUSES[name](Scene(service, user, database_url), operation)

    body = answer.json() if answer.headers["Content-Type"].endswith("json") else answer.text
    assert (answer.status_code, comparable(body)) == (status, comparable(value(name)))


def test_each_example_of_an_answer_has_a_cause() -> None:
    caused = {name for operation, _, name in examples() if can_cause(operation, name)}
    left = {name for _, _, name in examples()} - caused - WAIVERS.keys()
    assert not left, f"Add a request that causes an equal answer to CAUSES in {__file__}, or a reason to WAIVERS."
    assert caused == CAUSES.keys()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"owner": "a"}, id="member"),
        pytest.param({"title": "x"}, id="value"),
        pytest.param({"description": None}, id="null"),
        pytest.param({"id": "42"}, id="type of an id"),
        pytest.param({"updated_at": "2027-01-01T00:00:00Z"}, id="order of times"),
    ],
)
def test_example_with_another_part_differs(change: dict[str, Any]) -> None:
    assert comparable({**value("TaskExample"), **change}) != comparable(value("TaskExample"))
