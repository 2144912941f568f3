"""Requests built from the contract: each operation, with each media type of its body."""

import json
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Any

import httpx
import pytest

from fastapi_contract.contract import Contract, Operation
from support import ROOT

CONTRACT = Contract.read(ROOT / "openapi.yaml")
SECURED = [operation for operation in CONTRACT.operations.values() if operation.security]
OF_TASKS = [each for each in CONTRACT.operations.values() if {"tasks", "service"} & set(each.spec["tags"])]
"""Those that succeed for a user with a task. Another resource brings tests of its own."""
ON_A_TASK = [operation for operation in OF_TASKS if "{task_id}" in operation.path]


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


FORMS = [form for operation in SECURED for form in forms(operation)]

secured = pytest.mark.parametrize("operation", SECURED, ids=lambda operation: operation.id)
on_a_task = pytest.mark.parametrize("operation", ON_A_TASK, ids=lambda operation: operation.id)
in_each_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.id)
in_each_form_of_tasks = pytest.mark.parametrize(
    "form", [form for form in FORMS if form.operation in OF_TASKS], ids=lambda form: form.id
)
in_each_form_on_a_task = pytest.mark.parametrize(
    "form", [form for form in FORMS if form.operation in ON_A_TASK], ids=lambda form: form.id
)


def send(
    client: httpx.Client, operation: Operation | Form, user_id: str, task_id: object = 1, **others: Any
) -> httpx.Response:
    """Call an operation in the given form, or in its first one. The body is `content`, or the first example of the
    contract. `others` are arguments of httpx."""
    form = operation if isinstance(operation, Form) else forms(operation)[0]
    operation = form.operation
    if form.media_type is not None and "content" not in others:
        media = resolve(operation.spec["requestBody"])["content"][form.media_type]
        value = resolve(next(iter(media["examples"].values())))["value"]
        others["content"] = json.dumps(value)
        headers = others.get("headers", {})
        given = headers.items() if isinstance(headers, dict) else headers
        others["headers"] = [*given, ("Content-Type", form.media_type)]
    return client.request(operation.method, path_of(operation, user_id=user_id, task_id=task_id), **others)


def path_of(operation: Operation, **values: object) -> str:
    """Return the path with `values`, and with the contract's examples of its other parameters."""
    examples = {each["name"]: _example(each) for each in operation.parameters if each["in"] == "path"}
    return operation.template.template.format_map({**examples, **values})


def _example(parameter: Any) -> object:
    holder = parameter if "example" in parameter else resolve(parameter["schema"])
    return holder["example"] if "example" in holder else next(iter(holder.get("examples", [1])))


def tasks(user: str) -> str:
    return f"{CONTRACT.base_path}/api/{user}/tasks"
