"""A write whose answer is lost is carried out once if it has an Idempotency-Key: the service retries it by itself, and
a client can retry it after every failure. Without a key it is never retried."""

import asyncio
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import asyncpg
import httpx
import pytest

from support.operations import tasks
from support.postgres import Postgres
from support.service import SECRET, Service, running, settings_for
from support.serving import serving
from todo_api.app import create_app

Answer = TypeVar("Answer")
Fault = Callable[[Postgres], None]


@pytest.fixture(scope="module")
def service(postgres: Postgres) -> Iterator[Service]:
    with running(create_app(settings_for(postgres.url))) as service:
        yield service


@pytest.fixture
def url(client: httpx.Client, user: str) -> str:
    """The URL of a task, which is not completed."""
    created = client.post(tasks(user), json={"title": "first"})
    assert created.status_code == 201
    return str(created.headers["Location"])


def end_connections(postgres: Postgres) -> None:
    postgres.end_connections()


def kill(postgres: Postgres) -> None:
    with postgres.stopped(signal.SIGQUIT):
        pass


each_fault = pytest.mark.parametrize("fault", [end_connections, kill], ids=["connections end", "PostgreSQL is killed"])
each_write = pytest.mark.parametrize("operation", ["create", "toggle"])
with_and_without_key = pytest.mark.parametrize("has_key", [True, False], ids=["with a key", "without a key"])


def sender(client: httpx.Client, user: str, url: str, operation: str, *, has_key: bool) -> Callable[[], httpx.Response]:
    headers = {"Idempotency-Key": str(uuid.uuid4())} if has_key else {}
    if operation == "create":
        return lambda: client.post(tasks(user), json={"title": "second"}, headers=headers)
    return lambda: client.patch(f"{url}/complete", headers=headers)


def times(client: httpx.Client, user: str, url: str, operation: str) -> int:
    """How often the write was carried out."""
    if operation == "toggle":
        return int(client.get(url).headers["ETag"].strip('"')) - 1
    return len(client.get(tasks(user)).json()["items"]) - 1


SYNC_REP = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"


def wait_for(postgres: Postgres, count: str, number: int) -> None:
    deadline = time.monotonic() + 60
    while postgres.query(count) < number:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def unconfirmed(postgres: Postgres, send: Callable[[], Answer]) -> Iterator[Future[Answer]]:
    """Sends a request, and enters when its commit is not confirmed."""

    async def commit_until_one_is_not_confirmed() -> None:
        connection = await asyncpg.connect(postgres.url)
        with suppress(asyncpg.PostgresError, OSError):
            while True:
                await connection.execute("UPDATE alembic_version SET version_num = version_num")

    with ThreadPoolExecutor(2) as threads:
        threads.submit(asyncio.run, commit_until_one_is_not_confirmed())
        with postgres.unconfirmed_commits(1):
            sent = threads.submit(send)
            wait_for(postgres, SYNC_REP, 2)
            yield sent


@each_write
@with_and_without_key
@each_fault
def test_write_whose_answer_is_lost_after_the_commit_is_carried_out_once(
    postgres: Postgres, client: httpx.Client, user: str, url: str, operation: str, has_key: bool, fault: Fault
) -> None:
    send = sender(client, user, url, operation, has_key=has_key)
    with unconfirmed(postgres, send) as sent:
        fault(postgres)
        answer = sent.result(60)
    if has_key:
        assert answer.is_success
        assert answer.headers["Idempotency-Replayed"] == "true"
        again = send()
        assert (again.status_code, again.json()) == (answer.status_code, answer.json())
    else:
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/database-unavailable")
    assert times(client, user, url, operation) == 1


@each_write
@with_and_without_key
@each_fault
def test_write_that_is_lost_before_the_commit_is_retried_only_with_a_key(
    postgres: Postgres, client: httpx.Client, user: str, url: str, operation: str, has_key: bool, fault: Fault
) -> None:
    async def lock_list() -> None:
        connection = await asyncpg.connect(postgres.url)
        with suppress(asyncpg.PostgresError, OSError):
            async with connection.transaction():
                await connection.execute("SELECT FROM task_list WHERE user_id = $1 FOR UPDATE", user)
                await connection.execute("SELECT pg_sleep(60)")

    send = sender(client, user, url, operation, has_key=has_key)
    with ThreadPoolExecutor(2) as threads:
        threads.submit(asyncio.run, lock_list())
        wait_for(postgres, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", 1)
        sent = threads.submit(send)
        wait_for(postgres, BLOCKED, 1)
        fault(postgres)
        answer = sent.result(60)
    if has_key:
        assert answer.is_success
        assert "Idempotency-Replayed" not in answer.headers
    else:
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/database-unavailable")
    assert times(client, user, url, operation) == has_key


def test_503_is_not_kept(postgres: Postgres, user: str) -> None:
    with running(create_app(settings_for(postgres.url, database_wait_timeout=0.5))) as service:
        client = service.client(user)
        url = str(client.post(tasks(user), json={"title": "first"}).headers["Location"])
        send = sender(client, user, url, "create", has_key=True)
        with postgres.stopped(signal.SIGQUIT):
            assert send().status_code == 503
        deadline = time.monotonic() + 60
        while (answer := send()).status_code == 503:
            assert time.monotonic() < deadline
        assert (answer.status_code, "Idempotency-Replayed" in answer.headers) == (201, False)
        assert times(client, user, url, "create") == 1


@pytest.mark.parametrize("is_restarted", [False, True], ids=["PostgreSQL runs on", "PostgreSQL is killed, too"])
def test_retry_after_the_service_was_killed_between_commit_and_answer_gets_the_first_answer(
    postgres: Postgres, service: Service, user: str, tmp_path: Path, is_restarted: bool
) -> None:
    settings = {"DATABASE_URL": postgres.url, "BETTER_AUTH_SECRET": SECRET}
    headers = {"Authorization": f"Bearer {service.token(user)}", "Idempotency-Key": str(uuid.uuid4())}

    def send() -> httpx.Response | httpx.TransportError:
        try:
            url = f"http://127.0.0.1:{killed.port}{tasks(user)}"
            return httpx.post(url, json={"title": "second"}, headers=headers, timeout=60)
        except httpx.TransportError as error:
            return error

    with serving(tmp_path, **settings) as killed, unconfirmed(postgres, send) as sent:
        killed.process.kill()
        assert isinstance(sent.result(60), httpx.TransportError)
        if is_restarted:
            kill(postgres)
        else:
            postgres.end_connections()
    client = service.client(user)
    (task,) = client.get(tasks(user)).json()["items"]
    again = client.post(tasks(user), json={"title": "second"}, headers=headers)
    assert (again.status_code, again.headers["Idempotency-Replayed"], again.json()) == (201, "true", task)
    assert client.get(tasks(user)).json()["items"] == [task]
