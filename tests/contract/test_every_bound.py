"""Each bound of the contract's requests: the value just outside it is 422, with the bound's code, limit and place."""

import json
from typing import Any, get_args

import httpx
import pytest
from todo_contract import models

from fastapi_contract.contract import Operation
from fastapi_contract.validation.input_errors import CODES
from support.operations import CONTRACT, path_of, resolve, send
from support.schema_values import Wrong, wrong

BODIES = [
    pytest.param(operation, media["schema"], id=operation.id)
    for operation in CONTRACT.operations.values()
    if "requestBody" in operation.spec
    for media_type, media in resolve(operation.spec["requestBody"])["content"].items()
    if media_type == "application/json"
]
PARAMETERS = [
    pytest.param(operation, parameter, id=f"{operation.id} {parameter['name']}")
    for operation in CONTRACT.operations.values()
    for parameter in operation.parameters
    if parameter["in"] in {"path", "query"}
]


def values_outside(schema: Any) -> list[Wrong]:
    """With the bounds of nested schemas."""
    return wrong(schema, resolve)


@pytest.mark.parametrize(("operation", "schema"), BODIES)
def test_body_just_outside_a_bound_is_422_at_its_place(
    client: httpx.Client, user: str, operation: Operation, schema: Any
) -> None:
    for value, path, code, limit in values_outside(schema):
        body = json.dumps(value)
        answer = send(client, operation, user, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, (body, answer.text)
        [error] = answer.json()["errors"]
        found = (error["code"], error.get("limit"), error["pointer"])
        assert found == (code, limit, "#" + "".join(f"/{token}" for token in path)), body
        assert error["detail"].endswith(".")
        assert not any(text in error["detail"] for text in ("^", "\\", "pattern", "String", "Input"))


@pytest.mark.parametrize(("operation", "schema"), BODIES)
def test_every_bound_of_a_body_is_walked(operation: Operation, schema: Any) -> None:
    bounds = {"minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "minProperties", "pattern"}
    walked = {(code, limit) for _, _, code, limit in values_outside(schema)}

    def count(node: Any) -> int:
        node = resolve(node)
        own = len(bounds & node.keys()) + (node.get("additionalProperties") is False)
        parts = [*node.get("properties", {}).values(), *node.get("anyOf", ()), *node.get("oneOf", ())]
        return own + sum(map(count, [*parts, *([node["items"]] if "items" in node else [])]))

    assert len(values_outside(schema)) >= count(schema)
    assert ("unknown_member", None) in walked


def written(parameter: Any, value: Any) -> str | list[str]:
    """A value as text; for each item of an exploded array."""
    if isinstance(value, list):
        texts = [str(written(parameter, each)) for each in value]
        return texts if parameter.get("explode", True) else ",".join(texts)
    return value if isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize(("operation", "parameter"), PARAMETERS)
def test_parameter_just_outside_a_bound_is_422_by_its_name(
    client: httpx.Client, user: str, operation: Operation, parameter: Any
) -> None:
    name = parameter["name"]
    for value, _, code, limit in values_outside(parameter["schema"]):
        text = written(parameter, value)
        is_bound = limit is not None or code in {"pattern", "blank"}
        # A user id outside its bounds is another user's, and an empty segment is no path of the contract.
        # An empty array is not sent.
        if not is_bound or name == "user_id" or (text == "" and parameter["in"] == "path") or text == []:
            continue
        in_query = parameter["in"] == "query"
        path = path_of(operation, **{"user_id": user, **({} if in_query else {name: text})})
        answer = client.request(operation.method, path, params={name: text} if in_query else {})
        assert answer.status_code == 422, (text, answer.text)
        [error] = answer.json()["errors"]
        assert (error["code"], error.get("limit"), error["parameter"]) == (code, limit, name), text


def test_codes_are_those_of_the_contract() -> None:
    assert resolve({"$ref": "#/components/schemas/InputError"})["properties"]["code"]["enum"] == list(CODES)
    assert get_args(models.InputError.model_fields["code"].annotation) == CODES
