"""The way of a good request, decided once: which route, which parameters, which dependencies, in which order.

FastAPI decides all of it anew for each request. Here it is read once out of FastAPI's own description of the route, so
that handlers stay FastAPI's. The shortcut is left where input does not fit, or the path is none of the contract's:
FastAPI gets the request as it came, and has the words for the refusal. docs/performance.md has the figures.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from operator import itemgetter
from typing import Any, TypeAlias

import orjson
from fastapi import FastAPI, Response
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts, serialize_response
from fastapi.utils import is_body_allowed_for_status_code
from pydantic import MISSING, BaseModel, TypeAdapter, ValidationError
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_contract.plain_routes import has_plain_path, is_supported
from fastapi_contract.requests import ContractRequest, ContractRoute

_JSON = (b"content-type", b"application/json")
_OUTCOME = "todo_api.outcome"
"""Key in the scope: the response that the handler returned, or the exception that was raised."""


class _UnfitError(Exception):
    """A value is not what its parameter wants."""


_Call: TypeAlias = list[Any]
"""One request on its way to its handler: the request, the response that carries headers of the handler's own, the
values in its path, and what guards and dependencies have given so far."""

_REQUEST, _RESPONSE, _PATH, _FIRST_GIVEN = range(4)

_Source: TypeAlias = Callable[[_Call], Any]
"""Where the value of an argument comes from. Raises ValidationError, or _UnfitError where there is none."""


class Shortcut:
    """ASGI middleware, the innermost. `app` is FastAPI's own way, `service` has the routes and exception handlers."""

    def __init__(self, app: ASGIApp, service: FastAPI) -> None:
        self.app = app
        self._service = service
        # Starlette keeps these two kinds for its outermost layer, which app.py leaves out.
        handlers = {kind: each for kind, each in service.exception_handlers.items() if kind not in {500, Exception}}
        self._conclude = ExceptionMiddleware(_conclude, handlers)
        self._routes: dict[tuple[str, int], list[tuple[_Path, _CompiledRoute | None]]] = {}
        # A middleware of FastAPI's would be passed by.
        for route in () if service.user_middleware else iter_route_contexts(service.routes):
            if not isinstance(route.original_route, ContractRoute) or not has_plain_path(route):
                # The requests of every later route may be meant for this one.
                break
            path, compiled = _Path(route.path or ""), _CompiledRoute(route) if is_supported(route) else None
            for method in route.methods or ():
                self._routes.setdefault((method, path.length), []).append((path, compiled))

    @property
    def operations(self) -> set[str]:
        """The operationIds of the compiled routes."""
        compiled = (route for entries in self._routes.values() for _, route in entries if route is not None)
        return {str(route.route.operation_id) for route in compiled}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._find(scope) if scope["type"] == "http" else None
        if route is None:
            await self.app(scope, receive, send)
            return
        request = ContractRequest(scope, receive)
        try:
            answer = await route.run(request)
        except _UnfitError:
            await self.app(scope, request.replay, send)
        except Exception as error:  # noqa: BLE001 (ExceptionMiddleware raises it again unless it has a handler.)
            await self._conclude({**scope, _OUTCOME: error}, receive, send)
        else:
            if isinstance(answer, Response):
                await self._conclude({**scope, _OUTCOME: answer}, receive, send)
                return
            head, body = answer
            await send(head)
            await send({"type": "http.response.body", "body": body})

    def _find(self, scope: Scope) -> "_CompiledRoute | None":
        parts = scope["path"].split("/")
        for path, route in self._routes.get((scope["method"], len(parts)), ()):
            if (path_params := path.match(parts)) is not None:
                if route is None or self._service.dependency_overrides:
                    return None
                # Where FastAPI gets the request after all, it sets both anew.
                scope["route"], scope["path_params"] = route.route, path_params
                return route
        return None


async def _conclude(scope: Scope, receive: Receive, send: Send) -> None:
    """Ends a request within Starlette's ExceptionMiddleware, which therefore answers as on FastAPI's way."""
    outcome = scope[_OUTCOME]
    if isinstance(outcome, Exception):
        raise outcome
    await outcome(scope, receive, send)


class _Path:
    """A path of which every segment is a literal or one parameter."""

    def __init__(self, path: str) -> None:
        segments = path.split("/")
        self.length = len(segments)
        self._names = [(place, segment[1:-1]) for place, segment in enumerate(segments) if segment.startswith("{")]
        literals = [place for place, segment in enumerate(segments) if not segment.startswith("{")]
        self._literals: Callable[[list[str]], Any] = itemgetter(*literals)
        self._wanted = self._literals(segments)

    def match(self, parts: list[str]) -> dict[str, Any] | None:
        """The values of the path's parameters, none of which may be empty."""
        if self._literals(parts) != self._wanted:
            return None
        values = {name: parts[place] for place, name in self._names}
        return values if all(values.values()) else None


