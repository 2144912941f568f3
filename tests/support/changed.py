"""Prints the operations that differ from the last commit, as an expression for `pytest -k`; nothing if none differs.

An operation differs if its part of the contract does, with all schemas that it refers to, or a file in the folder of
its tag. All do if there is no commit to compare with.
"""

import json
import re
import subprocess
import sys
from typing import Any

from fastapi_contract.contract import Contract, ContractError, Operation, Schema
from fastapi_contract.openapi.document import place_of, value_at
from support import ROOT


def changed(before: Contract | None, now: Contract, files: list[str]) -> list[str]:
    """The ids of the operations of `now` that differ from `before`, or whose code is in `files`, those that changed."""
    known = {} if before is None else {each.id: _meaning(before.document, each) for each in before.operations.values()}
    return [
        operation.id
        for operation in now.operations.values()
        if known.get(operation.id) != _meaning(now.document, operation)
        or any(f"src/todo_api/{tag}/" in file for tag in operation.spec.get("tags", ()) for file in files)
    ]


def expression(operation_ids: list[str]) -> str:
    """Matches the tests that have an operation in their name, also as `create_task` or `TestCreateTask`."""
    snake = (re.sub("(?=[A-Z])", "_", operation_id).lower() for operation_id in operation_ids)
    return " or ".join(name for pair in zip(operation_ids, snake, strict=True) for name in dict.fromkeys(pair))


def _meaning(document: Schema, operation: Operation) -> str:
    found: dict[str, Any] = {}
    _follow(document, [operation.spec, operation.parameters, operation.security, operation.path], found)
    return json.dumps([operation.method, operation.path, operation.spec, operation.parameters, found], sort_keys=True)


def _follow(document: Schema, value: Any, found: dict[str, Any]) -> None:
    """Adds the values to which `value` refers, by their references."""
    if isinstance(value, dict) and isinstance(ref := value.get("$ref"), str) and ref not in found:
        found[ref] = value_at(document, place_of(ref))
        _follow(document, found[ref], found)
    if isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            _follow(document, each, found)


def _git(*arguments: str) -> bytes | None:
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True, timeout=60).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


if __name__ == "__main__":
    source, files = _git("show", "HEAD:generated/openapi.yaml"), _git("diff", "--name-only", "HEAD")
    try:
        before = Contract.parse(source) if source else None
    except ContractError:
        before = None
    now = Contract.read(ROOT / "openapi.yaml")
    sys.stdout.write(expression(changed(before, now, (files or b"").decode().splitlines())))
