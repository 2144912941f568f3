"""Parses the contract, `openapi.yaml`, into operations: their paths, parameters, responses, security and URLs."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi_contract.openapi import support
from fastapi_contract.openapi.bundle import bundle, dump
from fastapi_contract.openapi.document import Line, Place, UnreadableError, line_of, place_of, read, resolve
from fastapi_contract.openapi.openapi_objects import IGNORED_PARAMETERS, METHODS, parameter_key
from fastapi_contract.openapi.servers import base_path, is_path, mounted
from fastapi_contract.paths import Paths, PathTemplate, Value, percent_encoded

Schema = dict[str, Any]
Alternatives = Sequence[Mapping[str, Sequence[str]]]
"""The `security` of an operation: each alternative has the scopes of its schemes, by name. `{}`: no credentials."""


class ContractError(Exception):
    """The code and `openapi.yaml` differ, or `openapi.yaml` cannot be served (InvalidContractError).

    `differences` has one line for each, with what to do; the message lists all of them.
    """

    summary, kind = "The code does not implement openapi.yaml", "difference"

    def __init__(self, differences: list[str]) -> None:
        self.differences = differences
        count = f"{len(differences)} {self.kind}{'s' if len(differences) > 1 else ''}"
        lines = "\n".join(f"  - {difference}" for difference in differences)
        super().__init__(f"{self.summary}, {count}:\n{lines}")


class InvalidContractError(ContractError):
    """`openapi.yaml` is not a document of OpenAPI 3.1, or uses what is not supported."""

    summary, kind = "openapi.yaml cannot be served", "fault"


@dataclass
class Operation:
    """One operation of the contract."""

    id: str
    """The operationId."""
    method: str
    """In upper case."""
    path: str
    """As written in the contract, such as `/api/{user_id}/tasks`: without the base path."""
    template: PathTemplate
    """Makes the path of its URLs, which begins with the base path; see `Contract.mount`."""
    spec: Schema
    """The operation as written in the contract."""
    parameters: tuple[Schema, ...]
    """Those of the path item and of the operation, as they are written in the contract, with their own `$ref` resolved.
    The operation's replaces that of its path, and headers that OpenAPI ignores are left out."""
    responses: dict[str, Schema]
    """By status, with their own `$ref` resolved."""
    security: Alternatives
    """Empty for a public operation."""
    keys_in_query: frozenset[str]
    """The names of query parameters that are API keys of its security schemes."""
    successes: tuple[int, ...]
    """The statuses of its 2xx and 3xx responses: at least one."""

    @property
    def is_deprecated(self) -> bool:
        return bool(self.spec.get("deprecated"))

    def url(self, /, **values: Value | list[Value]) -> str:
        """Returns the operation's URL, without scheme and host.

        `values` are those of path and query parameters, by name. Each is percent-encoded as a whole, so that a value in
        the path is always one segment. An array is written as the contract says (`explode`); an empty one is left out.

        Raises ValueError for an unknown parameter, and for a path parameter that is missing or empty.

            contract.operations["getTask"].url(user_id="alex", task_id=1)  # "/api/alex/tasks/1"
            contract.operations["listTasks"].url(user_id="a/b", limit=10)  # "/api/a%2Fb/tasks?limit=10"
        """
        try:
            url = self.template.url(values)
        except KeyError as error:
            raise ValueError(f"The URL of {self.id} requires a value for {error.args[0]}.") from None
        if len(values) == len(self.template.names):
            return url
        query = {name: value for name, value in values.items() if name not in self.template.names}
        if unknown := query.keys() - self._explode.keys():
            raise ValueError(f"{self.id} has no parameter named {', '.join(sorted(unknown))}.")
        parts = [part for name, value in query.items() for part in self._query_parts(name, value)]
        return f"{url}?{'&'.join(parts)}" if parts else url

    def _query_parts(self, name: str, value: Value | list[Value]) -> list[str]:
        if not isinstance(value, list):
            return [f"{name}={percent_encoded(value)}"]
        if not value:
            return []
        items = [percent_encoded(item) for item in value]
        return [f"{name}={item}" for item in (items if self._explode[name] else [",".join(items)])]

    @functools.cached_property
    def _explode(self) -> Mapping[str, bool]:
        """Whether an array is written as one parameter for each item, by the names of query parameters."""
        return {each["name"]: each.get("explode", True) for each in self.parameters if each["in"] == "query"}


