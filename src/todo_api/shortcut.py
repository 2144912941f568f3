"""The way of a good request, decided once: which route, which parameters, which dependencies, in which order.

FastAPI decides all of it anew for each request. Here it is read once out of FastAPI's own description of the route, so
that handlers stay FastAPI's. The shortcut is left where input does not fit, or the path is none of the contract's:
FastAPI gets the request as it came, and has the words for the refusal. docs/performance.md has the figures.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from operator import itemgetter
from typing import Any, TypeAlias

import orjson
from fastapi import Response
from fastapi._compat import ModelField, lenient_issubclass
from fastapi.dependencies.models import Dependant
from pydantic import MISSING, BaseModel, TypeAdapter, ValidationError
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api.requests import ContractRequest, ContractRoute

_JSON = (b"content-type", b"application/json")


class _UnfitError(Exception):
    """A value is not what its parameter wants."""


_Call: TypeAlias = list[Any]
"""One request on its way to its handler: the request, the response that carries headers of the handler's own, the
values in its path, and what guards and dependencies have given so far."""

_REQUEST, _RESPONSE, _PATH, _FIRST_GIVEN = range(4)

_Source: TypeAlias = Callable[[_Call], Any]
"""Where the value of an argument comes from. Raises ValidationError, or _UnfitError where there is none."""


class Shortcut:
    """ASGI middleware, the innermost. `answer` has the response to an exception, or None where it is a fault."""

    def __init__(
        self, app: ASGIApp, routes: Sequence[BaseRoute], answer: Callable[[Exception], Response | None]
    ) -> None:
        self.app = app
        self._answer = answer
        self._routes: dict[tuple[str, int], list[_CompiledRoute]] = {}
        for route in routes:
            if isinstance(route, ContractRoute) and _is_plain(route.dependant):
                compiled = _CompiledRoute(route)
                for method in route.methods or ():
                    self._routes.setdefault((method, compiled.length), []).append(compiled)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._find(scope) if scope["type"] == "http" else None
        if route is None:
            await self.app(scope, receive, send)
            return
        request = ContractRequest(scope, receive)
        try:
            head, body = await route.run(request)
        except _UnfitError:
            await self.app(scope, request.replay, send)
        except Exception as error:
            response = self._answer(error)
            if response is None:
                raise
            await response(scope, receive, send)
        else:
            await send(head)
            await send({"type": "http.response.body", "body": body})

    def _find(self, scope: Scope) -> "_CompiledRoute | None":
        parts = scope["path"].split("/")
        for route in self._routes.get((scope["method"], len(parts)), ()):
            if (path_params := route.match(parts)) is not None:
                # Where FastAPI gets the request after all, it sets both anew.
                scope["route"], scope["path_params"] = route.route, path_params
                return route
        return None


class _CompiledRoute:
    def __init__(self, route: ContractRoute) -> None:
        self.route = route
        segments = route.path.split("/")
        self.length = len(segments)
        self._names = [(place, segment[1:-1]) for place, segment in enumerate(segments) if segment.startswith("{")]
        literals = [place for place, segment in enumerate(segments) if not segment.startswith("{")]
        self._literals: Callable[[list[str]], Any] = itemgetter(*literals)
        self._wanted = self._literals(segments)
        self._serialize = _serializer(route.response_model) if route.response_model else None
        self._steps: list[tuple[Callable[..., Any], list[tuple[str, _Source]]]] = []
        # Where in a _Call its value is. The guards come first, and are not asked again.
        self._places: dict[Callable[..., Any], int] = {
            guard: place for place, guard in enumerate(route.guards, _FIRST_GIVEN)
        }
        self._wants_response = False
        self._arguments = list(self._compile(route.dependant))

    def match(self, parts: list[str]) -> dict[str, Any] | None:
        """The values of the path's parameters, none of which may be empty."""
        if self._literals(parts) != self._wanted:
            return None
        values = {name: parts[place] for place, name in self._names}
        return values if all(values.values()) else None

    async def run(self, request: ContractRequest) -> tuple[Message, bytes]:
        """The start of the answer, and its body. Raises what the guards, the dependencies and the handler raise."""
        response = Response() if self._wants_response else None
        given = await request.prepare(self.route)
        call: _Call = [request, response, request.scope["path_params"], *given]
        for dependency, sources in self._steps:
            call.append(await dependency(**_values(sources, call)))
        result = await self.route.endpoint(**_values(self._arguments, call))
        # The first one is the length of nothing.
        headers = response.raw_headers[1:] if response is not None else []
        body = b""
        if self._serialize is not None:
            body = self._serialize(result)
            headers = [(b"content-length", b"%d" % len(body)), _JSON, *headers]
        return {"type": "http.response.start", "status": self.route.status_code, "headers": headers}, body

    def _compile(self, dependant: Dependant) -> Iterator[tuple[str, _Source]]:
        """The arguments of a callable; what it depends on becomes steps ahead of it."""
        for dependency in dependant.dependencies:
            assert dependency.call is not None
            sources = list(self._compile(dependency))
            if dependency.call not in self._places:
                self._places[dependency.call] = _FIRST_GIVEN + len(self._places)
                self._steps.append((dependency.call, sources))
            if dependency.name is not None:
                yield dependency.name, itemgetter(self._places[dependency.call])
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


def _is_plain(dependant: Dependant) -> bool:
    """Whether a route uses nothing but what is known here; any other takes FastAPI's way, always."""
    call = dependant.call
    unknown = (
        *dependant.header_params,
        *dependant.cookie_params,
        *dependant.body_params[1:],
        *dependant.query_params[1:],
        *(field for field in dependant.query_params if not _is_model(field)),
        dependant.http_connection_param_name,
        dependant.websocket_param_name,
        dependant.background_tasks_param_name,
        dependant.security_scopes_param_name,
        dependant.concurrency,
        not dependant.use_cache,
    )
    is_coroutine = inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)
    return is_coroutine and not any(unknown) and all(map(_is_plain, dependant.dependencies))


def _is_model(field: ModelField) -> bool:
    return lenient_issubclass(field.field_info.annotation, BaseModel)


def _path(field: ModelField) -> _Source:
    validate, name = _validator(field), field.alias
    return lambda call: validate(call[_PATH][name])


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
_CONVERSIONS = ("serialization", "serialization_alias", "serialization_exclude", "computed_fields")


def _members(model: BaseModel) -> Mapping[str, Any]:
    members = model.__dict__
    if _may_miss(type(model)):
        return {name: value for name, value in members.items() if value is not MISSING}
    return members


@cache
def _may_miss(model: type[BaseModel]) -> bool:
    return any(field.default is MISSING for field in model.model_fields.values())
