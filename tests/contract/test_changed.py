"""`make check` runs the tests of the operations that changed since the last commit."""

import pytest

from fastapi_contract.contract import Contract
from support import ROOT
from support.changed import changed, expression

SOURCE = (ROOT / "openapi.yaml").read_text()


def contract(old: str = "", new: str = "") -> Contract:
    assert old in SOURCE
    return Contract.parse(SOURCE.replace(old, new).encode())


@pytest.mark.parametrize(
    ("old", "new", "operation_ids"),
    [
        pytest.param("", "", [], id="nothing"),
        pytest.param("summary: Create a task", "summary: Add a task", ["createTask"], id="operation"),
        pytest.param("operationId: getTask", "operationId: readTask", ["createTask", "readTask"], id="renamed, link"),
    ],
)
def test_operations_of_a_changed_contract_are_found(old: str, new: str, operation_ids: list[str]) -> None:
    assert changed(contract(), contract(old, new), []) == operation_ids


def test_operation_that_refers_to_a_changed_schema_is_found() -> None:
    """TaskUpdate is a schema of two request bodies."""
    found = changed(contract(), contract("    TaskUpdate:\n", "    TaskUpdate:\n      deprecated: true\n"), [])
    assert {"updateTask", "patchTask"} <= set(found)
    assert not {"createTask", "deleteTask", "getHealth"} & set(found)


def test_operations_whose_code_changed_are_found() -> None:
    found = changed(contract(), contract(), ["src/todo_api/tasks/queries.py", "README.md"])
    assert "createTask" in found
    assert "getHealth" not in found


def test_every_operation_is_found_without_a_commit_to_compare_with() -> None:
    assert changed(None, contract(), []) == [*contract().operations]


def test_expression_matches_each_spelling_of_an_operation() -> None:
    assert expression(["createTask", "list"]) == "createTask or create_task or list"
    assert expression([]) == ""
