"""The row of a user's list has the counts of its tasks, and the rows of labels those of theirs, after every sequence of
writes: of this version, also at once, and of old processes and people, whose statements the triggers follow."""

import asyncio
import random
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.operations import tasks
from support.service import Service, running, settings_for
from support.task_labels import wrong_labels
from support.task_lists import OLD_WRITES, write_as_old_version, wrong_lists
from todo_api.app import create_app

Write = Callable[[httpx.Client, str, int], httpx.Response]

WRITES: dict[str, Write] = {
    "create": lambda client, user, _: client.post(tasks(user), json={"title": "x"}),
    "create completed": lambda client, user, _: client.post(tasks(user), json={"title": "x", "completed": True}),
    "create with a key": lambda client, user, _: client.post(
        tasks(user), json={"title": "x"}, headers={"Idempotency-Key": uuid.uuid4().hex}
    ),
    "create with a used key": lambda client, user, _: client.post(
        tasks(user), json={"title": "x"}, headers={"Idempotency-Key": "used"}
    ),
    "create with labels": lambda client, user, _: client.post(tasks(user), json={"title": "x", "labels": ["a", "B"]}),
    "replace labels": lambda client, user, task: client.patch(f"{tasks(user)}/{task}", json={"labels": ["b", "c"]}),
    "replace labels and complete": lambda client, user, task: client.put(
        f"{tasks(user)}/{task}", json={"labels": ["C", "d"], "completed": True}
    ),
    "clear labels": lambda client, user, task: client.patch(f"{tasks(user)}/{task}", json={"labels": []}),
    "update": lambda client, user, task: client.put(f"{tasks(user)}/{task}", json={"title": "y"}),
    "reopen": lambda client, user, task: client.patch(f"{tasks(user)}/{task}", json={"completed": False}),
    "update conditionally": lambda client, user, task: client.put(
        f"{tasks(user)}/{task}", json={"completed": True}, headers={"If-Match": '"1", "3"'}
    ),
    "complete": lambda client, user, task: client.patch(f"{tasks(user)}/{task}/complete", json={"completed": True}),
    "toggle": lambda client, user, task: client.patch(f"{tasks(user)}/{task}/complete"),
    "toggle with a key": lambda client, user, task: client.patch(
        f"{tasks(user)}/{task}/complete", headers={"Idempotency-Key": uuid.uuid4().hex}
    ),
    "delete": lambda client, user, task: client.delete(f"{tasks(user)}/{task}"),
    "restore": lambda client, user, task: client.post(f"{tasks(user)}/{task}/restore"),
}


def query(url: str, sql: str, *arguments: object) -> list[Any]:
    async def run() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()

    return asyncio.run(run())


def write_old(url: str, kind: str, user: str, task: int) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await write_as_old_version(connection, kind, user, task)
        finally:
            await connection.close()

    asyncio.run(run())


def wrong(url: str, user: str) -> list[str]:
    """Returns a line for each row of the list and of labels that differs from the tasks."""
    return [*asyncio.run(wrong_lists(url, user)), *asyncio.run(wrong_labels(url, user))]


def change_of(url: str, user: str) -> int:
    return sum(change for (change,) in query(url, "SELECT change FROM task_list WHERE user_id = $1", user))


def ids_of(url: str, user: str) -> list[int]:
    """Ids of tasks and tombstones."""
    return [task for (task,) in query(url, "SELECT id FROM task WHERE user_id = $1 ORDER BY id", user)]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from([*WRITES, *(f"old {kind}" for kind in OLD_WRITES)]), st.integers(0, 4))))
def test_counts_are_right_after_each_write_and_the_change_rises(
    service: Service, database_url: str, steps: list[tuple[str, int]]
) -> None:
    user = f"user-{uuid.uuid4().hex}"
    client = service.client(user)
    for kind, number in steps:
        ids, before = ids_of(database_url, user), change_of(database_url, user)
        task = ids[number % len(ids)] if ids else 2**53 - 1
        if kind in WRITES:
            answer = WRITES[kind](client, user, task)
            assert answer.status_code in {200, 201, 204, 404, 412}
            written = answer.is_success and "Idempotency-Replayed" not in answer.headers and kind != "restore"
        else:
            write_old(database_url, kind.removeprefix("old "), user, task)
            # A tombstone that an old process deletes is forgotten, and nothing else changes.
            written = kind != "old delete" and (bool(ids) or "insert" in kind)
        after = change_of(database_url, user)
        assert after > before if written else after >= before
        assert wrong(database_url, user) == []
    for completed, name in (None, "tasks"), (True, "completed"):
        parameters = {"include_total": "true", "limit": "1", **({"completed": "true"} if completed else {})}
        counted = f"SELECT coalesce(max({name}), 0) FROM task_list WHERE user_id = $1"  # noqa: S608
        assert [(client.get(tasks(user), params=parameters).json()["total"],)] == query(database_url, counted, user)
    client.close()


LABEL = "UPDATE task SET labels = '{b,A,e}' WHERE user_id = $1 AND id = $2"


def test_counts_are_right_after_concurrent_writes(
    service: Service, database_url: str, user: str, request: pytest.FixtureRequest
) -> None:
    """Eight clients, of which one is an old process and one a person, write the same tasks."""

    def write(number: int) -> list[int]:
        choose, client = random.Random(number), service.client(user)  # noqa: S311
        codes = []
        for _ in range(40):
            ids = ids_of(database_url, user)
            task = choose.choice(ids) if ids else 1
            if number == 1:
                query(database_url, LABEL, user, task)
            elif number:
                codes.append(WRITES[choose.choice(list(WRITES))](client, user, task).status_code)
            else:
                write_old(database_url, choose.choice(list(OLD_WRITES)), user, task)
        return codes

    with ThreadPoolExecutor(8) as threads:
        codes = [code for codes in threads.map(write, range(8)) for code in codes]
    assert set(codes) <= {200, 201, 204, 404, 409, 412}
    assert wrong(database_url, user) == []
    written = sum(code < 300 for code in codes)
    request.node.user_properties.append(
        ("figures", f"task lists: {written} concurrent writes, 40 old ones, 40 of a person, 0 wrong")
    )


