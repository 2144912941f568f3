"""Typed answers: for each documented success that has headers of its own, or is one of several, a generated class.

So the type checker proves the status, the model and the required headers of what a handler returns: a `Location` that
the contract requires cannot be forgotten, and one that it does not document cannot be sent. An operation with one
success and no header of its own returns the model itself.
"""

import functools
import keyword
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from types import MappingProxyType, ModuleType
from typing import Any, ClassVar
from uuid import UUID

from pydantic import AwareDatetime
from starlette.responses import Response

from fastapi_contract.contract import Contract, ContractError, Operation, Schema
from fastapi_contract.openapi.document import place_of, resolve, value_at
from fastapi_contract.openapi.model_names import model_name
from fastapi_contract.openapi.schema_types import is_inline_model
from fastapi_contract.responses.serializers import serializer
from fastapi_contract.validation.media_types import STREAM_MEDIA_TYPES, content_type, is_text

COMMON_HEADERS = frozenset({"x-request-id", "api-version", "cache-control", "x-content-type-options", "content-type"})
"""Headers that the engine sets on every response."""
_SCALARS: Mapping[str, Any] = {"integer": int, "number": float, "boolean": bool, "null": type(None)}
_COMPONENT = re.compile("#/components/schemas/[^/]+")
_FORMATS: Mapping[str, Any] = {"date": date, "date-time": AwareDatetime, "time": time, "uuid": UUID}


class Answer(Response):
    """The base of the generated answers. A subclass has a status and, if it has a body, a media type and a model.

    class CreateTask201(Answer, status=201, media_type="application/json", model=models.Task): ...
    """

    _status: ClassVar[int]
    _fixed_headers: ClassVar[list[tuple[bytes, bytes]]]
    """Those of each response of the class."""
    media: ClassVar[str | None]
    model: ClassVar[Any]
    encode: ClassVar[Callable[[Any], bytes]]
    """Makes the body of a content."""

    def __init_subclass__(
        cls, *, status: int, media_type: str | None = None, model: Any = None, vary: str | None = None
    ) -> None:
        """`vary` is the header by which the class is chosen among several."""
        super().__init_subclass__()
        cls._status, cls.media, cls.model = status, media_type, model
        cls._fixed_headers = raw_headers({"content-type": media_type and content_type(media_type), "vary": vary})
        cls.encode = staticmethod(serializer(model) if is_json(media_type or "") else bytes)

    def __init__(self, content: Any = None, headers: Mapping[str, str | None] | None = None) -> None:
        """`headers` that are None are not sent."""
        self.status_code = self._status
        self.background = None
        self.body = b"" if self.media is None else type(self).encode(content)
        self.raw_headers = []
        if self.media is not None:
            self.raw_headers = [(b"content-length", b"%d" % len(self.body)), *self._fixed_headers]
        elif self._status not in {204, 304}:
            self.raw_headers = [(b"content-length", b"0")]
        if headers:
            self.raw_headers += raw_headers(headers)


def raw_headers(headers: Mapping[str, str | None]) -> list[tuple[bytes, bytes]]:
    """Encodes headers for ASGI, without those that are None."""
    return [(_encoded(name), value.encode("latin-1")) for name, value in headers.items() if value is not None]


@functools.cache
def _encoded(name: str) -> bytes:
    """The name of a header, of which a contract has few."""
    return name.lower().encode("latin-1")


@dataclass(frozen=True)
class Success:
    """One success of an operation, as the contract documents it."""

    class_name: str
    status: int
    media_type: str | None
    schema: Schema | None
    headers: Mapping[str, bool]
    """Whether each is required, by name; without those of every response."""


def successes_of(contract: Contract, operation: Operation) -> list[Success]:
    """Returns the documented successes of an operation: an entry for each status and media type."""
    return list(_successes(contract, operation))


