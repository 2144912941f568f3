"""A page of a list costs the same for any number of tasks: PostgreSQL reads an index in order, without a sort."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
from todo_contract import models

from todo_api.database import migrate
from todo_api.database.database import Database
from todo_api.database.session import Session, SessionStats
from todo_api.database.statement import Statement
from todo_api.tasks import queries
from todo_api.tasks.cursor import ChangePosition, Position
from todo_api.tasks.filters import Filters

OWNER = "with-many-tasks"
NO_TASK = (*[None] * len(models.Task.model_fields), '"0"', 0)
"""What the statement of a page returns for an empty list."""
NO_CHANGE = (*[None] * (len(models.Task.model_fields) + 2), 0, 0)
MIDDLE = Position(datetime(2026, 1, 1, tzinfo=UTC), 50_000)

FILL = """
    -- With numbers of changes, as the service writes them, so that no trigger runs.
    INSERT INTO task (user_id, title, completed, created_at, change)
    SELECT owner, 'Task ' || n, n % 100 <> 0, '2026-01-01Z'::timestamptz + (n - 50000) * interval '1 second', n
    FROM (
        SELECT n, 'with-many-tasks' AS owner FROM generate_series(1, 100000) AS n
        UNION ALL SELECT n, 'user-' || n % 1000 FROM generate_series(1, 50000) AS n
    ) AS tasks;

    INSERT INTO task_list (user_id, change, tasks, completed)
    SELECT user_id, max(change), count(*), count(*) FILTER (WHERE completed) FROM task GROUP BY user_id;

    ANALYZE task, task_list;

    -- GENERIC_PLAN requires parameters without values, which asyncpg cannot send: a function explains the text instead.
    CREATE FUNCTION generic_plan(statement text) RETURNS json LANGUAGE plpgsql AS $$
    DECLARE plan json;
    BEGIN
        EXECUTE 'EXPLAIN (FORMAT JSON, GENERIC_PLAN) ' || statement INTO plan;
        RETURN plan;
    END $$;
"""


class ExplainingSession(Session):
    """Explains a statement with its values instead of running it."""

    plan: Any

    async def fetch_all(self, statement: Statement, /, **parameters: Any) -> list[Any]:
        await self._explain(replace(statement, sql=f"EXPLAIN (FORMAT JSON) {statement.sql}"), **parameters)
        return [NO_CHANGE if "change" in parameters else NO_TASK]

    async def _explain(self, explain: Statement, **parameters: Any) -> None:
        (row,) = await super().fetch_all(explain, **parameters)
        (explained,) = json.loads(row[0])
        self.plan = explained["Plan"]


class AnalyzingSession(ExplainingSession):
    """Runs a statement, and explains what it did."""

    async def fetch_all(self, statement: Statement, /, **parameters: Any) -> list[Any]:
        await self._explain(replace(statement, sql=f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.sql}"), **parameters)
        return [NO_TASK]


class GenericExplainingSession(ExplainingSession):
    """Explains a statement for any values. PostgreSQL may use this generic plan after five executions."""

    async def fetch_all(self, statement: Statement, /, **parameters: Any) -> list[Any]:
        await self._explain(Statement("SELECT generic_plan($1)", ("statement",)), statement=statement.sql)
        return [NO_CHANGE if "change" in parameters else NO_TASK]


def nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def test_page_of_a_list_is_read_from_an_index_in_order(empty_database_url: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(empty_database_url)
        await connection.execute(FILL)
        await connection.close()

        async with Database(empty_database_url) as database:
            await check_plans(database)
            await check_known_list(database)

    async def check_plans(database: Database) -> None:
        for kind in ExplainingSession, GenericExplainingSession:
            for completed in None, False, True:
                for after in None, MIDDLE:
                    session = kind(database, SessionStats())
                    await queries.list_page(session, OWNER, Filters(completed=completed), limit=50, after=after)
                    limit, scan = list(nodes(session.plan))[-2:]
                    assert (limit["Node Type"], scan["Node Type"]) == ("Limit", "Index Scan"), scan
                    # The scan starts at the position instead of reading the rows before it.
                    assert ("ROW(created_at, id) <" in scan["Index Cond"]) is (after is not None), scan
                    # 99 % of the tasks are completed, so that a filter costs little for these only.
                    assert "Filter" not in scan or completed, scan
            session = kind(database, SessionStats())
            await queries.list_changes(session, OWNER, since=ChangePosition(50_000, 0, 0), limit=50)
            limit, scan = list(nodes(session.plan))[-2:]
            assert (limit["Node Type"], scan["Index Name"]) == ("Limit", "task_change"), scan
            assert "ROW(change, id) >" in scan["Index Cond"], scan

    async def check_known_list(database: Database) -> None:
        """The entity tag decides before a task is read."""
        session = AnalyzingSession(database, SessionStats())
        for known, loops in (["9", '"100000"'], 0), (['"99999"'], 1):
            await queries.list_page(session, OWNER, Filters(), limit=50, known=known)
            assert list(nodes(session.plan))[-1]["Actual Loops"] == loops, session.plan

    migrate.upgrade(empty_database_url)
    asyncio.run(run())
