"""The shortcut calls handlers whose parameters and options it supports, and leaves the others to FastAPI."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    FastAPI,
    Header,
    Query,
    Request,
    Response,
    Security,
    WebSocket,
    params,
)
from fastapi.dependencies.models import Dependant
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from fastapi.security import SecurityScopes

from fastapi_contract.plain_routes import is_supported
from support.handlers import Model, generator, plain


def synchronous() -> int:
    return 1


async def requires_a_query(name: Annotated[str, Query()]) -> str:
    return name


class Callback:
    async def __call__(self) -> Model:
        return Model()


def context(endpoint: Callable[..., Any], path: str = "/", **options: Any) -> RouteContext:
    return RouteContext(APIRoute(path, endpoint, **{"status_code": 200, **options}))


def handler_with(*annotations: Any) -> Callable[..., Any]:
    async def handler_of_one(one: Any) -> Model:
        return Model()

    async def handler_of_two(one: Any, two: Any) -> Model:
        return Model()

    handler: Callable[..., Any] = handler_of_one if len(annotations) == 1 else handler_of_two
    handler.__annotations__.update(zip(("one", "two"), annotations, strict=False))
    return handler


class TestHandler:
    @pytest.mark.parametrize(
        "handler",
        [
            pytest.param(plain, id="no parameter"),
            pytest.param(Callback(), id="object with an async __call__"),
            pytest.param(handler_with(Request, Response), id="request and response"),
            pytest.param(handler_with(Annotated[Model, Query()]), id="query model"),
            pytest.param(handler_with(Annotated[Model, Body()]), id="body"),
            pytest.param(handler_with(Annotated[Model, Body()], Annotated[Model, Query()]), id="body and query model"),
            pytest.param(handler_with(Annotated[Model, Depends(plain)]), id="coroutine dependency"),
        ],
    )
    def test_plain_handler_takes_the_shortcut(self, handler: Callable[..., Any]) -> None:
        assert is_supported(context(handler))

    @pytest.mark.parametrize(
        "handler",
        [
            pytest.param(synchronous, id="no coroutine"),
            pytest.param(generator, id="generator"),
            pytest.param(handler_with(Annotated[Model, Header()]), id="header model"),
            pytest.param(handler_with(Annotated[Model, Cookie()]), id="cookie model"),
            pytest.param(handler_with(Annotated[str, Query()]), id="single query parameter"),
            pytest.param(handler_with(Annotated[Model, Query()], Annotated[Model, Query()]), id="two query models"),
            pytest.param(handler_with(Annotated[Model, Body()], Annotated[Model, Body()]), id="two bodies"),
            pytest.param(handler_with(Annotated[Model, Body(embed=True)]), id="embedded body"),
            pytest.param(handler_with(BackgroundTasks), id="background tasks"),
            pytest.param(handler_with(HTTPConnection), id="connection"),
            pytest.param(handler_with(WebSocket), id="websocket"),
            pytest.param(handler_with(SecurityScopes), id="security scopes"),
            pytest.param(handler_with(Annotated[Model, Depends(generator)]), id="generator dependency"),
            pytest.param(handler_with(Annotated[Model, Depends(synchronous)]), id="dependency that is no coroutine"),
            pytest.param(handler_with(Annotated[Model, Depends(plain, use_cache=False)]), id="uncached dependency"),
            pytest.param(handler_with(Annotated[Model, Depends(plain, max_concurrency=1)]), id="limited dependency"),
            pytest.param(handler_with(Annotated[Model, Security(plain, scopes=["a"])]), id="dependency with scopes"),
            pytest.param(handler_with(Annotated[str, Depends(requires_a_query)]), id="dependency with a query"),
        ],
    )
    def test_handler_with_another_parameter_is_left_to_fastapi(self, handler: Callable[..., Any]) -> None:
        assert not is_supported(context(handler))

    def test_handler_with_a_form_body_is_left_to_fastapi(self) -> None:
        route = context(handler_with(Annotated[Model, Body()]))
        # Set by hand, because FastAPI creates form parameters only if python-multipart is installed.
        route.dependant.body_params[0].field_info = params.Form()
        assert not is_supported(route)

    @pytest.mark.parametrize("depth", ["handler", "dependency"])
    def test_handler_with_an_unknown_field_of_dependant_is_left_to_fastapi(self, depth: str) -> None:
        @dataclasses.dataclass(slots=True)
        class Later(Dependant):
            novelty: str | None = None

        def later(dependant: Dependant, novelty: str | None) -> Later:
            values = {field.name: getattr(dependant, field.name) for field in dataclasses.fields(Dependant)}
            return Later(**values, novelty=novelty)

        route = context(handler_with(Annotated[Model, Depends(plain)]))
        for novelty, supported in ((None, True), ("used", False)):
            if depth == "handler":
                route.original_route.dependant = later(route.dependant, novelty)  # type: ignore[attr-defined]
            else:
                route.dependant.dependencies[0] = later(route.dependant.dependencies[0], novelty)
            assert is_supported(route) is supported


class TestOption:
    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({"tags": ["a"], "summary": "a", "description": "a", "deprecated": True}, id="documentation"),
            pytest.param({"responses": {404: {"model": Model}}, "response_description": "a"}, id="responses"),
            pytest.param({"openapi_extra": {"x-a": 1}, "callbacks": APIRouter().routes}, id="extensions"),
            pytest.param({"include_in_schema": False, "operation_id": "a", "name": "a"}, id="names"),
            pytest.param({"generate_unique_id_function": lambda _: "a"}, id="unique id"),
            pytest.param({"response_model": None, "response_class": Response, "status_code": 204}, id="no content"),
            pytest.param({"dependencies": [Depends(plain)]}, id="coroutine dependency"),
            pytest.param({"response_model_exclude": set()}, id="empty option"),
        ],
    )
    def test_handler_with_a_known_option_takes_the_shortcut(self, options: dict[str, Any]) -> None:
        assert is_supported(context(plain, **options))

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({"response_model_include": {"name"}}, id="include"),
            pytest.param({"response_model_exclude": {"name"}}, id="exclude"),
            pytest.param({"response_model_by_alias": False}, id="by alias"),
            pytest.param({"response_model_exclude_unset": True}, id="exclude unset"),
            pytest.param({"response_model_exclude_defaults": True}, id="exclude defaults"),
            pytest.param({"response_model_exclude_none": True}, id="exclude none"),
            pytest.param({"response_class": JSONResponse}, id="another response class"),
            pytest.param({"response_model": None}, id="JSON without a model"),
            pytest.param({"response_model": None, "response_class": PlainTextResponse}, id="text without a model"),
            pytest.param({"status_code": None}, id="no status"),
            pytest.param({"max_body_size": 10}, id="body limit"),
            pytest.param({"form_limits": {"max_files": 1}}, id="form limits"),
            pytest.param({"strict_content_type": False}, id="lax content type"),
            pytest.param({"dependencies": [Depends(synchronous)]}, id="dependency that is no coroutine"),
        ],
    )
    def test_handler_with_another_option_is_left_to_fastapi(self, options: dict[str, Any]) -> None:
        assert not is_supported(context(plain, **options))

    def test_handler_with_an_unknown_option_is_left_to_fastapi(self) -> None:
        route = context(plain)
        route.original_route.novelty = None  # type: ignore[attr-defined]
        assert is_supported(route)
        route.original_route.novelty = "used"  # type: ignore[attr-defined]
        assert not is_supported(route)

    @pytest.mark.parametrize(
        ("options", "supported"),
        [
            pytest.param({}, True, id="no option"),
            pytest.param({"prefix": "/v2", "tags": ["a"]}, True, id="prefix"),
            pytest.param({"dependencies": [Depends(synchronous)]}, False, id="dependency that is no coroutine"),
            pytest.param({"default_response_class": PlainTextResponse}, False, id="response class"),
            pytest.param({"max_body_size": 10}, False, id="body limit"),
        ],
    )
    def test_options_of_include_router_are_checked(self, options: dict[str, Any], supported: bool) -> None:
        router = APIRouter()
        router.add_api_route("/x", plain, status_code=200)
        app = FastAPI(openapi_url=None)
        app.include_router(router, **options)
        (route,) = iter_route_contexts(app.routes)
        assert is_supported(route) is supported

    def test_option_of_the_route_is_checked_after_include_router(self) -> None:
        router = APIRouter()
        router.add_api_route("/x", plain, status_code=200)
        app = FastAPI(openapi_url=None)
        app.include_router(router)
        (route,) = iter_route_contexts(app.routes)
        assert is_supported(route)
        route.original_route.form_limits = {"max_files": 1}  # type: ignore[attr-defined]
        assert not is_supported(route)
