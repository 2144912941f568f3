"""Changes of labels at the same time as other writes of the user: none is lost, and none waits for another for ever."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import httpx
import pytest

from support.databases import execute
from support.label_model import all_tasks, differences
from support.migrations import connected
from support.operations import labels, tasks
from support.service import running, settings_for
from support.task_changes import Copy
from support.task_lists import wrong_lists
from todo_api.app import create_app
from todo_api.database import migrate

WRITERS = 8
TASKS = 20
NAMES = ["work", "Work", "job", "home"]

WAITING = """
    SELECT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%ORDINALITY%'
    )
"""
OTHERS = """
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid())
"""
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


async def rename_during(
    client: httpx.Client, url: str, user: str, write: Callable[[asyncpg.Connection], Awaitable[object]]
) -> int:
    """Renames a label while another transaction has locked the user's second task. `write` runs in it when the rename
    waits for it. Returns the number of renamed tasks."""
    async with connected(url) as connection, connected(url) as observer, connection.transaction():
        await connection.execute("SELECT FROM task WHERE user_id = $1 ORDER BY id LIMIT 1 OFFSET 1 FOR UPDATE", user)
        request = asyncio.create_task(
            asyncio.to_thread(client.patch, labels(user), params={"label": "work"}, json={"name": "job"})
        )
        while not await observer.fetchval(WAITING):
            assert not request.done(), request.result().text
        await write(connection)
    answer = await request
    assert answer.status_code == 200, answer.text
    return int(answer.json()["tasks"])


def create(client: httpx.Client, user: str, number: int = 3) -> None:
    for _ in range(number):
        client.post(tasks(user), json={"title": "x", "labels": ["work"]})


def test_rename_locks_all_tasks_before_the_list(client: httpx.Client, user: str, database_url: str) -> None:
    """As each other write does, so that none has what the other one waits for."""
    create(client, user)

    async def move(connection: asyncpg.Connection) -> None:
        await connection.execute("SELECT FROM task_list WHERE user_id = $1 FOR UPDATE NOWAIT", user)

    assert asyncio.run(rename_during(client, database_url, user, move)) == 3


def test_rename_locks_tasks_in_the_order_of_their_ids(client: httpx.Client, user: str, database_url: str) -> None:
    create(client, user)
    # The index of labels has the order of these times.
    execute(
        database_url,
        f"UPDATE task SET created_at = now() - id * interval '1 second' WHERE user_id = '{user}'",  # noqa: S608
    )

    async def lock(connection: asyncpg.Connection) -> None:
        last = "SELECT FROM task WHERE id = (SELECT max(id) FROM task WHERE user_id = $1) FOR UPDATE NOWAIT"
        await connection.execute(last, user)

    assert asyncio.run(rename_during(client, database_url, user, lock)) == 3


@pytest.mark.parametrize(
    ("change", "after"),
    [
        pytest.param("labels = '{other, work}'", ["other", "job"], id="other labels"),
        pytest.param("labels = '{other}'", ["other"], id="without the label"),
        pytest.param("labels = '{job}'", ["job"], id="with the new label"),
        pytest.param("title = 'y'", ["job"], id="another member"),
        pytest.param("completed = true", ["job"], id="completed"),
        pytest.param("deleted_at = now()", None, id="deleted"),
    ],
)
def test_rename_after_a_write_of_the_same_task_keeps_both(
    client: httpx.Client, user: str, database_url: str, change: str, after: list[str] | None
) -> None:
    create(client, user)
    before = all_tasks(client, user, sort="created_at")
    copy = Copy(client, user)
    copy.follow(100)

    async def write(connection: asyncpg.Connection) -> None:
        await connection.execute(f"UPDATE task SET {change} WHERE user_id = $1 AND id = $2", user, before[1]["id"])  # noqa: S608

    renamed = asyncio.run(rename_during(client, database_url, user, write))

    found = {task["id"]: task for task in all_tasks(client, user)}
    assert [found[task["id"]]["labels"] for task in (before[0], before[2])] == [["job"], ["job"]]
    assert found.get(before[1]["id"], {"labels": None})["labels"] == after
    assert renamed == (3 if after in (["job"], ["other", "job"]) and "{job}" not in change else 2)
    assert differences(client, user) == []
    copy.follow(2)
    assert copy.differences() == []
    assert asyncio.run(wrong_lists(database_url, user)) == []


Write = Callable[[httpx.Client, str, int, str, str], httpx.Response]

WRITES: list[Write] = [
    *[lambda client, user, _, name, other: client.patch(labels(user), params={"label": name}, json={"name": other})]
    * 2,
    lambda client, user, _, name, __: client.delete(labels(user), params={"label": name}),
    lambda client, user, task, name, __: client.patch(f"{tasks(user)}/{task}", json={"labels": [name]}),
    lambda client, user, task, *_: client.put(f"{tasks(user)}/{task}", json={"title": "y"}),
    lambda client, user, task, *_: client.patch(f"{tasks(user)}/{task}/complete"),
    lambda client, user, task, *_: client.delete(f"{tasks(user)}/{task}"),
    lambda client, user, task, *_: client.post(f"{tasks(user)}/{task}/restore"),
    lambda client, user, _, name, __: client.post(tasks(user), json={"title": "new", "labels": [name]}),
    lambda client, user, task, name, _: client.post(f"{tasks(user)}/batch", json=batch(task, name)),
]


def batch(task: int, name: str) -> dict[str, object]:
    """Returns a batch that changes a task, and then one with a smaller id."""
    changes = {"type": "update", "changes": {"labels": [name]}}
    return {
        "commands": [
            {**changes, "id": "a", "task_id": task},
            {**changes, "id": "b", "task_id": task // 2 + 1},
        ]
    }


def write_at_random(client: httpx.Client, user: str, seed: int) -> None:
    choose = random.Random(seed)  # noqa: S311
    for _ in range(40):
        name, other = choose.sample(NAMES, 2)
        answer = choose.choice(WRITES)(client, user, choose.randrange(1, TASKS + 1), name, other)
        assert answer.status_code in {200, 201, 204, 404}, answer.text


async def deadlocks(url: str) -> int:
    """Returns the number of deadlocks so far, when no other connection is left, so that all have reported theirs."""
    async with connected(url) as connection:
        while await connection.fetchval(OTHERS):
            await asyncio.sleep(0)
        return int(await connection.fetchval(DEADLOCKS))


def test_concurrent_changes_of_labels_and_tasks_never_deadlock(empty_database_url: str, user: str) -> None:
    migrate.upgrade(empty_database_url)
    with running(create_app(settings_for(empty_database_url))) as service:
        client = service.client(user)
        for number in range(TASKS):
            client.post(tasks(user), json={"title": "x", "labels": [NAMES[number % 2], NAMES[3]]})
        with ThreadPoolExecutor(WRITERS) as threads:
            copy = Copy(service.client(user), user)
            writing = [threads.submit(write_at_random, service.client(user), user, seed) for seed in range(WRITERS)]
            while not all(future.done() for future in writing):
                copy.apply(3)
            for future in writing:
                future.result()
        copy.follow(3)
        assert copy.differences() == []
        assert copy.restarts == 0
        assert differences(client, user) == []
        assert asyncio.run(wrong_lists(empty_database_url, user)) == []
    assert asyncio.run(deadlocks(empty_database_url)) == 0
