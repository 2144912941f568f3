"""A batch of commands: one transaction, one answer, one idempotency key."""

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from support.operations import tasks
from support.service import Service, running, settings_for
from todo_api.app import create_app

Command = dict[str, Any]


def create(client: httpx.Client, user: str, **members: Any) -> dict[str, Any]:
    return dict(client.post(tasks(user), json={"title": "x", **members}).json())


def run(client: httpx.Client, user: str, commands: list[Command], *, key: str | None = None, **members: Any) -> Any:
    """Send a batch, whose commands get their positions as ids, and return its results as one would alone."""
    numbered = [{"id": str(number), **command} for number, command in enumerate(commands)]
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = client.post(f"{tasks(user)}/batch", json={"commands": numbered, **members}, headers=headers)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [result["id"] for result in body["results"]] == [command["id"] for command in numbered]
    assert body["done"] is all(result["problem"] is None for result in body["results"])
    return body["results"]


def statuses(results: list[dict[str, Any]]) -> list[int]:
    return [result["status"] for result in results]


def state(client: httpx.Client, user: str) -> Any:
    """What a batch that changes nothing leaves as it is: all tasks, deletions and counts."""
    listed = client.get(tasks(user), params={"include_total": "true", "limit": 100})
    changes = client.get(f"{tasks(user)}/changes", params={"limit": 100}).json()
    return listed.json(), listed.headers["ETag"], changes["changed"], changes["deleted"]


def test_each_command_does_what_its_operation_does(client: httpx.Client, user: str) -> None:
    first, second, third = (create(client, user) for _ in range(3))
    results = run(
        client,
        user,
        [
            {"type": "create", "task": {"title": "New", "labels": ["a"], "due_date": "2026-12-24"}},
            {"type": "update", "task_id": first["id"], "changes": {"priority": "high", "labels": ["cafe\u0301"]}},
            {"type": "complete", "task_id": second["id"]},
            {"type": "delete", "task_id": third["id"], "if_match": third["etag"]},
            {"type": "complete", "task_id": second["id"], "completed": False},
        ],
    )
    assert statuses(results) == [201, 200, 200, 204, 200]
    assert results[1]["task"]["labels"] == ["café"]
    assert [results[2]["task"]["completed"], results[4]["task"]["completed"]] == [True, False]
    assert results[3]["task"] is None
    left = client.get(tasks(user), params={"include_total": "true"}).json()
    assert left["total"] == 3
    assert left["items"] == [results[0]["task"], results[4]["task"], results[1]["task"]]


def test_command_that_fails_stops_no_other(client: httpx.Client, user: str) -> None:
    task = create(client, user)
    changed = client.patch(f"{tasks(user)}/{task['id']}", json={"title": "y"}).json()
    results = run(
        client,
        user,
        [
            {"type": "update", "task_id": task["id"], "if_match": task["etag"], "changes": {"title": "z"}},
            {"type": "delete", "task_id": 2**53 - 1},
            {"type": "complete", "task_id": task["id"], "if_match": changed["etag"]},
        ],
    )
    assert statuses(results) == [412, 404, 200]
    assert results[0]["task"] == changed
    assert [result["problem"] and result["problem"]["type"] for result in results] == [
        "/problems/task-changed",
        "/problems/task-not-found",
        None,
    ]
    assert (results[2]["task"]["title"], results[2]["task"]["completed"]) == ("y", True)


@pytest.mark.parametrize("failing", [0, 1, 3], ids=["first", "second", "last"])
def test_atomic_batch_changes_nothing_if_a_command_fails(client: httpx.Client, user: str, failing: int) -> None:
    task = create(client, user, labels=["a"])
    commands: list[Command] = [
        {"type": "create", "task": {"title": "New", "labels": ["a", "b"]}},
        {"type": "complete", "task_id": task["id"]},
        {"type": "delete", "task_id": task["id"]},
    ]
    commands.insert(failing, {"type": "delete", "task_id": 2**53 - 1})
    before = state(client, user)
    results = run(client, user, commands, atomic=True)
    assert statuses(results) == [404 if number == failing else 424 for number in range(4)]
    assert state(client, user) == before


def test_atomic_batch_changes_all_if_no_command_fails(client: httpx.Client, user: str) -> None:
    task = create(client, user)
    results = run(
        client,
        user,
        [{"type": "create", "task": {"title": "New"}}, {"type": "delete", "task_id": task["id"]}],
        atomic=True,
    )
    assert statuses(results) == [201, 204]
    assert client.get(tasks(user)).json()["items"] == [results[0]["task"]]


def test_limit_of_tasks_is_that_of_each_command(client: httpx.Client, user: str, database_url: str) -> None:
    with running(create_app(settings_for(database_url, max_tasks=2))) as service:
        client = service.client(user)
        task = create(client, user)
        commands: list[Command] = [{"type": "create", "task": {"title": str(number)}} for number in range(3)]
        commands.insert(2, {"type": "delete", "task_id": task["id"]})
        results = run(client, user, commands)
        assert statuses(results) == [201, 409, 204, 201]
        assert results[1]["problem"]["type"] == "/problems/too-many-tasks"


def test_required_condition_is_that_of_each_command(user: str, database_url: str) -> None:
    with running(create_app(settings_for(database_url, require_if_match=True))) as service:
        client = service.client(user)
        task = create(client, user)
        commands: list[Command] = [
            {"type": "complete", "task_id": task["id"]},
            {"type": "complete", "task_id": task["id"], "if_match": task["etag"]},
        ]
        assert statuses(run(client, user, commands)) == [428, 200]


