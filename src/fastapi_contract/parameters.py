"""Reads the parameters of an operation from the text of path and query, as values of the contract's types."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

from fastapi_contract.contract import Schema
from fastapi_contract.input_errors import MAX_ERRORS, InputError
from fastapi_contract.problems import UriTooLong, ValidationFailed

MAX_QUERY = 4 * 1024
"""Bytes of a query string. The longest that todo-api's contract allows has 120."""

# 19 digits are enough for each 64-bit integer; longer ones stay text, which the models reject.
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_BOOLEANS = {"true": True, "false": False}


class Parameters:
    """The parameters of one operation.

    A value that is not the canonical text of its type stays text, which the strict generated models reject.
    """

    def __init__(self, specs: Iterable[Schema] = (), keys: Collection[str] = ()) -> None:
        """`specs` are the contract's parameter objects, with `$ref` resolved. `keys` are the names of query parameters
        that guards have read."""
        self._types: dict[str, dict[str, str]] = {"path": {}, "query": {}}
        for spec in specs:
            self._types.setdefault(spec["in"], {})[spec["name"]] = spec["schema"].get("type", "string")
        self._path, self._query = self._types["path"], self._types["query"]
        self._query |= dict.fromkeys(keys, "string")

    def read_path(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """Converts the path parameters."""
        return {name: _convert(self._path.get(name, "string"), text) for name, text in texts.items()}

    def read_query(self, query: bytes) -> dict[str, Any]:
        """Parses a query string.

        Raises UriTooLong, and ValidationFailed for an unknown or repeated parameter.
        """
        if not query:
            return {}
        if len(query) > MAX_QUERY:
            raise UriTooLong("query", MAX_QUERY)
        received = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        values = dict(received)
        if len(values) < len(received) or not values.keys() <= self._query.keys():
            raise ValidationFailed(_query_errors(received, self._query))
        return {name: _convert(self._query[name], text) for name, text in received}


def _query_errors(received: Sequence[tuple[str, str]], known: Mapping[str, str]) -> list[InputError]:
    unknown = f"Unknown parameter. Known parameters: {', '.join(known) or 'none'}."
    errors = (
        InputError("unknown_parameter", unknown, parameter=name)
        if name not in known
        else InputError("repeated_parameter", "Appears more than once. Send it once.", parameter=name)
        for name, count in Counter(name for name, _ in received).items()
        if name not in known or count > 1
    )
    return list(islice(errors, MAX_ERRORS + 1))


def _convert(json_type: str, text: str) -> int | bool | str:
    if json_type == "integer" and _INTEGER.fullmatch(text):
        return int(text)
    if json_type == "boolean":
        return _BOOLEANS.get(text, text)
    return text
