"""The database fails under load: every acknowledged write is stored once, and the service recovers within a second.

Every request is counted, and the counts are printed at the end of the run.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.pgbouncer import PgBouncer, pgbouncer
from support.postgres import Postgres
from support.service import SECRET
from support.serving import serving
from support.traffic import Traffic

BEFORE, AFTER = 300, 300
"""Requests that must succeed before the fault, and after the recovery."""
RECOVERY = 1
"""Seconds for which requests may still fail after the database answers again."""

Survive = Callable[[str, Callable[[], object]], Traffic]


@pytest.fixture(scope="module")
def pooler(postgres: Postgres) -> Iterator[PgBouncer]:
    with pgbouncer(postgres.socket_url) as pooler:
        yield pooler


@contextmanager
def _serving(database_url: str, directory: Path) -> Iterator[str]:
    """Starts one service for all faults, as in production, in its own process, because the traffic uses this one."""
    with serving(directory, DATABASE_URL=database_url, BETTER_AUTH_SECRET=SECRET) as service:
        yield f"http://127.0.0.1:{service.port}"


@pytest.fixture(scope="module")
def direct(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with _serving(postgres.url, tmp_path_factory.mktemp("direct")) as url:
        yield url


@pytest.fixture(scope="module")
def pooled(pooler: PgBouncer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with _serving(pooler.url, tmp_path_factory.mktemp("pooled")) as url:
        yield url


@pytest.fixture
def survive(postgres: Postgres, user: str, request: pytest.FixtureRequest) -> Survive:
    """Sends requests before, during and after a fault. Only 503 may occur, and only until the recovery."""

    def survive(service: str, fault: Callable[[], object]) -> Traffic:
        traffic, restored_at = Traffic(service, user), None
        try:
            with traffic.running():
                traffic.wait_until(lambda: traffic.succeeded() >= BEFORE)
                fault()
                postgres.wait_until_ready()
                restored_at = time.monotonic()
                recovered_at = restored_at + RECOVERY
                traffic.wait_until(lambda: traffic.succeeded(since=recovered_at) >= AFTER)
        finally:
            name = request.node.name.removeprefix("test_service_survives_").replace("_", " ")
            request.node.user_properties.append(("faults", f"{name}: {traffic.summary(restored_at)}"))
        failed = [request for request in traffic.sent if not request.succeeded]
        assert [each for each in failed if each.status != 503] == []
        assert [each for each in failed if each.at >= recovered_at] == []
        assert asyncio.run(traffic.discrepancies(postgres.url)) == []
        return traffic

    return survive


class TestPostgres:
    def test_service_survives_the_end_of_all_connections(
        self, postgres: Postgres, direct: str, survive: Survive
    ) -> None:
        survive(direct, postgres.end_connections)

    def test_service_survives_connections_that_end_after_the_commit(
        self, postgres: Postgres, direct: str, survive: Survive
    ) -> None:
        """A retry of one of these writes would store it twice."""

        def end() -> None:
            with postgres.unconfirmed_commits(10):
                postgres.end_connections()

        traffic = survive(direct, end)
        assert len(traffic.sent) - traffic.succeeded() >= 10

    @pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
    def test_service_survives_a_restart_of_postgres(
        self, postgres: Postgres, direct: str, survive: Survive, ending: signal.Signals
    ) -> None:
        def restart() -> None:
            with postgres.stopped(ending):
                pass

        survive(direct, restart)

    def test_service_survives_a_pause_of_postgres_for_5_s(
        self, postgres: Postgres, direct: str, survive: Survive
    ) -> None:
        def pause() -> None:
            with postgres.paused():
                time.sleep(5)

        traffic = survive(direct, pause)
        assert traffic.succeeded() == len(traffic.sent), "requests are slow, and none fails"

    def test_service_survives_an_outage_of_postgres_for_3_s(
        self, postgres: Postgres, direct: str, survive: Survive
    ) -> None:
        def stop() -> None:
            with postgres.stopped(signal.SIGQUIT):
                time.sleep(3)

        survive(direct, stop)


class TestPooler:
    def test_service_survives_a_restart_of_the_pooler(self, pooler: PgBouncer, pooled: str, survive: Survive) -> None:
        survive(pooled, pooler.restart)

    def test_service_survives_the_end_of_the_connections_of_the_pooler(
        self, postgres: Postgres, pooled: str, survive: Survive
    ) -> None:
        survive(pooled, postgres.end_connections)
