"""Behind PgBouncer in transaction mode nothing is used that it can't carry, and all holds that holds without it."""

import asyncio
import logging
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from support.pgbouncer import SERVER_CONNECTIONS, PgBouncer, pgbouncer
from support.service import Service, running, settings_for
from support.serving import run
from todo_api.app import create_app
from todo_api.database import migrate
from todo_api.database.database import Database
from todo_api.database.failures import DatabaseUnavailableError
from todo_api.database.limits import Limits
from todo_api.database.statement import Statement
from todo_api.database.url import DatabaseUrl

AT_ONCE = 50
SLEEP = Statement("SELECT pg_sleep(600)")

# What PgBouncer itself sets for each client that it lends a connection to.
KEPT_BY_PGBOUNCER = ["application_name", "client_encoding", "DateStyle", "standard_conforming_strings", "TimeZone"]
LEFT_OVER = """
    SELECT 'prepared statement', name FROM pg_prepared_statements WHERE name <> ''
    UNION ALL SELECT 'setting', name FROM pg_settings WHERE source = 'session' AND name <> ALL ($1)
    UNION ALL SELECT 'channel', channel FROM pg_listening_channels() AS channel
    UNION ALL SELECT 'lock', objid::text FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
    UNION ALL SELECT 'table', relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()
"""

# A column more, and another type for one that is in use: this is what a prepared statement does not outlive.
CHANGES = [
    "ALTER TABLE task ADD COLUMN added integer NOT NULL DEFAULT 0",
    "ALTER TABLE task ALTER COLUMN title TYPE varchar(201)",
    "ALTER TABLE task ALTER COLUMN title TYPE varchar(200)",
    "ALTER TABLE task DROP COLUMN added",
]


