"""Requests built from the contract: each operation, with each media type of its body, on things that its user has."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from fastapi_contract.contract import Contract, Operation
from fastapi_contract.validation.bodies import MAX_BODY, schema_of_body
from fastapi_contract.validation.media_types import NDJSON
from support import ROOT
from support.beyond_schema import accepted
from support.ndjson import to_lines
from support.schema_values import Wrong, right, wrong

CREATED_BY = {"task_id": "createTask"}
"""By path parameter: the operation that creates what it identifies, and answers with its value as `id`.

A new path parameter needs a line here, below the line of what contains it."""

CONTRACT = Contract.read(ROOT / "openapi.yaml")
OPERATIONS = list(CONTRACT.operations.values())
SECURED = [operation for operation in OPERATIONS if operation.security]
OWNED = [operation for operation in SECURED if "{user_id}" in operation.path]


def things_of(operation: Operation) -> list[str]:
    """The path parameters of an operation, without that of the owner."""
    return [each["name"] for each in operation.parameters if each["in"] == "path" and each["name"] != "user_id"]


TRANSACTIONS = {"runTaskBatch": 4, "importTasks": 2}
"""The operations that run several statements, and how many. A batch of two commands also locks their tasks, and then
the list."""

ON_A_THING = [operation for operation in OWNED if "404" in operation.responses and things_of(operation)]
"""Those that are 404 if the user has no such thing."""


def without_creator(operations: Iterable[Operation]) -> list[str]:
    """Returns a line for each path parameter of a 404 whose thing the tests cannot create."""
    names = dict.fromkeys(name for each in operations if "404" in each.responses for name in things_of(each))
    step = "add the operation that creates one to CREATED_BY in tests/support/operations.py."
    return [f"The tests have no {name} to call operations with: {step}" for name in names if name not in CREATED_BY]


def resolve(node: Any) -> Any:
    while "$ref" in node:
        node = reduce(getitem, node["$ref"].removeprefix("#/").split("/"), CONTRACT.document)
    return node


@dataclass(frozen=True)
class Form:
    """A request of an operation, with one of the media types of its body."""

    operation: Operation
    media_type: str | None
    """None: without a body."""

    @property
    def media(self) -> Any:
        """The media type object of the body."""
        return resolve(self.operation.spec["requestBody"])["content"][self.media_type]

    @property
    def schema(self) -> Any:
        """The schema of the body: NDJSON is the list of its lines."""
        return schema_of_body(str(self.media_type), self.media)

    def inside(self) -> list[Any]:
        """Values just inside the bounds of the body; of NDJSON, bodies of one line."""
        values = [*map(accepted, right(self.media["schema"], resolve))]
        return [[value] for value in values] if self.media_type == NDJSON else values

    def outside(self) -> list[Wrong]:
        """Values just outside the bounds of the body. A body of NDJSON is a list, and one without lines is missing."""
        values = wrong(self.schema, resolve)
        return [each for each in values if self.media_type != NDJSON or (isinstance(each.value, list) and each.value)]

    @property
    def limit(self) -> int:
        """The maximum size of the body in bytes."""
        body = resolve(self.operation.spec["requestBody"])
        limit: int = self.media.get("x-max-bytes", body.get("x-max-bytes", MAX_BODY))
        return limit

    @property
    def id(self) -> str:
        body = resolve(self.operation.spec.get("requestBody", {}))
        is_one_of_several = len(body.get("content", ())) + (not body.get("required", False)) > 1
        return (
            f"{self.operation.id} {self.media_type or 'without a body'}"
            if body and is_one_of_several
            else self.operation.id
        )


def forms(operation: Operation) -> list[Form]:
    body = resolve(operation.spec.get("requestBody", {}))
    media_types: list[str | None] = list(body.get("content", ()))
    return [Form(operation, media_type) for media_type in media_types + [None] * (not body.get("required", False))]


WITH_BODY = [form for operation in OPERATIONS for form in forms(operation) if form.media_type]
FORMS = [form for operation in SECURED for form in forms(operation)]

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
secured = pytest.mark.parametrize("operation", SECURED, ids=lambda operation: operation.id)
owned = pytest.mark.parametrize("operation", OWNED, ids=lambda operation: operation.id)
on_a_thing = pytest.mark.parametrize("operation", ON_A_THING, ids=lambda operation: operation.id)
in_each_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.id)
with_body = pytest.mark.parametrize("form", WITH_BODY, ids=lambda form: form.id)
in_each_owned_form = pytest.mark.parametrize(
    "form", [form for form in FORMS if form.operation in OWNED], ids=lambda form: form.id
)
in_each_form_on_a_thing = pytest.mark.parametrize(
    "form", [form for form in FORMS if form.operation in ON_A_THING], ids=lambda form: form.id
)


def send(
    client: httpx.Client,
    operation: Operation | Form,
    user_id: str,
    things: Mapping[str, object] | None = None,
    **others: Any,
) -> httpx.Response:
    """Call an operation; the arguments are those of `request_of`."""
    return client.send(request_of(client, operation, user_id, things, **others))


def request_of(
    client: httpx.Client,
    operation: Operation | Form,
    user_id: str,
    things: Mapping[str, object] | None = None,
    **others: Any,
) -> httpx.Request:
    """Return a request of an operation in the given form, or in its first one.

    `things` are path parameters; a missing one is the contract's example. The body is `content`, or the first example
    of the contract, or a value that its schema allows. `others` are arguments of httpx.
    """
    form = operation if isinstance(operation, Form) else forms(operation)[0]
    given = others.pop("headers", {})
    headers = [*_required(form.operation, "header").items(), *(given.items() if isinstance(given, dict) else given)]
    if form.media_type is not None and "content" not in others:
        others["content"], content_type = encoded(form, examples_of(form)[0])
        headers.append(("Content-Type", content_type))
    path = path_of(form.operation, user_id=user_id, **(things or {}))
    params = others.pop("params", {})
    if isinstance(params, dict):
        # Otherwise it is a whole query.
        params = _required(form.operation, "query") | params
    arguments = {"params": params, **others}
    return client.build_request(form.operation.method, path, headers=headers, **arguments)


def returned(response: httpx.Response, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a body as the response has them; none if the response is no thing of the body's kind."""
    stored = response.json()
    return {name: stored[name] for name in body.keys() & stored.keys()}


