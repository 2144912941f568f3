"""Migrations create the tables that the code describes, run up and down, and can run concurrently."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Connection, Table, inspect
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

from todo_api import migrations
from todo_api.database.database import Database
from todo_api.database.failures import DatabaseUnavailableError
from todo_api.database.limits import Limits
from todo_api.database.migrate import downgrade, upgrade
from todo_api.database.url import DatabaseUrl
from todo_api.migrations import HEAD


def inspect_database(url: str, inspection: Callable[[Connection], Any]) -> Any:
    async def run() -> Any:
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda: asyncpg.connect(**DatabaseUrl.parse(url).arguments()),
            poolclass=NullPool,
        )
        async with engine.connect() as connection:
            return await connection.run_sync(inspection)

    return asyncio.run(run())


def revision(url: str) -> str | None:
    async def run() -> str | None:
        async with Database(url) as database:
            return await database.revision()

    return asyncio.run(run())


def tables(url: str) -> set[str]:
    return set(inspect_database(url, lambda connection: inspect(connection).get_table_names()))


def test_migrations_run_up_down_and_up_again(empty_database_url: str) -> None:
    assert revision(empty_database_url) is None
    upgrade(empty_database_url)
    assert revision(empty_database_url) == HEAD
    described = set(SQLModel.metadata.tables)
    assert described
    assert tables(empty_database_url) == {"alembic_version", *described}
    upgrade(empty_database_url)
    downgrade(empty_database_url, "base")
    assert revision(empty_database_url) is None
    assert tables(empty_database_url) == {"alembic_version"}
    upgrade(empty_database_url)
    assert revision(empty_database_url) == HEAD


def test_last_migration_is_the_revision_that_the_code_requires() -> None:
    folder = Path(migrations.__file__).parent
    assert ScriptDirectory(str(folder)).get_current_head() == HEAD


def test_migrated_tables_match_the_metadata(database_url: str) -> None:
    def differences(connection: Connection) -> Any:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return compare_metadata(context, SQLModel.metadata)

    assert inspect_database(database_url, differences) == []


@pytest.mark.parametrize("table", SQLModel.metadata.tables.values(), ids=lambda table: table.name)
def test_migrated_check_constraints_match_the_metadata(database_url: str, table: Table) -> None:
    """Alembic's comparison ignores check constraints."""
    found = inspect_database(database_url, lambda connection: inspect(connection).get_check_constraints(table.name))
    described = [c for c in table.constraints if isinstance(c, CheckConstraint)]
    assert {check["name"] for check in found} == {check.name for check in described}


def test_concurrent_migrations_in_several_processes_succeed(empty_database_url: str) -> None:
    program = "import sys; from todo_api.database.migrate import upgrade; upgrade(sys.argv[1])"
    # One process waits for the table, and the others ask again and again for the lock of the migration.
    connected = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> ALL($1) "
        "AND EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )

    async def run() -> list[int]:
        holder, observer = [await asyncpg.connect(empty_database_url) for _ in range(2)]
        own = [each.get_server_pid() for each in (holder, observer)]
        # This transaction blocks the first process, until all are there.
        obstacle = holder.transaction()
        await obstacle.start()
        await holder.execute("CREATE TABLE alembic_version ()")
        command = sys.executable, "-c", program, empty_database_url
        processes = [await asyncio.create_subprocess_exec(*command) for _ in range(3)]
        async with asyncio.timeout(60):
            while await observer.fetchval(connected, own) < len(processes):
                await observer.execute("SELECT pg_sleep(0.01)")
            await obstacle.rollback()
            codes = [await process.wait() for process in processes]
        await holder.close()
        await observer.close()
        return codes

    assert asyncio.run(run()) == [0, 0, 0]
    assert revision(empty_database_url) == HEAD


def test_concurrent_migrations_in_several_threads_succeed(empty_database_url: str) -> None:
    async def run() -> None:
        await asyncio.gather(*(asyncio.to_thread(upgrade, empty_database_url) for _ in range(3)))

    asyncio.run(run())
    assert revision(empty_database_url) == HEAD


# The key of the advisory lock in migrations/env.py.
LOCK = 0x746F646F


def test_migration_sets_the_statement_timeout_of_the_database(empty_database_url: str) -> None:
    async def shown() -> Any:
        connection = await asyncpg.connect(empty_database_url)
        try:
            return await connection.fetchval("SHOW statement_timeout")
        finally:
            await connection.close()

    assert asyncio.run(shown()) == "0"
    for timeout, text in ((30.0, "30s"), (0.25, "250ms")):
        upgrade(empty_database_url, Limits(statement_timeout=timeout))
        assert asyncio.run(shown()) == text


@pytest.mark.parametrize(
    ("obstacle", "waiting"),
    [
        ("LOCK TABLE alembic_version", "wait_event_type = 'Lock'"),
        (f"SELECT pg_advisory_xact_lock({LOCK})", "query LIKE 'SELECT pg_try_advisory_lock%'"),
    ],
    ids=["table lock", "advisory lock"],
)
def test_migration_waits_for_a_lock_beyond_the_statement_timeout(
    empty_database_url: str, obstacle: str, waiting: str
) -> None:
    waiting = (
        f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {waiting} "  # noqa: S608
        "AND clock_timestamp() > backend_start + interval '0.2 s'"
    )

    async def run() -> None:
        holder, observer = [await asyncpg.connect(empty_database_url) for _ in range(2)]
        async with holder.transaction():
            await holder.execute(obstacle)
            migrating = asyncio.create_task(asyncio.to_thread(upgrade, empty_database_url))
            async with asyncio.timeout(60):
                while not await observer.fetchval(waiting):
                    assert not migrating.done()
                    await asyncio.sleep(0.01)
        await migrating
        await holder.close()
        await observer.close()

    upgrade(empty_database_url, Limits(statement_timeout=0.1))
    asyncio.run(run())


def test_migration_without_a_database_raises_database_unavailable() -> None:
    with pytest.raises(DatabaseUnavailableError):
        upgrade("postgresql://user:password@127.0.0.1:1/nothing", Limits(wait_timeout=0.1))
