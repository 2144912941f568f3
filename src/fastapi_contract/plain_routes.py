"""Decides which routes the shortcut compiles. It lists what is supported, so FastAPI serves every other route."""

import inspect
from dataclasses import MISSING, Field, fields
from typing import Any

from fastapi import Response, params
from fastapi._compat import ModelField, lenient_issubclass
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext
from pydantic import BaseModel

# Fields that the shortcut handles as FastAPI does, and fields of the documentation. Each other field, also one that a
# later FastAPI adds, must have its default or be empty.
_HANDLED_BY_DEPENDANT = {
    "body_params", "call", "cookie_params", "dependencies", "header_params", "name", "path", "path_params",
    "query_params", "request_param_name", "response_param_name", "scope",
}  # fmt: skip
_HANDLED_BY_ROUTE = {
    "app", "body", "body_field", "dependant", "dependencies", "dependency_overrides_provider", "endpoint", "methods",
    "name", "operation_id", "param_convertors", "parameters", "path", "path_format", "path_regex", "paths",
    "response_class", "response_field", "response_model", "status_code",
    "callbacks", "deprecated", "description", "generate_unique_id_function", "include_in_schema", "openapi_extra",
    "response_description", "response_fields", "responses", "summary", "tags", "unique_id",
}  # fmt: skip


async def _no_operation() -> None: ...


_DEFAULT_ROUTE = APIRoute("/", _no_operation)


def is_supported(route: RouteContext) -> bool:
    """Whether a route uses only features that the shortcut supports."""
    original = route.original_route
    return (
        all(
            _is_default(each, name)
            for name in vars(original).keys() - _HANDLED_BY_ROUTE
            for each in (getattr(original, name), getattr(route, name, None))
        )
        and isinstance(route.status_code, int)
        and _has_supported_response_class(route)
        and _is_supported_dependant(route.dependant)
    )


def _has_supported_response_class(route: RouteContext) -> bool:
    chosen = route.response_class
    if route.response_field is None:
        return chosen is Response
    # With an explicit class, JSONResponse included, FastAPI first dumps the model to Python objects.
    return isinstance(chosen, DefaultPlaceholder) and chosen == _DEFAULT_ROUTE.response_class


def _is_default(value: Any, name: str) -> bool:
    """Whether an option of a route has its default or is empty."""
    default = getattr(_DEFAULT_ROUTE, name, None)
    return bool(_without_placeholder(value) == _without_placeholder(default)) or not (value or default)


def _without_placeholder(value: Any) -> Any:
    return value.value if isinstance(value, DefaultPlaceholder) else value


def _is_supported_dependant(dependant: Dependant) -> bool:
    call = dependant.call
    is_coroutine = inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)
    return (
        is_coroutine
        and all(_is_unused(dependant, field) for field in fields(dependant) if field.name not in _HANDLED_BY_DEPENDANT)
        and len(dependant.query_params) <= 1
        and all(map(_is_model, dependant.query_params))
        and not any(map(_is_model, [*dependant.header_params, *dependant.cookie_params]))
        and all(type(field.field_info) is params.Body for field in dependant.body_params)
        and all(map(_is_supported_dependant, dependant.dependencies))
    )


def _is_unused(dependant: Dependant, field: Field[Any]) -> bool:
    value = getattr(dependant, field.name)
    default = None if field.default is MISSING else field.default
    return value == default or not (value or default)


def _is_model(field: ModelField) -> bool:
    return lenient_issubclass(field.field_info.annotation, BaseModel)
