"""Operations without a handler answer from the examples of the contract, after the checks of every request."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import jsonschema_rs
import pytest
import yaml
from fastapi import Request

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract, ContractError
from fastapi_contract.mock import MockRouter
from fastapi_contract.problems import InvalidRequest
from fastapi_contract.responses.answers import is_json
from fastapi_contract.responses.examples import Example, Examples, NoExampleError, example_of
from fastapi_contract.router import ContractRouter
from support.constructs import Construct, constructs
from support.contract_watch import ContractWatch
from support.service import NO_TLS, running

NOTES = Path(__file__).with_name("notes.yaml")
WORKING = [construct for construct in constructs() if construct.is_supported]


async def reject(_: Request) -> None:
    raise InvalidRequest("Send one token.")


@pytest.fixture(scope="module", params=[True, False], ids=["shortcut", "no-shortcut"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    contract = Contract.read(NOTES)
    with running(contract_app(contract, [MockRouter(contract, [])], shortcut=request.param)) as service:
        yield service.url


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, event_hooks={"response": [ContractWatch(NOTES).observe]}, verify=NO_TLS) as client:
        yield client


def test_mocked_operation_answers_with_its_first_example(client: httpx.Client) -> None:
    listed = client.get("/notes?limit=1")
    assert (listed.status_code, listed.json()) == (200, {"items": [{"id": 1, "text": "Hello"}]})
    created = client.post("/notes", json={"text": "mine"})
    assert (created.status_code, created.json()) == (201, {"id": 1, "text": "Hello"})


def test_mocked_operation_checks_its_request(client: httpx.Client) -> None:
    assert client.get("/notes?limit=11").status_code == 422
    assert client.get("/notes?unknown=1").status_code == 422
    assert client.post("/notes", json={}).status_code == 422
    assert client.post("/notes", content=b"{").status_code == 415
    assert client.delete("/notes").headers["Allow"] == "GET, HEAD, POST"
    assert client.head("/notes").status_code == 200


def contract_of(**edits: object) -> Contract:
    document = yaml.safe_load(NOTES.read_text())
    document["paths"]["/notes"]["get"].update(edits)
    document["components"]["securitySchemes"] = {"bearerAuth": {"type": "http", "scheme": "bearer"}}
    return Contract.parse(yaml.safe_dump(document).encode())


def test_mocked_operation_calls_the_guards_of_the_other_routers() -> None:
    contract = contract_of(security=[{"bearerAuth": []}])
    empty = ModuleType("models")
    router = ContractRouter(contract, empty, {"bearerAuth": [reject]})
    app = contract_app(contract, [MockRouter(contract, [router])])
    with running(app) as service, httpx.Client(base_url=service.url, verify=NO_TLS) as client:
        assert client.get("/notes?limit=11").status_code == 400


def test_mocked_operation_without_guards_is_rejected_by_line() -> None:
    with pytest.raises(ContractError) as raised:
        MockRouter(contract_of(security=[{"bearerAuth": []}]), [])
    [fault] = raised.value.differences
    assert fault.startswith("openapi.yaml:")
    assert fault.endswith("listNotes is secured by bearerAuth: pass the guards of bearerAuth to a router.")


def test_mocked_operation_without_an_example_is_rejected_by_line() -> None:
    schema = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
    content = {"application/json": {"schema": schema}}
    contract = contract_of(responses={"200": {"description": "A text.", "content": content}})
    with pytest.raises(ContractError) as raised:
        MockRouter(contract, [])
    [fault] = raised.value.differences
    assert fault.startswith("openapi.yaml:")
    assert fault.endswith("listNotes has no handler, and its body / text has no example: add one.")


def test_operation_with_a_handler_is_not_mocked() -> None:
    contract = Contract.read(NOTES)
    router = ContractRouter(contract, ModuleType("models"))
    router.handled.add("listNotes")
    assert MockRouter(contract, [router]).mocked == {"createNote"}


DOCUMENT: dict[str, Any] = {
    "components": {
        "schemas": {
            "Name": {"type": "string", "examples": ["Ann"]},
            "Person": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"$ref": "#/components/schemas/Name"},
                    "friends": {"type": "array", "items": {"$ref": "#/components/schemas/Person"}},
                    "secret": {"type": "string", "writeOnly": True, "examples": ["x"]},
                },
            },
            "Endless": {
                "type": "object",
                "required": ["next"],
                "properties": {"next": {"$ref": "#/components/schemas/Endless"}},
            },
        }
    }
}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        pytest.param({"const": 5, "examples": [6]}, 5, id="const"),
        pytest.param({"type": "integer", "example": 5, "default": 6}, 5, id="example"),
        pytest.param({"type": "integer", "examples": [0, 6]}, 0, id="first of examples"),
        pytest.param({"type": ["string", "null"], "default": None}, None, id="default null"),
        pytest.param({"enum": ["b", "a"]}, "b", id="first of enum"),
        pytest.param({"type": ["null", "boolean"]}, True, id="type that is not null"),
        pytest.param({"type": "null"}, None, id="null"),
        pytest.param({}, None, id="anything"),
        pytest.param({"$ref": "#/components/schemas/Person"}, {"name": "Ann", "friends": []}, id="recursive member"),
        pytest.param(
            {"oneOf": [{"$ref": "#/components/schemas/Endless"}, {"$ref": "#/components/schemas/Name"}]},
            "Ann",
            id="union",
        ),
        pytest.param(
            {
                "allOf": [{"$ref": "#/components/schemas/Person"}],
                "properties": {"age": {"type": "integer", "examples": [1]}},
            },
            {"name": "Ann", "friends": [], "age": 1},
            id="allOf with own members",
        ),
        pytest.param({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [True, True], id="minItems"),
        pytest.param({"type": "array", "items": {"type": "boolean"}, "maxItems": 0}, [], id="maxItems 0"),
        pytest.param({"type": "array", "items": {"type": "string"}}, [], id="items without an example"),
    ],
)
def test_example_is_made_of_the_examples_in_a_schema(schema: dict[str, Any], expected: object) -> None:
    assert example_of(DOCUMENT, schema, "body") == expected


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        pytest.param({"type": "string"}, "body", id="text"),
        pytest.param({"type": "integer", "minimum": 1}, "body", id="number"),
        pytest.param({"$ref": "#/components/schemas/Endless"}, "body / next", id="endless"),
        pytest.param({"type": "array", "items": {"type": "string"}, "minItems": 1}, "body / items", id="items"),
        pytest.param(
            {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "uniqueItems": True},
            "body",
            id="unique items",
        ),
        pytest.param({"oneOf": [{"type": "string"}]}, "body", id="union"),
        pytest.param({"type": "object", "minProperties": 1}, "body", id="minProperties"),
    ],
)
def test_value_without_an_example_is_named(schema: dict[str, Any], place: str) -> None:
    with pytest.raises(NoExampleError, match=f"^{place}$"):
        example_of(DOCUMENT, schema, "body")


def found(contract: Contract) -> Iterator[tuple[Example, object]]:
    """Yield each example that the responses of a contract have or that can be made, and the schema of its body."""
    for operation in contract.operations.values():
        examples = Examples(contract, operation)
        for status in examples.statuses:
            try:
                example = examples.choose(status, None, b"")
            except NoExampleError:
                continue
            assert example is not None
            content = operation.responses[str(status)].get("content", {})
            yield example, content.get(example.media_type, {}).get("schema", True)


@pytest.mark.parametrize("construct", WORKING, ids=lambda construct: construct.name)
def test_examples_of_each_construct_fit_their_schemas(construct: Construct, tmp_path: Path) -> None:
    contract = Contract.read(construct.write(tmp_path))
    for example, schema in found(contract):
        assert example.response().status_code == example.status
        if is_json(example.media_type or ""):
            bundled = {"allOf": [schema], "components": contract.document.get("components", {})}
            jsonschema_rs.Draft202012Validator(bundled).validate(example.value)
