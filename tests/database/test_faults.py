"""The database fails under traffic: what was acknowledged is there, once, and the service recovers with it.

Every request is counted, and the run ends with the counts.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.pgbouncer import PgBouncer, pgbouncer
from support.postgres import Postgres, new_postgres
from support.service import SECRET
from support.serving import serving
from support.traffic import Traffic
from todo_api.database import migrate

BEFORE, AFTER = 300, 300
"""Requests that must have succeeded before the fault, and once it is over."""
RECOVERY = 1
"""Seconds after the database's return from which on every request must succeed."""

Survive = Callable[[str, Callable[[], object]], Traffic]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with new_postgres() as server:
        migrate.upgrade(server.url)
        yield server


@pytest.fixture(scope="module")
def pooler(postgres: Postgres) -> Iterator[PgBouncer]:
    with pgbouncer(postgres.socket_url) as pooler:
        yield pooler


@contextmanager
def _using(database_url: str, directory: Path) -> Iterator[str]:
    """One service for all faults, as in production. In a process of its own, for the traffic wants one too."""
    with serving(directory, DATABASE_URL=database_url, BETTER_AUTH_SECRET=SECRET) as service:
        yield f"http://127.0.0.1:{service.port}"


@pytest.fixture(scope="module")
def direct(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with _using(postgres.url, tmp_path_factory.mktemp("direct")) as url:
        yield url


@pytest.fixture(scope="module")
def pooled(pooler: PgBouncer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with _using(pooler.url, tmp_path_factory.mktemp("pooled")) as url:
        yield url


@pytest.fixture
def survive(postgres: Postgres, user: str, request: pytest.FixtureRequest) -> Survive:
    """Uses a service before, during and after a fault. Nothing but 503 is forgiven, and nothing after the recovery."""

    def survive(service: str, fault: Callable[[], object]) -> Traffic:
        traffic, back = Traffic(service, user), None
        try:
            with traffic.flowing():
                traffic.wait_until(lambda: traffic.succeeded() >= BEFORE)
                fault()
                postgres.wait_until_it_answers()
                back = time.monotonic()
                recovered = back + RECOVERY
                traffic.wait_until(lambda: traffic.succeeded(since=recovered) >= AFTER)
        finally:
            name = f"{request.cls.__name__[4:]} {request.node.name[5:].replace('_', ' ')}"
            request.node.user_properties.append(("faults", f"{name}: {traffic.counts(back)}"))
        failed = [each for each in traffic.sent if not each.succeeded]
        assert [each for each in failed if each.status != 503] == []
        assert [each for each in failed if each.at >= recovered] == []
        assert asyncio.run(traffic.lost_or_doubled(postgres.url)) == []
        return traffic

    return survive


class TestPostgres:
    def test_ends_all_connections(self, postgres: Postgres, direct: str, survive: Survive) -> None:
        survive(direct, postgres.end_connections)

    def test_ends_connections_after_the_commit(self, postgres: Postgres, direct: str, survive: Survive) -> None:
        """Sent again, each of these writes would be there twice."""

        def end() -> None:
            with postgres.commits_unanswered(10):
                postgres.end_connections()

        traffic = survive(direct, end)
        assert len(traffic.sent) - traffic.succeeded() >= 10

    @pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
    def test_restarts(self, postgres: Postgres, direct: str, survive: Survive, ending: signal.Signals) -> None:
        def restart() -> None:
            with postgres.stopped(ending):
                pass

        survive(direct, restart)

    def test_pauses_for_5_s(self, postgres: Postgres, direct: str, survive: Survive) -> None:
        def pause() -> None:
            with postgres.paused():
                time.sleep(5)

        traffic = survive(direct, pause)
        assert traffic.succeeded() == len(traffic.sent), "it was only slow"

    def test_refuses_connections_for_3_s(self, postgres: Postgres, direct: str, survive: Survive) -> None:
        def sleep() -> None:
            with postgres.stopped(signal.SIGQUIT):
                time.sleep(3)

        survive(direct, sleep)


class TestPooler:
    def test_restarts(self, pooler: PgBouncer, pooled: str, survive: Survive) -> None:
        survive(pooled, pooler.restart)

    def test_loses_its_connections(self, postgres: Postgres, pooled: str, survive: Survive) -> None:
        survive(pooled, postgres.end_connections)
