"""Binds the handlers to `openapi.yaml`, and refuses to start where the two differ.

`ContractRouter.operation()` feeds a route from the contract, so that a handler says only what it does.
`publish()` reads the same surface out of the contract and out of FastAPI's own schema, and raises one
`ContractError` with every difference. Knows FastAPI and nothing of tasks.
"""

import difflib
import functools
import inspect
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_type_hints
from urllib.parse import quote

import yaml
from fastapi import APIRouter, FastAPI, Response, Security
from fastapi.datastructures import Default
from fastapi.responses import JSONResponse
from starlette.routing import compile_path
from todo_contract import models

from todo_api.requests import Guard, contract_route

Schema = dict[str, Any]
Handler = TypeVar("Handler", bound=Callable[..., Any])

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
        for path, method, item, spec in _operations(document):
            operation_id = spec.get("operationId")
            responses = {str(status): _resolve(document, answer) for status, answer in spec["responses"].items()}
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
                    parameters=tuple(_parameters(document, item, spec)),
                    responses=responses,
                    schemes=tuple(_schemes(document, spec)),
                    status=int(success[0]),
                    model=schemas[0].get("$ref", "").rpartition("/")[2] if schemas else None,
                )
        if faults:
            raise ContractError(faults)
        return cls(source, document, operations)

    def allowed_methods(self, path: str) -> str:
        """The Allow header of a path (RFC 9110, section 10.2.1). What is not in the contract is a page: GET."""
        methods = {operation.method for operation in self.operations.values() if operation.pattern.match(path)}
        methods = methods or {"GET"}
        return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


@functools.cache
def load_contract() -> Contract:
    """Reads the contract of this installation: beside the package in a wheel, at the top of a checkout."""
    package = Path(__file__).parent
    shipped = package / "openapi.yaml"
    path = shipped if shipped.exists() else package.parents[1] / "openapi.yaml"
    return Contract.parse(path.read_bytes())