@dataclass
class Contract:
    """A parsed `openapi.yaml`. Make one with `parse`."""

    source: bytes
    """The contract in one file: what it was read from, if that is one."""
    document: Schema
    """The parsed YAML, with all files in one."""
    lines: Mapping[Place, Line]
    """The line of each value in its file; see `line`."""
    operations: dict[str, Operation]
    """By operationId."""
    bound: set[str] = field(default_factory=set)
    """The operationIds that have a handler; ContractRouter adds them."""

    @classmethod
    def read(cls, path: Path) -> "Contract":
        """Reads a contract, and the files below its folder that its `$ref` lead to.

        Raises InvalidContractError with all faults: what OpenAPI 3.1 forbids, and what is not supported. Raises OSError
        if there is no file at `path`.

            contract = Contract.read(Path("openapi.yaml"))
            contract.operations["getTask"].path  # "/api/{user_id}/tasks/{task_id}"
        """
        return cls.parse(path.read_bytes(), path.parent, path.name)

    @classmethod
    def parse(cls, source: bytes, folder: Path | None = None, file: str = "openapi.yaml") -> "Contract":
        """Parses an OpenAPI document in YAML, as `read` does. Without a folder, it must not refer to other files."""
        try:
            document = read(source, file)
            bundled = bundle(document, file, folder)
        except UnreadableError as error:
            raise InvalidContractError([f"{error.line}: {error}"]) from None
        if faults := support.faults(bundled):
            raise InvalidContractError(faults)
        base = base_path(bundled.root.get("servers", ()))
        operations = [_operation(bundled.root, base, *each) for each in operations_of(bundled.root)]
        content = source if bundled is document else dump(bundled.root)
        return cls(content, bundled.root, bundled.lines, {operation.id: operation for operation in operations})

    def line(self, pointer: str) -> Line:
        """The line of a value of the contract, by its JSON Pointer; if it is missing, that of the value around it.

        contract.line("#/components/schemas/Task")  # openapi.yaml:612
        """
        return line_of(self.lines, place_of(pointer))

    @functools.cached_property
    def base_path(self) -> str:
        """The path of the contract's servers, such as `/v2`. Empty if they have none."""
        return base_path(self.document.get("servers", ()))

    def mount(self, root_path: str) -> str:
        """Makes the URLs of operations begin with `root_path`, a prefix such as `/todo` that a reverse proxy removes.

        Returns the path under which clients find everything: the prefix and the base path. Raises ValueError for a
        prefix that is not a path, or has a final slash.

            contract.mount("/todo")
            contract.operations["getTask"].url(user_id="alex", task_id=1)  # "/todo/api/alex/tasks/1"
        """
        if not is_path(root_path):
            raise ValueError("The prefix must be a path such as /todo, without a final slash.")
        path = mounted(self.base_path, root_path)
        for operation in self.operations.values():
            operation.template = PathTemplate(path + operation.path)
        return path

    @functools.cached_property
    def paths(self) -> Paths:
        """The path templates, in the order in which they are matched."""
        return Paths({operation.path for operation in self.operations.values()})

    @property
    def methods(self) -> list[str]:
        """The HTTP methods of all operations."""
        return sorted({operation.method for operation in self.operations.values()})

    @property
    def request_headers(self) -> list[str]:
        """The names of all request headers that operations read: parameters, credentials, and the type of a body."""
        operations = self.operations.values()
        parameters = (parameter for operation in operations for parameter in operation.parameters)
        names = {parameter["name"] for parameter in parameters if parameter["in"] == "header"}
        if any("requestBody" in operation.spec for operation in operations):
            names.add("Content-Type")
        for name in {name for operation in operations for alternative in operation.security for name in alternative}:
            scheme = resolve(self.document, self.document["components"]["securitySchemes"][name])
            if scheme["type"] != "apiKey":
                names.add("Authorization")
            elif scheme["in"] == "header":
                names.add(scheme["name"])
        return sorted(names)

    @property
    def response_headers(self) -> list[str]:
        """The names of all documented response headers, and those of deprecated operations."""
        operations = self.operations.values()
        responses = (response for operation in operations for response in operation.responses.values())
        names = {name for response in responses for name in response.get("headers", ())}
        if any(operation.is_deprecated for operation in operations):
            names |= {"Deprecation", "Sunset", "Link"}
        return sorted(names)

    def allowed_methods(self, path: str) -> str:
        """The value of the Allow header for a path below the base path (RFC 9110, section 10.2.1).

        A path outside the contract is taken for one of the engine's own pages, which allow GET.
        """
        found = self.paths.find(path)
        template = found[0].template if found else None
        methods = {operation.method for operation in self.operations.values() if operation.path == template} or {"GET"}
        return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def operations_of(document: Schema) -> Iterator[tuple[str, str, Schema, Schema]]:
    """Yields path, method (in lower case), path item and operation of each operation in an OpenAPI document."""
    for path, referring in document.get("paths", {}).items():
        if not path.startswith("x-"):
            item = resolve(document, referring)
            for method in METHODS:
                if method in item:
                    yield path, method, item, item[method]


def _operation(document: Schema, base: str, path: str, method: str, item: Schema, spec: Schema) -> Operation:
    responses = {
        status: resolve(document, response)
        for status, response in spec["responses"].items()
        if not status.startswith("x-")
    }
    security = security_of(document, spec)
    return Operation(
        id=spec["operationId"],
        method=method.upper(),
        path=path,
        template=PathTemplate(base + path),
        spec=spec,
        parameters=tuple(_parameters(document, item, spec).values()),
        responses=responses,
        security=security,
        keys_in_query=frozenset(_keys_in_query(document, security)),
        successes=tuple(int(status) for status in responses if status < "4"),
    )


def _parameters(document: Schema, item: Schema, spec: Schema) -> dict[tuple[str, str], Schema]:
    each = (resolve(document, parameter) for parameter in (*item.get("parameters", ()), *spec.get("parameters", ())))
    return {key: parameter for parameter in each if (key := parameter_key(parameter)) not in IGNORED_PARAMETERS}


def security_of(document: Schema, spec: Schema) -> Alternatives:
    """The alternatives of an operation's security: its own `security`, otherwise the document's."""
    alternatives: Alternatives = spec["security"] if "security" in spec else document.get("security", [])
    return alternatives if any(alternatives) else ()


def _keys_in_query(document: Schema, security: Alternatives) -> Iterator[str]:
    for name in {name for alternative in security for name in alternative}:
        scheme = resolve(document, document.get("components", {}).get("securitySchemes", {}).get(name, {}))
        if scheme.get("type") == "apiKey" and scheme["in"] == "query":
            yield scheme["name"]
