"""Compiles routes at start-up: which parameters, which dependencies, in which order.

FastAPI finds this out again for each request. The shortcut reads it once from FastAPI's own description of the route,
so a handler stays a FastAPI handler. If input is not valid or no compiled route matches, the request is passed to
FastAPI unchanged, which produces the error response. docs/performance.md has the figures.
"""

from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from typing import Any, TypeAlias

from fastapi import FastAPI, Response
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts, serialize_response
from fastapi.utils import is_body_allowed_for_status_code
from pydantic import ValidationError
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_contract.paths import PathTemplate
from fastapi_contract.plain_routes import is_supported
from fastapi_contract.requests import ContractRequest, ContractRoute
from fastapi_contract.responses.answers import Answer
from fastapi_contract.responses.serializers import serializer

_JSON = (b"content-type", b"application/json")
_OUTCOME = "fastapi_contract.outcome"
"""Key in the ASGI scope: the response to send, or the exception that was raised."""


class _FallBack(Exception):
    """An argument is not valid: FastAPI must answer the request."""


_Call: TypeAlias = list[Any]
"""The state of one request: the request, the response parameter of its handler, its path parameters, and then the
results of guards and dependencies so far."""

_REQUEST, _RESPONSE, _PATH_PARAMS, _FIRST_RESULT = range(4)
"""Positions in a _Call."""

_Source: TypeAlias = Callable[[_Call], Any]
"""Returns the value of one argument. Raises ValidationError, or _FallBack if a required body is missing."""


class Shortcut:
    """ASGI middleware: answers requests of compiled routes itself, and passes all others to `app`.

    `app` is FastAPI's own middleware stack, and `service` the FastAPI application with routes and exception handlers.
    """

    def __init__(self, app: ASGIApp, service: FastAPI) -> None:
        self.app = app
        self._service = service
        # Starlette calls handlers of these two kinds in its outermost layer, which application.py leaves out.
        handlers = {kind: each for kind, each in service.exception_handlers.items() if kind not in {500, Exception}}
        self._finish = ExceptionMiddleware(_raise_or_send, handlers)
        self._paths: dict[int, list[PathTemplate]] = {}
        self._routes: dict[tuple[str, str], _CompiledRoute | None] = {}
        # No routes if the application has its own middleware, which the shortcut would bypass.
        for route in () if service.user_middleware else iter_route_contexts(service.routes):
            if not isinstance(route.original_route, ContractRoute) or route.original_route.paths is None:
                # This route may match requests that a later route also matches, and comes first.
                break
            compiled = _CompiledRoute(route) if is_supported(route) else None
            path = service.root_path + str(route.path)
            self._routes |= {(method, path): compiled for method in route.methods or ()}
            self._paths = self._paths or route.original_route.paths.below(service.root_path).by_length

    @property
    def operations(self) -> set[str]:
        """The operationIds of the compiled routes."""
        return {str(route.route.operation_id) for route in self._routes.values() if route is not None}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._find(scope) if scope["type"] == "http" else None
        if route is None:
            await self.app(scope, receive, send)
            return
        request = ContractRequest(scope, receive)
        try:
            result = await route.run(request)
        except _FallBack:
            await self.app(scope, request.replay, send)
        except Exception as error:  # noqa: BLE001 (ExceptionMiddleware raises it again if it has no handler.)
            await self._finish({**scope, _OUTCOME: error}, receive, send)
        else:
            if isinstance(result, Response):
                await self._finish({**scope, _OUTCOME: result}, receive, send)
                return
            head, body = result
            await send(head)
            await send({"type": "http.response.body", "body": body})

    def _find(self, scope: Scope) -> "_CompiledRoute | None":
        segments = scope["path"].split("/")
        for path in self._paths.get(len(segments), ()):
            if (path_params := path.match(segments)) is not None:
                route = self._routes.get((scope["method"], path.template))
                if route is None or self._service.dependency_overrides:
                    return None
                # FastAPI sets both again if the request is passed on.
                scope["route"], scope["path_params"] = route.route, path_params
                return route
        return None


async def _raise_or_send(scope: Scope, receive: Receive, send: Send) -> None:
    """Ends a request inside ExceptionMiddleware, so that an exception is handled as on FastAPI's path."""
    outcome = scope[_OUTCOME]
    if isinstance(outcome, Exception):
        raise outcome
    await outcome(scope, receive, send)


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


class _ResponseParameter(Response):
    """The Response that a handler receives as a parameter, to set headers and a status, initialized as in FastAPI."""

    def __init__(self) -> None:
        self.status_code = None  # type: ignore[assignment]
        self.background = None
        self.body = b""
        self.raw_headers = []


