"""A transient error of PostgreSQL is retried or becomes 503; any other error becomes 500.

A trigger raises each SQLSTATE, so that a real server returns it, directly and through a pooler.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import ClassVar
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from structlog.testing import capture_logs
from todo_contract import models

from support.databases import execute, new_database
from support.pgbouncer import pgbouncer
from support.service import Service, running, settings_for
from todo_api.app import create_app
from todo_api.database import database as module
from todo_api.database import migrate
from todo_api.database.database import Database
from todo_api.database.failures import DatabaseUnavailableError
from todo_api.database.limits import Limits
from todo_api.tasks import queries

# The description of a task names the write, the SQLSTATE and how often it is raised. A sequence counts the attempts,
# because a rollback does not reset it.
RAISE = """
    CREATE SEQUENCE tries;
    CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        rule text[] := regexp_match(NEW.description, '^reject ' || TG_OP || ' (\\w{5}) (\\d+)$');
    BEGIN
        IF nextval('tries') <= rule[2]::int THEN
            RAISE EXCEPTION 'injected' USING ERRCODE = rule[1], DETAIL = 'hunter2';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER reject BEFORE INSERT OR UPDATE ON task FOR EACH ROW EXECUTE FUNCTION reject();
"""
RESET_TRIES = "SELECT setval('tries', 1, false)"
ALWAYS = 1_000_000

TRANSIENT = [
    "40000", "40001", "40P01", "40003",
    "53000", "53100", "53200", "53300", "53400",
    "55006", "55P03",
    "57000", "57014", "57P01", "57P02", "57P03", "57P04", "57P05", "57XYZ",
    "58000", "58030", "58P01", "58P02", "58XYZ",
    "25006", "25P03", "25P04",
]  # fmt: skip
RETRIED = ["40000", "40001", "40P01"]
PERMANENT = [
    "40002", "55000", "55P04", "54000", "25000", "25P02", "22P02", "23502", "23505", "23514", "42501", "42703", "42P01",
    "0A000", "P0001", "XX000", "XX001", "99999",
]  # fmt: skip


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with new_database() as url:
        migrate.upgrade(url)
        execute(url, RAISE)
        yield url


@pytest.fixture(scope="module", params=["direct", "pooled"])
def rejecting_service(request: pytest.FixtureRequest, url: str) -> Iterator[Service]:
    with ExitStack() as stack:
        if request.param == "direct":
            settings = settings_for(url, database_wait_timeout=0.2)
        else:
            # Opening a connection through the pooler takes longer.
            settings = settings_for(stack.enter_context(pgbouncer(url)).url, database_wait_timeout=2)
        yield stack.enter_context(running(create_app(settings)))


@pytest.fixture
def client(rejecting_service: Service, user: str, url: str) -> httpx.Client:
    execute(url, RESET_TRIES)
    return rejecting_service.client(user)


def create(client: httpx.Client, user: str, write: str, sqlstate: str, times: int = ALWAYS) -> httpx.Response:
    body = {"title": "x", "description": f"reject {write} {sqlstate} {times}"}
    return client.post(f"/api/{user}/tasks", json=body)


def count(client: httpx.Client, user: str) -> int:
    return len(client.get(f"/api/{user}/tasks").json()["items"])


async def fetch_value(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


class TestSqlstate:
    @pytest.mark.parametrize("sqlstate", TRANSIENT)
    def test_transient_sqlstate_is_503(
        self, client: httpx.Client, user: str, sqlstate: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO):
            rejected = create(client, user, "INSERT", sqlstate)
        assert (rejected.status_code, rejected.json()["type"]) == (503, "/problems/database-unavailable")
        assert int(rejected.headers["Retry-After"]) >= 1
        assert "injected" not in rejected.text
        assert "database lost" not in caplog.text
        assert "hunter2" not in caplog.text
        assert count(client, user) == 0

    @pytest.mark.parametrize("sqlstate", PERMANENT)
    def test_permanent_sqlstate_is_500(self, client: httpx.Client, user: str, sqlstate: str) -> None:
        rejected = create(client, user, "INSERT", sqlstate)
        assert (rejected.status_code, rejected.json()["type"]) == (500, "/problems/internal-error")
        assert "Retry-After" not in rejected.headers
        assert "injected" not in rejected.text
        assert count(client, user) == 0

    @pytest.mark.parametrize("sqlstate", RETRIED)
    def test_sqlstate_of_a_conflict_is_retried(self, client: httpx.Client, user: str, sqlstate: str) -> None:
        with capture_logs() as lines:
            created = create(client, user, "INSERT", sqlstate, times=1)
        assert created.status_code == 201
        assert count(client, user) == 1
        (line,) = [line for line in lines if line["event"] == "request" and line["operation"] == "createTask"]
        assert (line["statements"], line["repeated"]) == (1, 1)
        assert line["database_ms"] >= 50, "includes the pause before the retry"

    @pytest.mark.parametrize("sqlstate", sorted({*TRANSIENT} - {*RETRIED}))
    def test_transient_sqlstate_other_than_a_conflict_is_not_retried(
        self, client: httpx.Client, user: str, url: str, sqlstate: str
    ) -> None:
        assert create(client, user, "INSERT", sqlstate, times=1).status_code == 503
        assert asyncio.run(fetch_value(url, "SELECT last_value FROM tries")) == 1


class TestWrite:
    """The writes other than createTask."""

    WRITES: ClassVar[dict[str, Callable[[httpx.Client, str], httpx.Response]]] = {
        "update": lambda client, one: client.put(one, json={"title": "y"}),
        "toggle": lambda client, one: client.patch(f"{one}/complete"),
        "set": lambda client, one: client.patch(f"{one}/complete", json={"completed": True}),
        "delete": lambda client, one: client.delete(one),
    }

    @pytest.mark.parametrize("write", WRITES)
    def test_rejected_write_changes_nothing(self, client: httpx.Client, user: str, write: str) -> None:
        created = create(client, user, "UPDATE", "55P03").json()
        one = f"/api/{user}/tasks/{created['id']}"
        rejected = self.WRITES[write](client, one)
        assert (rejected.status_code, rejected.json()["type"]) == (503, "/problems/database-unavailable")
        assert client.get(one).json() == created

    @pytest.mark.parametrize("write", WRITES)
    def test_write_with_a_conflict_takes_effect_once(
        self, client: httpx.Client, user: str, url: str, write: str
    ) -> None:
        created = create(client, user, "UPDATE", "40001", times=1).json()
        execute(url, RESET_TRIES)
        one = f"/api/{user}/tasks/{created['id']}"
        assert self.WRITES[write](client, one).is_success
        assert asyncio.run(fetch_value(url, "SELECT last_value FROM tries")) == 2
        if write == "toggle":
            assert client.get(one).json()["completed"] is True


class TestTransaction:
    @pytest.mark.parametrize("sqlstate", RETRIED)
    def test_transaction_with_a_conflict_is_not_retried(self, url: str, user: str, sqlstate: str) -> None:
        async def run() -> None:
            async with Database(url) as database:
                with pytest.raises(DatabaseUnavailableError):
                    async with database.session().transaction() as session:
                        for description in None, f"reject INSERT {sqlstate} {ALWAYS}":
                            task = models.TaskCreate(title="x", description=description)
                            await queries.create(session, user, task.model_dump(), max_tasks=9)
                assert (await queries.list_changes(database.session(), user, since=None, limit=9)).changed == []
                assert await fetch_value(url, "SELECT last_value FROM tries") == 2

        execute(url, RESET_TRIES)
        asyncio.run(run())


class TestLockTimeout:
    def test_lock_timeout_of_a_locked_task_is_503(self, database_url: str, user: str) -> None:
        """PostgreSQL itself raises 55P03."""
        separator = "&" if urlsplit(database_url).query else "?"

        async def run(service: Service, task_id: int) -> httpx.Response:
            connection = await asyncpg.connect(database_url)
            async with connection.transaction():
                await connection.execute("SELECT FROM task WHERE id = $1 FOR UPDATE", task_id)
                url = f"/api/{user}/tasks/{task_id}"
                rejected = await asyncio.to_thread(service.client(user).put, url, json={"title": "y"})
            await connection.close()
            return rejected

        role = urlsplit(database_url).username
        name = urlsplit(database_url).path[1:]
        execute(database_url, f'ALTER ROLE "{role}" IN DATABASE "{name}" SET lock_timeout = 50')
        try:
            with running(create_app(settings_for(f"{database_url}{separator}application_name=locked"))) as service:
                created = service.client(user).post(f"/api/{user}/tasks", json={"title": "x"}).json()
                rejected = asyncio.run(run(service, created["id"]))
                assert (rejected.status_code, rejected.json()["type"]) == (503, "/problems/database-unavailable")
        finally:
            execute(database_url, f'ALTER ROLE "{role}" IN DATABASE "{name}" RESET lock_timeout')


# --- read-only database: a standby after a failover, or a setting of the role or the database


@pytest.fixture
def switch_mode(empty_database_url: str) -> Callable[..., None]:
    """Makes the test's database read-only or writable for every connection that is opened afterwards."""
    name = urlsplit(empty_database_url).path[1:]

    def switch_mode(*, read_only: bool) -> None:
        state = "on" if read_only else "off"
        execute(os.environ["TEST_ADMIN_URL"], f'ALTER DATABASE "{name}" SET default_transaction_read_only = {state}')

    migrate.upgrade(empty_database_url)
    return switch_mode


