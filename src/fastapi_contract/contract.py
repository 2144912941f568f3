"""Parses the contract, `openapi.yaml`, into operations: their paths, parameters, responses, security and URLs."""

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from fastapi_contract.paths import Paths, PathTemplate, percent_encoded

Schema = dict[str, Any]
Alternatives = Sequence[Mapping[str, Sequence[str]]]
"""The `security` of an operation: each alternative has the scopes of its schemes, by name. `{}`: no credentials."""

_IGNORED_HEADERS = {"accept", "content-type", "authorization"}
"""Header parameters of these names have no effect (OpenAPI 3.1.1, section 4.8.12.1)."""

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


class ContractError(Exception):
    """The code and `openapi.yaml` differ, or `openapi.yaml` has operations that cannot be bound to handlers.

    `differences` has one line for each, with what to do; the message lists all of them.
    """

    def __init__(self, differences: list[str]) -> None:
        self.differences = differences
        count = f"{len(differences)} difference{'s' if len(differences) > 1 else ''}"
        lines = "\n".join(f"  - {difference}" for difference in differences)
        super().__init__(f"The code does not implement openapi.yaml, {count}:\n{lines}")


@dataclass(frozen=True)
class Operation:
    """One operation of the contract."""

    id: str
    """The operationId."""
    method: str
    """In upper case."""
    path: str
    """The template, such as `/api/{user_id}/tasks`."""
    spec: Schema
    """The operation as written in the contract."""
    parameters: tuple[Schema, ...]
    """Those of the path item and of the operation, with their own `$ref` and that of their schema resolved."""
    responses: dict[str, Schema]
    """By status, with their own `$ref` resolved."""
    security: Alternatives
    """Empty for a public operation."""
    keys_in_query: frozenset[str]
    """The names of query parameters that are API keys of its security schemes."""
    successes: tuple[int, ...]
    """The statuses of its 2xx and 3xx responses: at least one."""

    def url(self, /, **values: str | int) -> str:
        """Returns the operation's URL, relative to the server.

        `values` are those of path and query parameters, by name. Each is percent-encoded as a whole, so that a value in
        the path is always one segment.

        Raises ValueError for an unknown parameter, and for a path parameter that is missing or empty.

            contract.operations["getTask"].url(user_id="alex", task_id=1)  # "/api/alex/tasks/1"
            contract.operations["listTasks"].url(user_id="a/b", limit=10)  # "/api/a%2Fb/tasks?limit=10"
        """
        try:
            url = self._template.url(values)
        except KeyError as error:
            raise ValueError(f"The URL of {self.id} requires a value for {error.args[0]}.") from None
        if len(values) == len(self._template.names):
            return url
        query = {name: value for name, value in values.items() if name not in self._template.names}
        if unknown := query.keys() - self._query_names:
            raise ValueError(f"{self.id} has no parameter named {', '.join(sorted(unknown))}.")
        return f"{url}?" + "&".join([f"{name}={percent_encoded(value)}" for name, value in query.items()])

    @functools.cached_property
    def _template(self) -> PathTemplate:
        return PathTemplate(self.path)

    @functools.cached_property
    def _query_names(self) -> Collection[str]:
        return {parameter["name"] for parameter in self.parameters if parameter["in"] == "query"}


