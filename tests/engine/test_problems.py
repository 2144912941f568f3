"""Problems that a bad request does not cause: an unavailable database, a limit and faults of the service."""

import logging
from collections.abc import Iterator
from typing import Never

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from fastapi_contract.contract import Operation
from fastapi_contract.problems import TooManyRequests, ValidationFailed, problem_response, problem_types
from fastapi_contract.validation.input_errors import MAX_DETAIL, InputError
from support.operations import CONTRACT, every_operation, owned, secured, send, tasks
from support.service import WATCH, Service, comparable, running, settings_for
from todo_api.app import create_app
from todo_api.database.session import Session
from todo_api.tasks import queries
from todo_api.tasks.problems import CommandStopped


@pytest.fixture(scope="module")
def without_database() -> Iterator[Service]:
    # No server listens on port 1.
    settings = settings_for("postgresql://user:hunter2@127.0.0.1:1/unused", database_wait_timeout=0.1)
    with running(create_app(settings)) as service:
        yield service


class TestDatabaseUnavailable:
    @secured
    def test_operation_is_503(self, without_database: Service, operation: Operation) -> None:
        failed = send(without_database.client("a"), operation, "a")
        assert failed.status_code == 503
        assert int(failed.headers["Retry-After"]) >= 1
        assert failed.json()["type"] == "/problems/database-unavailable"
        assert "hunter2" not in failed.text

    @owned
    def test_403_of_another_user_comes_before_503(self, without_database: Service, operation: Operation) -> None:
        assert send(without_database.client("a"), operation, "b").status_code == 403

    def test_readiness_is_ready_with_a_database(self, service: Service) -> None:
        assert service.client().get("/health/ready").json() == {"status": "ready"}

    def test_readiness_is_503_and_health_is_200_without_a_database(self, without_database: Service) -> None:
        client = without_database.client()
        assert (client.get("/health/ready").status_code, client.get("/health").status_code) == (503, 200)
        assert client.get("/").status_code == 200