class _CompiledRoute:
    def __init__(self, route: RouteContext) -> None:
        assert isinstance(route.original_route, ContractRoute)
        self.route = route.original_route
        self._handler: Callable[..., Any] = route.dependant.call
        self._status: int = route.status_code
        self._field: ModelField | None = route.response_field
        # Only an instance of exactly this class takes the fast path; FastAPI's own code serializes other results.
        self._model = route.response_model or type(None)
        self._serialize = serializer(route.response_model) if route.response_model else None
        self._empty_headers = Response(status_code=self._status).raw_headers
        self._steps: list[tuple[Callable[..., Any], list[tuple[str, _Source]]]] = []
        # The position of each result in a _Call. The guards come first, so that as dependencies they do not run again.
        self._positions: dict[tuple[Callable[..., Any], str | None], int] = {
            (guard, None): position for position, guard in enumerate(self.route.guards, _FIRST_RESULT)
        }
        self._needs_response = False
        self._arguments = list(self._compile(route.dependant))

    async def run(self, request: ContractRequest) -> tuple[Message, bytes] | Response:
        """Returns the start message and the body of the response, or a Response to be sent unchanged.

        Raises _FallBack, and the exceptions of the guards, the dependencies and the handler.
        """
        response = _ResponseParameter() if self._needs_response else None
        results = await request.prepare(self.route)
        call: _Call = [request, response, request.scope["path_params"], *results]
        for dependency, sources in self._steps:
            call.append(await dependency(**_values(sources, call)))
        result = await self._handler(**_values(self._arguments, call))
        if isinstance(result, Answer) and result.background is None:
            return _start(result.status_code, result.raw_headers), bytes(result.body)
        if type(result) is not self._model or (response is not None and response.status_code is not None):
            return await self._respond(result, response)
        body, headers = b"", self._empty_headers
        if self._serialize is not None:
            body = self._serialize(result)
            headers = [(b"content-length", b"%d" % len(body)), _JSON]
        if response is not None:
            headers = [*headers, *response.raw_headers]
        return _start(self._status, headers), body

    async def _respond(self, result: Any, response: Response | None) -> Response:
        """Makes a response as fastapi.routing does, from a result that is no plain model or has its own status."""
        if isinstance(result, Response):
            return result
        has_model = self._field is not None
        content = await serialize_response(field=self._field, response_content=result, dump_json=has_model)
        status = self._status if response is None or response.status_code is None else response.status_code
        made = Response(content, status, media_type="application/json" if has_model else None)
        if not is_body_allowed_for_status_code(status):
            made.body = b""
        if response is not None:
            made.raw_headers.extend(response.raw_headers)
        return made

    def _compile(self, dependant: Dependant) -> Iterator[tuple[str, _Source]]:
        """Yields the arguments of a callable, and appends the dependencies that must run before it to the steps."""
        for dependency in dependant.dependencies:
            assert dependency.call is not None
            sources = list(self._compile(dependency))
            # The key of FastAPI's own cache, without the OAuth2 scopes, which no supported dependency has.
            key = (dependency.call, dependency.scope)
            if key not in self._positions:
                self._positions[key] = _FIRST_RESULT + len(self._positions)
                self._steps.append((dependency.call, sources))
            if dependency.name is not None:
                yield dependency.name, itemgetter(self._positions[key])
        yield from _inputs(dependant)
        if dependant.request_param_name:
            yield dependant.request_param_name, itemgetter(_REQUEST)
        if dependant.response_param_name:
            self._needs_response = True
            yield dependant.response_param_name, itemgetter(_RESPONSE)


def _inputs(dependant: Dependant) -> Iterator[tuple[str, _Source]]:
    """Yields the arguments that come from the request."""
    for field in dependant.path_params:
        yield field.name, _path(field)
    for field in dependant.query_params:
        yield field.name, _query(field)
    for field in dependant.header_params:
        yield field.name, _optional(field, "header_values", (field.validation_alias or field.alias).lower())
    for field in dependant.cookie_params:
        yield field.name, _optional(field, "cookies", field.validation_alias or field.alias)
    for field in dependant.body_params:
        yield field.name, _body(field)


def _path(field: ModelField) -> _Source:
    validate, name = _validator(field), field.validation_alias or field.alias
    # If the path has no such parameter, the value is None, which is not valid.
    return lambda call: validate(call[_PATH_PARAMS].get(name))


def _query(field: ModelField) -> _Source:
    validate = _validator(field)
    return lambda call: validate(call[_REQUEST].query_params)


def _optional(field: ModelField, location: str, name: str) -> _Source:
    """A header or a cookie, which may be missing."""
    validate, is_required = _validator(field), field.field_info.is_required()
    # FastAPI copies each default, which takes 1 µs even for None.
    has_default = not is_required and field.get_default() is not None

    def source(call: _Call) -> Any:
        value = getattr(call[_REQUEST], location).get(name)
        if value is not None:
            return validate(value)
        if is_required:
            raise _FallBack
        return field.get_default() if has_default else None

    return source


def _body(field: ModelField) -> _Source:
    # As in accept_aliases_only.
    validate = partial(field._type_adapter.validator.validate_python, by_alias=True, by_name=False)  # noqa: SLF001

    def source(call: _Call) -> Any:
        if (parsed := call[_REQUEST].parsed) is not None:
            return validate(parsed)
        if field.field_info.is_required():
            raise _FallBack
        return field.get_default()

    return source


def _validator(field: ModelField) -> Callable[[Any], Any]:
    """FastAPI's own validator of a parameter, without the two functions around it."""
    validator: Callable[[Any], Any] = field._type_adapter.validator.validate_python  # noqa: SLF001
    return validator


def _values(sources: list[tuple[str, _Source]], call: _Call) -> dict[str, Any]:
    # A loop, because a comprehension is one more call, of which a request has five (Python 3.11).
    values = {}
    try:
        for name, source in sources:
            values[name] = source(call)
    except ValidationError:
        raise _FallBack from None
    return values