async def connect(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(**DatabaseUrl.parse(url).arguments())


def answered(response: httpx.Response) -> httpx.Response:
    assert response.is_success, response.text
    return response


def live(service: Service) -> None:
    """All that a user does; every answer must be this user's."""
    user = f"user-{uuid.uuid4().hex}"
    client, url = service.client(user), f"/api/{user}/tasks"
    for number in range(2):
        created = answered(client.post(url, json={"title": f"{user} {number}"})).json()
        assert (created["user_id"], created["title"]) == (user, f"{user} {number}")
        one = f"{url}/{created['id']}"
        assert answered(client.get(one)).json() == created
        listed = answered(client.get(url, params={"include_total": "true", "completed": "false"})).json()
        assert (listed["items"], listed["total"]) == ([created], 1)
        assert answered(client.put(one, json={"description": user})).json()["description"] == user
        assert answered(client.patch(f"{one}/complete")).json()["completed"] is True
    answered(client.delete(one))
    assert [task["title"] for task in answered(client.get(url)).json()["items"]] == [f"{user} 0"]


def live_at_once(service: Service) -> None:
    """Many users, each with another statement under way."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(live, [service] * AT_ONCE))


@contextmanager
def changing(url: str) -> Iterator[Callable[[], int]]:
    """Changes the table of the tasks again and again. Tells how often."""
    stopping, changes = threading.Event(), 0

    async def change() -> None:
        nonlocal changes
        connection = await connect(url)
        while not stopping.is_set():
            for statement in CHANGES:
                await connection.execute(statement)
                changes += 1
                # A table can have had 1600 columns in its life.
                await asyncio.sleep(0.005)
        await connection.close()

    with ThreadPoolExecutor(1) as thread:
        changed = thread.submit(asyncio.run, change())
        try:
            yield lambda: changes
        finally:
            stopping.set()
        changed.result()


@pytest.fixture
def migrated_url(empty_database_url: str) -> str:
    migrate.upgrade(empty_database_url)
    return empty_database_url


class TestFiftyAtOnce:
    def test_get_their_own_answers(self, pooled_service: Service) -> None:
        live_at_once(pooled_service)

    @pytest.mark.parametrize("pooled", [True, False])
    def test_do_not_notice_that_the_table_changes(self, migrated_url: str, pooled: bool) -> None:
        with pgbouncer(migrated_url) as pooler:
            app = create_app(settings_for(pooler.url if pooled else migrated_url))
            with running(app) as service, changing(migrated_url) as changes:
                live_at_once(service)
                assert changes() > len(CHANGES)

    def test_leave_nothing_to_the_next_client(self, pooled_service: Service, pooler: PgBouncer) -> None:
        async def left_over() -> tuple[int, list[asyncpg.Record]]:
            async with AsyncExitStack() as stack:
                servers, found = set(), []
                # Within a transaction each has a connection of its own to the server: these are all.
                for _ in range(SERVER_CONNECTIONS):
                    connection = await connect(pooler.url)
                    stack.push_async_callback(connection.close)
                    await stack.enter_async_context(connection.transaction())
                    servers.add(await connection.fetchval("SELECT pg_backend_pid()"))
                    found += await connection.fetch(LEFT_OVER, KEPT_BY_PGBOUNCER)
                return len(servers), found

        live_at_once(pooled_service)
        assert asyncio.run(left_over()) == (SERVER_CONNECTIONS, [])


class TestWithoutItsMark:
    """A URL that does not say that it names a pooler: the errors of the pooler do."""

    def test_three_hundred_requests_at_once_succeed(
        self, pooler: PgBouncer, user: str, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
    ) -> None:
        unmarked = pooler.url.replace("&pgbouncer=true", "")
        assert not DatabaseUrl.parse(unmarked).pooled
        with caplog.at_level(logging.WARNING), running(create_app(settings_for(unmarked))) as service:
            client, url = service.client(user), f"/api/{user}/tasks"
            one = f"{url}/{answered(client.post(url, json={'title': 'x'})).json()['id']}"
            kinds: list[Callable[[], httpx.Response]] = [
                lambda: client.get(one),
                lambda: client.get(url, params={"include_total": "true"}),
                lambda: client.post(url, json={"title": "y"}),
                lambda: client.put(one, json={"title": "z"}),
                lambda: client.patch(f"{one}/complete"),
            ]
            with ThreadPoolExecutor(AT_ONCE) as threads:
                statuses = list(threads.map(lambda number: kinds[number % len(kinds)]().status_code, range(300)))
            listed = client.get(url, params={"include_total": "true"}).json()
        told = [record.getMessage() for record in caplog.records if "pgbouncer=true" in record.getMessage()]
        figures = f"pooler without its mark: 300 requests, {dict(Counter(statuses))}, told {len(told)} times"
        request.node.user_properties.append(("figures", figures))
        assert set(statuses) == {200, 201}
        assert listed["total"] == 61, "each creation is carried out once"
        assert len(told) == 1
        assert "DATABASE_URL_UNPOOLED" in told[0]

    def test_a_leftover_of_another_process_is_not_run(self) -> None:
        """Behind a pooler processes share the server's connections: the same name would be another's statement."""
        script = "import asyncpg.connection, todo_api.database.database; print(asyncpg.connection._uid)"
        first, second = (
            int(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)
            for _ in range(2)
        )
        assert abs(first - second) > 1_000_000


class TestMigrations:
    def test_take_the_direct_url(self, empty_database_url: str, tmp_path: Path) -> None:
        with pgbouncer(empty_database_url) as pooler:
            urls = {"DATABASE_URL": pooler.url, "DATABASE_URL_UNPOOLED": empty_database_url}
            pooler.stop()
            migrated = run(tmp_path, "migrate", **urls)
            assert (migrated.returncode, migrated.stderr) == (0, "")
            pooler.start()
            with running(create_app(settings_for(pooler.url))) as service:
                live(service)
                migrate.downgrade(empty_database_url, "base")
                migrate.upgrade(empty_database_url)
                live(service)


class TestStatementTimeout:
    """Of a statement that takes longer nothing is left."""

    @staticmethod
    async def sleepers(connection: asyncpg.Connection) -> int:
        running = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
        return int(await connection.fetchval(running))

    def ends(self, direct_url: str, sleep: Callable[[], Awaitable[None]]) -> None:
        async def main() -> None:
            await sleep()
            connection = await connect(direct_url)
            async with asyncio.timeout(30):
                while await self.sleepers(connection):
                    await asyncio.sleep(0.01)
            await connection.close()

        asyncio.run(main())

    @pytest.mark.parametrize("in_transaction", [False, True])
    def test_is_the_clients(self, pooler: PgBouncer, database_url: str, in_transaction: bool) -> None:
        async def sleep() -> None:
            async with Database(pooler.url, Limits(statement_timeout=0.2)) as database:
                with pytest.raises(DatabaseUnavailableError):
                    if in_transaction:
                        async with database.session().transaction() as session:
                            await session.fetch_one(SLEEP)
                    else:
                        await database.session().fetch_one(SLEEP)

        self.ends(database_url, sleep)

    def test_is_the_servers_too(self, empty_database_url: str) -> None:
        migrate.upgrade(empty_database_url, Limits(statement_timeout=0.2))
        with pgbouncer(empty_database_url) as pooler:

            async def sleep() -> None:
                connection = await connect(pooler.url)
                with pytest.raises(asyncpg.QueryCanceledError):
                    await connection.fetch(SLEEP.sql)
                await connection.close()

            self.ends(empty_database_url, sleep)
