"""`openapi.yaml`, read once: its operations, the statuses that they promise, their URLs."""

import functools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import yaml
from starlette.routing import compile_path

Schema = dict[str, Any]

# A segment of dots alone is resolved by the client (RFC 3986, section 5.2.4), at least while it is not encoded.
_DOTS = {".": "%2E", "..": "%2E%2E"}

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


class ContractError(Exception):
    """The code and `openapi.yaml` differ. The message lists every difference and what to do."""

    def __init__(self, differences: list[str]) -> None:
        self.differences = differences
        count = f"{len(differences)} difference{'s' if len(differences) > 1 else ''}"
        lines = "\n".join(f"  - {difference}" for difference in differences)
        super().__init__(f"The code does not implement openapi.yaml, {count}:\n{lines}")


@dataclass(frozen=True)
class Operation:
    """One operation of the contract, with every `$ref` on its first level resolved."""

    id: str
    method: str
    path: str
    pattern: re.Pattern[str]
    spec: Schema
    parameters: tuple[Schema, ...]
    responses: dict[str, Schema]
    schemes: tuple[str, ...]
    """The names of the security schemes that it wants; none for a public operation."""
    status: int
    """Of its one 2xx answer."""
    model: str | None
    """The name of the model of that answer; None where it has no body."""

    def url(self, /, **values: str | int) -> str:
        """The URL relative to the server, with the values of path and query parameters. Each value is percent-encoded
        whole, so that one in the path is one segment.

        Raises ValueError for an unknown parameter, and for a path parameter that is missing or empty.
        """
        path = {}
        for name in self._path_names:
            path[name] = _percent_encoded(values.pop(name, ""))
            if not path[name]:
                raise ValueError(f"The URL of {self.id} has no value for {name}.")
        url = self.path.format_map(path)
        if not values:
            return url
        if unknown := values.keys() - self._query_names:
            raise ValueError(f"The URL of {self.id} takes no {', '.join(sorted(unknown))}.")
        return f"{url}?" + "&".join([f"{name}={_percent_encoded(value)}" for name, value in values.items()])

    @functools.cached_property
    def _path_names(self) -> Collection[str]:
        return self.types("path").keys()

    @functools.cached_property
    def _query_names(self) -> Collection[str]:
        return self.types("query").keys()

    def types(self, place: str) -> dict[str, str]:
        """The JSON type of every parameter in a place ("path" or "query")."""
        return {
            parameter["name"]: parameter["schema"].get("type", "string")
            for parameter in self.parameters
            if parameter["in"] == place
        }


@dataclass
class Contract:
    """`openapi.yaml`, read once."""

    source: bytes
    document: Schema
    operations: dict[str, Operation]
    bound: set[str] = field(default_factory=set)

    @classmethod
    def parse(cls, source: bytes) -> "Contract":
        """Raises ContractError with every operation that can't be bound."""
        document = yaml.load(source, Loader=yaml.CSafeLoader)
        operations: dict[str, Operation] = {}
        faults = []
        for path, method, item, spec in operations_of(document):
            operation_id = spec.get("operationId")
            responses = {str(status): resolve(document, answer) for status, answer in spec["responses"].items()}
            success = [status for status in responses if status.startswith("2")]
            if operation_id is None:
                faults.append(f"{method.upper()} {path} has no operationId: add one.")
            elif operation_id in operations:
                faults.append(f"{operation_id} stands twice: rename one of them.")
            elif len(success) != 1 or not all(status.isdigit() for status in responses):
                faults.append(f"{operation_id} must promise exactly one 2xx, and neither default nor ranges.")
            else:
                schemas = [media["schema"] for media in responses[success[0]].get("content", {}).values()]
                operations[operation_id] = Operation(
                    id=operation_id,
                    method=method.upper(),
                    path=path,
                    pattern=compile_path(path)[0],
                    spec=spec,
                    parameters=tuple(parameters_of(document, item, spec)),
                    responses=responses,
                    schemes=tuple(schemes_of(document, spec)),
                    status=int(success[0]),
                    model=schemas[0].get("$ref", "").rpartition("/")[2] if schemas else None,
                )
        if faults:
            raise ContractError(faults)
        return cls(source, document, operations)

    @property
    def methods(self) -> list[str]:
        """Those of all operations."""
        return sorted({operation.method for operation in self.operations.values()})

    @property
    def response_headers(self) -> list[str]:
        """The names of the headers that any answer promises."""
        answers = (answer for operation in self.operations.values() for answer in operation.responses.values())
        return sorted({name for answer in answers for name in answer.get("headers", ())})

    def allowed_methods(self, path: str) -> str:
        """The Allow header of a path (RFC 9110, section 10.2.1). What is not in the contract is a page: GET."""
        methods = {operation.method for operation in self.operations.values() if operation.pattern.match(path)}
        methods = methods or {"GET"}
        return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def operations_of(document: Schema) -> Iterator[tuple[str, str, Schema, Schema]]:
    for path, item in document.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                yield path, method, item, item[method]


def resolve(document: Schema, node: Schema) -> Schema:
    while "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def parameters_of(document: Schema, item: Schema, spec: Schema) -> Iterator[Schema]:
    for parameter in (*item.get("parameters", ()), *spec.get("parameters", ())):
        resolved = resolve(document, parameter)
        yield {**resolved, "schema": resolve(document, resolved["schema"])}


def schemes_of(document: Schema, spec: Schema) -> list[str]:
    choices = spec["security"] if "security" in spec else document.get("security", [])
    return sorted(name for choice in choices for name in choice)


def _percent_encoded(value: str | int) -> str:
    text = str(value)
    if value is True or value is False:
        return text.lower()
    # Most values are ids, numbers and cursors, which need no quote().
    return text if text.isalnum() and text.isascii() else _DOTS.get(text) or quote(text, safe="")
