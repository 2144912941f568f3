"""Reads the parameters of an operation from the text of path, query, headers and cookies, as values of the contract's
types."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from math import isfinite
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from starlette.datastructures import Headers

from fastapi_contract.contract import Schema
from fastapi_contract.openapi.document import resolve
from fastapi_contract.openapi.openapi_objects import parameter_key
from fastapi_contract.openapi.schema_types import JSON_TYPES, json_types
from fastapi_contract.problems import InvalidRequest, UriTooLong, ValidationFailed
from fastapi_contract.validation.input_errors import MAX_ERRORS, InputError
from fastapi_contract.validation.schemas import Validator

MAX_QUERY = 4 * 1024
"""Bytes of a query string. The longest that todo-api's contract allows has 120."""

# 19 digits are enough for each 64-bit integer; longer ones stay text, which is no valid integer.
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,308})(?:\.[0-9]{1,308})?(?:[eE][+-]?[0-9]{1,3})?")
_CONSTANTS: dict[str, dict[str, bool | None]] = {"boolean": {"true": True, "false": False}, "null": {"null": None}}

LIST_FIELDS = frozenset({"if-match", "if-none-match"})
"""Headers of HTTP that are lists, though a contract describes them as a text: several lines are one list, with commas
(RFC 9110, section 5.3)."""

Convert = Callable[[str], Any]
"""Converts the text of a value."""


class _Parameter:
    """One parameter: how its text becomes a value, and which values are valid."""

    def __init__(self, document: Schema, spec: Schema) -> None:
        self.name: str = spec["name"]
        self.is_required: bool = spec.get("required", False)
        self.is_invalid_request: bool = spec.get("x-invalid-status") == InvalidRequest.status
        schema = resolve(document, spec["schema"])
        types = json_types(document, schema)
        self.is_array = "array" in types and spec["in"] in {"query", "header"}
        self.is_exploded = self.is_array and spec["in"] == "query" and spec.get("explode", True)
        self.convert = conversion(json_types(document, schema.get("items", {})) if self.is_array else types)
        self._validator = Validator(document, spec["schema"])
        self._is_valid = self._validator.is_valid

    def read(self, text: str, decode: Convert = str) -> Any:
        """Converts the text of a value. An array that is not exploded has its items between commas."""
        if self.is_array:
            return [self.convert(decode(item)) for item in text.split(",")]
        return self.convert(decode(text))

    def check_absence(self, errors: list[InputError]) -> None:
        if self.is_required:
            errors.append(InputError("required", "Is required.", parameter=self.name))

    def check(self, value: Any, errors: list[InputError]) -> None:
        if not self._is_valid(value):
            errors += self._validator.errors(value, parameter=self.name)


