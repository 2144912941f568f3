"""Neon sleeps, wakes slowly, restarts and says what it says: the service's users notice as little as may be."""

import logging
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from support import certificates
from support.neon_front import (
    COMPUTE_UNREACHABLE,
    CONTROL_PLANE_FAILED,
    NO_PERMIT,
    TOO_MANY_CONNECTIONS,
    NeonFront,
    neon_front,
)
from support.service import Service, running, settings_for
from support.serving import wait_for
from todo_api.app import create_app

Serve = Callable[..., Service]


@pytest.fixture
def front(request: pytest.FixtureRequest, database_url: str) -> Iterator[NeonFront]:
    with neon_front(database_url, pooled=getattr(request, "param", True)) as front:
        yield front


pooled_and_direct = pytest.mark.parametrize("front", [True, False], ids=["pooled", "direct"], indirect=True)


@pytest.fixture
def serve(front: NeonFront) -> Iterator[Serve]:
    """A service on Neon, with settings of the test's own."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            running(create_app(settings_for(settings.pop("url", front.url), **settings)))
        )


@pytest.fixture
def listing(serve: Serve, user: str) -> Callable[[], httpx.Response]:
    """A request that needs the database, to a service that has used it before."""
    client = serve().client(user)
    assert client.get(f"/api/{user}/tasks").status_code == 200
    return lambda: client.get(f"/api/{user}/tasks")


def unavailable(response: httpx.Response) -> bool:
    """Whether it says so in the way that clients can act on."""
    return (
        response.status_code == 503
        and response.json()["type"] == "/problems/database-unavailable"
        and response.headers["Retry-After"].isdecimal()
    )


class TestConnection:
    @pooled_and_direct
    def test_asks_for_nothing_that_neon_does_not_take(self, front: NeonFront, serve: Serve, user: str) -> None:
        client = serve(database_application_name="todo-api of this test").client(user)
        assert client.get(f"/api/{user}/tasks").status_code == 200
        assert len(front.startups) == 1
        (startup,) = front.startups
        assert startup.keys() == {"user", "database", "application_name", "client_encoding"}
        assert startup["application_name"] == "todo-api of this test"

    def test_is_not_made_to_somebody_else(self, front: NeonFront, serve: Serve, user: str, tmp_path: Path) -> None:
        another = certificates.issue(tmp_path).authority
        url = re.sub("sslrootcert=[^&]*", f"sslrootcert={another}", front.url)
        assert unavailable(serve(url=url).client(user).get(f"/api/{user}/tasks"))
        assert front.startups == []


class TestSleep:
    @pooled_and_direct
    def test_is_not_noticed(self, front: NeonFront, listing: Callable[[], httpx.Response]) -> None:
        answers = []
        for _ in range(20):
            front.suspend()
            answers.append(listing().status_code)
        assert answers == [200] * 20
        assert len(front.startups) == 1 + 20

    def test_that_ends_slowly_is_waited_for(self, front: NeonFront, listing: Callable[[], httpx.Response]) -> None:
        front.wake_delay = 1
        front.suspend()
        with ThreadPoolExecutor(10) as threads:
            answers = [each.result().status_code for each in [threads.submit(listing) for _ in range(30)]]
        assert answers == [200] * 30


class TestFailureToConnect:
    @pytest.mark.parametrize("message", [COMPUTE_UNREACHABLE, CONTROL_PLANE_FAILED, TOO_MANY_CONNECTIONS, NO_PERMIT])
    def test_that_passes_is_not_noticed(
        self, front: NeonFront, listing: Callable[[], httpx.Response], message: str
    ) -> None:
        front.suspend()
        front.fail_next(3, message)
        assert listing().status_code == 200
        assert len(front.startups) == 1 + 3 + 1

    @pytest.mark.parametrize(
        "message",
        [
            "password authentication failed for user 'todo'",
            "The endpoint has been disabled. Enable it using Neon API and retry.",
            "Your project has exceeded the data transfer quota. Upgrade your plan to increase limits.",
        ],
    )
    def test_that_stays_is_told_at_once(
        self, front: NeonFront, listing: Callable[[], httpx.Response], message: str
    ) -> None:
        front.suspend()
        front.refuse(message)
        assert unavailable(listing())
        # One try for the request; one more if readiness was looked after meanwhile.
        assert len(front.startups) in {1 + 1, 1 + 2}
        front.refuse(None)
        assert listing().status_code == 200


class TestSilence:
    def test_ends_in_time(self, front: NeonFront, serve: Serve, user: str) -> None:
        limits = {"database_statement_timeout": 0.5, "database_connect_timeout": 0.5, "database_wait_timeout": 1}
        client = serve(**limits).client(user)
        assert client.get(f"/api/{user}/tasks").status_code == 200
        front.freeze()
        # The first one has a connection, the second one gets none.
        assert [unavailable(client.get(f"/api/{user}/tasks")) for _ in range(2)] == [True, True]
        front.thaw()
        assert client.get(f"/api/{user}/tasks").status_code == 200

    def test_that_takes_all_connections_is_logged(
        self, front: NeonFront, serve: Serve, user: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        service = serve(database_pool_size=1, database_pool_overflow=0, database_wait_timeout=1)
        client, database = service.client(user), service.app.state.services.database
        assert client.get(f"/api/{user}/tasks").status_code == 200
        front.freeze()
        with ThreadPoolExecutor(1) as thread, caplog.at_level(logging.WARNING):
            stuck = thread.submit(client.get, f"/api/{user}/tasks")
            wait_for(lambda: database.stats.idle == 0, "connection in use")
            assert unavailable(client.get(f"/api/{user}/tasks"))
            front.thaw()
            assert stuck.result().status_code == 200
        assert any("pool exhausted" in record.getMessage() for record in caplog.records)