class TestReadiness:
    @pytest.fixture
    def checks(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
        """The values of `check` that Database.ready() was called with."""
        checks = []

        async def ready(*, check: bool) -> bool:
            checks.append(check)
            return True

        monkeypatch.setattr(service.app.state.services.database, "ready", ready)
        return checks

    def test_readiness_queries_the_database_only_with_check_true(self, service: Service, checks: list[bool]) -> None:
        for query in ("", "?check=false", "?check=true"):
            assert service.client().get(f"/health/ready{query}").json() == {"status": "ready"}
        assert checks == [False, False, True]

    @pytest.mark.parametrize("query", ["check=1", "check=TRUE", "check=", "check=true&check=true", "other=1"])
    def test_unknown_or_repeated_parameter_of_readiness_is_422(
        self, service: Service, checks: list[bool], query: str
    ) -> None:
        rejected = service.client().get(f"/health/ready?{query}")
        assert (rejected.status_code, rejected.json()["type"]) == (422, "/problems/validation-failed")
        assert checks == []

    def test_readiness_with_check_is_503_without_a_database(self, without_database: Service) -> None:
        assert without_database.client().get("/health/ready?check=true").status_code == 503


class TestInternalError:
    @pytest.fixture
    def broken(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
        async def fail(*_: object, **__: object) -> None:
            raise RuntimeError("hunter2")

        monkeypatch.setattr(Session, "fetch_one", fail)
        monkeypatch.setattr(Session, "fetch_all", fail)
        return service

    @secured
    def test_500_contains_only_the_request_id(self, broken: Service, operation: Operation) -> None:
        failed = send(broken.client("a", Origin="http://localhost:3000"), operation, "a")
        assert failed.status_code == 500
        assert failed.json() == {
            "type": "/problems/internal-error",
            "title": "Internal server error",
            "status": 500,
            "detail": "An unexpected error occurred. Report the request id if it happens again.",
            "instance": f"/requests/{failed.headers['X-Request-ID']}",
            "request_id": failed.headers["X-Request-ID"],
        }
        assert failed.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


MAX_QUOTA = 1_000_000
"""The largest that can be set."""


class TestTooManyRequests:
    @pytest.fixture
    def rejection(self, request: pytest.FixtureRequest, service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
        """The service behind a layer that rejects all requests."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            problem = TooManyRequests("address", MAX_QUOTA, 60, 60)
            problem.headers = {name: text for name, text in (problem.headers | request.param).items() if text}
            await problem_response(problem)(scope, receive, send)

        monkeypatch.setattr(service.app.middleware_stack, "_choose_responder", lambda *_: answer)
        return service

    @pytest.mark.parametrize(
        "rejection", [{"RateLimit": "", "RateLimit-Policy": "", "Retry-After": "3600"}], indirect=True, ids=["proxy"]
    )
    @every_operation
    def test_rejection_of_a_proxy_keeps_the_contract(self, rejection: Service, operation: Operation) -> None:
        """It has no RateLimit, may reject health checks, and may let the client wait for longer."""
        rejected = send(rejection.client("a"), operation, "a")
        assert (rejected.status_code, rejected.headers["Retry-After"]) == (429, "3600")

    @pytest.mark.parametrize("rejection", [{}], indirect=True, ids=["service"])
    def test_longest_headers_of_a_limit_keep_the_contract(self, rejection: Service) -> None:
        rejected = rejection.client("a").get(tasks("a"))
        assert rejected.headers["RateLimit-Policy"] == f'"address";q={MAX_QUOTA};w=60'
        assert rejected.headers["RateLimit"] == '"address";r=0;t=60'


class TestLongDetail:
    """A detail that is too long for the contract is truncated to its longest."""

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            pytest.param(HTTPException(400, "x" * (MAX_DETAIL + 1)), 400, id="HTTPException"),
            pytest.param(
                ValidationFailed([InputError("invalid", "x" * (MAX_DETAIL + 1), parameter="cursor")]),
                422,
                id="ValidationFailed",
            ),
        ],
    )
    def test_long_detail_is_truncated(
        self, client: httpx.Client, user: str, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
    ) -> None:
        async def reject(*_: object, **__: object) -> Never:
            raise error

        monkeypatch.setattr(queries, "list_page", reject)
        rejected = client.get(tasks(user))
        body = rejected.json()
        assert (rejected.status_code, body.get("errors", [body])[0]["detail"]) == (status, "x" * MAX_DETAIL)


def fail(*_: object, **__: object) -> Never:
    raise RuntimeError("hunter2")


@pytest.fixture(scope="module")
def both(database_url: str) -> Iterator[tuple[Service, Service]]:
    """The service with the shortcut and the service without it."""
    apps = [create_app(settings_for(database_url), shortcut=shortcut) for shortcut in (True, False)]
    with running(apps[0]) as one, running(apps[1]) as other:
        yield one, other


TASK = '{"title": "x"}'


@pytest.mark.parametrize(
    ("method", "path", "broken"),
    [
        pytest.param("GET", "/", "fastapi_contract.validation.parameters.Parameters.read_path", id="parameters"),
        pytest.param("GET", "/api/user/tasks", "todo_api.auth.tokens.TokenVerifier.verify", id="guard"),
        pytest.param("GET", "/api/user/tasks", "todo_api.database.dependency.Session", id="dependency"),
        pytest.param("POST", "/api/user/tasks", "fastapi_contract.validation.bodies._read", id="body"),
        pytest.param("GET", "/api/user/tasks", "todo_api.tasks.queries.list_page", id="handler"),
        pytest.param("GET", "/health/ready", "todo_api.database.database.Database.ready", id="public operation"),
        pytest.param("GET", "/api/other/tasks", "todo_api.auth.problems.Forbidden.members", id="exception handler"),
        pytest.param("PUT", "/api/user/tasks/x", "fastapi_contract.validation.schemas.Validator.errors", id="errors"),
        pytest.param("GET", "/nothing", "fastapi_contract.problems.NotFound.__init__", id="unknown path"),
        pytest.param("PUT", "/nothing", "fastapi_contract.problems.NotFound.__init__", id="unknown path and method"),
        pytest.param("DELETE", "/health", "fastapi_contract.problems.MethodNotAllowed.__init__", id="unknown method"),
        pytest.param("GET", "/docs", "fastapi_contract.pages.layout.Layout.render", id="documentation"),
        pytest.param("HEAD", "/redoc", "fastapi_contract.pages.layout.Layout.render", id="HEAD"),
        pytest.param("GET", "/problems/x", "fastapi_contract.pages.problems.NotFound.__init__", id="problem page"),
        pytest.param("GET", "/docs/assets/x", "fastapi_contract.pages.routes.NotFound.__init__", id="asset"),
        pytest.param("OPTIONS", "/", "fastapi_contract.middleware.cors.CrossOrigin.preflight", id="preflight"),
    ],
)
def test_fault_is_the_same_problem_with_and_without_the_shortcut(
    both: tuple[Service, Service],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    broken: str,
) -> None:
    monkeypatch.setattr(broken, fail)
    answers = []
    for service in both:
        headers = {
            "Authorization": f"Bearer {service.token('user')}",
            "Content-Type": "application/json",
            "Origin": "http://localhost:3000",
            "Access-Control-Request-Method": "GET",
        }
        caplog.clear()
        # The connection must also serve a second request.
        with httpx.Client(base_url=service.url, headers=headers) as client:
            answers.append([client.request(method, path, content=TASK) for _ in range(2)])
        faults = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(faults) == 2
        assert all("hunter2" in record.getMessage() for record in faults)
    assert comparable(answers[0][0]) == comparable(answers[1][0])
    for failed in (*answers[0], *answers[1]):
        assert (failed.status_code, failed.headers["Content-Type"]) == (500, "application/problem+json")
        assert failed.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
        assert "hunter2" not in failed.text
        if method != "HEAD":
            assert failed.json()["type"] == "/problems/internal-error"
            assert failed.json()["request_id"] == failed.headers["X-Request-ID"]


def test_app_that_sends_no_response_is_a_500_problem(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: object) -> None: ...

    monkeypatch.setattr(service.app.middleware_stack, "_choose_responder", lambda *_: silent)
    failed = service.client().get("/nothing")
    assert (failed.status_code, failed.json()["type"]) == (500, "/problems/internal-error")


class TestProblemTypes:
    def test_problem_types_are_those_of_the_contract(self) -> None:
        # A result of a batch has it, and no response.
        assert WATCH.problem_types == problem_types().keys() - {CommandStopped.type}

    def test_problem_types_of_a_batch_are_those_of_responses_and_its_own(self) -> None:
        types = CONTRACT.document["components"]["schemas"]["CommandFailure"]["properties"]["type"]["enum"]
        assert {*types} - WATCH.problem_types == {CommandStopped.type}
