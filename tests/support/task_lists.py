"""Compares the rows of `task_list` with the tasks, and writes tasks as processes of version 2.0.0 do."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

WRONG = """
    WITH counted AS (
        SELECT user_id,
               count(*) FILTER (WHERE deleted_at IS NULL) AS tasks,
               count(*) FILTER (WHERE deleted_at IS NULL AND completed) AS completed,
               max(change) AS change,
               -- Tasks of one change were written by one transaction.
               count(DISTINCT (change, xmin::text)) FILTER (WHERE change > 0)
                   - count(DISTINCT change) FILTER (WHERE change > 0) AS repeated
        FROM task GROUP BY user_id
    )
    SELECT format(
        '%s: %s tasks, %s completed, change %s; counted %s, %s, %s; %s changes twice', user_id,
        list.tasks, list.completed, list.change, counted.tasks, counted.completed, counted.change, counted.repeated
    )
    FROM task_list AS list FULL JOIN counted USING (user_id)
    WHERE user_id LIKE $1 AND NOT coalesce(
        (list.tasks, list.completed, 0) = (coalesce(counted.tasks, 0), coalesce(counted.completed, 0),
                                           coalesce(counted.repeated, 0))
        AND list.change >= coalesce(counted.change, 0), false
    )
"""
OLD_COLUMNS = "id, user_id, title, description, completed, created_at, updated_at"
OLD_WRITES = {
    "insert": "INSERT INTO task (user_id, title, completed) VALUES ($1, 'old', false)",
    "insert completed": "INSERT INTO task (user_id, title, completed) VALUES ($1, 'old', true)",
    "update": "UPDATE task SET title = 'old', updated_at = now() WHERE user_id = $1 AND id = $2",
    "complete": "UPDATE task SET completed = true, updated_at = now() WHERE user_id = $1 AND id = $2",
    "toggle": "UPDATE task SET completed = NOT completed, updated_at = now() WHERE user_id = $1 AND id = $2",
    "delete": "DELETE FROM task WHERE user_id = $1 AND id = $2",
}
"""The statements of version 2.0.0, which know neither versions nor lists."""


async def wrong_lists(url: str, users: str = "%") -> list[str]:
    """Returns a line for each list that differs from the tasks, of users that are LIKE `users`."""
    connection = await asyncpg.connect(url)
    try:
        return [line for (line,) in await connection.fetch(WRONG, users)]
    finally:
        await connection.close()


async def write_as_old_version(
    connection: asyncpg.Connection, kind: str, user: str, task_id: int | None = None
) -> None:
    """Runs one of OLD_WRITES; without an id on the oldest task of the user."""
    arguments: list[object] = [user]
    if not kind.startswith("insert"):
        arguments.append(task_id or await connection.fetchval("SELECT min(id) FROM task WHERE user_id = $1", user))
    await connection.fetch(f"{OLD_WRITES[kind]} RETURNING {OLD_COLUMNS}", *arguments)


@asynccontextmanager
async def old_writers(url: str, users: list[str], count: int = 4) -> AsyncIterator[list[int]]:
    """Writes for random users, with `count` connections at once. Yields a list with one number: that of the writes."""
    done, stopping = [0], asyncio.Event()

    async def write(number: int) -> None:
        choose = random.Random(number)  # noqa: S311
        connection = await asyncpg.connect(url)
        try:
            while not stopping.is_set():
                kind, user = choose.choice(list(OLD_WRITES)), choose.choice(users)
                await write_as_old_version(connection, kind, user)
                done[0] += 1
        finally:
            await connection.close()

    async with asyncio.TaskGroup() as writers:
        for number in range(count):
            writers.create_task(write(number))
        try:
            yield done
        finally:
            stopping.set()
