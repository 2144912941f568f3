"""What the TypeScript client needs beside the types: how each operation is called, and its documentation."""

import json
import re
from typing import Any

import pytest

from fastapi_contract.contract import ContractError
from fastapi_contract.generation.client_operations import client_operations
from support.one_operation import content, document, parsed, ref

TEXT = {"type": "string"}


def generated(**operation: Any) -> str:
    operation.setdefault("responses", {"200": {"description": "Value.", **content(TEXT)}})
    return client_operations(parsed(document({}, operation)))


def call(**operation: Any) -> Any:
    [line] = re.findall(r"^  \w+: (\{.*\}),$", generated(**operation), flags=re.MULTILINE)
    return json.loads(line)


def header(name: str, *, required: bool) -> dict[str, Any]:
    return {name: {"schema": TEXT, "description": "Value.", "required": required}}


def parameter(name: str, where: str) -> dict[str, Any]:
    return {"name": name, "in": where, "schema": TEXT}


def test_headers_and_media_types_are_those_of_the_operation() -> None:
    called = call(
        parameters=[parameter("If-Match", "header"), parameter("q", "query")],
        requestBody={"required": True, "content": {"application/merge-patch+json": {"schema": ref("Leaf")}}},
        responses={"200": {"description": "Table.", "content": {"text/csv": {"schema": TEXT}}}},
    )
    assert called["headers"] == ["If-Match"]
    assert called["body"] == "application/merge-patch+json"
    assert called["answers"] == ["text/csv"]


def test_json_needs_no_media_type_of_the_answer() -> None:
    assert call().keys() == {"method", "path", "public"}


def test_headers_that_an_answer_may_lack_are_named() -> None:
    headers = {**header("ETag", required=True), **header("Link", required=False)}
    assert 'OptionalHeader = "Link";' in generated(responses={"204": {"description": "Done.", "headers": headers}})
    assert "OptionalHeader = never;" in generated()


def test_description_cannot_end_its_comment() -> None:
    days = {"x-deprecated-at": "2026-01-01", "x-sunset": "2026-12-31"}
    text = generated(summary="All", description="First.\n\nA second */ paragraph.", deprecated=True, **days)
    lines = ["/**", " * All.", " *", " * First.", " *", " * A second * / paragraph.", " * @deprecated", " */"]
    assert "\n".join(f"  {line}" for line in lines) in text


@pytest.mark.parametrize(
    "parameters",
    [[parameter("body", "query")], [parameter("q", "query"), parameter("q", "header")]],
    ids=["a parameter named body", "a query parameter and a header of one name"],
)
def test_inputs_of_one_name_are_rejected(parameters: list[dict[str, Any]]) -> None:
    with pytest.raises(ContractError, match=rf"openapi.yaml:\d+: \w+ has two inputs named {parameters[-1]['name']}"):
        generated(parameters=parameters)