class _HandlersResponse(Response):
    """The response that a handler asks for as a parameter, as FastAPI makes it: it carries headers and a status."""

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
        # Only an instance of this very class is written here; FastAPI validates everything else.
        self._model = route.response_model or type(None)
        self._serialize = _serializer(route.response_model) if route.response_model else None
        self._empty = Response(status_code=self._status).raw_headers
        self._steps: list[tuple[Callable[..., Any], list[tuple[str, _Source]]]] = []
        # Where in a _Call its value is. The guards come first, and are not asked again.
        self._places: dict[tuple[Callable[..., Any], str | None], int] = {
            (guard, None): place for place, guard in enumerate(self.route.guards, _FIRST_GIVEN)
        }
        self._wants_response = False
        self._arguments = list(self._compile(route.dependant))

    async def run(self, request: ContractRequest) -> tuple[Message, bytes] | Response:
        """The start of the answer and its body, or a response that must be sent as it is.

        Raises what the guards, the dependencies and the handler raise.
        """
        response = _HandlersResponse() if self._wants_response else None
        given = await request.prepare(self.route)
        call: _Call = [request, response, request.scope["path_params"], *given]
        for dependency, sources in self._steps:
            call.append(await dependency(**_values(sources, call)))
        result = await self._handler(**_values(self._arguments, call))
        if type(result) is not self._model or (response is not None and response.status_code is not None):
            return await self._respond(result, response)
        body, headers = b"", self._empty
        if self._serialize is not None:
            body = self._serialize(result)
            headers = [(b"content-length", b"%d" % len(body)), _JSON]
        if response is not None:
            headers = [*headers, *response.raw_headers]
        return {"type": "http.response.start", "status": self._status, "headers": headers}, body

    async def _respond(self, result: Any, response: Response | None) -> Response:
        """What fastapi.routing makes of a result that is not the plain model, or has a status of its own."""
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
        """The arguments of a callable; what it depends on becomes steps ahead of it."""
        for dependency in dependant.dependencies:
            assert dependency.call is not None
            sources = list(self._compile(dependency))
            # FastAPI caches by these two, and by the scopes, which no supported dependency has.
            key = (dependency.call, dependency.scope)
            if key not in self._places:
                self._places[key] = _FIRST_GIVEN + len(self._places)
                self._steps.append((dependency.call, sources))
            if dependency.name is not None:
                yield dependency.name, itemgetter(self._places[key])
        for field in dependant.path_params:
            yield field.name, _path(field)
        for field in dependant.query_params:
            yield field.name, _query(field)
        for field in dependant.body_params:
            yield field.name, _body(field)
        if dependant.request_param_name:
            yield dependant.request_param_name, itemgetter(_REQUEST)
        if dependant.response_param_name:
            self._wants_response = True
            yield dependant.response_param_name, itemgetter(_RESPONSE)


def _path(field: ModelField) -> _Source:
    validate, name = _validator(field), field.validation_alias or field.alias
    # None, where the path has no such parameter, does not fit.
    return lambda call: validate(call[_PATH].get(name))


def _query(field: ModelField) -> _Source:
    validate = _validator(field)
    return lambda call: validate(call[_REQUEST].query_params)


def _body(field: ModelField) -> _Source:
    validate = _validator(field)

    def source(call: _Call) -> Any:
        if (parsed := call[_REQUEST].parsed) is not None:
            return validate(parsed)
        if field.field_info.is_required():
            raise _UnfitError
        return field.get_default()

    return source


def _validator(field: ModelField) -> Callable[[Any], Any]:
    """FastAPI's own for a parameter, without the two functions around it."""
    validator: Callable[[Any], Any] = field._type_adapter.validator.validate_python  # noqa: SLF001
    return validator


def _values(sources: list[tuple[str, _Source]], call: _Call) -> dict[str, Any]:
    try:
        return {name: source(call) for name, source in sources}
    except ValidationError:
        raise _UnfitError from None


def _serializer(model: Any) -> Callable[[Any], bytes]:
    """orjson takes 15 µs for 50 tasks, and pydantic 54, which must do it where JSON is not what the members hold."""
    adapter = TypeAdapter(model)
    if _converts(adapter.core_schema):
        return partial(adapter.dump_json, by_alias=True)
    return partial(orjson.dumps, default=_members, option=orjson.OPT_UTC_Z)


def _converts(schema: Mapping[str, Any]) -> bool:
    """Whether pydantic writes any of it otherwise than orjson: under another name, in another form, not at all, or more
    than its members. What is not known to be alike counts as that."""
    if schema["type"] not in _ALIKE or any(map(schema.get, _CONVERSIONS)):
        return True
    if schema.get("config", {}).get("extra_fields_behavior") == "allow":
        return True
    parts = [schema[key] for key in ("schema", "items_schema") if key in schema]
    return any(map(_converts, [*parts, *schema.get("fields", {}).values(), *schema.get("definitions", ())]))


_ALIKE = {
    "bool", "datetime", "default", "definition-ref", "definitions", "int", "list", "literal", "missing-sentinel",
    "model", "model-field", "model-fields", "nullable", "str",
}  # fmt: skip
_CONVERSIONS = (
    "serialization", "serialization_alias", "serialization_exclude", "serialization_exclude_if", "computed_fields",
    "root_model",
)  # fmt: skip


def _members(model: BaseModel) -> Mapping[str, Any]:
    members = model.__dict__
    if _may_miss(type(model)):
        return {name: value for name, value in members.items() if value is not MISSING}
    return members


@cache
def _may_miss(model: type[BaseModel]) -> bool:
    return any(field.default is MISSING for field in model.model_fields.values())
