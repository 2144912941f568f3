"""A page of a list costs the same however many tasks there are: PostgreSQL walks an index, and sorts nothing."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg

from todo_api.database import migrate
from todo_api.database.database import Database
from todo_api.database.session import Session, SessionStats
from todo_api.database.statement import Statement
from todo_api.tasks import queries
from todo_api.tasks.cursor import Position

OWNER = "with-many-tasks"
MIDDLE = Position(datetime(2026, 1, 1, tzinfo=UTC), 50_000)

FILL = """
    INSERT INTO task (user_id, title, completed, created_at)
    SELECT owner, 'Task ' || n, n % 100 <> 0, '2026-01-01Z'::timestamptz + (n - 50000) * interval '1 second'
    FROM (
        SELECT n, 'with-many-tasks' AS owner FROM generate_series(1, 100000) AS n
        UNION ALL SELECT n, 'user-' || n % 1000 FROM generate_series(1, 50000) AS n
    ) AS tasks;

    ANALYZE task;

    -- Within a function the parameters of the statement have no values, as the option demands.
    CREATE FUNCTION generic_plan(statement text) RETURNS json LANGUAGE plpgsql AS $$
    DECLARE plan json;
    BEGIN
        EXECUTE 'EXPLAIN (FORMAT JSON, GENERIC_PLAN) ' || statement INTO plan;
        RETURN plan;
    END $$;
"""


class ExplainingSession(Session):
    """Asks how a statement would be run with these values, instead of running it."""

    plan: Any

    async def fetch_all(self, statement: Statement, /, **parameters: Any) -> list[asyncpg.Record]:
        await self._explain(replace(statement, sql=f"EXPLAIN (FORMAT JSON) {statement.sql}"), **parameters)
        return []

    async def _explain(self, explain: Statement, **parameters: Any) -> None:
        (row,) = await super().fetch_all(explain, **parameters)
        (explained,) = json.loads(row[0])
        self.plan = explained["Plan"]


class GenericExplainingSession(ExplainingSession):
    """Asks for the plan for any values, which PostgreSQL may go over to once it has run a statement five times."""

    async def fetch_all(self, statement: Statement, /, **_: Any) -> list[asyncpg.Record]:
        await self._explain(Statement("SELECT generic_plan($1)", ("statement",)), statement=statement.sql)
        return []


def nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def test_a_page_is_read_from_an_index_in_order(empty_database_url: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(empty_database_url)
        await connection.execute(FILL)
        await connection.close()

        async with Database(empty_database_url) as database:
            await look(database)

    async def look(database: Database) -> None:
        for kind in ExplainingSession, GenericExplainingSession:
            for completed in None, False, True:
                for after in None, MIDDLE:
                    session = kind(database, SessionStats())
                    await queries.list_page(session, OWNER, completed=completed, limit=50, offset=None, after=after)
                    limit, scan = nodes(session.plan)
                    assert (limit["Node Type"], scan["Node Type"]) == ("Limit", "Index Scan"), scan
                    # The scan starts at the position: it does not walk there.
                    assert ("ROW(created_at, id) <" in scan["Index Cond"]) is (after is not None), scan
                    # Nearly all are completed: these may be picked out, the others may not.
                    assert "Filter" not in scan or completed, scan

    migrate.upgrade(empty_database_url)
    asyncio.run(run())
