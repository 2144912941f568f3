"""The shortcut compiles routes that use only what it supports, and leaves every other route to FastAPI."""

from collections.abc import Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Query, Response
from starlette.middleware.errors import ServerErrorMiddleware

from fastapi_contract.paths import Paths
from fastapi_contract.requests import ContractRoute, contract_route
from fastapi_contract.shortcut import Shortcut
from fastapi_contract.validation.parameters import Parameters
from support.handlers import Model, plain
from support.service import running, settings_for
from todo_api.app import create_app


def bound(path: str, handler: Callable[..., Any], **options: Any) -> APIRouter:
    router = APIRouter()
    options = {
        "status_code": 200,
        "operation_id": path,
        "route_class_override": contract_route([], Parameters({})),
        **options,
    }
    router.add_api_route(path, handler, **options)
    return router


def app_of(*routers: APIRouter) -> tuple[FastAPI, Shortcut]:
    """Return an app with the routes in this order, as contract_app() adds them, and its shortcut."""
    app = FastAPI(openapi_url=None)
    routes = [route for router in routers for route in router.routes]
    paths = Paths([route.path for route in routes if isinstance(route, ContractRoute)])
    app.router.routes.extend(route.of(app, paths) if isinstance(route, ContractRoute) else route for route in routes)
    shortcut = Shortcut(app.build_middleware_stack(), app)
    app.middleware_stack = shortcut
    return app, shortcut


HOT = {
    "getHealth", "getReadiness", "getServiceInfo",
    "listTasks", "createTask", "getTask", "updateTask", "deleteTask", "toggleTaskCompletion",
}  # fmt: skip
"""The operations of the benchmarks. `todo-api routes` prints whether the shortcut serves the other ones."""


def test_operations_of_the_benchmarks_are_compiled() -> None:
    app = create_app(settings_for("postgresql://user@localhost/unused"), shortcut=False)
    assert app.middleware_stack is not None
    assert Shortcut(app.middleware_stack, app).operations >= HOT


def test_route_after_a_foreign_route_is_left_to_fastapi() -> None:
    other = APIRouter()
    other.add_api_route("/{name}", plain, status_code=200)
    _, shortcut = app_of(bound("/before", plain), other, bound("/behind", plain))
    assert shortcut.operations == {"/before"}


def test_app_with_another_middleware_is_left_to_fastapi() -> None:
    app, shortcut = app_of(bound("/", plain))
    assert shortcut.operations == {"/"}
    app.middleware_stack = None
    app.add_middleware(lambda app: app)
    assert Shortcut(shortcut.app, app).operations == set()


def test_first_matching_route_answers_even_if_it_is_not_compiled() -> None:
    async def special(name: Annotated[str, Query()] = "special") -> Model:
        return Model(name=name)

    async def general(name: Annotated[str, Path()]) -> Model:
        return Model(name=f"general {name}")

    app, shortcut = app_of(bound("/things/special", special), bound("/things/{name}", general))
    assert shortcut.operations == {"/things/{name}"}
    with running(app) as service:
        answers = [httpx.get(f"{service.url}/things/{name}").json()["name"] for name in ("special", "other")]
    assert answers == ["special", "general other"]


def test_included_route_is_left_to_fastapi() -> None:
    app = FastAPI(openapi_url=None)
    app.include_router(bound("/things", plain), prefix="/v2")
    shortcut = Shortcut(app.build_middleware_stack(), app)
    assert shortcut.operations == set()
    app.middleware_stack = shortcut
    with running(app) as service:
        assert [httpx.get(service.url + path).status_code for path in ("/v2/things", "/things")] == [200, 404]


def test_overridden_dependency_is_called() -> None:
    async def handler(model: Annotated[Model, Depends(plain)]) -> Model:
        return model

    async def other() -> Model:
        return Model(name="other")

    app, shortcut = app_of(bound("/", handler))
    assert shortcut.operations == {"/"}
    with running(app) as service:
        answers = []
        for overrides in ({}, {plain: other}, {}):
            app.dependency_overrides = overrides
            answers.append(httpx.get(service.url).json()["name"])
    assert answers == ["x", "other", "x"]


@pytest.mark.parametrize("scope", [None, "request"], ids=["same scope", "another scope"])
def test_dependency_runs_as_often_as_with_fastapi(scope: Any) -> None:
    calls: list[str] = []

    async def counted() -> None:
        calls.append("call")

    async def handler(
        one: Annotated[None, Depends(counted)], two: Annotated[None, Depends(counted, scope=scope)]
    ) -> Model:
        return Model()

    counts = []
    for with_shortcut in (True, False):
        app, shortcut = app_of(bound("/", handler))
        assert shortcut.operations == {"/"}
        app.middleware_stack = shortcut if with_shortcut else shortcut.app
        calls.clear()
        with running(app) as service:
            assert httpx.get(service.url).status_code == 200
        counts.append(len(calls))
    assert counts == ([1, 1] if scope is None else [2, 2])


@pytest.mark.parametrize(
    "parameter",
    [
        pytest.param(Path(alias="wanted"), id="alias"),
        pytest.param(Path(validation_alias="wanted"), id="validation alias"),
        pytest.param(Path(alias="other", validation_alias="wanted"), id="alias and validation alias"),
    ],
)
def test_path_parameter_is_found_by_the_name_that_fastapi_uses(parameter: Any) -> None:
    async def handler(value: str) -> Model:
        return Model(name=value)

    handler.__annotations__["value"] = Annotated[str, parameter]
    app, shortcut = app_of(bound("/{other}/{wanted}", handler))
    assert shortcut.operations == {"/{other}/{wanted}"}
    for layer in (shortcut, shortcut.app):
        app.middleware_stack = layer
        with running(app) as service:
            assert httpx.get(f"{service.url}/that/this").json() == {"name": "this"}


@pytest.mark.parametrize("error", [RuntimeError(), HTTPException(500)], ids=["exception", "500"])
def test_exception_handler_for_all_exceptions_is_not_called(error: Exception) -> None:
    """Starlette calls it in ServerErrorMiddleware, which the service does not use."""

    async def handler() -> Model:
        raise error

    async def answer(*_: object) -> Response:
        return Response(status_code=418)

    app, _ = app_of(bound("/", handler))
    app.exception_handlers |= {Exception: answer, 500: answer}
    stack = app.build_middleware_stack()
    assert isinstance(stack, ServerErrorMiddleware)
    for layer in (Shortcut(stack.app, app), stack.app):
        app.middleware_stack = layer
        with running(app) as service:
            assert httpx.get(service.url).status_code == 500


@pytest.mark.parametrize("status", [200, 202, 205])
def test_response_without_a_body_has_the_same_headers(status: int) -> None:
    async def handler() -> None: ...

    app, shortcut = app_of(bound("/", handler, status_code=status, response_class=Response))
    assert shortcut.operations == {"/"}
    answers = []
    for layer in (shortcut, shortcut.app):
        app.middleware_stack = layer
        with running(app) as service:
            answer = httpx.get(service.url)
            answers.append((answer.status_code, answer.headers.get("content-length"), answer.content))
    assert answers == [(status, "0", b"")] * 2
