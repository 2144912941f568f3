"""What the generators read: names of classes, and a schema for each direction in which a value is sent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_contract.generation.generator_input import Generator, generator_input
from fastapi_contract.openapi.directions import Uses
from fastapi_contract.openapi.model_names import model_name
from fastapi_contract.validation.schemas import Validator
from support.one_operation import content, document, parsed, ref

STORED = {
    "type": "object",
    "required": ["id", "secret"],
    "properties": {"id": {"type": "integer", "readOnly": True}, "secret": {"type": "string", "writeOnly": True}},
}
HOLDER = {"type": "object", "properties": {"stored": ref("stored")}}


@pytest.mark.parametrize(
    ("schema", "model"),
    [
        ("Task", "Task"), ("task", "Task"), ("task_page", "TaskPage"), ("task-page", "TaskPage"), ("a.b", "AB"),
        ("taskPage", "TaskPage"), ("HTTPError", "HTTPError"), ("2fa", "Model2fa"), ("class", "Class"), ("_x", "X"),
        ("Field", "FieldModel"), ("field", "FieldModel"), ("None", "NoneModel"), ("record", "RecordModel"), ("_", ""),
    ],
    ids=str,
)  # fmt: skip
def test_model_is_named_as_its_schema(schema: str, model: str) -> None:
    assert model_name(schema) == model


def operation(request: Any = None, response: Any = None) -> dict[str, Any]:
    body = {"requestBody": {"required": True, **content(request)}} if request else {}
    return {**body, "responses": {"200": {"description": "Value.", **(content(response) if response else {})}}}


@pytest.mark.parametrize(
    ("request_schema", "response_schema", "expected"),
    [
        (ref("stored"), ref("stored"), {"Stored": ["id"], "StoredRequest": ["secret"]}),
        (ref("stored"), None, {"Stored": ["secret"]}),
        (None, ref("stored"), {"Stored": ["id"]}),
        (ref("Holder"), ref("Holder"), {"Stored": ["id"], "StoredRequest": ["secret"]}),
        ({"type": "array", "items": ref("stored")}, ref("Holder"), {"Stored": ["id"], "StoredRequest": ["secret"]}),
    ],
    ids=["both", "requests", "responses", "a member of both", "several holders"],
)
def test_members_are_those_of_the_direction(
    request_schema: Any, response_schema: Any, expected: dict[str, list[str]]
) -> None:
    contract = parsed(document({"stored": STORED, "Holder": HOLDER}, operation(request_schema, response_schema)))
    schemas = generator_input(contract.document, Generator.MODELS)["components"]["schemas"]
    made = {name: each for name, each in schemas.items() if name.startswith("Stored")}
    assert {name: each["required"] for name, each in made.items()} == expected
    assert {name: [*each["properties"]] for name, each in made.items()} == expected


def test_what_callbacks_and_webhooks_send_is_a_response() -> None:
    sent = {"post": {"operationId": "notify", **operation(ref("stored"))}}
    whole = document({"stored": STORED}, {**operation(), "callbacks": {"done": {"https://example.com/": sent}}})
    whole["webhooks"] = {"done": {"post": {**sent["post"], "operationId": "hook"}}}
    contract = parsed(whole)
    assert not Uses(contract.document).twins
    assert generator_input(contract.document, Generator.TYPES)["components"]["schemas"]["Stored"]["required"] == ["id"]


def test_references_of_a_request_lead_to_models_of_requests() -> None:
    contract = parsed(document({"stored": STORED, "Holder": HOLDER}, operation(ref("Holder"), ref("Holder"))))
    written = generator_input(contract.document, Generator.TYPES)
    sent = written["paths"]["/send"]["post"]
    assert sent["requestBody"]["content"]["application/json"]["schema"] == ref("HolderRequest")
    assert sent["responses"]["200"]["content"]["application/json"]["schema"] == ref("Holder")
    assert written["components"]["schemas"]["HolderRequest"]["properties"]["stored"] == ref("StoredRequest")
    assert written["components"]["schemas"]["Holder"]["properties"]["stored"] == ref("Stored")


@pytest.mark.parametrize("digits", [1, 2, 3, 6], ids="{} digits".format)
def test_multiples_of_a_decimal_fraction_are_exact(digits: int) -> None:
    step = 10**-digits
    validator = Validator({}, {"type": "number", "multipleOf": float(f"{step:.{digits}f}")})

    @given(st.integers(-(10**9), 10**9), st.integers(1, 9))
    def check(units: int, beyond: int) -> None:
        whole, part = divmod(abs(units), 10**digits)
        text = f"{'-' if units < 0 else ''}{whole}.{part:0{digits}}"
        assert validator.is_valid(float(text)), text
        assert not validator.is_valid(float(f"{text}{beyond}")), f"{text}{beyond}"

    check()