def offered_media_types(successes: Sequence[Success]) -> list[str]:
    """Returns the media types among which a client chooses by Accept; empty if there is no choice."""
    media_types = list(dict.fromkeys(success.media_type for success in successes if success.media_type is not None))
    return media_types if len(media_types) > 1 else []


def is_typed(successes: list[Success]) -> bool:
    """Whether an operation returns generated answers instead of its model."""
    return len(successes) > 1 or any(
        each.headers or (each.media_type and not is_json(each.media_type)) or each.status >= 300 for each in successes
    )


def is_json(media_type: str) -> bool:
    """Whether bodies of a media type are JSON."""
    return media_type == "application/json" or media_type.endswith("+json")


def argument_of(header: str) -> str:
    """The name of a header as the argument of a generated class: `Content-Disposition` is `content_disposition`."""
    name = re.sub(r"\W", "_", header.lower())
    return f"{name}_" if keyword.iskeyword(name) or name == "content" else name


def pascal_case(operation_id: str) -> str:
    """The operationId as the beginning of a generated class name: `createTask` is `CreateTask`."""
    return operation_id[:1].upper() + operation_id[1:]


def model_of(contract: Contract, operation: Operation, success: Success, models: ModuleType) -> Any:
    """Returns the type of a success's body: a generated model, or a type made of them; None without a body.

    Raises ContractError if the model is not generated.
    """
    if success.schema is None:
        return None
    if not is_json(str(success.media_type)) and success.media_type not in STREAM_MEDIA_TYPES:
        return str if is_text(str(success.media_type)) else bytes
    # An inline schema is generated under the name of its operation.
    inline_name = f"{pascal_case(operation.id)}Response"
    schema = success.schema
    while "$ref" in schema and not _COMPONENT.fullmatch(schema["$ref"]):
        schema = value_at(contract.document, place_of(schema["$ref"]))
    found = type_of(schema, models, inline_name)
    if found is None:
        name = model_name(str(success.schema.get("$ref", inline_name)).rpartition("/")[2])
        raise ContractError([f"{operation.id} returns {name}, which is not generated. Run ./codegen.sh."])
    return found


def _successes(contract: Contract, operation: Operation) -> Iterator[Success]:
    for status in operation.successes:
        response = operation.responses[str(status)]
        content = response.get("content", {})
        headers = {
            name: bool(resolve(contract.document, header).get("required", False))
            for name, header in response.get("headers", {}).items()
            if name.lower() not in COMMON_HEADERS
        }
        name = f"{pascal_case(operation.id)}{status}"
        for media_type, media in content.items():
            subtype = media_type.partition("/")[2].removeprefix("x-").title() if len(content) > 1 else ""
            suffix = "".join(filter(str.isalnum, subtype))
            yield Success(name + suffix, status, media_type, media.get("schema", {}), headers)
        if not content:
            yield Success(name, status, None, None, headers)


def type_of(
    schema: Mapping[str, Any], models: ModuleType, inline_name: str, twins: Mapping[str, str] = MappingProxyType({})
) -> Any:
    """Returns the type of a schema; None if it is not generated.

    `inline_name` is that of a schema without a name. `twins` are other names of models, by the name of the schema.
    """
    if "$ref" in schema:
        if not _COMPONENT.fullmatch(schema["$ref"]):
            return None
        name = schema["$ref"].rpartition("/")[2]
        return getattr(models, twins.get(name, model_name(name)), None)
    if is_inline_model(schema):
        return getattr(models, inline_name, None)
    if schema.get("type") == "array":
        items = type_of(schema.get("items", {}), models, inline_name, twins)
        return None if items is None else list[items]  # type: ignore[valid-type]
    types = schema.get("type", ())
    types = [types] if isinstance(types, str) else types
    scalars = [_FORMATS.get(schema.get("format", ""), str) if each == "string" else _SCALARS[each] for each in types]
    return functools.reduce(operator.or_, scalars) if scalars else Any
