"""Reads forms, `application/x-www-form-urlencoded` and `multipart/form-data`, as objects of the contract's types."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from fastapi_contract.contract import Schema
from fastapi_contract.openapi.document import resolve
from fastapi_contract.openapi.schema_types import JSON_TYPES, is_file, json_types, members_of
from fastapi_contract.problems import MalformedBody, ValidationFailed
from fastapi_contract.validation import strict_json
from fastapi_contract.validation.files import File
from fastapi_contract.validation.input_errors import InputError, pointer_of
from fastapi_contract.validation.media_types import Parameters
from fastapi_contract.validation.multipart import MultipartError, parse_multipart
from fastapi_contract.validation.parameters import conversion

MAX_MEMBERS = 1000
"""Of a urlencoded form."""

_Part: TypeAlias = str | File
"""A value as it was sent: text, or in multipart a File."""
_Convert: TypeAlias = Callable[[_Part], Any]


class Form:
    """The form of an operation: an object whose members have the types of the contract's schema.

    A member that is an array is sent once for each item, and no other member may be repeated. Text becomes a value as
    in a query. In multipart, a member that is an object is JSON, and one that is `format: binary` or has no type is a
    File.
    """

    def __init__(self, document: Schema, schema: Schema, *, is_multipart: bool) -> None:
        members = members_of(document, schema)
        self._members = {name: _Member(document, each, is_multipart) for name, each in members.items()}
        others = resolve(document, schema).get("additionalProperties", {})
        self._others = _Member(document, others if isinstance(others, dict) else {"type": "string"}, is_multipart)
        self._parse: Callable[[bytes, Parameters], Sequence[tuple[str, _Part]]] = (
            _parse_multipart if is_multipart else _parse_urlencoded
        )

    def loads(self, body: bytes, parameters: Parameters) -> "FormValues":
        """Returns the members, which are not validated yet. `parameters` are those of the body's media type.

        Raises MalformedBody, and ValidationFailed for a member that is repeated.
        """
        values = FormValues()
        repeated: dict[str, InputError] = {}
        for name, part in self._parse(body, parameters):
            member = self._members.get(name, self._others)
            try:
                value = member.convert(part)
            except UnicodeDecodeError:
                raise MalformedBody("a member is not UTF-8", "a form") from None
            except strict_json.StrictJSONError as error:
                raise MalformedBody(f"a member is not JSON: {error}", "a form") from None
            if member.is_array:
                values.setdefault(name, []).append(value)
            elif name in values:
                repeated[name] = InputError(
                    "repeated_parameter", "Appears more than once. Send it once.", pointer=pointer_of([name])
                )
            else:
                values[name] = value
        if repeated:
            raise ValidationFailed(list(repeated.values()))
        return values


class FormValues(dict[str, Any]):
    """The members of a form. It is true even if it has none, because FastAPI takes a false value for a missing body."""

    def __bool__(self) -> bool:
        return True


class _Member:
    """One member: whether it may be repeated, and how its text becomes a value."""

    def __init__(self, document: Schema, schema: Schema, is_multipart: bool) -> None:
        schema = resolve(document, schema)
        types = json_types(document, schema)
        self.is_array = "array" in types and types != JSON_TYPES
        if self.is_array:
            schema = resolve(document, schema.get("items", {}))
            types = json_types(document, schema)
        if is_multipart and is_file(document, schema):
            self.convert: _Convert = _as_file
        elif "object" in types and types != JSON_TYPES:
            self.convert = _as_json
        else:
            convert = conversion(types)
            self.convert = lambda part: convert(_as_text(part))


def _as_file(part: _Part) -> _Part:
    return part


def _as_text(part: _Part) -> str:
    return part if isinstance(part, str) else part.decode()


def _as_json(part: _Part) -> Any:
    return strict_json.loads(part.encode() if isinstance(part, str) else part)


def _parse_urlencoded(body: bytes, _: Parameters) -> list[tuple[str, str]]:
    if body.count(b"&") >= MAX_MEMBERS:
        raise MalformedBody(f"it has more than {MAX_MEMBERS} members", "a form")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise MalformedBody("it is not UTF-8", "a form") from None


def _parse_multipart(body: bytes, parameters: Parameters) -> list[tuple[str, File]]:
    try:
        return parse_multipart(body, parameters.get(b"boundary", b""))
    except MultipartError as error:
        raise MalformedBody(str(error), "a form") from None