@dataclass
class Contract:
    """A parsed `openapi.yaml`. Make one with `parse`."""

    source: bytes
    """The file's content."""
    document: Schema
    """The parsed YAML."""
    operations: dict[str, Operation]
    """By operationId."""
    bound: set[str] = field(default_factory=set)
    """The operationIds that have a handler; ContractRouter adds them."""

    @classmethod
    def parse(cls, source: bytes) -> "Contract":
        """Parses `source`, an OpenAPI document in YAML.

        Raises ContractError with every operation that cannot be bound to a handler: its operationId is missing or not
        unique, or it has no 2xx or 3xx response. Raises yaml.YAMLError for text that is not YAML.

            contract = Contract.parse(Path("openapi.yaml").read_bytes())
            contract.operations["getTask"].path  # "/api/{user_id}/tasks/{task_id}"
        """
        document = yaml.load(source, Loader=yaml.CSafeLoader)
        operations: dict[str, Operation] = {}
        faults = []
        for path, method, item, spec in operations_of(document):
            operation_id = spec.get("operationId")
            responses = {str(status): resolve(document, response) for status, response in spec["responses"].items()}
            success = [status for status in responses if status.startswith(("2", "3"))]
            if operation_id is None:
                faults.append(f"{method.upper()} {path} has no operationId: add one.")
            elif operation_id in operations:
                faults.append(f"{operation_id} appears twice: rename one of them.")
            elif not success or not all(status.isdigit() for status in responses):
                faults.append(f"{operation_id} must have a 2xx or 3xx response, and neither default nor ranges.")
            else:
                operations[operation_id] = Operation(
                    id=operation_id,
                    method=method.upper(),
                    path=path,
                    spec=spec,
                    parameters=tuple(parameters_of(document, item, spec)),
                    responses=responses,
                    security=(security := security_of(document, spec)),
                    keys_in_query=frozenset(_keys_in_query(document, security)),
                    successes=tuple(map(int, success)),
                )
        if faults:
            raise ContractError(faults)
        return cls(source, document, operations)

    @functools.cached_property
    def paths(self) -> Paths:
        """The path templates, in the order in which they are matched."""
        return Paths({operation.path for operation in self.operations.values()})

    @property
    def methods(self) -> list[str]:
        """The HTTP methods of all operations."""
        return sorted({operation.method for operation in self.operations.values()})

    @property
    def response_headers(self) -> list[str]:
        """The names of all documented response headers."""
        responses = (response for operation in self.operations.values() for response in operation.responses.values())
        return sorted({name for response in responses for name in response.get("headers", ())})

    def allowed_methods(self, path: str) -> str:
        """The value of the Allow header for a path (RFC 9110, section 10.2.1).

        A path outside the contract is taken for one of the engine's own pages, which allow GET.
        """
        found = self.paths.find(path)
        template = found[0].template if found else None
        methods = {operation.method for operation in self.operations.values() if operation.path == template} or {"GET"}
        return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def operations_of(document: Schema) -> Iterator[tuple[str, str, Schema, Schema]]:
    """Yields path, method (in lower case), path item and operation of each operation in an OpenAPI document."""
    for path, item in document.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                yield path, method, item, item[method]


def resolve(document: Schema, node: Schema) -> Schema:
    """Returns the node that `node` refers to (`$ref` within the document), or `node` itself if it has no `$ref`."""
    while "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def parameters_of(document: Schema, item: Schema, spec: Schema) -> Iterator[Schema]:
    """Yields the parameters of a path item and of its operation `spec`, with their own `$ref` and their schema's
    resolved. An operation's parameter replaces that of its path, and headers that OpenAPI ignores are left out."""
    found = {}
    for each in (*item.get("parameters", ()), *spec.get("parameters", ())):
        parameter = resolve(document, each)
        name = parameter["name"].lower() if parameter["in"] == "header" else parameter["name"]
        if parameter["in"] != "header" or name not in _IGNORED_HEADERS:
            found[parameter["in"], name] = {**parameter, "schema": resolve(document, parameter["schema"])}
    yield from found.values()


def security_of(document: Schema, spec: Schema) -> Alternatives:
    """The alternatives of an operation's security: its own `security`, otherwise the document's."""
    alternatives: Alternatives = spec["security"] if "security" in spec else document.get("security", [])
    return alternatives if any(alternatives) else ()


def _keys_in_query(document: Schema, security: Alternatives) -> Iterator[str]:
    for name in {name for alternative in security for name in alternative}:
        scheme = resolve(document, document.get("components", {}).get("securitySchemes", {}).get(name, {}))
        if scheme.get("type") == "apiKey" and scheme["in"] == "query":
            yield scheme["name"]


def json_types(document: Schema, schema: Schema, seen: frozenset[int] = frozenset()) -> frozenset[str]:
    """The JSON types that a schema allows: those of its `type`, or of its values, or of its branches; all of them if it
    has none of these."""
    schema = resolve(document, schema)
    if id(schema) in seen:
        return frozenset()
    seen |= {id(schema)}
    if "type" in schema:
        return frozenset([schema["type"]] if isinstance(schema["type"], str) else schema["type"])
    if "const" in schema or "enum" in schema:
        return frozenset(map(_type_of, schema.get("enum", [schema.get("const")])))
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return frozenset().union(*(json_types(document, each, seen) for each in schema[keyword]))
    if "allOf" in schema:
        return JSON_TYPES.intersection(*(json_types(document, each, seen) for each in schema["allOf"]))
    return JSON_TYPES


JSON_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


def _type_of(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")
