"""Which routes the shortcut can compile: a list of what is supported, so that FastAPI answers everything else."""

import inspect
from dataclasses import MISSING, Field, fields
from typing import Any

from fastapi import Response, params
from fastapi._compat import ModelField, lenient_issubclass
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext
from pydantic import BaseModel

# Fields that the shortcut handles as FastAPI does, and those of the documentation. Every other field, also one that a
# later FastAPI adds, must have its default or be empty.
_HANDLED_BY_DEPENDANT = {
    "body_params", "call", "dependencies", "name", "path", "path_params", "query_params", "request_param_name",
    "response_param_name", "scope",
}  # fmt: skip
_HANDLED_BY_ROUTE = {
    "app", "body_field", "dependant", "dependencies", "dependency_overrides_provider", "endpoint", "methods", "name",
    "operation_id", "param_convertors", "parse", "path", "path_format", "path_regex", "response_class",
    "response_field", "response_model", "status_code",
    "callbacks", "deprecated", "description", "generate_unique_id_function", "include_in_schema", "openapi_extra",
    "response_description", "response_fields", "responses", "summary", "tags", "unique_id",
}  # fmt: skip


async def _nothing() -> None: ...


_NOTHING = APIRoute("/", _nothing)


def is_supported(route: RouteContext) -> bool:
    """Whether a route uses nothing but what the shortcut handles."""
    original = route.original_route
    return (
        all(
            _is_default(each, name)
            for name in vars(original).keys() - _HANDLED_BY_ROUTE
            for each in (getattr(original, name), getattr(route, name, None))
        )
        and isinstance(route.status_code, int)
        and _has_plain_response_class(route)
        and _is_plain(route.dependant)
    )


def has_plain_path(route: RouteContext) -> bool:
    """Whether each segment is a literal or a whole `{parameter}` that takes any text."""
    parameters = [segment for segment in str(route.path).split("/") if "{" in segment]
    return parameters == [f"{{{name}}}" for name in route.param_convertors]


def _has_plain_response_class(route: RouteContext) -> bool:
    chosen = route.response_class
    if route.response_field is None:
        return chosen is Response
    # FastAPI serializes for another class, and for JSONResponse itself when it is named, by way of Python's objects.
    return isinstance(chosen, DefaultPlaceholder) and chosen == _NOTHING.response_class


def _is_default(value: Any, name: str) -> bool:
    """Whether an option of a route has no effect."""
    default = getattr(_NOTHING, name, None)
    return bool(_plain(value) == _plain(default)) or not (value or default)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, DefaultPlaceholder) else value


def _is_plain(dependant: Dependant) -> bool:
    call = dependant.call
    is_coroutine = inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)
    return (
        is_coroutine
        and all(_is_unused(dependant, field) for field in fields(dependant) if field.name not in _HANDLED_BY_DEPENDANT)
        and len(dependant.query_params) <= 1
        and all(map(_is_model, dependant.query_params))
        and all(type(field.field_info) is params.Body for field in dependant.body_params)
        and all(map(_is_plain, dependant.dependencies))
    )


def _is_unused(dependant: Dependant, field: Field[Any]) -> bool:
    value = getattr(dependant, field.name)
    default = None if field.default is MISSING else field.default
    return value == default or not (value or default)


def _is_model(field: ModelField) -> bool:
    return lenient_issubclass(field.field_info.annotation, BaseModel)
