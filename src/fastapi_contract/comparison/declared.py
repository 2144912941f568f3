"""Reads what a handler and its dependencies declare: parameters, body and security."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from fastapi import params
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from pydantic import BaseModel, PydanticUserError, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from fastapi_contract.contract import Schema


class UndescribedError(Exception):
    """Pydantic cannot describe a type as a JSON Schema. The message says why."""


@dataclass(frozen=True)
class Declared:
    """A parameter or body that a handler declares."""

    written: Any
    """The type as it is written, without None, if nothing restricts it further; otherwise None."""
    is_required: bool
    adapter: TypeAdapter[Any]
    """What FastAPI validates, with the bounds of Path(), Query(), …; for a member of a model, that of the model."""
    member: str = ""

    def described(self) -> tuple[Schema, Schema]:
        """The JSON Schema of the type, within that of its adapter. Raises UndescribedError."""
        document = _described(self.adapter, "validation")
        return document, document["properties"][self.member] if self.member else document


class _Schema(GenerateJsonSchema):
    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012


def schema_of(kind: Any, mode: JsonSchemaMode) -> Schema:
    """The JSON Schema of a type. Raises UndescribedError."""
    return _described(TypeAdapter(kind), mode)


def _described(adapter: TypeAdapter[Any], mode: JsonSchemaMode) -> Schema:
    try:
        return adapter.json_schema(mode=mode, schema_generator=_Schema)
    except PydanticUserError as error:
        if error.code == "class-not-fully-defined":
            # FastAPI reads the value of an alias that contains itself, and takes it for a parameter of the query.
            text = "a type contains itself. If it is the body, annotate it as such: Annotated[models.Tree, Body()]."
            raise UndescribedError(text) from None
        raise UndescribedError(error.message) from None


def parameters_of(route: APIRoute) -> dict[tuple[str, str], Declared]:
    """The parameters, by where they are and their name; names of headers in lower case.

    The members of a model are parameters of their own, whose `written` is the model.
    """
    found: dict[tuple[str, str], Declared] = {}
    for dependant in _all(route.dependant):
        hints = _hints(dependant.call)
        for where in ("path", "query", "header", "cookie"):
            for field in getattr(dependant, f"{where}_params"):
                for name, declared in _members(field, hints.get(field.name)):
                    key = name.lower() if where == "header" else name
                    found.setdefault((where, key), declared)
    return found


def body_of(route: APIRoute) -> tuple[Declared, str] | None:
    """The body and its media type; None if no parameter reads it."""
    field = route.body_field
    if field is None:
        return None
    fields = [(each, dependant) for dependant in _all(route.dependant) for each in dependant.body_params]
    written = None
    if len(fields) == 1 and not getattr(fields[0][0].field_info, "embed", None):
        written = _written(_hints(fields[0][1].call).get(fields[0][0].name))
    media_type = getattr(field.field_info, "media_type", "application/json")
    return Declared(written, field.field_info.is_required(), field._type_adapter), media_type  # noqa: SLF001


def models_of(route: APIRoute) -> Iterator[tuple[str, type[BaseModel]]]:
    """The parameters of the handler itself that are models, or may be one."""
    for name, hint in _hints(route.dependant.call).items():
        written = _written(hint)
        for each in get_args(written) or (written,):
            if name != "return" and isinstance(each, type) and issubclass(each, BaseModel):
                yield name, each


def security_of(route: APIRoute) -> set[str]:
    """The security schemes that dependencies require, without the guards of the operation."""
    return {
        str(getattr(each.call, "scheme_name", type(each.call).__name__))
        for each in _all(route.dependant)
        if isinstance(each.call, SecurityBase)
    }


def _all(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for each in dependant.dependencies:
        yield from _all(each)


def _hints(call: Callable[..., Any] | None) -> dict[str, Any]:
    function = call if inspect.isroutine(call) or inspect.isclass(call) else type(call).__call__
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        # Annotations as text that only a type checker can read.
        return {}


def _members(field: ModelField, hint: Any) -> Iterator[tuple[str, Declared]]:
    kind = field.field_info.annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        adapter = TypeAdapter(kind)
        for name, member in kind.model_fields.items():
            alias = member.validation_alias or member.alias or name
            yield str(alias), Declared(kind, member.is_required(), adapter, str(alias))
        return
    name = field.alias
    if isinstance(field.field_info, params.Header) and field.field_info.convert_underscores and name == field.name:
        name = name.replace("_", "-")
    yield name, Declared(_written(hint), field.field_info.is_required(), field._type_adapter)  # noqa: SLF001


def _written(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        if any(not isinstance(each, FieldInfo) or each.metadata for each in extras):
            return None
    if get_origin(hint) is Union or type(hint).__name__ == "UnionType":
        members = [each for each in get_args(hint) if each is not type(None)]
        return members[0] if len(members) == 1 else hint
    return hint
