"""During an outage requests are rejected without waiting, and probes find the database back."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from functools import partial

import httpx
import pytest

from support.neon_front import neon_front
from support.pgbouncer import PgBouncer, pgbouncer
from support.postgres import Postgres
from support.relay import Relay
from support.service import running, settings_for
from support.serving import wait_for
from support.sessions import ONE, SLEEP, run, until, wait_for_sleepers
from todo_api.app import create_app
from todo_api.database import database as module
from todo_api.database.database import Database, retry_delay
from todo_api.database.failures import DatabaseUnavailableError
from todo_api.database.limits import Limits

WAIT = 0.5
"""Seconds that a request waits for a connection."""
LONG = 3600
"""Seconds that no test takes: a request that waits for so long would not end."""


@pytest.fixture(scope="module")
def pooler(postgres: Postgres) -> Iterator[PgBouncer]:
    with pgbouncer(postgres.socket_url) as pooler:
        yield pooler


@contextmanager
def _without(pooler: PgBouncer) -> Iterator[None]:
    pooler.stop()
    try:
        yield
    finally:
        pooler.start()


@asynccontextmanager
async def _in_thread(context: AbstractContextManager[object]) -> AsyncIterator[None]:
    """Enters and leaves in a thread, because both run an event loop of their own."""
    await asyncio.to_thread(context.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


async def is_rejected_at_once(database: Database) -> bool:
    """Whether a statement fails at its first step, before it could wait for anything."""
    statement = asyncio.create_task(database.session().fetch_one(ONE))
    await asyncio.sleep(0)
    if not statement.done():
        statement.cancel()
        await asyncio.wait([statement])
        return False
    return isinstance(statement.exception(), DatabaseUnavailableError)


async def is_rejected_after_a_wait(database: Database) -> bool:
    return not await answers(database) and await is_rejected_at_once(database)


async def answers(database: Database) -> bool:
    with suppress(DatabaseUnavailableError):
        return await database.session().fetch_one(ONE) is not None
    return False


@asynccontextmanager
async def unanswered(relay: Relay) -> AsyncIterator[None]:
    """While entered, the relay accepts connections and never answers them, not even later."""
    relay.answering = False
    try:
        yield
    finally:
        relay.answering = True


Outage = Callable[[], AbstractContextManager[object]]


@pytest.fixture(params=["stopped", "killed", "black hole", "stopped behind a pooler", "pooler killed"])
def outage(request: pytest.FixtureRequest, postgres: Postgres) -> tuple[str, Outage]:
    """The URL of a database, and a context manager in which it is away."""
    pooled = "pooler" in request.param
    pooler: PgBouncer | None = request.getfixturevalue("pooler") if pooled else None
    outages: dict[str, Outage] = {
        "stopped": partial(postgres.stopped, signal.SIGINT),
        "killed": partial(postgres.stopped, signal.SIGQUIT),
        "black hole": postgres.paused,
        "stopped behind a pooler": partial(postgres.stopped, signal.SIGINT),
    }
    if pooler is not None:
        outages["pooler killed"] = partial(_without, pooler)
    return pooler.url if pooler is not None else postgres.url, outages[request.param]


class TestOutage:
    def test_requests_are_rejected_at_once_after_a_failed_wait_and_served_after_the_outage(
        self, outage: tuple[str, Outage]
    ) -> None:
        url, away = outage

        async def test(database: Database) -> None:
            assert await answers(database)
            async with _in_thread(away()):
                await until(partial(is_rejected_after_a_wait, database))
                assert await is_rejected_at_once(database)
                assert not await database.ready(check=True)
            # Without a request: only the probes can find it.
            await until(database.ready)
            assert await answers(database)

        run(url, test, wait_timeout=WAIT, statement_timeout=WAIT, connect_timeout=WAIT)

    def test_service_answers_again_after_the_outage(self, postgres: Postgres, user: str) -> None:
        app = create_app(settings_for(postgres.url, database_wait_timeout=WAIT))
        with running(app) as service:
            client = service.client(user)

            def status() -> int:
                return client.get(f"/api/{user}/tasks").status_code

            assert status() == 200
            with postgres.stopped(signal.SIGQUIT):
                assert [status() for _ in range(20)] == [503] * 20
                wait_for(lambda: retry_after_of(client, user) >= 2, "longer Retry-After")
                assert client.get("/health").status_code == 200
                ready = client.get("/health/ready")
                assert (ready.status_code, int(ready.headers["Retry-After"]) >= 2) == (503, True)
            wait_for(lambda: client.get("/health/ready").status_code == 200, "readiness")
            assert status() == 200


def retry_after_of(client: httpx.Client, user: str) -> int:
    return int(client.get(f"/api/{user}/tasks").headers["Retry-After"])


@pytest.mark.parametrize(
    ("outage", "seconds"),
    [(0, 1), (3.9, 1), (15, 3), (60, 15), (239.9, 59), (240, 60), (1e6, 60)],
    ids=lambda value: f"{value:g} s",
)
def test_retry_after_grows_with_the_outage_up_to_a_maximum(outage: float, seconds: int) -> None:
    assert retry_delay(outage) == seconds


class TestWaitingRequests:
    def test_waiting_request_is_served_if_its_connection_is_never_answered(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "RECOVERY_INTERVAL", 0.01)

        async def test() -> None:
            relay = Relay(database_url)
            limits = Limits(connect_timeout=LONG, wait_timeout=LONG)
            async with asyncio.timeout(60), relay.open(), Database(relay.url, limits) as database:
                async with unanswered(relay):
                    monkeypatch.setattr(module, "PING_TIMEOUT", 0.01)
                    assert not await database.ready()
                    waiting = [asyncio.create_task(answers(database)) for _ in range(20)]
                    await until(lambda: asyncio.sleep(0, database.stats.waiting == len(waiting)))
                assert await asyncio.gather(*waiting) == [True] * len(waiting)

        asyncio.run(test())


class TestNoOutage:
    def test_slow_wake_up_rejects_no_request(self, database_url: str, user: str) -> None:
        with neon_front(database_url) as front:
            app = create_app(settings_for(front.url, database_wait_timeout=8))
            with running(app) as service:
                client = service.client(user)
                front.wake_delay = 2
                for _ in range(2):
                    front.suspend()
                    assert [client.get(f"/api/{user}/tasks").status_code for _ in range(3)] == [200] * 3

    def test_exhausted_pool_rejects_no_request_at_once(self, database_url: str) -> None:
        async def test(database: Database) -> None:
            asleep = asyncio.create_task(database.session().fetch_one(SLEEP))
            await wait_for_sleepers(database_url, 1)
            for _ in range(3):
                with pytest.raises(DatabaseUnavailableError, match="no connection became free"):
                    await database.session().fetch_one(ONE)
                assert not await is_rejected_at_once(database)
            asleep.cancel()
            await asyncio.wait([asleep])
            assert await answers(database)

        run(database_url, test, size=1, overflow=0, wait_timeout=0.1)

    def test_wait_after_a_lost_statement_is_no_outage(self, database_url: str) -> None:
        """Only little time was left for it."""

        async def test() -> None:
            relay = Relay(database_url)
            async with asyncio.timeout(60), Database(relay.url, Limits(wait_timeout=LONG)) as database:
                now = asyncio.get_running_loop().time()
                with pytest.raises(DatabaseUnavailableError):
                    await database.acquire(now + 0.1)
                assert not await is_rejected_at_once(database)

        asyncio.run(test())

    def test_readiness_check_during_a_slow_wake_up_is_no_outage(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "PING_TIMEOUT", 0.05)
        monkeypatch.setattr(module, "RECOVERY_INTERVAL", 0.01)

        async def test() -> None:
            relay = Relay(database_url)
            async with asyncio.timeout(60), relay.open(), Database(relay.url, Limits(wait_timeout=30)) as database:
                async with unanswered(relay):
                    assert not await database.ready()
                    assert not await is_rejected_at_once(database)
                await until(database.ready)

        asyncio.run(test())
