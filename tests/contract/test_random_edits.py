"""Whatever openapi.yaml contains, the start succeeds or fails with a ContractError, never with a traceback."""

import json
from pathlib import Path

import pytest

from fastapi_contract.application import contract_app
from fastapi_contract.contract import Contract, ContractError, InvalidContractError
from support import ROOT, divided_contract
from support.edited_contract import bound
from support.random_edits import edited
from todo_api.contract import load_contract

SOURCE = (ROOT / "openapi.yaml").read_bytes()
DOCUMENT = json.dumps(load_contract().document)
EDITS = 1_000
CHUNKS = 4
EDITS_OF_A_FILE = 100


@pytest.mark.parametrize("chunk", range(CHUNKS), ids=lambda chunk: f"chunk {chunk}")
def test_random_edit_ends_in_a_start_or_a_contract_error(chunk: int) -> None:
    size = EDITS // CHUNKS
    for seed in range(chunk * size, (chunk + 1) * size):
        source = edited(SOURCE, DOCUMENT, seed)
        try:
            contract = Contract.parse(source)
            # About 15 % of the edits are parsed; the start of an app takes ten times as long as the parsing.
            if seed % 4 < 2 and contract.document != load_contract().document:
                contract_app(contract, bound(contract))
        except ContractError as error:
            differences = error.differences if isinstance(error, InvalidContractError) else []
            if not all(each.startswith("openapi.yaml:") for each in differences):
                pytest.fail(f"Edit {seed} is rejected without a line: {differences}")
        except Exception as error:
            raise AssertionError(f"Edit {seed} ends in a traceback.") from error


@pytest.mark.parametrize("name", [divided_contract.SCHEMAS, divided_contract.PATHS], ids=["schemas", "path items"])
def test_random_edit_of_another_file_ends_in_a_start_or_a_contract_error(name: str, tmp_path: Path) -> None:
    divided_contract.write(tmp_path)
    original = divided_contract.divided()[name]
    for seed in range(EDITS_OF_A_FILE):
        tmp_path.joinpath(name).write_bytes(edited(original.encode(), original, seed))
        try:
            contract = Contract.read(tmp_path / "openapi.yaml")
            if contract.document != load_contract().document:
                contract_app(contract, bound(contract))
        except ContractError as error:
            differences = error.differences if isinstance(error, InvalidContractError) else []
            if not all(
                each.startswith(tuple(f"{file}:" for file in divided_contract.divided())) for each in differences
            ):
                pytest.fail(f"Edit {seed} is rejected without a line: {differences}")
        except Exception as error:
            raise AssertionError(f"Edit {seed} ends in a traceback.") from error


def test_contract_without_an_edit_starts() -> None:
    contract = Contract.parse(SOURCE)
    contract_app(contract, bound(contract))