PLAIN = {
    "insert labels": """
        INSERT INTO task (user_id, title, completed, labels)
        SELECT $1, 'x', n % 2 = 0, CASE WHEN n < 3 THEN '{a,A,b}'::varchar[] ELSE '{B}' END
        FROM generate_series(1, 3) AS n
    """,
    "replace labels": "UPDATE task SET labels = '{a,A,c}', completed = NOT completed WHERE user_id = $1",
    "other names of labels": "UPDATE task SET labels = '{b,A}' WHERE user_id = $1",
    "remove labels": "UPDATE task SET labels = '{}' WHERE user_id = $1",
    "move": "UPDATE task SET created_at = created_at - interval '1 day' WHERE user_id = $1",
    "insert": "INSERT INTO task (user_id, title, completed) SELECT $1, 'x', n % 2 = 0 FROM generate_series(1, 3) AS n",
    "update": "UPDATE task SET completed = NOT completed WHERE user_id = $1",
    "delete tombstones": "UPDATE task SET deleted_at = now() WHERE user_id = $1",
    "restore": "UPDATE task SET deleted_at = NULL WHERE user_id = $1",
    "delete": "DELETE FROM task WHERE user_id = $1",
}


@pytest.mark.parametrize("is_counted", [True, False], ids=["counted list", "list that is not counted yet"])
@pytest.mark.parametrize("kind", PLAIN)
def test_counts_are_right_after_a_statement_of_a_person_on_many_tasks(
    service: Service, database_url: str, user: str, kind: str, is_counted: bool
) -> None:
    client = service.client(user)
    for number in range(5):
        WRITES[("create completed", "create", "create with labels")[number % 3]](client, user, 0)
    WRITES["delete"](client, user, ids_of(database_url, user)[0])
    before = change_of(database_url, user)
    if not is_counted:
        query(database_url, "DELETE FROM task_list WHERE user_id = $1", user)
    query(database_url, PLAIN[kind], user)
    counts = "SELECT tasks, completed FROM task_list WHERE user_id = $1"
    live = "SELECT count(*), count(*) FILTER (WHERE completed) FROM task WHERE user_id = $1 AND deleted_at IS NULL"
    assert query(database_url, counts, user) == query(database_url, live, user)
    assert asyncio.run(wrong_labels(database_url, user)) == []
    if is_counted:
        assert change_of(database_url, user) > before


def test_labels_are_right_after_a_task_was_given_to_another_user(
    client: httpx.Client, database_url: str, user: str
) -> None:
    WRITES["create with labels"](client, user, 0)
    query(database_url, "UPDATE task SET user_id = user_id || '-other' WHERE user_id = $1", user)
    assert query(database_url, "SELECT key FROM task_label WHERE user_id = $1", f"{user}-other") == [("a",), ("b",)]
    assert asyncio.run(wrong_labels(database_url, f"{user}%")) == []


@pytest.fixture(scope="module")
def small_service(database_url: str) -> Iterator[Service]:
    """A service that keeps 10 tasks for a user."""
    with running(create_app(settings_for(database_url, max_tasks=10))) as service:
        yield service


class TestMaxTasks:
    def test_concurrent_creations_and_restorations_cannot_pass_the_limit(
        self, small_service: Service, database_url: str, user: str
    ) -> None:
        client = small_service.client(user)
        removed = [client.post(tasks(user), json={"title": "x"}).json()["id"] for _ in range(5)]
        for task in removed:
            client.delete(f"{tasks(user)}/{task}")
        requests: list[Callable[[], httpx.Response]] = [
            *(partial(WRITES["restore"], client, user, task) for task in removed),
            *(partial(WRITES[kind], client, user, 0) for kind in ("create", "create with a key") for _ in range(10)),
        ]
        random.Random(0).shuffle(requests)  # noqa: S311
        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(lambda request: request(), requests))
        assert sum(answer.is_success for answer in answers) == 10
        rejected = [answer.json() for answer in answers if not answer.is_success]
        assert {(each["status"], each["type"]) for each in rejected} == {(409, "/problems/too-many-tasks")}
        assert len(client.get(tasks(user)).json()["items"]) == 10
        assert wrong(database_url, user) == []

    def test_limit_counts_no_tombstones_and_no_tasks_of_others(self, small_service: Service, user: str) -> None:
        for owner in user, f"{user}-other":
            client = small_service.client(owner)
            for _ in range(10):
                location = client.post(tasks(owner), json={"title": "x"}).headers["Location"]
            assert client.post(tasks(owner), json={"title": "x"}).status_code == 409
            assert client.delete(location).status_code == 204
            assert client.post(tasks(owner), json={"title": "x"}).status_code == 201

    def test_user_with_more_tasks_than_the_limit_can_change_and_delete_them(
        self, service: Service, small_service: Service, user: str
    ) -> None:
        """The setting was lowered."""
        urls = [service.client(user).post(tasks(user), json={"title": "x"}).headers["Location"] for _ in range(12)]
        client = small_service.client(user)
        assert client.post(tasks(user), json={"title": "x"}).status_code == 409
        assert client.patch(f"{urls[0]}/complete").status_code == 200
        assert [client.delete(url).status_code for url in urls[:3]] == [204] * 3
        assert client.post(tasks(user), json={"title": "x"}).status_code == 201
