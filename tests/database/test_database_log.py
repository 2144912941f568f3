"""The log reports the statements of each request, slow statements, and the use of the pool."""

import asyncio
import logging
import re
from collections.abc import Iterator

import httpx
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from support.databases import execute, new_database
from support.service import Service, running, settings_for
from support.sessions import until
from todo_api.app import create_app
from todo_api.database import connector, migrate
from todo_api.database import pool as module
from todo_api.database.database import Database
from todo_api.database.limits import Limits
from todo_api.database.statement import Statement

ONE = Statement("SELECT 1", retryable=True)


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


class TestRequestLine:
    def test_request_line_has_the_number_and_time_of_statements(
        self, service: Service, client: httpx.Client, user: str, lines: list[EventDict]
    ) -> None:
        url = f"/api/{user}/tasks"
        client.post(url, json={"title": "x"})
        client.get(url)
        client.get(url, params={"include_total": "true"})
        client.get(f"{url}/9007199254740991")
        found = [line for line in lines if line["event"] == "request"]
        assert [(line["statements"], line["repeated"]) for line in found] == [(1, 0)] * 4
        assert all(0 < line["database_ms"] <= line["duration_ms"] for line in found)

    def test_request_line_without_statements_has_zeros(
        self, service: Service, user: str, lines: list[EventDict]
    ) -> None:
        for path in ("/health", f"/api/{user}/tasks", "/nothing"):
            service.client().get(path)
        found = [line for line in lines if line["event"] == "request"]
        assert [(line["statements"], line["repeated"], line["database_ms"]) for line in found] == [(0, 0, 0)] * 3


class TestSlowStatement:
    @pytest.mark.parametrize("limit", [0.02, 3600], ids=["above limit", "below limit"])
    def test_only_a_slow_statement_is_logged_with_operation_and_text(
        self, user: str, lines: list[EventDict], limit: float
    ) -> None:
        with new_database() as url:
            migrate.upgrade(url)
            execute(
                url,
                "CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.05); "
                "RETURN NEW; END $$; CREATE TRIGGER sleep BEFORE INSERT ON task FOR EACH ROW EXECUTE FUNCTION sleep()",
            )
            with running(create_app(settings_for(url, database_slow_statement=limit))) as service:
                created = service.client(user).post(f"/api/{user}/tasks", json={"title": "hunter2"})
        assert created.status_code == 201
        slow = [line for line in lines if line["event"] == "slow statement" and line["operation"] == "createTask"]
        assert len(slow) == (limit < 1)
        for line in slow:
            assert "INSERT INTO task (" in line["statement"]
            assert line["duration_ms"] >= 50
            assert "hunter2" not in str(line)
            assert user not in str(line)

    def test_slow_statement_is_logged_if_it_fails_or_is_in_a_transaction(
        self, database_url: str, lines: list[EventDict]
    ) -> None:
        sleep, fail = (Statement(f"SELECT pg_sleep(0.05), {part} AS part") for part in ("1", "1 / (random() * 0)::int"))

        async def run() -> None:
            async with Database(database_url, Limits(slow_statement=0.02)) as database:
                with pytest.raises(Exception, match="division by zero"):
                    await database.session().fetch_one(fail)
                async with database.session().transaction() as session:
                    await session.fetch_one(sleep)
                    assert session.stats.statements == 1
                    assert session.stats.seconds >= 0.05

        asyncio.run(run())
        slow = [line["statement"] for line in lines if line["event"] == "slow statement"]
        assert [statement for statement in slow if statement.startswith("SELECT pg_sleep")] == [fail.sql, sleep.sql]


class TestPoolFigures:
    def test_pool_line_is_logged_while_the_pool_is_in_use(
        self, database_url: str, lines: list[EventDict], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "STATS_INTERVAL", 0.05)

        def logged() -> list[EventDict]:
            return [line for line in lines if line["event"] == "pool"]

        async def run() -> None:
            async with Database(database_url) as database, asyncio.timeout(30):
                await database.session().fetch_one(ONE)
                while not logged():
                    await asyncio.sleep(0.005)
                # No line is logged while the pool is unused; the next use logs one again.
                count = len(logged())
                await asyncio.sleep(0.3)
                assert len(logged()) == count
                await database.session().fetch_one(ONE)
                while len(logged()) == count:
                    await asyncio.sleep(0.005)

        asyncio.run(run())
        assert logged()[0].items() >= {"limit": 15, "open": 1, "idle": 1, "waiting": 0}.items()
        assert sum(line["loans"] for line in logged()) >= 2


class TestConnectFailures:
    def test_connect_failures_are_logged_once_a_minute_with_their_number(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def failure_count(line: str) -> int:
            number = re.search(r"failures\x1b\[0m=\x1b\[35m(\d+)", line)
            assert number is not None
            return int(number[1])

        def logged() -> list[str]:
            return [record.getMessage() for record in caplog.records if "database unreachable" in record.getMessage()]

        async def run() -> None:
            async with Database("postgresql://a:hunter2@127.0.0.1:1/b", Limits(wait_timeout=0.5)) as database:
                assert not await database.ready()
                assert len(logged()) == 1
                assert failure_count(logged()[0]) == 1
                monkeypatch.setattr(connector, "CONNECT_FAILURE_INTERVAL", 0)
                assert not await database.ready(check=True)
                with pytest.raises(Exception, match="connection refused"):
                    await database.session().fetch_one(ONE)
                # The request was rejected at once; the probes connect.
                await until(lambda: asyncio.sleep(0, len(logged()) > 1))
                assert failure_count(logged()[1]) >= 2

        with caplog.at_level(logging.INFO):
            asyncio.run(run())
        assert "Cannot connect to the database at 127.0.0.1:1: connection refused. " in logged()[0]
        assert "database lost" in caplog.text
        assert "hunter2" not in caplog.text
