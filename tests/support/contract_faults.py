"""Edits of a contract, and what its parsing reports."""

from typing import Any

import yaml

from fastapi_contract.contract import Contract, InvalidContractError
from support import ROOT

NOTES = ROOT / "tests/engine/notes.yaml"

Edit = tuple[str, Any]
"""A path, such as "paths /notes get", and the value to set there; REMOVED removes it."""
REMOVED = object()


def faults(*edits: Edit) -> list[str]:
    """What Contract.parse reports for the contract of the notes after some edits, without the numbers of the lines."""
    document = yaml.safe_load(NOTES.read_bytes())
    for path, value in edits:
        *parents, key = path.split()
        node = document
        for parent in parents:
            node = node[int(parent) if isinstance(node, list) else parent]
        if value is REMOVED:
            del node[key]
        elif isinstance(node, list):
            node[int(key)] = value
        else:
            node[key] = value
    try:
        Contract.parse(yaml.safe_dump(document).encode())
    except InvalidContractError as error:
        return [each.split(": ", 1)[1] for each in error.differences]
    return []


SCHEMA = "components schemas NoteText"
GET = "paths /notes get"
POST = "paths /notes post"
PARAMETER = f"{GET} parameters 0"
BODY = f"{POST} requestBody content"
SCHEME = "components securitySchemes"


def parameter(where: str, **fields: Any) -> dict[str, Any]:
    return {"name": "limit", "in": where, "schema": {"type": "integer"}, **fields}
