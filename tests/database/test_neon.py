"""Neon suspends, wakes slowly and rejects connections for a while: the service retries, and few requests fail."""

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
    """Starts a service on the substitute for Neon, with the given settings."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            running(create_app(settings_for(settings.pop("url", front.url), **settings)))
        )


@pytest.fixture
def list_tasks(serve: Serve, user: str) -> Callable[[], httpx.Response]:
    """Sends a request that needs the database to a service that has a connection already."""
    client = serve().client(user)
    assert client.get(f"/api/{user}/tasks").status_code == 200
    return lambda: client.get(f"/api/{user}/tasks")


def is_unavailable(response: httpx.Response) -> bool:
    """Whether the response is the 503 problem, with Retry-After in seconds."""
    return (
        response.status_code == 503
        and response.json()["type"] == "/problems/database-unavailable"
        and response.headers["Retry-After"].isdecimal()
    )


class TestConnection:
    @pooled_and_direct
    def test_startup_has_only_parameters_that_neon_accepts(self, front: NeonFront, serve: Serve, user: str) -> None:
        client = serve(database_application_name="todo-api of this test").client(user)
        assert client.get(f"/api/{user}/tasks").status_code == 200
        assert len(front.startups) == 1
        (startup,) = front.startups
        assert startup.keys() == {"user", "database", "application_name", "client_encoding"}
        assert startup["application_name"] == "todo-api of this test"

    def test_server_with_an_untrusted_certificate_gets_no_startup(
        self, front: NeonFront, serve: Serve, user: str, tmp_path: Path
    ) -> None:
        untrusted = certificates.issue(tmp_path).authority
        url = re.sub("sslrootcert=[^&]*", f"sslrootcert={untrusted}", front.url)
        assert is_unavailable(serve(url=url).client(user).get(f"/api/{user}/tasks"))
        assert front.startups == []


class TestSuspend:
    @pooled_and_direct
    def test_suspended_database_is_woken_without_a_failed_request(
        self, front: NeonFront, list_tasks: Callable[[], httpx.Response]
    ) -> None:
        statuses = []
        for _ in range(20):
            front.suspend()
            statuses.append(list_tasks().status_code)
        assert statuses == [200] * 20
        assert len(front.startups) == 1 + 20

    def test_slow_wake_up_delays_requests_and_fails_none(
        self, front: NeonFront, list_tasks: Callable[[], httpx.Response]
    ) -> None:
        front.wake_delay = 1
        front.suspend()
        with ThreadPoolExecutor(10) as threads:
            statuses = [future.result().status_code for future in [threads.submit(list_tasks) for _ in range(30)]]
        assert statuses == [200] * 30


class TestFailureToConnect:
    @pytest.mark.parametrize(
        "message",
        [COMPUTE_UNREACHABLE, CONTROL_PLANE_FAILED, TOO_MANY_CONNECTIONS, NO_PERMIT],
        ids=["compute unreachable", "control plane failed", "too many connections", "no permit"],
    )
    def test_transient_connection_error_is_retried(
        self, front: NeonFront, list_tasks: Callable[[], httpx.Response], message: str
    ) -> None:
        front.suspend()
        front.fail_next(3, message)
        assert list_tasks().status_code == 200
        assert len(front.startups) == 1 + 3 + 1

    @pytest.mark.parametrize(
        "message",
        [
            "password authentication failed for user 'todo'",
            "The endpoint has been disabled. Enable it using Neon API and retry.",
            "Your project has exceeded the data transfer quota. Upgrade your plan to increase limits.",
        ],
        ids=["wrong password", "endpoint disabled", "quota exceeded"],
    )
    def test_permanent_connection_error_is_503_without_a_retry(
        self, front: NeonFront, list_tasks: Callable[[], httpx.Response], message: str
    ) -> None:
        front.suspend()
        front.reject_all(message)
        assert is_unavailable(list_tasks())
        # One attempt for the request, and one more if the readiness check ran meanwhile.
        assert len(front.startups) in {1 + 1, 1 + 2}
        front.reject_all(None)
        assert list_tasks().status_code == 200


class TestFrozenDatabase:
    def test_statement_and_connection_without_an_answer_time_out(
        self, front: NeonFront, serve: Serve, user: str
    ) -> None:
        limits = {"database_statement_timeout": 0.5, "database_connect_timeout": 0.5, "database_wait_timeout": 1}
        client = serve(**limits).client(user)
        assert client.get(f"/api/{user}/tasks").status_code == 200
        front.freeze()
        # The first request has a connection; the second one cannot open one.
        assert [is_unavailable(client.get(f"/api/{user}/tasks")) for _ in range(2)] == [True, True]
        front.thaw()
        wait_for(lambda: client.get("/health/ready").status_code == 200, "recovery")
        assert client.get(f"/api/{user}/tasks").status_code == 200

    def test_pool_exhausted_by_a_frozen_database_is_logged(
        self, front: NeonFront, serve: Serve, user: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        service = serve(database_pool_size=1, database_pool_overflow=0, database_wait_timeout=1)
        client, database = service.client(user), service.app.state.services.database
        assert client.get(f"/api/{user}/tasks").status_code == 200
        front.freeze()
        with ThreadPoolExecutor(1) as thread, caplog.at_level(logging.WARNING):
            stuck = thread.submit(client.get, f"/api/{user}/tasks")
            wait_for(lambda: database.stats.idle == 0, "connection in use")
            assert is_unavailable(client.get(f"/api/{user}/tasks"))
            front.thaw()
            assert stuck.result().status_code == 200
        assert any("pool exhausted" in record.getMessage() for record in caplog.records)
