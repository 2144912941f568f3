"""The response to each outcome of a handler (returned, raised or set) is the same with and without the shortcut."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.routing import APIRoute
from starlette.background import BackgroundTask
from todo_contract import models

from support.service import Service, comparable, running, settings_for
from todo_api import service as public
from todo_api.app import create_app
from todo_api.auth.bearer import Owner
from todo_api.database.failures import DatabaseUnavailableError
from todo_api.tasks import handlers
from todo_api.tasks.dependencies import IfMatch
from todo_api.tasks.problems import TaskNotFound

HEALTHY = models.Health(status="ok")
RAN: list[str] = []
"""Background tasks append to it."""


class Fatal(BaseException):
    """Not an Exception, so that most exception handlers do not catch it."""


class Unprintable(DatabaseUnavailableError):
    """Its exception handler fails when it logs the message."""

    def __str__(self) -> str:
        raise ValueError("no text")


class MoreThanHealth(models.Health):
    more: int = 1


async def chunks(error: BaseException | None = None) -> AsyncIterator[bytes]:
    yield b"first"
    if error is not None:
        raise error
    yield b"second"


def fails() -> None:
    raise RuntimeError("the background task fails")


def raises(error: BaseException) -> Callable[[Response], Any]:
    def outcome(response: Response) -> Any:
        raise error

    return outcome


def sets(result: Any = HEALTHY, status: int | None = None, **headers: str) -> Callable[[Response], Any]:
    def outcome(response: Response) -> Any:
        if status is not None:
            response.status_code = status
        response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
        return result

    return outcome


def sets_cookies(response: Response) -> models.Health:
    response.set_cookie("one", "1", httponly=True)
    response.set_cookie("two", "2")
    return HEALTHY


def sets_what_fastapi_ignores(response: Response) -> models.Health:
    response.background = BackgroundTask(RAN.append, "ignored")
    response.body = b"ignored"
    return HEALTHY


def sets_and_returns_another(response: Response) -> Response:
    response.status_code = 202
    response.headers["X-Lost"] = "lost"
    return PlainTextResponse("another")


def returns_with_cookie(response: Response) -> Response:
    redirect = RedirectResponse("/elsewhere", 303)
    redirect.set_cookie("one", "1")
    return redirect


OUTCOMES: dict[str, Callable[[Response], Any]] = {
    "the model": sets(),
    "a header": sets(X_More="more", Content_Language="en"),
    "cookies": sets_cookies,
    "303 set": sets(status=303, Location="/elsewhere"),
    "202 set": sets(status=202),
    "204 set": sets(status=204),
    "304 set": sets(status=304, ETag='"x"'),
    "500 set": sets(status=500),
    "background and body of the given response": sets_what_fastapi_ignores,
    "a given response and another": sets_and_returns_another,
    "a dict": sets({"status": "ok"}),
    "a dict with more": sets({"status": "ok", "more": 1}),
    "an invalid dict": sets({"status": "bad"}),
    "another model": sets(models.Readiness(status="ready")),
    "a subclass of the model": sets(MoreThanHealth(status="ok")),
    "an invalid model": sets(models.Health.model_construct(status="\ud800")),  # type: ignore[arg-type]
    "None": sets(None),
    "303 set without a model": sets(None, status=303, Location="/elsewhere"),
    "a header without a model": sets(None, X_More="more"),
    "text": sets("text"),
    "RedirectResponse": lambda _: RedirectResponse("/elsewhere"),
    "RedirectResponse 303 with a cookie": returns_with_cookie,
    "JSONResponse": lambda _: JSONResponse({"status": "else"}, 202, {"X-More": "more"}),
    "PlainTextResponse": lambda _: PlainTextResponse("text", 418),
    "Response 204": lambda _: Response(status_code=204),
    "StreamingResponse": lambda _: StreamingResponse(chunks(), 201, media_type="text/event-stream"),
    "StreamingResponse of a list": lambda _: StreamingResponse(iter(["one", "two"])),
    "FileResponse": lambda _: FileResponse(__file__),
    "FileResponse of no file": lambda _: FileResponse("/nothing/there"),
    "a background task": lambda _: Response(b"x", background=BackgroundTask(RAN.append, "ran")),
    "HTTPException 303": raises(HTTPException(303, headers={"Location": "/elsewhere"})),
    "HTTPException 304": raises(HTTPException(304, headers={"ETag": '"x"'})),
    "HTTPException 401": raises(HTTPException(401, headers={"WWW-Authenticate": "Basic"})),
    "HTTPException 404": raises(HTTPException(404)),
    "HTTPException 405": raises(HTTPException(405)),
    "HTTPException 409 with a dict": raises(HTTPException(409, {"detail": "x" * 2000})),
    "HTTPException 429": raises(HTTPException(429, "slower", {"Retry-After": "5"})),
    "HTTPException 500": raises(HTTPException(500, "hunter2")),
    "HTTPException 503": raises(HTTPException(503, "hunter2")),
    "a problem": raises(TaskNotFound()),
    "an exception of a layer below": raises(DatabaseUnavailableError("hunter2")),
    "an exception whose handler fails": raises(Unprintable()),
    "RequestValidationError": raises(RequestValidationError([{"loc": ("body", "a"), "msg": "no", "type": "x"}])),
    "RuntimeError": raises(RuntimeError("hunter2")),
    "ExceptionGroup": raises(ExceptionGroup("hunter2", [RuntimeError(), ValueError()])),
    "BaseException": raises(Fatal("hunter2")),
    "SystemExit": raises(SystemExit(3)),
    "KeyboardInterrupt": raises(KeyboardInterrupt()),
}

ENDINGS: dict[str, Callable[[Response], Any]] = {
    "RuntimeError in a stream": lambda _: StreamingResponse(chunks(RuntimeError("after the start"))),
    "a problem in a stream": lambda _: StreamingResponse(chunks(TaskNotFound())),
    "HTTPException in a stream": lambda _: StreamingResponse(chunks(HTTPException(303, "after the start"))),
    "BaseException in a stream": lambda _: StreamingResponse(chunks(Fatal("after the start"))),
}
FAILS_AFTERWARDS = "a failing background task"

FAULTS = {
    "an invalid dict", "another model", "an invalid model", "None", "text", "303 set without a model",
    "a header without a model", "FileResponse of no file", "HTTPException 500", "HTTPException 503",
    "an exception whose handler fails", "RuntimeError", "ExceptionGroup", "BaseException", "SystemExit",
    "KeyboardInterrupt",
}  # fmt: skip


def _outcome(request: Request, response: Response) -> Any:
    afterwards = PlainTextResponse("x", background=BackgroundTask(fails))
    outcomes = {**OUTCOMES, **ENDINGS, FAILS_AFTERWARDS: sets(afterwards)}
    return outcomes[request.headers["X-Outcome"]](response)


async def with_model(request: Request, response: Response) -> Any:
    return _outcome(request, response)


async def without_model(
    task_id: models.TaskId, owner: Owner, if_match: IfMatch, request: Request, response: Response
) -> Any:
    return _outcome(request, response)


HANDLERS: dict[str, Callable[..., Awaitable[Any]]] = {"getHealth": with_model, "deleteTask": without_model}


@pytest.fixture(scope="module")
def both(database_url: str) -> Iterator[tuple[Service, Service]]:
    """The service with the shortcut and the one without it. X-Outcome selects what their handlers do."""
    with pytest.MonkeyPatch.context() as patch:
        for route in (*public.router.routes, *handlers.router.routes):
            if (handler := HANDLERS.get(getattr(route, "operation_id", ""))) is not None:
                assert isinstance(route, APIRoute)
                changed = APIRoute(route.path, handler, dependencies=route.dependencies, response_model=None)
                patch.setattr(route, "dependant", changed.dependant)
        apps = [create_app(settings_for(database_url), shortcut=shortcut) for shortcut in (True, False)]
    with running(apps[0]) as one, running(apps[1]) as other:
        yield one, other


def call(service: Service, operation_id: str, outcome: str) -> httpx.Response:
    method, path = {"getHealth": ("GET", "/health"), "deleteTask": ("DELETE", "/api/user/tasks/1")}[operation_id]
    # Not a client of the fixtures, which would raise BrokenContractError: these handlers break the contract.
    headers = {"X-Outcome": outcome, "Authorization": f"Bearer {service.token('user')}"}
    return httpx.request(method, service.url + path, headers=headers)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait up to 10 s: a background task runs after the response, in the thread of the service."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("operation_id", HANDLERS)
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_response_is_the_same_with_and_without_the_shortcut(
    both: tuple[Service, Service], operation_id: str, outcome: str
) -> None:
    responses = [comparable(call(service, operation_id, outcome)) for service in both]
    assert responses[0] == responses[1]


@pytest.mark.parametrize("shortcut", [True, False], ids=["with the shortcut", "without the shortcut"])
class TestOutcome:
    """The expected responses, in addition to their equality."""

    @pytest.fixture
    def service(self, both: tuple[Service, Service], shortcut: bool) -> Service:
        return both[not shortcut]

    @pytest.mark.parametrize("outcome", sorted(FAULTS))
    def test_fault_is_a_500_problem_and_logged_once(
        self, service: Service, outcome: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        failed = call(service, "getHealth", outcome)
        assert (failed.status_code, failed.headers["content-type"]) == (500, "application/problem+json")
        assert failed.json()["type"] == "/problems/internal-error"
        assert failed.json()["request_id"] == failed.headers["X-Request-ID"]
        assert "hunter2" not in failed.text
        assert sum(record.levelno == logging.ERROR for record in caplog.records) == 1

    @pytest.mark.parametrize("outcome", ["303 set", "HTTPException 303", "RedirectResponse 303 with a cookie"])
    def test_redirect_keeps_its_location(self, service: Service, outcome: str) -> None:
        redirect = call(service, "getHealth", outcome)
        assert (redirect.status_code, redirect.headers["Location"]) == (303, "/elsewhere")
        assert "problem" not in redirect.headers.get("content-type", "")

    def test_status_and_headers_set_by_the_handler_are_sent_with_the_model(self, service: Service) -> None:
        answer = call(service, "getHealth", "cookies")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert answer.headers.get_list("set-cookie") == ["one=1; HttpOnly; Path=/; SameSite=lax",
                                                         "two=2; Path=/; SameSite=lax"]  # fmt: skip
        assert call(service, "getHealth", "202 set").status_code == 202
        assert call(service, "deleteTask", "303 set without a model").headers["Location"] == "/elsewhere"

    def test_stream_and_file_are_sent_completely(self, service: Service) -> None:
        assert call(service, "getHealth", "StreamingResponse").content == b"firstsecond"
        assert call(service, "getHealth", "FileResponse").content == Path(__file__).read_bytes()

    def test_http_exception_keeps_its_headers_and_detail(self, service: Service) -> None:
        limited = call(service, "getHealth", "HTTPException 429")
        assert (limited.status_code, limited.headers["Retry-After"]) == (400, "5")
        assert limited.json()["detail"] == "slower"
        assert len(call(service, "getHealth", "HTTPException 409 with a dict").json()["detail"]) == 1000
        assert call(service, "getHealth", "HTTPException 405").headers["Allow"] == "GET, HEAD"

    @pytest.mark.parametrize("operation_id", HANDLERS)
    @pytest.mark.parametrize("outcome", ENDINGS)
    def test_fault_in_a_started_response_closes_the_connection_and_is_logged(
        self, service: Service, operation_id: str, outcome: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            call(service, operation_id, outcome)
        assert any(record.exc_info for record in caplog.records)

    def test_fault_in_a_background_task_is_logged(self, service: Service, caplog: pytest.LogCaptureFixture) -> None:
        assert call(service, "getHealth", FAILS_AFTERWARDS).text == "x"
        wait_until(lambda: any(record.exc_info for record in caplog.records))

    def test_background_task_of_a_returned_response_runs(self, service: Service) -> None:
        RAN.clear()
        call(service, "getHealth", "background and body of the given response")
        call(service, "getHealth", "a background task")
        wait_until(lambda: bool(RAN))
        assert RAN == ["ran"]