class Parameters:
    """The parameters of one operation.

    A value that is not the canonical text of its type stays text, which is no valid value of another type. `null` is
    the same as a parameter that is not sent. The `read_` methods append to `errors` what is not valid.
    """

    def __init__(self, document: Schema, specs: Iterable[Schema] = (), keys: Collection[str] = ()) -> None:
        """`specs` are the contract's parameter objects in `document`, with their own `$ref` resolved. `keys` are the
        names of query parameters that guards have read."""
        found: dict[str, dict[str, _Parameter]] = {"path": {}, "query": {}, "header": {}, "cookie": {}}
        for spec in specs:
            where, name = parameter_key(spec)
            found[where][name] = _Parameter(document, spec)
        self._path, self._query = found["path"], found["query"]
        self._headers, self._cookies = found["header"], found["cookie"]
        self.has_headers, self.has_cookies = bool(self._headers), bool(self._cookies)
        self._header_names = frozenset(name.encode("latin-1") for name in self._headers)
        self._has_required_headers = any(parameter.is_required for parameter in self._headers.values())
        self._required_in_query = [parameter for parameter in self._query.values() if parameter.is_required]
        self._keys = frozenset(keys)
        self._names = self._query.keys() | self._keys
        self._has_arrays = any(each.is_array for each in self._query.values())

    def read_path(self, texts: Mapping[str, str], errors: list[InputError]) -> dict[str, Any]:
        """Converts the path parameters."""
        return _read(self._path, texts, errors)

    def read_query(self, query: bytes, errors: list[InputError]) -> dict[str, Any]:
        """Parses a query string.

        Raises UriTooLong, and ValidationFailed for an unknown or repeated parameter.
        """
        if not query:
            for parameter in self._required_in_query:
                parameter.check_absence(errors)
            return {}
        if len(query) > MAX_QUERY:
            raise UriTooLong("query", MAX_QUERY)
        if self._has_arrays:
            return self._read_arrays(query.decode("latin-1"), errors)
        received = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        texts = dict(received)
        if len(texts) < len(received) or not texts.keys() <= self._names:
            raise ValidationFailed(self._query_errors([name for name, _ in received]))
        return _without_null(_read(self._query, texts, errors))

    def read_headers(self, headers: Iterable[tuple[bytes, bytes]], errors: list[InputError]) -> dict[str, Any]:
        """Returns the values of the header parameters that were sent, by their names in small letters.

        Raises InvalidRequest for one with `x-invalid-status: 400`.
        """
        texts: dict[str, list[str]] = {}
        for field, text in headers:
            # Most requests have none of them, and their headers are not decoded.
            if field in self._header_names:
                texts.setdefault(field.decode("latin-1"), []).append(text.decode("latin-1"))
        if not texts and not self._has_required_headers:
            return {}
        values: dict[str, Any] = {}
        for name, parameter in self._headers.items():
            faults: list[InputError] = []
            if name not in texts:
                parameter.check_absence(faults)
            elif len(texts[name]) > 1 and not parameter.is_array and name not in LIST_FIELDS:
                faults.append(_repeated(parameter.name))
            else:
                values[name] = parameter.read(",".join(texts[name]), _without_spaces)
                parameter.check(values[name], faults)
            if faults and parameter.is_invalid_request:
                raise InvalidRequest(f"The header {parameter.name} is not valid: {faults[0].detail}")
            errors += faults
        return values

    def read_cookies(self, cookies: Mapping[str, str], errors: list[InputError]) -> dict[str, Any]:
        """Converts the cookies that are parameters of the operation; others stay text."""
        return _without_null(_read(self._cookies, cookies, errors))

    def _read_arrays(self, query: str, errors: list[InputError]) -> dict[str, Any]:
        """Percent-encoded commas are part of an item, so the items are split before they are decoded."""
        received = [text.partition("=")[::2] for text in query.split("&") if text]
        names = [unquote_plus(name) for name, _ in received]
        exploded = {name for name, each in self._query.items() if each.is_exploded}
        if any(name not in self._names or (names.count(name) > 1 and name not in exploded) for name in set(names)):
            raise ValidationFailed(self._query_errors(names))
        values: dict[str, Any] = {}
        for name, (_, text) in zip(names, received, strict=True):
            if name in exploded:
                values.setdefault(name, []).append(self._query[name].convert(unquote_plus(text)))
            elif name in self._query:
                values[name] = self._query[name].read(text, unquote_plus)
        for name, parameter in self._query.items():
            if name in values:
                parameter.check(values[name], errors)
            else:
                parameter.check_absence(errors)
        return _without_null(values)

    def _query_errors(self, names: Sequence[str]) -> list[InputError]:
        unknown = f"Unknown parameter. Known parameters: {', '.join(self._query) or 'none'}."
        counts = Counter(name for name in names if name not in self._query or not self._query[name].is_exploded)
        errors = (
            InputError("unknown_parameter", unknown, parameter=name) if name not in self._names else _repeated(name)
            for name, count in counts.items()
            if name not in self._names or count > 1
        )
        return list(islice(errors, MAX_ERRORS + 1))


class HeaderValues(Headers):
    """The headers of a request, some of which have values of other types than text."""

    def __init__(self, headers: Headers, values: Mapping[str, Any]) -> None:
        super().__init__(raw=headers.raw)
        self._values = values

    def get(self, key: str, default: Any = None) -> Any:
        return self._values[key.lower()] if key.lower() in self._values else super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        return self._values[key.lower()] if key.lower() in self._values else super().__getitem__(key)

    def getlist(self, key: str) -> list[Any]:
        return self._values[key.lower()] if key.lower() in self._values else super().getlist(key)


def _read(parameters: Mapping[str, _Parameter], texts: Mapping[str, str], errors: list[InputError]) -> dict[str, Any]:
    values: dict[str, Any] = dict(texts)
    for name, parameter in parameters.items():
        if name in texts:
            values[name] = value = parameter.convert(texts[name])
            parameter.check(value, errors)
        elif parameter.is_required:
            parameter.check_absence(errors)
    return values


def _without_null(values: dict[str, Any]) -> dict[str, Any]:
    """FastAPI takes None for a parameter that is not sent."""
    return {name: value for name, value in values.items() if value is not None} if None in values.values() else values


def _repeated(name: str) -> InputError:
    return InputError("repeated_parameter", "Appears more than once. Send it once.", parameter=name)


def _without_spaces(text: str) -> str:
    return text.strip(" \t")


def conversion(types: Collection[str]) -> Convert:
    """Returns a function that converts the canonical text of one of these JSON types; other text stays text."""
    if types == JSON_TYPES:
        return str
    constants = {text: value for kind, each in _CONSTANTS.items() if kind in types for text, value in each.items()}
    is_number, is_integer = "number" in types, "integer" in types
    if not (is_number or is_integer):
        return (lambda text: constants.get(text, text)) if constants else str

    def convert(text: str) -> Any:
        if _INTEGER.fullmatch(text):
            return int(text)
        if is_number and _NUMBER.fullmatch(text) and isfinite(number := float(text)):
            return number
        return constants.get(text, text)

    return convert