def parameter_text(parameter: Any, value: Any) -> str | list[str]:
    """Return the text of a parameter's value; one for each item of an exploded array."""
    if isinstance(value, list):
        texts = [str(parameter_text(parameter, each)) for each in value]
        return texts if parameter.get("explode", True) else ",".join(texts)
    return _text(value)


def create_things(client: httpx.Client, user_id: str, **others: Any) -> dict[str, object]:
    """Create one of each thing of a user, and return their path parameters. `others` are arguments of httpx."""
    things: dict[str, object] = {}
    for name, creator in CREATED_BY.items():
        created = send(client, CONTRACT.operations[creator], user_id, things, **others)
        assert created.status_code == 201, f"{creator} creates no {name}: {created.text}"
        things[name] = created.json()["id"]
    return things


def examples_of(form: Form) -> list[Any]:
    """The contract's examples of a body, or a value of its schema. That of NDJSON is an example of a line."""
    examples = [resolve(each)["value"] for each in form.media.get("examples", {}).values()]
    if form.media_type == NDJSON:
        examples = [[each] for each in examples]
    return examples or form.inside()[:1]


def encoded(form: Form, value: Any) -> tuple[bytes, str]:
    """Return a body of a form and its Content-Type."""
    assert form.media_type is not None
    match form.media_type:
        case "multipart/form-data":
            members = resolve(form.media["schema"])["properties"]
            files = {name: name for name in value if resolve(members[name]).get("format") == "binary"}
            parts = [(name, (files.get(name), _text(each))) for name, each in value.items()]
            request = httpx.Request("POST", "http://test", files=parts)
            return request.read(), request.headers["Content-Type"]
        case "application/x-www-form-urlencoded":
            return urlencode(value, doseq=True).encode(), form.media_type
        case "text/plain" | "application/octet-stream":
            return value.encode(), form.media_type
        case "application/x-ndjson":
            return to_lines(value), form.media_type
        case _:
            return json.dumps(value).encode(), form.media_type


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def path_of(operation: Operation, **values: object) -> str:
    """Return the path with `values`, and with the contract's examples of its other parameters."""
    return operation.template.template.format_map({**_required(operation, "path"), **values})


def _required(operation: Operation, where: str) -> dict[str, str]:
    """Examples of the required parameters in one place, or values of their schemas."""
    required = [each for each in operation.parameters if each["in"] == where and each.get("required")]
    return {each["name"]: _text(_example(each)) for each in required}


def _example(parameter: Any) -> Any:
    holder = parameter if "example" in parameter else resolve(parameter["schema"])
    examples = [holder["example"]] if "example" in holder else holder.get("examples") or right(holder, resolve)
    assert examples, f"{parameter['name']} needs an example in openapi.yaml"
    return examples[0]


def tasks(user: str) -> str:
    return f"{CONTRACT.base_path}/api/{user}/tasks"


def labels(user: str) -> str:
    return f"{CONTRACT.base_path}/api/{user}/labels"