def end_connections(url: str) -> None:
    execute(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


class TestReadOnlyDatabase:
    def test_read_only_database_serves_reads_and_is_not_ready_until_it_is_writable(
        self,
        empty_database_url: str,
        switch_mode: Callable[..., None],
        user: str,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(module, "READ_ONLY_INTERVAL", 3600)
        app = create_app(settings_for(empty_database_url))
        with caplog.at_level(logging.INFO), running(app) as service:
            client, url = service.client(user), f"/api/{user}/tasks"
            created = client.post(url, json={"title": "x"}).json()
            one = f"{url}/{created['id']}"
            assert client.get("/health/ready").status_code == 200
            switch_mode(read_only=True)
            end_connections(empty_database_url)
            # Replaces the ended connection.
            assert client.get(one).json() == created
            monkeypatch.setattr(module, "READ_ONLY_INTERVAL", 0.05)
            for _ in range(3):
                for rejected in (
                    client.post(url, json={"title": "y"}),
                    client.put(one, json={"title": "y"}),
                    client.patch(f"{one}/complete"),
                    client.patch(f"{one}/complete", json={"completed": True}),
                    client.delete(one),
                ):
                    assert (rejected.status_code, rejected.json()["type"]) == (503, "/problems/database-unavailable")
                    assert "Retry-After" in rejected.headers
                assert client.get(one).json() == created
                assert client.get(url).json()["items"] == [created]
                assert client.get("/health/ready").status_code == 503
            assert client.get("/health").status_code == 200
            switch_mode(read_only=False)
            deadline = time.monotonic() + 30
            while client.get("/health/ready").status_code != 200:
                assert time.monotonic() < deadline, "the service is not ready again"
                time.sleep(0.01)
            assert client.put(one, json={"title": "y"}).status_code == 200
        # Each service logs in its own thread. Another test's service may still log its recovery from an injected 25006.
        threads = {record.thread for record in caplog.records if "database read-only" in record.getMessage()}
        assert len(threads) == 1
        logged = [record.getMessage() for record in caplog.records if record.thread in threads]
        assert sum("database read-only" in line for line in logged) == 1
        assert sum("database writable" in line for line in logged) == 1

    @pytest.mark.parametrize("query", ["", "?check=true"], ids=["state unknown", "check=true"])
    def test_read_only_database_is_not_ready_before_any_write_fails(
        self, empty_database_url: str, switch_mode: Callable[..., None], query: str
    ) -> None:
        switch_mode(read_only=True)
        with running(create_app(settings_for(empty_database_url))) as service:
            assert service.client().get(f"/health/ready{query}").status_code == 503

    def test_read_only_database_does_not_delay_closing(
        self, empty_database_url: str, switch_mode: Callable[..., None]
    ) -> None:
        async def run() -> None:
            async with asyncio.timeout(10), Database(empty_database_url, Limits()) as database:
                assert not await database.ready()
            remaining = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.wait_for(asyncio.gather(*remaining, return_exceptions=True), 10)

        switch_mode(read_only=True)
        asyncio.run(run())
