"""Through PgBouncer in transaction mode requests work as on a direct connection, and leave no session state."""

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

CONCURRENCY = 50
SLEEP = Statement("SELECT pg_sleep(600)")
LABELS = Statement("SELECT $1::varchar[]", ("labels",))

# Settings that PgBouncer itself sets when it assigns a server connection to a client.
SET_BY_PGBOUNCER = ["application_name", "client_encoding", "DateStyle", "standard_conforming_strings", "TimeZone"]
SESSION_STATE = """
    SELECT 'prepared statement', name FROM pg_prepared_statements WHERE name <> ''
    UNION ALL SELECT 'setting', name FROM pg_settings WHERE source = 'session' AND name <> ALL ($1)
    UNION ALL SELECT 'channel', channel FROM pg_listening_channels() AS channel
    UNION ALL SELECT 'lock', objid::text FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
    UNION ALL SELECT 'table', relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()
"""

# A new column, and another type of a column in use: each invalidates prepared statements.
ALTERATIONS = [
    "ALTER TABLE task ADD COLUMN added integer NOT NULL DEFAULT 0",
    "ALTER TABLE task ALTER COLUMN priority TYPE varchar(7)",
    "ALTER TABLE task ALTER COLUMN priority TYPE varchar(6)",
    "ALTER TABLE task DROP COLUMN added",
]


