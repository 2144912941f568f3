"""What the runtime expressions of links and callbacks refer to must exist."""

from typing import Any

import pytest
import yaml

from fastapi_contract.contract import Contract, InvalidContractError

NODE = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "children": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}},
        "map": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Node"}},
        "free": {},
        "a/b~c": {"type": "string"},
        "either": {"oneOf": [{"$ref": "#/components/schemas/Node"}, {"type": "null"}]},
    },
}


def contract(link: dict[str, Any], url: str = "https://example.com") -> bytes:
    """A contract with an operation, its link to itself and its callback."""
    json = {"application/json": {"schema": {"$ref": "#/components/schemas/Node"}}}
    response = {
        "description": "Node.",
        "headers": {"ETag": {"schema": {"type": "string"}}},
        "content": json,
        "links": {"again": {"operationId": "putNode", **link}},
    }
    report = {"operationId": "report", "responses": {"204": {"description": "Received."}}}
    parameters = [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}},
        {"name": "q", "in": "query", "schema": {"type": "string"}},
        {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
    ]
    operation = {
        "operationId": "putNode",
        "parameters": parameters,
        "requestBody": {"content": json},
        "responses": {"200": response},
        "callbacks": {"changed": {url: {"post": report}}},
    }
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Nodes", "version": "1"},
        "paths": {"/nodes/{id}": {"put": operation}},
        "components": {"schemas": {"Node": NODE}},
    }
    return yaml.safe_dump(document, sort_keys=False).encode()


def faults(source: bytes) -> list[str]:
    try:
        Contract.parse(source)
    except InvalidContractError as error:
        return error.differences
    return []


@pytest.mark.parametrize(
    "value",
    [
        "$url",
        "$method",
        "$statusCode",
        "$request.path.id",
        "$request.query.q",
        "$request.header.x-trace",
        "$request.header.Accept",
        "$request.body",
        "$request.body#",
        "$request.body#/id",
        "$response.body#/children/0/children/12/id",
        "$response.body#/map/any/id",
        "$response.body#/free/any/thing",
        "$response.body#/a~1b~0c",
        "$response.body#/either/id",
        "$response.header.etag",
        "$response.header.Content-Type",
        "a {$response.body#/id} and {$url}",
        "a constant of 5 $",
        "{id}",
        5,
        None,
        {"a": ["$nothing"]},
    ],
    ids=str,
)
def test_expression_whose_source_exists_is_accepted(value: Any) -> None:
    assert faults(contract({"parameters": {"id": value}})) == []
    assert faults(contract({"requestBody": value})) == []


GRAMMAR = "which is not a runtime expression. Write one"
MEMBER = "but the body of the response of putNode has no such member"


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("$", GRAMMAR),
        ("$nothing", GRAMMAR),
        ("$url.path", GRAMMAR),
        ("$request", GRAMMAR),
        ("$request.cookie.a", GRAMMAR),
        ("$request.path.", GRAMMAR),
        ("$request.header.a b", GRAMMAR),
        ("$response.body/id", GRAMMAR),
        ("$response.body#id", GRAMMAR),
        ("$response.body.id", GRAMMAR),
        ("$response.body#/a~2b", "whose JSON Pointer has a ~"),
        ("$request.path.task_id", "but putNode has no path parameter of this name"),
        ("$request.query.Q", "but putNode has no query parameter of this name"),
        ("$request.query.id", "but putNode has no query parameter of this name"),
        ("$request.header.X-Span", "but putNode has no header parameter of this name"),
        ("$response.path.id", "but a response has no path. Use header or body."),
        ("$response.query.q", "but a response has no query. Use header or body."),
        ("$response.header.Location", "but the response of putNode has no such header"),
        ("$response.body#/ids", MEMBER),
        ("$response.body#/id/x", MEMBER),
        ("$response.body#/children/id", MEMBER),
        ("$response.body#/children/00", MEMBER),
        ("$response.body#/children/-", MEMBER),
        ("$response.body#/map/any/ids", MEMBER),
        ("$response.body#/", MEMBER),
        ("$request.body#/either/x", "but the body of the request of putNode has no such member"),
    ],
    ids=str,
)
def test_expression_whose_source_is_missing_is_rejected_with_its_line(expression: str, fault: str) -> None:
    lines = contract({"parameters": {"id": expression}}).decode().splitlines()
    [found] = faults(contract({"parameters": {"id": expression}}))
    place, _, text = found.partition(": ")
    assert lines[int(place.removeprefix("openapi.yaml:")) - 1].strip().startswith("id: ")
    assert text.startswith(f"putNode has a link with {expression}, {fault}"), text
    [embedded] = faults(contract({"requestBody": f"before {{{expression}}} after"}))
    assert f"putNode has a link with {expression}, {fault}" in embedded


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("{$request.query.q}", None),
        ("https://example.com/{$request.path.id}/{$request.body#/id}", None),
        ("$request.body#/a~1b~0c", None),
        ("https://example.com/{$response.body#/x}/{$response.header.Location}", None),
        ("https://example.com/{id}", None),
        ("{$request.query.url}", "but putNode has no query parameter of this name"),
        ("https://example.com/{$request.body#/id}/{$request.body#/url}", "but the body of the request of putNode"),
        ("{$request.body.url}", GRAMMAR),
    ],
    ids=str,
)
def test_url_of_a_callback_refers_to_what_exists(url: str, fault: str | None) -> None:
    found = faults(contract({}, url))
    assert len(found) == (fault is not None)
    assert fault is None or fault in found[0]


def test_link_of_a_response_without_a_body_is_rejected() -> None:
    document = yaml.safe_load(contract({}))
    response = document["paths"]["/nodes/{id}"]["put"]["responses"]["200"]
    response |= {
        "content": {},
        "links": {"put": {"operationId": "putNode", "parameters": {"id": "$response.body#/id"}}},
    }
    [found] = faults(yaml.safe_dump(document).encode())
    assert "but the response of putNode has no body. Correct it." in found


def test_operation_id_of_a_webhook_must_be_the_only_one() -> None:
    document = yaml.safe_load(contract({}))
    document["webhooks"] = {"a": {"post": {"operationId": "putNode", "responses": {"204": {"description": "x"}}}}}
    [found] = faults(yaml.safe_dump(document).encode())
    assert found.endswith("putNode appears twice: rename one of them.")