@pytest.mark.parametrize(
    ("commands", "pointer"),
    [
        pytest.param([{"id": "a"}, {"id": "a"}], "#/commands/1/id", id="same id"),
        pytest.param([{"task": {"title": "x", "labels": ["a", "A"]}}], "#/commands/0/task/labels/1", id="same label"),
        pytest.param(
            [{}, {"task": {"title": "x", "due_date": "2026-12-24", "due_at": "2026-12-24T17:30:00Z"}}],
            "#/commands/1/task/due_at",
            id="due twice",
        ),
        pytest.param([{"task": {"title": ""}}], "#/commands/0/task/title", id="title"),
        pytest.param([{"type": "archive"}], "#/commands/0/type", id="kind"),
    ],
)
def test_invalid_command_is_named_and_none_is_run(
    client: httpx.Client, user: str, commands: list[Command], pointer: str
) -> None:
    default = {"type": "create", "task": {"title": "x"}}
    batch = [{"id": str(number), **default, **command} for number, command in enumerate(commands)]
    answer = client.post(f"{tasks(user)}/batch", json={"commands": batch})
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert client.get(tasks(user)).json()["items"] == []


class TestKey:
    @pytest.mark.parametrize("atomic", [False, True], ids=["each", "atomic"])
    def test_retry_gets_the_first_answer(self, client: httpx.Client, user: str, key: str, *, atomic: bool) -> None:
        task = create(client, user)
        commands: list[Command] = [
            {"type": "create", "task": {"title": "New", "due_at": "2026-12-24T17:30:00Z"}},
            {"type": "delete", "task_id": task["id"]},
        ]
        first = run(client, user, commands, key=key, atomic=atomic)
        before = state(client, user)
        assert run(client, user, commands, key=key, atomic=atomic) == first
        assert state(client, user) == before

    def test_retry_of_a_batch_that_was_not_done_gets_the_first_answer(
        self, client: httpx.Client, user: str, key: str
    ) -> None:
        task = create(client, user)
        commands: list[Command] = [{"type": "complete", "task_id": task["id"], "if_match": '"2"'}]
        first = run(client, user, commands, key=key, atomic=True)
        assert statuses(first) == [412]
        client.patch(f"{tasks(user)}/{task['id']}", json={"title": "y"})
        assert run(client, user, commands, key=key, atomic=True) == first

    def test_key_of_another_batch_is_rejected(self, client: httpx.Client, user: str, key: str) -> None:
        run(client, user, [{"type": "create", "task": {"title": "x"}}], key=key)
        batch = {"commands": [{"id": "0", "type": "create", "task": {"title": "y"}}]}
        answer = client.post(f"{tasks(user)}/batch", json=batch, headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")

    def test_batches_at_once_with_one_key_run_once(self, service: Service, user: str, key: str) -> None:
        batch = {"commands": [{"id": str(n), "type": "create", "task": {"title": "x"}} for n in range(20)]}

        def send(_: int) -> httpx.Response:
            while True:
                answer = service.client(user).post(f"{tasks(user)}/batch", json=batch, headers={"Idempotency-Key": key})
                if answer.status_code != 409:
                    return answer

        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(send, range(8)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
        assert len(service.client(user).get(tasks(user)).json()["items"]) == 20


def test_batches_and_single_changes_at_once_never_block_one_another(service: Service, user: str) -> None:
    """Each locks its tasks in another order; the counts stay right."""
    client = service.client(user)
    ids = [create(client, user)["id"] for _ in range(10)]

    def send(seed: int) -> list[int]:
        chance, client = random.Random(seed), service.client(user)  # noqa: S311
        commands = [{"type": "complete", "task_id": each} for each in chance.sample(ids, len(ids))]
        single = client.patch(f"{tasks(user)}/{chance.choice(ids)}/complete")
        return [single.status_code, *statuses(run(client, user, commands, atomic=chance.random() < 0.5))]

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(send, range(40)))
    assert {status for each in results for status in each} == {200}
    done = client.get(tasks(user), params={"completed": "true", "include_total": "true"}).json()
    assert done["total"] == len(done["items"])


def test_largest_batch_is_accepted(client: httpx.Client, user: str) -> None:
    task = {"title": "漢" * 200, "description": "漢" * 2000}
    results = run(client, user, [{"type": "create", "task": task}] * 100)
    assert statuses(results) == [201] * 100


KINDS: dict[str, Command] = {
    "create": {"task": {"title": "x"}},
    "update": {"task_id": 1, "if_match": '"1"', "changes": {"title": "x"}},
    "complete": {"task_id": 1, "if_match": '"1"', "completed": True},
    "delete": {"task_id": 1, "if_match": '"1"'},
}


@pytest.mark.parametrize("kind", KINDS)
def test_command_without_a_member_or_with_null_is_rejected(client: httpx.Client, user: str, kind: str) -> None:
    command = {"type": kind, "id": "a" * 64, **KINDS[kind]}
    assert client.post(f"{tasks(user)}/batch", json={"commands": [command]}).status_code == 200
    wrong = [{**command, name: None} for name in command]
    wrong += [{name: each for name, each in command.items() if name != missing} for missing in ("type", "id")]
    for each in wrong:
        answer = client.post(f"{tasks(user)}/batch", json={"commands": [each]})
        assert answer.status_code == 422, each
        assert all(error["pointer"].startswith("#/commands/0") for error in answer.json()["errors"])


def test_batch_has_at_most_100_commands(client: httpx.Client, user: str) -> None:
    commands = [{"type": "delete", "id": str(number), "task_id": 2**53 - 1} for number in range(101)]
    assert statuses(run(client, user, commands[:100])) == [404] * 100
    answer = client.post(f"{tasks(user)}/batch", json={"commands": commands})
    assert [error["code"] for error in answer.json()["errors"]] == ["too_many"]
