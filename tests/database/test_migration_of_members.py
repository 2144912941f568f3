"""Revision 0003 adds members of tasks while processes of version 2.0.0 write, and can be interrupted and undone."""

import asyncio

import asyncpg
import pytest

from support.migrations import INDEXES, INVALID_INDEXES, blocked_by, connected, value, while_indexing, while_reading
from support.task_labels import wrong_labels
from support.task_lists import old_writers, wrong_lists
from todo_api.database.failures import PermanentDatabaseError
from todo_api.database.migrate import downgrade, upgrade

USERS = [f"user-{number}" for number in range(20)]
FILL = """
    INSERT INTO task (user_id, title, completed)
    SELECT 'user-' || number, 'Task ' || n, n % 3 = 0 FROM generate_series(0, 19) AS number, generate_series(1, 50) AS n
"""
OTHERS_THAN_DEFAULT = """
    SELECT count(*) FROM task
    WHERE (due_date, due_at, priority, labels, external_id) IS DISTINCT FROM (NULL, NULL, 'normal', '{}', NULL)
"""
TASKS = "SELECT array_agg((id, user_id, title, completed, created_at, updated_at)::text ORDER BY id) FROM task"
LABEL = "UPDATE task SET labels = '{work,Home}', due_date = '2026-12-24' WHERE id % 2 = 0"
UNCHECKED = "SELECT count(*) FROM pg_constraint WHERE conrelid = 'task'::regclass AND NOT convalidated"
OWN = "SELECT count(*) FROM pg_proc WHERE proname IN ('count_task_labels', 'label_key', 'task_fold')"
OF_0002 = ["task_change", "task_deleted", "task_newest", "task_newest_completed", "task_pkey"]
OF_0003 = sorted([*OF_0002, "task_due", "task_external"])


async def prepare(url: str) -> None:
    await asyncio.to_thread(upgrade, url, revision="0002")
    async with connected(url) as connection:
        await connection.execute(FILL)


async def check(url: str) -> None:
    """Checks the schema of 0003, and that each label counts from now on."""
    assert await value(url, INVALID_INDEXES) == 0
    assert await value(url, UNCHECKED) == 0
    assert await value(url, INDEXES) == OF_0003
    assert await wrong_lists(url) == []
    async with connected(url) as connection:
        await connection.execute(LABEL)
        with pytest.raises(asyncpg.CheckViolationError, match="task_due_once"):
            await connection.execute("UPDATE task SET due_at = now() WHERE due_date IS NOT NULL")
        with pytest.raises(asyncpg.CheckViolationError, match="task_priority"):
            await connection.execute("UPDATE task SET priority = ''")
    assert await value(url, "SELECT count(*) FROM task_label") != 0
    assert await wrong_labels(url) == []


def test_tasks_of_old_processes_have_the_defaults_during_and_after_the_migration(empty_database_url: str) -> None:
    async def run() -> None:
        url = empty_database_url
        await prepare(url)
        async with old_writers(url, USERS) as writes:
            async with asyncio.timeout(60):
                while (before := writes[0]) < 100:
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(upgrade, url, revision="0003")
                while writes[0] < before + 200:
                    await asyncio.sleep(0.01)
            assert await value(url, OTHERS_THAN_DEFAULT) == 0
        await check(url)

    asyncio.run(run())


def test_old_processes_write_tasks_with_labels(empty_database_url: str) -> None:
    """They know no label; the triggers follow what they complete and delete."""

    async def run() -> None:
        url = empty_database_url
        await prepare(url)
        await asyncio.to_thread(upgrade, url, revision="0003")
        await check(url)
        async with old_writers(url, USERS) as writes, asyncio.timeout(60):
            while writes[0] < 500:
                await asyncio.sleep(0.01)
        assert await value(url, "SELECT count(*) FROM task_label WHERE completed") != 0
        assert await wrong_labels(url) == []

    asyncio.run(run())


def test_migration_that_was_interrupted_succeeds_when_run_again(empty_database_url: str) -> None:
    async def run() -> None:
        url = empty_database_url
        await prepare(url)
        before = await value(url, TASKS)
        async with connected(url) as observer:
            async with while_indexing(url) as holder:
                migrating = asyncio.create_task(asyncio.to_thread(upgrade, url, revision="0003"))
                pid = await blocked_by(holder, observer, "CREATE INDEX CONCURRENTLY")
                await observer.fetchval("SELECT pg_terminate_backend($1)", pid)
                with pytest.raises(PermanentDatabaseError, match="terminating connection due to administrator command"):
                    await migrating
            assert await observer.fetchval("SELECT version_num FROM alembic_version") == "0002"
            # A label that is written now counts, too.
            await observer.execute(LABEL)
        assert await wrong_labels(url) == []
        await asyncio.to_thread(upgrade, url, revision="0003")
        assert await value(url, TASKS) == before
        await check(url)

    asyncio.run(run())


def test_downgrade_that_was_interrupted_keeps_labels_and_succeeds_when_run_again(empty_database_url: str) -> None:
    async def run() -> None:
        url = empty_database_url
        await prepare(url)
        before = await value(url, TASKS)
        await asyncio.to_thread(upgrade, url, revision="0003")
        async with connected(url) as observer:
            await observer.execute(LABEL)
            async with while_reading(url) as holder:
                migrating = asyncio.create_task(asyncio.to_thread(downgrade, url, "0002"))
                pid = await blocked_by(holder, observer, "DROP INDEX CONCURRENTLY")
                await observer.fetchval("SELECT pg_terminate_backend($1)", pid)
                with pytest.raises(PermanentDatabaseError, match="terminating connection due to administrator command"):
                    await migrating
            assert await observer.fetchval("SELECT version_num FROM alembic_version") == "0003"
            await observer.execute("UPDATE task SET labels = '{other}' WHERE id % 3 = 0")
            assert await wrong_labels(url) == []
        for _ in range(2):
            await asyncio.to_thread(downgrade, url, "0002")
            assert await value(url, INDEXES) == OF_0002
            assert await value(url, OWN) == 0
            assert await value(url, TASKS) == before
            await asyncio.to_thread(upgrade, url, revision="0003")
            assert await value(url, OTHERS_THAN_DEFAULT) == 0
            await check(url)

    asyncio.run(run())