async def connect(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(**DatabaseUrl.parse(url).arguments())


def successful(response: httpx.Response) -> httpx.Response:
    assert response.is_success, response.text
    return response


def use(service: Service) -> None:
    """Calls every operation as a new user. Every response must contain only this user's tasks."""
    user = f"user-{uuid.uuid4().hex}"
    client, url = service.client(user), f"/api/{user}/tasks"
    for number in range(2):
        created = successful(client.post(url, json={"title": f"{user} {number}"})).json()
        assert (created["user_id"], created["title"]) == (user, f"{user} {number}")
        one = f"{url}/{created['id']}"
        assert successful(client.get(one)).json() == created
        listed = successful(client.get(url, params={"include_total": "true", "completed": "false"})).json()
        assert (listed["items"], listed["total"]) == ([created], 1)
        assert successful(client.put(one, json={"description": user})).json()["description"] == user
        assert successful(client.patch(f"{one}/complete")).json()["completed"] is True
    successful(client.delete(one))
    assert [task["title"] for task in successful(client.get(url)).json()["items"]] == [f"{user} 0"]


def use_concurrently(service: Service) -> None:
    """Calls every operation as 50 users at once."""
    with ThreadPoolExecutor(CONCURRENCY) as threads:
        list(threads.map(use, [service] * CONCURRENCY))


@contextmanager
def altering(url: str) -> Iterator[Callable[[], int]]:
    """Alters the table of tasks repeatedly. Yields a function that returns the number of alterations."""
    stopping, count = threading.Event(), 0

    async def alter() -> None:
        nonlocal count
        connection = await connect(url)
        while not stopping.is_set():
            for statement in ALTERATIONS:
                await connection.execute(statement)
                count += 1
                # A table can have 1600 columns, and dropped ones count.
                await asyncio.sleep(0.005)
        await connection.close()

    with ThreadPoolExecutor(1) as thread:
        altered = thread.submit(asyncio.run, alter())
        try:
            yield lambda: count
        finally:
            stopping.set()
        altered.result()


@pytest.fixture
def migrated_url(empty_database_url: str) -> str:
    migrate.upgrade(empty_database_url)
    return empty_database_url


class TestFiftyConcurrentUsers:
    def test_concurrent_users_get_only_their_own_tasks(self, pooled_service: Service) -> None:
        use_concurrently(pooled_service)

    @pytest.mark.parametrize("pooled", [True, False], ids=["pooled", "direct"])
    def test_concurrent_users_get_no_error_while_the_table_is_altered(self, migrated_url: str, pooled: bool) -> None:
        with pgbouncer(migrated_url) as pooler:
            app = create_app(settings_for(pooler.url if pooled else migrated_url))
            with running(app) as service, altering(migrated_url) as alterations:
                use_concurrently(service)
                assert alterations() > len(ALTERATIONS)

    def test_concurrent_users_leave_no_session_state(self, pooled_service: Service, pooler: PgBouncer) -> None:
        async def use_an_array() -> None:
            async with Database(pooler.url) as database:
                assert (await database.session().fetch_one(LABELS, labels=["a"]) or [])[0] == ["a"]

        async def session_state() -> tuple[int, list[asyncpg.Record]]:
            async with AsyncExitStack() as stack:
                servers, found = set(), []
                # In a transaction each client holds its own server connection, so these are all of them.
                for _ in range(SERVER_CONNECTIONS):
                    connection = await connect(pooler.url)
                    stack.push_async_callback(connection.close)
                    await stack.enter_async_context(connection.transaction())
                    servers.add(await connection.fetchval("SELECT pg_backend_pid()"))
                    found += await connection.fetch(SESSION_STATE, SET_BY_PGBOUNCER)
                return len(servers), found

        use_concurrently(pooled_service)
        asyncio.run(use_an_array())
        assert asyncio.run(session_state()) == (SERVER_CONNECTIONS, [])


class TestUndeclaredPooler:
    """If the URL lacks pgbouncer=true, the service recognizes the pooler by its errors."""

    def test_requests_through_an_undeclared_pooler_succeed_with_one_warning(
        self, pooler: PgBouncer, user: str, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
    ) -> None:
        undeclared = pooler.url.replace("&pgbouncer=true", "")
        assert not DatabaseUrl.parse(undeclared).pooled
        with caplog.at_level(logging.WARNING), running(create_app(settings_for(undeclared))) as service:
            client, url = service.client(user), f"/api/{user}/tasks"
            one = f"{url}/{successful(client.post(url, json={'title': 'x'})).json()['id']}"
            requests: list[Callable[[], httpx.Response]] = [
                lambda: client.get(one),
                lambda: client.get(url, params={"include_total": "true"}),
                lambda: client.post(url, json={"title": "y"}),
                lambda: client.put(one, json={"title": "z"}),
                lambda: client.patch(f"{one}/complete"),
            ]
            with ThreadPoolExecutor(CONCURRENCY) as threads:
                statuses = list(threads.map(lambda number: requests[number % len(requests)]().status_code, range(300)))
            listed = client.get(url, params={"include_total": "true"}).json()
        warnings = [record.getMessage() for record in caplog.records if "pgbouncer=true" in record.getMessage()]
        figures = f"undeclared pooler: 300 requests, {dict(Counter(statuses))}, {len(warnings)} warning(s)"
        request.node.user_properties.append(("figures", figures))
        assert set(statuses) == {200, 201}
        assert listed["total"] == 61, "each task is created once"
        assert len(warnings) == 1
        assert "DATABASE_URL_UNPOOLED" in warnings[0]

    def test_prepared_statements_have_other_names_in_each_process(self) -> None:
        """Processes share the server connections of a pooler: the same name could run another process's statement."""
        script = "import asyncpg.connection, todo_api.database.database; print(asyncpg.connection._uid)"
        first, second = (
            int(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)
            for _ in range(2)
        )
        assert abs(first - second) > 1_000_000


class TestMigrations:
    def test_migration_uses_the_unpooled_url(self, empty_database_url: str, tmp_path: Path) -> None:
        with pgbouncer(empty_database_url) as pooler:
            urls = {"DATABASE_URL": pooler.url, "DATABASE_URL_UNPOOLED": empty_database_url}
            pooler.stop()
            migrated = run(tmp_path, "migrate", **urls)
            assert (migrated.returncode, migrated.stderr) == (0, "")
            pooler.start()
            with running(create_app(settings_for(pooler.url))) as service:
                use(service)
                migrate.downgrade(empty_database_url, "base")
                migrate.upgrade(empty_database_url)
                use(service)


class TestStatementTimeout:
    """After the timeout the statement no longer runs on the server."""

    @staticmethod
    async def sleepers(connection: asyncpg.Connection) -> int:
        running = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
        return int(await connection.fetchval(running))

    def assert_ends(self, direct_url: str, sleep: Callable[[], Awaitable[None]]) -> None:
        async def main() -> None:
            await sleep()
            connection = await connect(direct_url)
            async with asyncio.timeout(30):
                while await self.sleepers(connection):
                    await asyncio.sleep(0.01)
            await connection.close()

        asyncio.run(main())

    @pytest.mark.parametrize("in_transaction", [False, True], ids=["statement", "transaction"])
    def test_timeout_of_the_client_ends_the_statement_on_the_server(
        self, pooler: PgBouncer, database_url: str, in_transaction: bool
    ) -> None:
        async def sleep() -> None:
            async with Database(pooler.url, Limits(statement_timeout=0.2)) as database:
                with pytest.raises(DatabaseUnavailableError):
                    if in_transaction:
                        async with database.session().transaction() as session:
                            await session.fetch_one(SLEEP)
                    else:
                        await database.session().fetch_one(SLEEP)

        self.assert_ends(database_url, sleep)

    def test_timeout_of_the_server_ends_the_statement(self, empty_database_url: str) -> None:
        migrate.upgrade(empty_database_url, Limits(statement_timeout=0.2))
        with pgbouncer(empty_database_url) as pooler:

            async def sleep() -> None:
                connection = await connect(pooler.url)
                with pytest.raises(asyncpg.QueryCanceledError):
                    await connection.fetch(SLEEP.sql)
                await connection.close()

            self.assert_ends(empty_database_url, sleep)
