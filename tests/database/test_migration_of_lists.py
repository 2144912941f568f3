"""Revision 0002 counts the lists of existing users while processes of version 2.0.0 write, and can be interrupted."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
import pytest

from support.migrations import INDEXES, INVALID_INDEXES, blocked_by, connected, value, while_indexing
from support.task_lists import old_writers, wrong_lists
from todo_api.database.failures import PermanentDatabaseError
from todo_api.database.migrate import downgrade, upgrade

USERS = [f"user-{number}" for number in range(350)]
"""Several steps of the migration. The list of another user, "z", is counted in the last step."""

FILL = """
    INSERT INTO task (user_id, title, completed)
    SELECT 'user-' || number, 'Task ' || n, n % 3 = 0
    FROM generate_series(0, 349) AS number, generate_series(1, number % 10) AS n
    UNION ALL SELECT 'z', 'last', false
"""
TASKS = "SELECT array_agg((id, user_id, title, completed, created_at, updated_at)::text ORDER BY id) FROM task"


async def prepare(url: str) -> None:
    await asyncio.to_thread(upgrade, url, revision="0001")
    async with connected(url) as connection:
        await connection.execute(FILL)


async def check(url: str) -> None:
    assert await wrong_lists(url) == []
    assert await value(url, INVALID_INDEXES) == 0
    assert await value(url, INDEXES) == [
        "task_change", "task_deleted", "task_newest", "task_newest_completed", "task_pkey",
    ]  # fmt: skip
    assert await value(url, "SELECT count(*) FROM task_list WHERE tasks > 0") != 0


def test_lists_are_right_though_old_processes_write_during_the_migration(
    empty_database_url: str, request: pytest.FixtureRequest
) -> None:
    async def run() -> tuple[int, int, int]:
        url = empty_database_url
        await prepare(url)
        async with old_writers(url, [*USERS, "new-1", "new-2"]) as writes:
            async with asyncio.timeout(60):
                while (before := writes[0]) < 100:
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(upgrade, url, revision="0002")
                after = writes[0]
                while writes[0] < after + 100:
                    await asyncio.sleep(0.01)
        await check(url)
        return before, after - before, writes[0] - after

    counts = asyncio.run(run())
    assert all(counts)
    before, during, after = counts
    figures = f"migration of lists: {before} old writes before, {during} during, {after} after it, 0 wrong lists"
    request.node.user_properties.append(("figures", figures))


@asynccontextmanager
async def while_counting(url: str) -> AsyncIterator[asyncpg.Connection]:
    """An open transaction has written a task of the last user: the count of this user waits for it.

    It waits for the table until the migration has made the triggers, which another transaction delays.
    """
    async with connected(url) as delaying, connected(url) as writing, connected(url) as observer:
        delay = delaying.transaction()
        await delay.start()
        await delaying.execute("CREATE TABLE kept_answer ()")

        async def write() -> None:
            await blocked_by(delaying, observer)
            insert = asyncio.create_task(
                writing.execute("BEGIN; INSERT INTO task (user_id, title) VALUES ('z', 'uncommitted')")
            )
            async with asyncio.timeout(60):
                while not await observer.fetchval("SELECT pg_blocking_pids($1)", writing.get_server_pid()):
                    await asyncio.sleep(0.005)
            await delay.rollback()
            await insert

        task = asyncio.create_task(write())
        yield writing
        await task
        await writing.execute("ROLLBACK")


@pytest.mark.parametrize("obstacle", [while_counting, while_indexing], ids=["while counting", "while indexing"])
def test_migration_that_was_interrupted_succeeds_when_run_again(
    empty_database_url: str, obstacle: Callable[[str], AbstractAsyncContextManager[asyncpg.Connection]]
) -> None:
    async def run() -> None:
        url = empty_database_url
        await prepare(url)
        async with old_writers(url, USERS), connected(url) as observer:
            async with obstacle(url) as holder:
                migrating = asyncio.create_task(asyncio.to_thread(upgrade, url, revision="0002"))
                pid = await blocked_by(holder, observer, "WITH RECURSIVE users|CREATE INDEX CONCURRENTLY")
                await observer.fetchval("SELECT pg_terminate_backend($1)", pid)
                with pytest.raises(PermanentDatabaseError, match="terminating connection due to administrator command"):
                    await migrating
            assert await observer.fetchval("SELECT version_num FROM alembic_version") == "0001"
            await asyncio.to_thread(upgrade, url, revision="0002")
        await check(url)

    asyncio.run(run())


def test_downgrade_that_was_interrupted_succeeds_when_run_again(empty_database_url: str) -> None:
    async def run() -> None:
        url = empty_database_url
        await prepare(url)
        await asyncio.to_thread(upgrade, url, revision="0002")
        async with old_writers(url, USERS), connected(url) as observer:
            async with while_indexing(url) as holder:
                migrating = asyncio.create_task(asyncio.to_thread(downgrade, url, "0001"))
                pid = await blocked_by(holder, observer, "CREATE INDEX CONCURRENTLY")
                await observer.fetchval("SELECT pg_terminate_backend($1)", pid)
                with pytest.raises(PermanentDatabaseError, match="terminating connection due to administrator command"):
                    await migrating
            await asyncio.to_thread(downgrade, url, "0001")
            assert await value(url, INDEXES) == ["task_list", "task_list_completed", "task_pkey"]
            await asyncio.to_thread(upgrade, url, revision="0002")
        await check(url)

    asyncio.run(run())


def test_downgrade_and_upgrade_keep_tasks_and_drop_tombstones(empty_database_url: str) -> None:
    async def run() -> None:
        url = empty_database_url
        await prepare(url)
        before = await value(url, TASKS)
        await asyncio.to_thread(upgrade, url, revision="0002")
        assert await value(url, TASKS) == before
        async with connected(url) as connection:
            await connection.execute("INSERT INTO task (user_id, title, deleted_at) VALUES ('z', 'x', now())")
        await check(url)
        await asyncio.to_thread(downgrade, url, "0001")
        assert await value(url, TASKS) == before
        assert await value(url, INDEXES) == ["task_list", "task_list_completed", "task_pkey"]
        await asyncio.to_thread(upgrade, url, revision="0002")
        assert await value(url, TASKS) == before
        await check(url)

    asyncio.run(run())
