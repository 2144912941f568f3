"""Requests of an address and of a user are limited: 429 before anything that costs more."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from structlog.testing import capture_logs

from fastapi_contract.contract import Operation
from fastapi_contract.middleware import rate_limit
from fastapi_contract.middleware.limited_log import LimitedLog
from support.operations import CONTRACT, OPERATIONS, secured, send
from support.redis import Redis, redis
from support.service import Service, running, settings_for
from support.serving import wait_for
from todo_api import rate_limits
from todo_api.app import create_app

HEALTH_CHECKS = ("getHealth", "getReadiness")
limited = pytest.mark.parametrize(
    "operation", [pytest.param(each, id=each.id) for each in OPERATIONS if each.id not in HEALTH_CHECKS]
)

_numbers = itertools.count(1)

Serve = Callable[..., Service]


@pytest.fixture(scope="module")
def serve(database_url: str) -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running(create_app(settings_for(database_url, **settings))))


@pytest.fixture(scope="module")
def by_address(serve: Serve) -> Service:
    return serve(rate_limit_address=1)


@pytest.fixture(scope="module")
def by_user(serve: Serve) -> Service:
    return serve(rate_limit_user=1)


def new_address() -> dict[str, str]:
    """The header with which a proxy names a client that sent no request yet."""
    number = next(_numbers)
    return {"X-Forwarded-For": f"8.8.{number // 256}.{number % 256}"}


def assert_limited(answer: httpx.Response, policy: str, quota: int = 1) -> None:
    assert answer.status_code == 429
    wait = int(answer.headers["Retry-After"])
    assert 1 <= wait <= 60
    assert answer.headers["RateLimit-Policy"] == f'"{policy}";q={quota};w=60'
    assert answer.headers["RateLimit"] == f'"{policy}";r=0;t={wait}'
    example = CONTRACT.document["components"]["examples"]["TooManyRequestsExample"]["value"]
    assert answer.json() == {
        **example,
        "instance": answer.json()["instance"],
        "request_id": answer.json()["request_id"],
    }


class TestAddress:
    @limited
    def test_operation_over_the_limit_is_429_before_authentication(
        self, by_address: Service, operation: Operation
    ) -> None:
        client = by_address.client(**new_address())
        first = send(client, operation, "a")
        assert first.status_code == (401 if operation.security else 200)
        assert_limited(send(client, operation, "a"), "address")

    @pytest.mark.parametrize("path", ["/docs", "/openapi.yaml", "/nothing", "/health/"])
    def test_other_path_over_the_limit_is_429(self, by_address: Service, path: str) -> None:
        client = by_address.client(**new_address())
        client.get("/")
        assert_limited(client.get(path), "address")

    @pytest.mark.parametrize("path", ["/health", "/health/ready"])
    @pytest.mark.parametrize("root_path", ["", "/todo"], ids=["root", "prefix"])
    def test_health_check_is_never_limited(self, serve: Serve, path: str, root_path: str) -> None:
        client = serve(rate_limit_address=1, rate_limit_user=1, root_path=root_path).client(**new_address())
        assert client.get("/").status_code == 200
        assert client.get("/").status_code == 429
        for sent in (path, root_path + path):
            assert [client.get(sent).status_code for _ in range(3)] == [200] * 3
            assert client.head(sent).status_code == 200

    def test_preflight_is_not_limited(self, by_address: Service) -> None:
        client = by_address.client(**new_address())
        client.get("/")
        headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "GET"}
        assert client.options("/", headers=headers).status_code == 200

    def test_address_without_a_proxy_of_its_own_is_counted_once(self, by_address: Service) -> None:
        one, other = new_address(), new_address()
        assert by_address.client(**one).get("/").status_code == 200
        assert by_address.client(**other).get("/").status_code == 200
        forged = {"X-Forwarded-For": f"1.1.1.1, {one['X-Forwarded-For']}"}
        assert by_address.client(**forged).get("/").status_code == 429

    def test_page_of_another_origin_can_read_the_limit(self, by_address: Service) -> None:
        client = by_address.client(Origin="http://localhost:3000", **new_address())
        client.get("/")
        answer = client.get("/")
        assert_limited(answer, "address")
        exposed = answer.headers["Access-Control-Expose-Headers"].lower().split(", ")
        assert {"retry-after", "ratelimit", "ratelimit-policy"} <= set(exposed)


class TestUser:
    @secured
    def test_operation_over_the_limit_is_429(self, by_user: Service, user: str, operation: Operation) -> None:
        client = by_user.client(user)
        assert client.get(f"/api/{user}/tasks").status_code == 200
        assert_limited(send(client, operation, user), "user")

    @secured
    def test_429_comes_after_401_and_before_403_and_422(
        self, by_user: Service, user: str, operation: Operation
    ) -> None:
        client = by_user.client(user)
        assert client.get(f"/api/{user}/tasks").status_code == 200
        assert send(by_user.client(), operation, user).status_code == 401
        assert_limited(send(client, operation, f"{user}-other"), "user")
        assert_limited(send(client, operation, user, params={"unknown": "1"}), "user")

    def test_users_are_counted_apart(self, by_user: Service, user: str) -> None:
        for each in (user, f"{user}-other"):
            assert by_user.client(each).get(f"/api/{each}/tasks").status_code == 200

    def test_invalid_and_rejected_requests_count_once(self, serve: Serve, user: str) -> None:
        service = serve(rate_limit_user=3)
        client, url = service.client(user), f"/api/{user}/tasks"
        assert client.get(url, params={"limit": "0"}).status_code == 422
        assert client.get(f"{url}-other/1").status_code == 404
        assert client.get(f"/api/{user}-other/tasks").status_code == 403
        assert client.get(url).status_code == 200
        assert_limited(client.get(url), "user", 3)

    def test_429_is_logged_with_the_limit(self, by_user: Service, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
        # Its lines of this second may be used up.
        monkeypatch.setattr(rate_limit, "events", LimitedLog())
        client = by_user.client(user)
        with capture_logs() as lines:
            answers = [client.get(f"/api/{user}/tasks") for _ in range(3)]
        assert [each.status_code for each in answers] == [200, 429, 429]
        found = [line["policy"] for line in lines if line["event"] == "rate limit exceeded"]
        assert found == ["user"] * 2


class TestRedis:
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[Redis]:
        with redis() as server:
            yield server

    @pytest.mark.parametrize("scheme", ["redis", "valkey"])
    def test_services_count_together(
        self, serve: Serve, server: Redis, user: str, scheme: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # On a busy machine Redis may be slower than the limit of a request.
        monkeypatch.setattr(rate_limits, "TIMEOUT", 30)
        url = server.url.replace("redis", scheme)
        services = [serve(rate_limit_user=3, rate_limit_address=4, rate_limit_url=url) for _ in range(2)]
        address = new_address()
        clients = [service.client(user, **address) for service in services]
        statuses = [client.get(f"/api/{user}/tasks").status_code for client in clients * 2]
        assert statuses == [200, 200, 200, 429]
        assert_limited(clients[0].get("/"), "address", 4)

    @pytest.mark.parametrize("fault", ["stopped", "silent"])
    def test_requests_are_accepted_without_redis_and_counted_again_later(
        self, serve: Serve, server: Redis, user: str, fault: str
    ) -> None:
        client = serve(rate_limit_user=1, rate_limit_url=server.url).client(user)

        def status() -> int:
            return client.get(f"/api/{user}/tasks").status_code

        wait_for(lambda: status() == 429, "limit")
        with ExitStack() as away, capture_logs() as lines:
            if fault == "silent":
                away.enter_context(server.paused())
            else:
                server.stop()
                away.callback(server.start)
            # The first one finds out.
            assert [status() for _ in range(20)] == [200] * 20
        assert "rate limits not counted" in {line["event"] for line in lines}
        wait_for(lambda: status() == 429, "limit")

    def test_service_starts_without_redis(self, serve: Serve, user: str) -> None:
        client = serve(rate_limit_user=1, rate_limit_url="redis://:hunter2@127.0.0.1:1/0").client(user)
        with capture_logs() as lines:
            assert [client.get(f"/api/{user}/tasks").status_code for _ in range(3)] == [200] * 3
        assert "hunter2" not in str(lines)