class ContractRouter(APIRouter):
    """An APIRouter whose routes come from the contract.

    `security` has the implementation of each security scheme that the contract's operations name. It is added
    to every operation that the contract secures, so that no handler can forget it.
    """

    def __init__(self, contract: Contract, security: Mapping[str, Guard] | None = None) -> None:
        super().__init__()
        self.contract = contract
        self.security = security or {}

    def operation(self, operation_id: str) -> Callable[[Handler], Handler]:
        """Binds a handler to an operation.

        Raises ContractError for an unknown operationId, for a second handler, for a scheme without an
        implementation, and for a return annotation that is not the model of the 2xx answer: the type checker
        then proves the body.
        """
        contract = self.contract
        if operation_id not in contract.operations:
            close = difflib.get_close_matches(operation_id, contract.operations, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise ContractError([f"{operation_id} is not in openapi.yaml.{hint}"])
        operation = contract.operations[operation_id]
        if operation_id in contract.bound:
            raise ContractError([f"{operation_id} has a second handler: remove one."])
        if missing := [name for name in operation.schemes if name not in self.security]:
            raise ContractError(
                [f"{operation_id} is secured by {name}: give its router an implementation." for name in missing]
            )
        guards = [self.security[name] for name in operation.schemes]

        def bind(handler: Handler) -> Handler:
            _check_return(operation, handler)
            self.add_api_route(
                operation.path,
                handler,
                methods=[operation.method],
                operation_id=operation.id,
                status_code=operation.status,
                tags=operation.spec.get("tags"),
                summary=operation.spec.get("summary"),
                description=operation.spec.get("description"),
                deprecated=operation.spec.get("deprecated"),
                responses={int(status): answer for status, answer in operation.responses.items()},
                dependencies=[Security(guard) for guard in guards],
                # A bare Response, for FastAPI's JSON response gives a 204 a content type.
                response_class=Default(JSONResponse) if operation.model else Response,
                route_class_override=contract_route(guards, operation.types("path"), operation.types("query")),
            )
            contract.bound.add(operation_id)
            return handler

        return bind


def publish(app: FastAPI, contract: Contract) -> None:
    """Refuses an app that differs from the contract, and makes the contract the app's schema.

    Raises ContractError with every difference. To be called when all routers are included.
    """
    code = FastAPI.openapi(app)
    app.openapi_schema = None
    differences = list(_differences(_surface(contract.document), _surface(code)))
    if differences:
        raise ContractError(differences)
    app.openapi = lambda: contract.document  # type: ignore[method-assign]


def _percent_encoded(value: str | int) -> str:
    text = str(value)
    if value is True or value is False:
        return text.lower()
    # Most values are ids, numbers and cursors, which need no quote().
    return text if text.isalnum() and text.isascii() else _DOTS.get(text) or quote(text, safe="")


def _check_return(operation: Operation, handler: Callable[..., Any]) -> None:
    wanted = getattr(models, operation.model, None) if operation.model else type(None)
    if wanted is None:
        raise ContractError([f"{operation.id} answers {operation.model}, which is not generated: run ./codegen.sh."])
    if get_type_hints(handler).get("return", inspect.Parameter.empty) is not wanted:
        name = f"models.{operation.model}" if operation.model else "None"
        raise ContractError(
            [f"{operation.id} answers {operation.status} with {name}: annotate {handler.__name__}() with -> {name}."]
        )


def _operations(document: Schema) -> Iterator[tuple[str, str, Schema, Schema]]:
    for path, item in document.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                yield path, method, item, item[method]


def _resolve(document: Schema, node: Schema) -> Schema:
    while "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def _parameters(document: Schema, item: Schema, spec: Schema) -> Iterator[Schema]:
    for parameter in (*item.get("parameters", ()), *spec.get("parameters", ())):
        resolved = _resolve(document, parameter)
        yield {**resolved, "schema": _resolve(document, resolved["schema"])}


def _schemes(document: Schema, spec: Schema) -> list[str]:
    choices = spec["security"] if "security" in spec else document.get("security", [])
    return sorted(name for choice in choices for name in choice)


# --- the surface: what of an OpenAPI document must be the same in the contract and in the code


def _surface(document: Schema) -> dict[str, Schema]:
    """operationId -> what callers can see of it, in a form that is alike for the contract and for FastAPI."""
    return {
        str(spec.get("operationId")): {
            "method": method.upper(),
            "path": path,
            "parameters": {
                f"{parameter['in']} {parameter['name']}": {
                    "required": (required := parameter.get("required", False)),
                    "schema": _normal(document, parameter["schema"], required=required),
                }
                for parameter in _parameters(document, item, spec)
            },
            "body": _body(document, spec),
            "responses": {
                status: _content(document, _resolve(document, response), required=True)
                for status, response in spec["responses"].items()
                if status.startswith("2")
            },
            "security": _schemes(document, spec),
        }
        for path, method, item, spec in _operations(document)
    }


def _body(document: Schema, spec: Schema) -> Schema | None:
    if "requestBody" not in spec:
        return None
    body = _resolve(document, spec["requestBody"])
    required = body.get("required", False)
    return {"required": required, "content": _content(document, body, required=required)}


def _content(document: Schema, node: Schema, *, required: bool) -> Schema:
    return {
        media: _normal(document, content.get("schema", {}), required=required)
        for media, content in node.get("content", {}).items()
    }


# Annotations, which bind nobody; formats and minProperties, which FastAPI's schema of a generated model does not
# repeat (the model enforces minProperties all the same).
_IGNORED = {"$ref", "title", "description", "examples", "example", "deprecated", "format", "minProperties"}


def _normal(document: Schema, schema: Schema, *, required: bool = True) -> Schema:
    """A schema without what may differ in writing alone: `$ref`, order, ways to say null, float bounds."""
    schema = {**_resolve(document, schema), **{k: v for k, v in schema.items() if k != "$ref"}}
    if isinstance(schema.get("type"), list):
        kinds = schema.pop("type")
        schema = {"anyOf": [{**schema, "type": kind} if kind != "null" else {"type": kind} for kind in kinds]}
    if "anyOf" in schema:
        variants = [_normal(document, variant) for variant in schema["anyOf"]]
        if not required:
            # FastAPI writes an optional parameter or body as one that may be null.
            variants = [variant for variant in variants if variant != {"type": "null"}]
        if len(variants) == 1:
            return {**variants[0], **{k: v for k, v in schema.items() if k not in _IGNORED | {"anyOf"}}}
        schema = {**schema, "anyOf": sorted(variants, key=_canonical)}
    if schema.get("format") == "date-time":
        # Pydantic takes neither pattern nor length on a datetime; the response watch holds the form on the wire.
        return {"type": "string", "format": "date-time"}
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    if "enum" in schema:
        schema.pop("type", None)
    return {k: _normal_value(document, k, v) for k, v in schema.items() if k not in _IGNORED}


def _normal_value(document: Schema, keyword: str, value: Any) -> Any:
    if keyword == "properties":
        return {name: _normal(document, member) for name, member in value.items()}
    if keyword == "items":
        return _normal(document, value)
    if keyword in {"enum", "required"}:
        return sorted(value, key=_canonical)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _differences(contract: dict[str, Schema], code: dict[str, Schema]) -> Iterator[str]:
    for operation_id in contract | code:
        wanted, found = contract.get(operation_id), code.get(operation_id)
        if wanted is None or found is None:
            spec = wanted or found or {}
            where = f"{operation_id} ({spec['method']} {spec['path']})"
            yield (
                f"not in openapi.yaml: {where}. Add it there first, or remove it."
                if wanted is None
                else f'not implemented: {where}. Write a handler with @router.operation("{operation_id}") '
                "and include its router in app.py."
            )
            continue
        for place, said, done in _walk("", wanted, found):
            yield (
                f"{operation_id}{place}: openapi.yaml says {said}, the code {done}. "
                "Run ./codegen.sh, and use the generated model or type."
            )


def _walk(place: str, wanted: Any, found: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted(wanted.keys() | found.keys()):
            yield from _walk(f"{place} / {key}", wanted.get(key), found.get(key))
    elif wanted != found:
        yield place, _told(wanted), _told(found)


def _told(side: Any) -> str:
    return "nothing" if side is None else json.dumps(side)
