"""However the service ends: what it acknowledged is there, and when it is asked to, what it has begun is answered."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest
from conftest import SECRET
from test_serve import LIMIT, Serving, serving, wait_for
from traffic import Traffic

from todo_api.server import GRACE

CLIENTS = 10
"""Fewer than the pool has connections: all requests reach the database."""

LOCKED_OUT = "SELECT count(*) FROM pg_locks WHERE relation = 'task'::regclass AND NOT granted"


@pytest.fixture
def service(tmp_path: Path, database_url: str) -> Iterator[Serving]:
    with serving(tmp_path, DATABASE_URL=database_url, BETTER_AUTH_SECRET=SECRET) as service:
        yield service


@pytest.fixture
def traffic(service: Serving, user: str, request: pytest.FixtureRequest) -> Iterator[Traffic]:
    traffic = Traffic(f"http://127.0.0.1:{service.port}", user, clients=CLIENTS)
    yield traffic
    name = request.node.name.removeprefix("test_").replace("_", " ")
    request.node.user_properties.append(("faults", f"Service ends {name}: {traffic.counts()}"))


def test_by_kill_9_loses_no_acknowledged_write(service: Serving, traffic: Traffic, database_url: str) -> None:
    with traffic.flowing():
        traffic.wait_until(lambda: traffic.succeeded() >= 500)
        service.process.kill()
        service.process.wait(LIMIT)
    assert {each.status for each in traffic.sent} <= {200, 201, None}
    assert asyncio.run(traffic.lost_or_doubled(database_url)) == []


@contextmanager
def all_held(database_url: str, clients: int) -> Iterator[None]:
    """Until the end of the block no statement gets on, and one of each client is waiting."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(database_url))
        try:
            runner.run(connection.execute("BEGIN"))
            runner.run(connection.execute("LOCK TABLE task"))
            wait_for(lambda: runner.run(connection.fetchval(LOCKED_OUT)) == clients, "statement of each client")
            yield
        finally:
            runner.run(connection.close())


def refuses(service: Serving) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{service.port}/health")
    except httpx.ConnectError:
        return True
    return False


def test_by_sigterm_answers_what_has_begun(service: Serving, traffic: Traffic, database_url: str) -> None:
    with traffic.flowing():
        traffic.wait_until(lambda: traffic.succeeded() >= 500)
        with all_held(database_url, CLIENTS):
            before = traffic.succeeded()
            service.process.terminate()
            asked = time.monotonic()
            wait_for(lambda: refuses(service), "end of the listener")
    assert service.process.wait(LIMIT) == 0
    assert time.monotonic() - asked < GRACE
    assert traffic.succeeded() == before + CLIENTS
    assert {each.status for each in traffic.sent} <= {200, 201, None}, "None: sent after the end"
    assert asyncio.run(traffic.lost_or_doubled(database_url)) == []


def test_by_sigterm_waits_for_no_answer_that_never_comes(service: Serving, traffic: Traffic, database_url: str) -> None:
    with traffic.flowing():
        traffic.wait_until(lambda: traffic.succeeded() >= 50)
        with all_held(database_url, CLIENTS):
            service.process.terminate()
            assert service.process.wait(GRACE) == 0
    assert {each.status for each in traffic.sent} <= {200, 201, 503, None}
    assert sum(each.status == 503 for each in traffic.sent) == CLIENTS
    assert asyncio.run(traffic.lost_or_doubled(database_url)) == []
